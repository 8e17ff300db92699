//! `faststyle film`: repaints films.
//!
//! A film is cut into [segments](segment), each painted and encoded into a file of
//! its own in a folder beside the output. Sound and subtitles are copied into such
//! files, too. When all are there they are joined. What is finished is not done
//! again after a crash.

mod chapters;
pub mod codec;
pub mod container;
mod encode;
mod job;
mod mux;
mod names;
mod packets;
mod parts;
mod preview;
mod progress;
mod reader;
mod segment;
mod sequence;
mod source;
mod tracks;

use crate::cli::FilmArgs;
use crate::messages::{print, say};
use crate::outcome::Outcome;
use crate::{gstreamer, output, stop};
use anyhow::{Context, Result, bail, ensure};
use codec::{Codec, Encoder, Quality};
use container::{Container, Kind};
use encode::SegmentEncoder;
use gst::ClockTime;
use job::Job;
use names::Pair;
use packets::{Summary, Writer};
use progress::{Progress, clock};
use reader::{Next, Reader};
use segment::Plan;
use sequence::Sequence;
use serde_json::json;
use source::Source;
use std::fs;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::UNIX_EPOCH;
use tracks::Tracks;

/// Runs the command.
///
/// # Errors
/// Those of a single film; of several, how many could not be painted.
pub fn run(mut args: Box<FilmArgs>) -> Result<Outcome> {
    args.look = args.look.found()?;
    let args = &*args;
    if let (Some(from), Some(to)) = (args.from, args.to) {
        ensure!(from < to, "--from must be before --to");
    }
    ensure!(
        args.segment >= ClockTime::SECOND,
        "--segment must be at least 1 second"
    );
    gstreamer::init()?;
    stop::on_request()?;
    let (pairs, several) = names::pairs(args)?;
    if !several {
        let Pair { input, output } = &pairs[0];
        return match args.preview {
            true => preview::run(args, input, output),
            false => film(args, input, output),
        };
    }
    ensure!(
        !args.list_segments && args.paint_segment.is_none(),
        "segments are of one film, not of {}",
        pairs.len()
    );
    let mut failed = 0;
    for Pair { input, output } in &pairs {
        if output.exists() && !args.overwrite {
            say(format_args!("{} is already there", output.display()));
            continue;
        }
        match film(args, input, output) {
            Ok(Outcome::Finished) => (),
            Ok(Outcome::Interrupted) => return Ok(Outcome::Interrupted),
            Err(error) => {
                say(format_args!("faststyle: {error:#}"));
                failed += 1;
            }
        }
    }
    ensure!(
        failed == 0,
        "{failed} of {} films could not be painted",
        pairs.len()
    );
    Ok(Outcome::Finished)
}

/// A film to paint, and how.
struct Film<'a> {
    args: &'a FilmArgs,
    source: Source,
    plan: Plan,
    encoder: Encoder,
    /// The painted frames.
    frames: gst::Caps,
    job: Job,
    output: &'a Path,
}

/// A film that can be painted, before anything is written.
struct Opened {
    container: Container,
    source: Source,
    plan: Plan,
    encoder: Encoder,
    /// The painted frames.
    frames: gst::Caps,
}

impl Opened {
    /// Looks into the film `input`, to be painted as `output`.
    ///
    /// # Errors
    /// What keeps it from being painted.
    fn open(args: &FilmArgs, input: &Path, output: &Path) -> Result<Self> {
        let container = Container::of_output("--output", output)?;
        match (container, Sequence::of(output)) {
            (Container::Pictures, Some(pictures)) => {
                let own = args.overwrite || Job::is_publishing(output);
                pictures.check(
                    "--output",
                    own && Sequence::of(input).as_ref() != Some(&pictures),
                )?;
            }
            (Container::Pictures, None) => bail!(
                "--output {}: pictures need a place for their number, as in %05d.png",
                output.display()
            ),
            _ => output::check("--output", output, args.overwrite, &[input])?,
        }
        let source = Source::open(input, args.frame_rate)?;
        let plan = Plan::of(args);
        ensure!(
            source.duration == ClockTime::ZERO || plan.from < source.duration,
            "--from {}: {} is over by then",
            clock(plan.from),
            input.display()
        );
        let encoder = encoder(args, container, &source, output)?;
        let frames = encoder.frames(&source.frames)?;
        if source.frames.has_alpha() && !codec::have_opacity(&frames) {
            say(format_args!(
                "{}: its opacity is lost, for {} has none; --codec prores and ffv1 keep it",
                input.display(),
                encoder.codec.name()
            ));
        }
        Ok(Opened {
            container,
            source,
            plan,
            encoder,
            frames,
        })
    }
}

/// Paints one film, or what the arguments ask for of it.
fn film(args: &FilmArgs, input: &Path, output: &Path) -> Result<Outcome> {
    let Opened {
        container,
        source,
        plan,
        encoder,
        frames,
    } = Opened::open(args, input, output)?;
    if let Some(segment) = &args.paint_segment {
        return parts::paint(&source, &args.look, &frames, &encoder, plan, segment);
    }
    let settings = settings(args, input, &encoder, container)?;
    let job = Job::open(output, &settings, args.restart)?;
    if args.list_segments {
        return parts::list(&source, plan, &job);
    }
    let film = Film {
        args,
        source,
        plan,
        encoder,
        frames,
        job,
        output,
    };
    film.finish(container)
}

/// The encoder for a film in this container.
fn encoder(
    args: &FilmArgs,
    container: Container,
    source: &Source,
    output: &Path,
) -> Result<Encoder> {
    let encoding = &args.encoding;
    if container == Container::Pictures {
        ensure!(
            encoding.codec.is_none(),
            "--codec is for films; the ending of --output says what pictures are"
        );
        let png = output
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
        let codec = if png { Codec::Png } else { Codec::Tiff };
        return Encoder::choose(codec, Quality::High, None, source.frames.has_alpha());
    }
    let codec = encoding.codec.unwrap_or(match container {
        Container::Webm => Codec::Av1,
        _ if source.frames.comp_depth(0) > 8 => Codec::H265,
        _ => Codec::H264,
    });
    let plain = codec
        .caps()
        .structure(0)
        .map(|caps| gst::Caps::new_empty_simple(caps.name()));
    let taken = container.caps(Kind::Video)?;
    if !plain.is_some_and(|plain| taken.can_intersect(&plain)) {
        bail!(
            "{} does not hold {}: end the name of --output in .mkv, or take another --codec",
            container.name(),
            codec.name()
        );
    }
    Encoder::choose(
        codec,
        encoding.quality,
        encoding.encoder.as_deref(),
        source.frames.has_alpha(),
    )
}

/// What decides about every pixel and packet of the output.
fn settings(
    args: &FilmArgs,
    input: &Path,
    encoder: &Encoder,
    container: Container,
) -> Result<serde_json::Value> {
    let stamp = |path: &Path| {
        let (bytes, changed) = match Sequence::of(path) {
            Some(pictures) => pictures.stamp().ok()?,
            None => {
                let file = fs::metadata(path).ok()?;
                (file.len(), file.modified().ok()?)
            }
        };
        let changed = changed.duration_since(UNIX_EPOCH).ok()?;
        Some(format!("{bytes} bytes of {}", changed.as_nanos()))
    };
    let folder = output::folder_of(input).canonicalize()?;
    let input_path = folder.join(input.file_name().unwrap_or_default());
    let mut settings = serde_json::to_value(&args.look)?;
    let all = settings.as_object_mut().context("settings have names")?;
    let times = [
        ("from", args.from),
        ("to", args.to),
        ("segment", Some(args.segment)),
    ];
    for (name, time) in times {
        all.insert(name.into(), json!(time.map(ClockTime::nseconds)));
    }
    all.insert("input".into(), json!(input_path.to_string_lossy()));
    all.insert("input file".into(), json!(stamp(input)));
    if Sequence::of(input).is_some() {
        let rate = args.frame_rate.to_string();
        all.insert("frame rate".into(), json!(rate));
    }
    all.insert(
        "model file".into(),
        json!(stamp(Path::new(&args.look.model))),
    );
    all.insert("container".into(), json!(container.name()));
    all.insert("encoding".into(), json!(encoder));
    all.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    Ok(settings)
}

impl Film<'_> {
    /// Does what is not done yet.
    fn finish(self, container: Container) -> Result<Outcome> {
        let output = self.output;
        let shown = || self.source.path.display().to_string();
        let folder = self.job.path("");
        let tracks = match self.job.tracks() {
            Some(tracks) => tracks,
            None if self.source.pictures.is_some() => Tracks::none(),
            None => {
                let copied = tracks::copy(&self.source.path, container, self.plan, &folder);
                let Some(tracks) = copied.with_context(shown)? else {
                    return Ok(Outcome::Interrupted);
                };
                self.job.set_tracks(&tracks)?;
                tracks
            }
        };
        for left_out in &tracks.left_out {
            say(format_args!("{}: {left_out}", shown()));
        }
        let mut progress = Progress::new(self.plan, self.source.duration);
        let painted = self.paint(&mut progress).with_context(shown)?;
        let (frames, time) = progress.painted();
        drop(progress);
        if painted == Outcome::Interrupted {
            return self.interrupted();
        }
        let segments = self.job.finished()?;
        let codec = self.encoder.codec;
        let part = self.job.path("film.part");
        let whole = match Sequence::of(output).filter(|_| container == Container::Pictures) {
            Some(pictures) => self.publish_pictures(&pictures, &segments, &part)?,
            None => mux::write(&part, container, codec, &segments, &tracks, &folder)?,
        };
        if !whole {
            return self.interrupted();
        }
        if container != Container::Pictures {
            output::publish(&part, output, self.args.overwrite)?;
        }
        self.job.remove()?;
        let seconds = time.as_secs_f64();
        let speed = frames as f64 / seconds;
        print(format_args!(
            "{frames} frames in {seconds:.1} s: {speed:.2} frames/s"
        ));
        print(format_args!("Written: {}", output.display()));
        Ok(Outcome::Finished)
    }

    /// Writes the painted frames as pictures. Those of pictures have the same numbers,
    /// those of films count from 1.
    fn publish_pictures(
        &self,
        pictures: &Sequence,
        segments: &[Summary],
        part: &Path,
    ) -> Result<bool> {
        let begun = Job::is_publishing(self.output);
        self.job.set_publishing()?;
        let overwrite = self.args.overwrite || begun;
        let first = match &self.source.pictures {
            Some((pictures, _)) => *pictures.numbers()?.start(),
            None => 1,
        };
        pictures.write(segments, part, overwrite, |place, time| {
            let place = match &self.source.pictures {
                Some((_, rate)) => sequence::place_at(time + self.plan.from, *rate),
                None => place,
            };
            first + place
        })
    }

    fn interrupted(&self) -> Result<Outcome> {
        let done = self.job.finished()?.len();
        say(format_args!(
            "Interrupted. The same command goes on at {}.",
            clock(self.plan.segment(done).start)
        ));
        Ok(Outcome::Interrupted)
    }

    /// Paints the segments that are missing.
    fn paint(&self, progress: &mut Progress) -> Result<Outcome> {
        loop {
            let finished = self.job.finished()?;
            if job::is_whole(&finished) {
                return Ok(Outcome::Finished);
            }
            if self.paint_after(&finished, progress)? == Outcome::Interrupted {
                return Ok(Outcome::Interrupted);
            }
        }
    }

    /// Paints the segments after the finished ones, up to one that is there or to the
    /// film's end.
    fn paint_after(&self, finished: &[Summary], progress: &mut Progress) -> Result<Outcome> {
        let mut segment = self.plan.segment(finished.len());
        let before = self.times_of(finished.last());
        let reader = Reader::open(
            &self.source,
            &self.args.look,
            &self.frames,
            self.plan,
            segment,
            &before,
        )?;
        if !finished.is_empty() {
            progress.say(&format!("Resumes at {}", clock(segment.start)));
        }
        let mut encoder = None;
        let mut finishing = Finishing::default();
        loop {
            let frame = match reader.next()? {
                Next::Interrupted => return Ok(Outcome::Interrupted),
                Next::End => None,
                Next::Frame(frame) => Some(frame).filter(|frame| !self.plan.is_over(frame.time)),
            };
            while frame.as_ref().is_none_or(|frame| frame.time >= segment.end) {
                let last = frame.is_none();
                finishing.wait()?;
                match encoder.take() {
                    Some(encoder) => finishing.begin(encoder, last),
                    None => Writer::create(self.job.segment(segment.index))?.finish(last)?,
                }
                segment = self.plan.segment(segment.index + 1);
                if last || self.job.has(segment.index) {
                    finishing.wait()?;
                    return Ok(Outcome::Finished);
                }
            }
            if let Some(frame) = frame {
                progress.frame(frame.time);
                let encoder = match &mut encoder {
                    Some(encoder) => encoder,
                    None => encoder.insert(self.encoder(segment.index)?),
                };
                encoder.push(frame)?;
            }
        }
    }

    fn encoder(&self, index: usize) -> Result<SegmentEncoder> {
        let path = self.job.segment(index);
        SegmentEncoder::start(&self.encoder, self.plan.from, path)
    }

    /// The times of a segment's frames, from the film's beginning.
    fn times_of(&self, segment: Option<&Summary>) -> Vec<ClockTime> {
        let times = segment.into_iter().flat_map(|segment| &segment.times);
        let mut times: Vec<_> = times.map(|&time| time + self.plan.from).collect();
        times.sort();
        times
    }
}

/// A segment whose encoder ends while the next one begins.
#[derive(Default)]
struct Finishing(Option<JoinHandle<Result<()>>>);

impl Finishing {
    fn begin(&mut self, encoder: SegmentEncoder, last: bool) {
        self.0 = Some(thread::spawn(move || encoder.finish(last)));
    }

    fn wait(&mut self) -> Result<()> {
        match self.0.take().map(JoinHandle::join) {
            Some(Ok(finished)) => finished,
            Some(Err(_)) => bail!("a thread has failed"),
            None => Ok(()),
        }
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        // After an error or a request to end; what it wrote is kept if whole.
        let _ = self.wait();
    }
}
