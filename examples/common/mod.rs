//! Shared code of the example programs: GStreamer with the element registered,
//! sources, files to write, and running until the end.
#![allow(dead_code)] // No program uses all of it.

use anyhow::{Context, Result, anyhow, bail, ensure};
use gst::prelude::*;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The shipped clip.
pub const CLIP: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/media/big_buck_bunny.mp4"
);

/// How to write an MP4 file: the middle of a pipeline description.
pub const MP4: &str = "x264enc pass=quant quantizer=22 speed-preset=veryfast \
                       ! video/x-h264,profile=high ! mp4mux name=muxer";

/// Set by Ctrl-C and SIGTERM.
static STOP: AtomicBool = AtomicBool::new(false);

/// How often [`run`] wakes up when there is no message.
const PAUSE: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// Starts GStreamer and registers this crate's element. A program that uses the
/// installed plugin does not need the second line: GStreamer finds it.
pub fn init() -> Result<()> {
    gst::init()?;
    gstfaststyle::plugin_register_static()?;
    Ok(())
}

/// The pipeline of a description as for `gst-launch-1.0`.
pub fn pipeline(line: &str) -> Result<gst::Pipeline> {
    let parsed = gst::parse::launch_full(line, None, gst::ParseFlags::FATAL_ERRORS)
        .context("`make install-deps` installs the elements that examples use")?;
    parsed
        .downcast()
        .map_err(|other| anyhow!("{} is not a pipeline", other.name()))
}

/// An element by its name in the pipeline description.
pub fn element(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element> {
    let found = pipeline.by_name(name);
    found.with_context(|| format!("the pipeline has no element {name}"))
}

/// The start of a pipeline description, up to raw video: of a camera, such as
/// `/dev/video0`, or a file.
pub fn source(input: &str) -> Result<String> {
    if !Path::new(input).exists() {
        bail!("Not found: {input}. Give a camera (/dev/video…) or a video file");
    }
    let location = quoted(input);
    Ok(match is_camera(input) {
        // The queue drops old frames, so that the window shows the present.
        true => format!(
            "v4l2src device={location} ! decodebin ! queue leaky=downstream max-size-buffers=1 \
             ! videoconvert"
        ),
        false => format!("filesrc location={location} ! decodebin ! videoconvert"),
    })
}

pub fn is_camera(input: &str) -> bool {
    input.starts_with("/dev/")
}

/// Quotes any text as a value in a pipeline description.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// A file to write, which gets its name when it is whole.
pub struct Output {
    path: PathBuf,
    part: PathBuf,
}

impl Output {
    /// A file that is not there yet.
    pub fn new(path: &Path) -> Result<Self> {
        let shown = path.display();
        ensure!(
            path.extension().is_some_and(|ending| ending == "mp4"),
            "{shown}: give it a name that ends in .mp4"
        );
        ensure!(
            !path.exists(),
            "{shown} is already there: remove it, or choose another name"
        );
        Ok(Output {
            path: path.into(),
            part: path.with_extension("mp4.part"),
        })
    }

    /// Where it is written.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Gives it its name.
    pub fn keep(self) -> Result<()> {
        std::fs::rename(&self.part, &self.path).with_context(|| self.path.display().to_string())?;
        println!("Written: {}", self.path.display());
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Of a failure, nothing is left. A whole file has another name by now.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// Plays the pipeline to its end, or again and again. Calls `meanwhile` with each
/// message, and several times a second without one. Its result, or Ctrl-C, can end
/// the streams early.
///
/// # Errors
/// An error of the pipeline's elements or of `meanwhile`.
pub fn run(
    pipeline: &gst::Pipeline,
    again: bool,
    meanwhile: impl FnMut(Option<&gst::Message>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            // Asked a second time: do not wait.
            std::process::exit(130);
        }
    })?;
    let started = pipeline.set_state(gst::State::Playing).is_ok();
    let played = watch(pipeline, started, again, meanwhile);
    pipeline.set_state(gst::State::Null)?;
    played
}

fn watch(
    pipeline: &gst::Pipeline,
    started: bool,
    again: bool,
    mut meanwhile: impl FnMut(Option<&gst::Message>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    let mut ending = false;
    loop {
        let message = bus.timed_pop(PAUSE);
        match &message {
            Some(message) => heed(message)?,
            // An error would have been reported before.
            None if !started => bail!("The pipeline does not start"),
            None => (),
        }
        match message.as_ref().map(|message| message.type_()) {
            Some(gst::MessageType::Eos) if again && !ending => {
                pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)?;
            }
            Some(gst::MessageType::Eos) => return Ok(()),
            // The latency of an element has changed.
            Some(gst::MessageType::Latency) => pipeline.recalculate_latency()?,
            _ => (),
        }
        let flow = meanwhile(message.as_ref())?;
        if (flow.is_break() || STOP.load(Ordering::SeqCst)) && !ending {
            ending = true;
            // Frames in flight are still shown or written.
            pipeline.send_event(gst::event::Eos::new());
        }
    }
}

/// Shows a warning.
///
/// # Errors
/// If the message is one.
pub fn heed(message: &gst::Message) -> Result<()> {
    let from = || message.src().map(|src| src.name()).unwrap_or_default();
    match message.view() {
        gst::MessageView::Error(error) => {
            let text = in_full(&error.error(), error.debug().as_deref());
            bail!("{}: {text}", from())
        }
        gst::MessageView::Warning(warning) => {
            let text = in_full(&warning.error(), warning.debug().as_deref());
            // With \r, because the terminal may be in raw mode.
            eprint!("{}: {text}\r\n", from());
        }
        _ => (),
    }
    Ok(())
}

/// A message with its details, which follow a line with the position in the code.
fn in_full(text: &gst::glib::Error, debug: Option<&str>) -> String {
    match debug.and_then(|debug| debug.split_once('\n')) {
        Some((_, details)) => format!("{text} ({})", details.trim().replace('\n', " ")),
        None => text.to_string(),
    }
}
