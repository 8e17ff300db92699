//! The command `stylize`: pictures, repainted by a trained network.

mod canvas;
mod jobs;
mod picture_file;

use crate::cli::StylizeArgs;
use crate::commands::{Outcome, style};
use crate::io::files::stem;
use crate::logging::progress::PictureProgress;
use crate::logging::say::say;
use anyhow::{Context, bail, ensure};
use canvas::{Interrupted, PictureCanvas};
use gstfaststyle::Model;
use gstfaststyle::internals::engine::memory;
use gstfaststyle::internals::engine::motion::{self, Follower};
use gstfaststyle::internals::network::write_atomically;
use gstfaststyle::{Area, Blend, Canvas, Engine, Image, Options};
use indicatif::HumanBytes;
use jobs::{Job, Jobs};
use picture_file::Picture;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Paints all pictures, or those before `stop` is set.
///
/// # Errors
/// A model that cannot be read, an output that cannot be written, or pictures that
/// could not be painted. Each of those is reported, and the others are painted.
pub fn run(args: &StylizeArgs, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    let found = style::open(&args.model)?;
    let model = found.in_style(args.style.as_deref())?;
    let Jobs {
        jobs,
        failed,
        done_before,
    } = Jobs::plan(args, &style_name(&model, &found.path)?)?;
    let options = Options {
        device: args.device,
        precision: args.precision,
        threads: args.threads as usize,
    };
    let mut painter = Painter {
        engine: Engine::with_options(&model, options)?,
        memory: memory(args),
        smoother: Follower::default(),
        last: None,
        args,
        stop,
        progress: PictureProgress::new(jobs.len() as u64),
    };
    if let ([], [reason]) = (&jobs[..], &failed[..]) {
        bail!("{reason}");
    }
    for reason in &failed {
        painter.progress.say(reason);
    }
    if done_before > 0 {
        painter.progress.say(&format!(
            "{done_before} results are there already: --overwrite replaces them"
        ));
    }
    let (all, mut failed) = (jobs.len() + failed.len(), failed.len());
    let single = all == 1;
    let (started, mut done) = (Instant::now(), 0);
    let mut interrupted = false;
    for job in &jobs {
        if painter.last != job.after {
            painter.smoother.reset();
        }
        painter.last = None;
        match painter.paint(job) {
            Ok(()) => done += 1,
            Err(error) if error.is::<Interrupted>() => {
                interrupted = true;
                break;
            }
            Err(error) if single => {
                painter.progress.finish();
                return Err(error.context(job.picture.display().to_string()));
            }
            Err(error) => {
                failed += 1;
                let path = job.picture.display();
                painter.progress.say(&format!("{path}: {error:#}"));
            }
        }
        painter.progress.step();
    }
    painter.progress.finish();
    let seconds = started.elapsed().as_secs_f64();
    match (done, &jobs[..]) {
        _ if all == 0 => {}
        (1, [job]) if all == 1 => say(format_args!(
            "{} is ready: {seconds:.1} s",
            job.output.display()
        )),
        _ => say(format_args!(
            "{done} of {all} pictures are ready: {seconds:.1} s"
        )),
    }
    if interrupted {
        return Ok(Outcome::Interrupted);
    }
    ensure!(
        failed == 0,
        "{failed} of {all} pictures could not be repainted"
    );
    Ok(Outcome::Finished)
}

/// What files are named by: the names of the styles, or the model's file at `path`.
fn style_name(model: &Model, path: &Path) -> anyhow::Result<String> {
    let name = style::names(model).join("+");
    match name.is_empty() || name.contains(['/', '\\', '\0']) {
        true => stem(path),
        false => Ok(name),
    }
}

/// How many bytes painting may take.
fn memory(args: &StylizeArgs) -> usize {
    match args.memory {
        Some(mib) => usize::try_from(mib << 20).unwrap_or(usize::MAX),
        None => memory::free() / 2,
    }
}

/// Paints a frame of a film and blends it with the one that `smoother` has seen last.
fn paint_frame(
    engine: &mut Engine,
    canvas: &mut PictureCanvas<'_>,
    memory: usize,
    smoother: &mut Follower,
    smoothing: f32,
) -> anyhow::Result<()> {
    let size = canvas.size();
    let needed = engine.memory_needed(size) + motion::memory_needed(size);
    ensure!(
        needed <= memory,
        "frames are smoothed whole, which takes {} of memory, {} are allowed: give a smaller \
         --max-size, or more --memory",
        HumanBytes(needed as u64),
        HumanBytes(memory as u64)
    );
    let whole = Area::whole(size);
    let (mut frame, mut painted) = (Image::default(), Image::default());
    canvas.read(whole, &mut frame)?;
    engine.stylize(&frame, &mut painted)?;
    smoother.smooth(&frame, &mut painted, smoothing);
    canvas.write(whole, &mut painted)
}

struct Painter<'a> {
    engine: Engine,
    /// In bytes.
    memory: usize,
    smoother: Follower,
    /// The frame that the smoother has seen last.
    last: Option<PathBuf>,
    args: &'a StylizeArgs,
    stop: &'a AtomicBool,
    progress: PictureProgress,
}

impl Painter<'_> {
    fn paint(&mut self, job: &Job) -> anyhow::Result<()> {
        ensure!(!self.stop.load(Ordering::SeqCst), Interrupted);
        let mut picture = Picture::read(&job.picture, job.format)?;
        for note in &picture.metadata.lost {
            let text = format!("{}: {note}", job.picture.display());
            self.progress.say(&text);
        }
        if let Some(longest) = self.args.max_size {
            picture.shrink(longest as u32)?;
        }
        picture.check(job.format)?;
        let blend = Blend {
            strength: self.args.strength as f32,
            keep_color: self.args.keep_color,
        };
        if blend.strength > 0.0 {
            let mut canvas = PictureCanvas::new(&picture, blend);
            canvas.report_to(self.stop, &mut self.progress);
            // All of it on the engine's threads, pixels too.
            let (engine, memory) = (&mut self.engine, self.memory);
            let threads = engine.prepared().threads().clone();
            match self.args.smoothing as f32 {
                0.0 => threads.run(|| engine.paint(&mut canvas, memory))?,
                smoothing => {
                    let smoother = &mut self.smoother;
                    threads
                        .run(|| paint_frame(engine, &mut canvas, memory, smoother, smoothing))?;
                    self.last = Some(job.picture.clone());
                }
            }
            picture.bytes = canvas.into_painted();
        }
        let file = picture.encode(job.format, self.args.quality)?;
        let output = job.output.display();
        if let Some(folder) = job.output.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        write_atomically(&job.output, &file).with_context(|| format!("cannot write {output}"))
    }
}
