//! Frames and sound of a film or a network stream, brought into the live pipeline by
//! themselves: a film is shown again and again, and a stream that fails is connected to
//! again, while outputs go on.

use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{bin, decoder, make, pad, stream_time};
use crate::messages::say;
use crate::stop;
use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst::{ClockTime, glib};
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What is fed.
#[derive(Clone)]
pub enum Origin {
    File(PathBuf),
    Address(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Origin::File(path) => path.display().fmt(f),
            Origin::Address(uri) => uri.fmt(f),
        }
    }
}

/// Frames of a network wait so long, so that those that come late are in time.
const MARGIN: ClockTime = ClockTime::from_mseconds(300);

/// Frames that come later than that begin a new count of the time.
const TOO_LATE: ClockTime = ClockTime::SECOND;

/// A frame's duration where none is known.
const FRAME: ClockTime = ClockTime::from_mseconds(40);

/// No frame for so long means that a stream has failed.
const SILENCE: Duration = Duration::from_secs(10);

/// How long to wait before connecting again: at first, and at most. Each time doubles it.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// Leads the frames of `origin` into `head`, and its sound into `sound`.
///
/// # Errors
/// An element is missing.
pub fn connect(
    origin: Origin,
    pipeline: &Pipeline,
    head: &gst::Element,
    sound: Option<&gst::Element>,
) -> Result<()> {
    let source = |milliseconds| {
        let most = ClockTime::from_mseconds(milliseconds);
        let source = AppSrc::builder()
            .format(gst::Format::Time)
            .is_live(true)
            .block(true)
            .max_bytes(0)
            .max_time(most)
            .build();
        // What waits in it may come so much later: mixers and muxers wait for one another.
        source.set_latency(ClockTime::ZERO, most);
        source
    };
    let frames = source(100);
    let pace = make("clocksync")?;
    pipeline.chain(&[frames.clone().upcast(), pace.clone()])?;
    pace.link(head)?;
    let sound = match sound {
        None => None,
        Some(head) => {
            let samples = source(1000);
            pipeline.chain(&[samples.clone().upcast()])?;
            samples.link(head)?;
            Some(samples)
        }
    };
    let feed = Feed {
        origin,
        frames,
        sound,
        turn: Arc::default(),
        clock: pipeline.0.downgrade(),
    };
    thread::spawn(move || {
        if let Err(error) = feed.run() {
            gst::element_error!(feed.frames, gst::ResourceError::Read, ("{error:#}"));
        }
    });
    Ok(())
}

/// What is fed, and where to.
struct Feed {
    origin: Origin,
    frames: AppSrc,
    sound: Option<AppSrc>,
    turn: Arc<Mutex<Turn>>,
    clock: glib::WeakRef<gst::Pipeline>,
}

/// A time of playing from the film's beginning or from a connection on.
#[derive(Default)]
struct Turn {
    /// What is added to the film's times, once it is known.
    begin: Option<ClockTime>,
    /// When all that came so far is over.
    end: ClockTime,
}

/// How playing has ended that has not failed.
#[derive(PartialEq)]
enum End {
    /// The live pipeline is gone, or there was a request to end.
    Stopped,
    /// The film or the stream is over.
    Over,
}

impl Feed {
    fn run(&self) -> Result<()> {
        let mut pause = PAUSES[0];
        loop {
            let began = Instant::now();
            let mut frames = 0;
            let played = self.play(&mut frames);
            let why = match (&self.origin, played) {
                (_, Ok(End::Stopped)) => return Ok(()),
                // One that has never come has a wrong address.
                (Origin::Address(_), Err(error)) if frames > 0 || pause > PAUSES[0] => {
                    format!("{error:#}")
                }
                (_, Err(error)) => return Err(error).with_context(|| self.origin.to_string()),
                (_, Ok(End::Over)) => "the stream has ended".to_owned(),
            };
            if began.elapsed() > 2 * pause && frames > 0 {
                pause = PAUSES[0];
            }
            let seconds = pause.as_secs();
            say(format_args!(
                "{}: {why}. Connecting again in {seconds} s",
                self.origin
            ));
            if !stop::pause(pause) || self.clock.upgrade().is_none() {
                return Ok(());
            }
            pause = (2 * pause).min(PAUSES[1]);
        }
    }

    /// Plays until the stream is over, a film for ever. Counts the frames.
    fn play(&self, count: &mut u64) -> Result<End> {
        let film = Pipeline::new();
        // Otherwise sound of the previous connection would go on.
        lock(&self.turn).begin = None;
        let (head, flip) = (make("videoconvert")?, make("videoflip")?);
        flip.set_property_from_str("video-direction", "auto");
        let frames = AppSink::builder().sync(false).max_buffers(3).build();
        film.chain(&[head.clone(), flip, frames.clone().upcast()])?;
        let sound = self.sound.as_ref().map(|to| self.sound(&film, to));
        let sound = sound.transpose()?;
        let sound_head = sound.as_ref().map(|(head, _)| head);
        match &self.origin {
            Origin::File(path) => decoder::file(&film, path, &head, sound_head)?,
            Origin::Address(uri) => decoder::address(&film, uri, &head, sound_head)?,
        }
        film.play()?;
        let mut last = Instant::now();
        let mut of_turn = 0;
        while !stop::requested() {
            let sample = frames.try_pull_sample(ClockTime::from_mseconds(100));
            film.check()?;
            if let Some(sample) = sample {
                (last, of_turn) = (Instant::now(), of_turn + 1);
                *count += 1;
                if !self.push(&sample, &self.frames) {
                    return Ok(End::Stopped);
                }
                continue;
            }
            let sound_is_over = sound
                .as_ref()
                .is_none_or(|(head, sink)| sink.is_eos() || !is_linked(head));
            match &self.origin {
                Origin::File(_) if frames.is_eos() && sound_is_over => {
                    if of_turn == 0 {
                        bail!("no frame in it");
                    }
                    of_turn = 0;
                    let mut turn = lock(&self.turn);
                    turn.begin = Some(turn.end);
                    drop(turn);
                    // From here, for there may be no sound, and its end cannot seek then.
                    frames.seek_simple(gst::SeekFlags::FLUSH, ClockTime::ZERO)?;
                }
                Origin::Address(_) if frames.is_eos() => return Ok(End::Over),
                Origin::Address(_) if last.elapsed() > SILENCE => bail!("no frame comes"),
                _ => (),
            }
        }
        Ok(End::Stopped)
    }

    /// Elements for the film's sound, which goes to `to`.
    fn sound(&self, film: &Pipeline, to: &AppSrc) -> Result<(gst::Element, AppSink)> {
        let head = bin(
            "audioconvert ! audioresample ! capsfilter caps=audio/x-raw,rate=48000,channels=2",
        )?;
        let head: gst::Element = head.upcast();
        let sink = AppSink::builder().sync(false).async_(false).build();
        film.chain(&[head.clone(), sink.clone().upcast()])?;
        let feed = Feed {
            origin: self.origin.clone(),
            frames: self.frames.clone(),
            sound: None,
            turn: self.turn.clone(),
            clock: self.clock.clone(),
        };
        let to = to.clone();
        let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            match feed.push(&sample, &to) {
                true => Ok(gst::FlowSuccess::Ok),
                false => Err(gst::FlowError::Eos),
            }
        });
        sink.set_callbacks(callbacks.build());
        Ok((head, sink))
    }

    /// Hands on a sample with its time in the live pipeline. Returns whether that goes on.
    fn push(&self, sample: &gst::Sample, to: &AppSrc) -> bool {
        let Some((caps, mut buffer, time)) = parts(sample) else {
            return true;
        };
        let Some(begin) = self.begin(time) else {
            return false;
        };
        // Before the first sample of the other kind.
        let Some(shown) = (begin + time).checked_sub(OFFSET) else {
            return true;
        };
        let new = buffer.make_mut();
        new.set_pts(shown);
        new.set_dts(None);
        let mut turn = lock(&self.turn);
        turn.end = turn.end.max(begin + time + new.duration().unwrap_or(FRAME));
        drop(turn);
        if to.caps().as_ref() != Some(&caps) {
            to.set_caps(Some(&caps));
        }
        // It fails when the pipeline has ended.
        to.push_buffer(buffer).is_ok()
    }

    /// What to add to the film's times so that `time` is now, or a little later, at the
    /// beginning, and the same from then on. None if the pipeline is gone.
    fn begin(&self, time: ClockTime) -> Option<ClockTime> {
        let now = running_time(&self.clock)? + OFFSET;
        let mut turn = lock(&self.turn);
        let on_air = matches!(self.origin, Origin::Address(_));
        let late = |begin: &ClockTime| on_air && *begin + time + TOO_LATE < now;
        let margin = if on_air { MARGIN } else { ClockTime::ZERO };
        match turn.begin.filter(|begin| !late(begin)) {
            Some(begin) => Some(begin),
            None => {
                let begin = (now + margin).saturating_sub(time);
                turn.begin = Some(begin);
                Some(begin)
            }
        }
    }
}

/// Added to all times while they are computed: a stream's own may be larger than those of
/// the pipeline.
const OFFSET: ClockTime = ClockTime::from_seconds(1 << 30);

fn lock(turn: &Mutex<Turn>) -> MutexGuard<'_, Turn> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_linked(head: &gst::Element) -> bool {
    pad(head, "sink").is_ok_and(|pad| pad.is_linked())
}

/// The pipeline's time, when it plays. None if it is gone.
fn running_time(pipeline: &glib::WeakRef<gst::Pipeline>) -> Option<ClockTime> {
    loop {
        let pipeline = pipeline.upgrade()?;
        if let Some(now) = pipeline.current_running_time() {
            return Some(now);
        }
        if stop::requested() {
            return None;
        }
        drop(pipeline);
        thread::sleep(Duration::from_millis(5));
    }
}

/// A sample's caps, data, and time in the film.
fn parts(sample: &gst::Sample) -> Option<(gst::Caps, gst::Buffer, ClockTime)> {
    let buffer = sample.buffer_owned()?;
    let time = stream_time(sample.segment()?, buffer.pts())?;
    Some((sample.caps_owned()?, buffer, time))
}
