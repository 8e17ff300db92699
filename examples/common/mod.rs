//! Shared code of the example programs: GStreamer with the element registered,
//! sources and sinks, and running until the end.
#![allow(dead_code)] // No program uses all of it.

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A model in the repository.
pub const SCREAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/scream.safetensors");

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

/// Width and height, as in `640x480`.
#[derive(Clone, Copy)]
pub struct Size(u16, u16);

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('x')
            .and_then(|(width, height)| Some(Size(width.parse().ok()?, height.parse().ok()?)))
            .filter(|&Size(width, height)| width > 0 && height > 0)
            .ok_or_else(|| format!("`{text}` is not a size such as 640x480"))
    }
}

/// The start of a pipeline description, up to raw video: `camera` or its
/// `/dev/video…`, `test` for a moving ball, or a file. Only files keep
/// their size.
pub fn source(input: &str, Size(width, height): Size) -> Result<String> {
    // The queue drops old frames, so that the window shows the present.
    let live = format!(
        "videoconvert ! videoscale ! video/x-raw,width={width},height={height} \
         ! queue leaky=downstream max-size-buffers=1"
    );
    let path = match input {
        "test" => return Ok(format!("videotestsrc is-live=true pattern=ball ! {live}")),
        "camera" => "/dev/video0",
        path => path,
    };
    if !Path::new(path).exists() {
        bail!("Not found: {path}. Give a camera (/dev/video…), a video file, or `test`");
    }
    let location = quoted(path);
    Ok(if path.starts_with("/dev/") {
        format!("v4l2src device={location} ! decodebin ! {live}")
    } else {
        format!("filesrc location={location} ! decodebin ! videoconvert")
    })
}

/// Quotes any text as a value in a pipeline description.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// How to write a kind of file: parts of a pipeline description.
pub struct Container {
    /// The element that combines video and sound in a file.
    pub muxer: &'static str,
    video: &'static [&'static str],
    audio: &'static [&'static str],
}

const H264: &[&str] = &[
    "x264enc pass=quant quantizer=22 speed-preset=veryfast ! video/x-h264,profile=high",
    "openh264enc bitrate=4000000 ! h264parse",
];
const AAC: &[&str] = &["fdkaacenc", "avenc_aac", "voaacenc"];
const VP8: &[&str] = &["vp8enc deadline=1 cpu-used=8 target-bitrate=4000000"];
const OPUS: &[&str] = &["opusenc", "vorbisenc"];

impl Container {
    /// Chosen by the file's extension.
    pub fn of(file: &Path) -> Result<Self> {
        let (muxer, video, audio) = match file.extension().and_then(|ending| ending.to_str()) {
            Some("mp4") => ("mp4mux", H264, AAC),
            Some("mkv") => ("matroskamux", H264, AAC),
            Some("webm") => ("webmmux", VP8, OPUS),
            _ => bail!("{}: can write .mp4, .mkv and .webm", file.display()),
        };
        Ok(Container {
            muxer,
            video,
            audio,
        })
    }

    /// A video encoder.
    pub fn video(&self) -> Result<&'static str> {
        first_there_is(self.video)
    }

    /// An audio encoder.
    pub fn audio(&self) -> Result<&'static str> {
        first_there_is(self.audio)
    }
}

/// The first of several descriptions whose first element is installed.
fn first_there_is(lines: &'static [&'static str]) -> Result<&'static str> {
    let names = || lines.iter().filter_map(|line| line.split(' ').next());
    let found = names().position(|name| gst::ElementFactory::find(name).is_some());
    found.map(|i| lines[i]).with_context(|| {
        let names: Vec<_> = names().collect();
        format!("No encoder found: install one of {}", names.join(", "))
    })
}

/// Plays the pipeline to its end. Calls `meanwhile` with each message, and several
/// times a second without one. Its result, or Ctrl-C, can end the streams early.
///
/// # Errors
/// An error of the pipeline's elements or of `meanwhile`.
pub fn run(
    pipeline: &gst::Pipeline,
    meanwhile: impl FnMut(Option<&gst::Message>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            // Asked a second time: do not wait.
            std::process::exit(130);
        }
    })?;
    let started = pipeline.set_state(gst::State::Playing).is_ok();
    let played = watch(pipeline, started, meanwhile);
    pipeline.set_state(gst::State::Null)?;
    played
}

fn watch(
    pipeline: &gst::Pipeline,
    started: bool,
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
