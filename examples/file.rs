//! Repaints a video file and keeps its sound:
//!
//! ```sh
//! cargo run --release --example file -- in.mp4 out.mp4 --strength 0.8 --keep-color
//! ```
//!
//! The output's extension selects the container: `.mp4`, `.mkv` or `.webm`.
//! Ctrl-C ends it early and keeps what is done so far.

mod common;

use anyhow::{Context, Result, bail};
use clap::Parser;
use common::Container;
use gst::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Parser)]
#[command(about = "Repaints a video file in the style of a painting")]
struct Args {
    /// Video file to repaint
    input: PathBuf,
    /// File to write (.mp4, .mkv or .webm)
    output: PathBuf,
    /// Model file, or the name of an installed one
    #[arg(long, default_value = common::SCREAM)]
    model: String,
    /// How much of the style shows, 0 to 1
    #[arg(long, default_value_t = 1.0)]
    strength: f64,
    /// Keep the video's own colours
    #[arg(long)]
    keep_color: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    check(&args)?;
    common::init()?;
    let container = Container::of(&args.output)?;
    let pipeline = common::pipeline(&format!(
        "filesrc name=input ! decodebin name=decoder \
         queue name=pictures max-size-buffers=2 ! videoconvert ! faststyle name=style \
         ! queue max-size-buffers=2 ! {} ! {} name=muxer ! filesink name=output",
        container.video()?,
        container.muxer,
    ))?;
    let element = |name| common::element(&pipeline, name);
    let (decoder, muxer, style) = (element("decoder")?, element("muxer")?, element("style")?);
    element("input")?.set_property("location", &args.input);
    element("output")?.set_property("location", &args.output);
    style.set_property("model", &args.model);
    style.set_property("strength", args.strength);
    style.set_property("keep-color", args.keep_color);

    keep_encoded_sound(&decoder, &muxer)?;
    // By now all streams of the file are known, and none has begun to flow.
    decoder.connect_no_more_pads(move |decoder| {
        if let Err(error) = connect(decoder, &container) {
            gst::element_error!(decoder, gst::CoreError::Failed, ("{error:#}"));
        }
    });

    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:40} {percent:>3} %  {elapsed} of {duration}",
    )?);
    let start = Instant::now();
    let played = common::run(&pipeline, |_| {
        let position = style.query_position::<gst::ClockTime>();
        let duration = style.query_duration::<gst::ClockTime>();
        if let (Some(position), Some(duration)) = (position, duration) {
            bar.set_length(duration.mseconds());
            bar.set_position(position.mseconds());
        }
        Ok(ControlFlow::Continue(()))
    });
    bar.finish_and_clear();
    played?;

    let stats = style.property::<gst::Structure>("stats");
    let frames: u64 = stats.get("frames-in")?;
    let seconds = start.elapsed().as_secs_f64();
    let speed = frames as f64 / seconds;
    println!("{frames} frames in {seconds:.1} s, {speed:.1} frames/s");
    println!("Written: {}", args.output.display());
    Ok(())
}

/// Checks that need no pipeline.
fn check(args: &Args) -> Result<()> {
    if !args.input.is_file() {
        bail!("File not found: {}", args.input.display());
    }
    let full = |path: &Path| path.canonicalize().ok();
    if full(&args.output).is_some_and(|output| full(&args.input) == Some(output)) {
        bail!("{} would overwrite the input", args.output.display());
    }
    if !(0.0..=1.0).contains(&args.strength) {
        bail!("--strength must be 0 to 1");
    }
    Ok(())
}

/// Does not decode sound that the muxer accepts as it is.
fn keep_encoded_sound(decoder: &gst::Element, muxer: &gst::Element) -> Result<()> {
    let factory = muxer.factory().context("the muxer has no factory")?;
    let templates = factory.static_pad_templates();
    let template = templates
        .iter()
        .find(|pad| pad.name_template() == "audio_%u");
    let mut caps = template.context("the muxer takes no sound")?.caps().copy();
    caps.merge(gst::Caps::new_empty_simple("video/x-raw"));
    caps.merge(gst::Caps::new_empty_simple("audio/x-raw"));
    decoder.set_property("caps", caps);
    Ok(())
}

/// Connects the first video stream and the first audio stream of the file.
fn connect(decoder: &gst::Element, container: &Container) -> Result<()> {
    let parent = decoder.parent().and_downcast::<gst::Pipeline>();
    let pipeline = parent.context("the decoder is in no pipeline")?;
    let first = |kind: &str| {
        let mut pads = decoder.src_pads().into_iter();
        pads.find(|pad| media_type(pad).starts_with(kind))
    };

    let video = first("video/").context("The file has no video")?;
    let pictures = common::element(&pipeline, "pictures")?;
    video.link(&pictures.static_pad("sink").context("a queue has a pad")?)?;

    let Some(audio) = first("audio/") else {
        return Ok(());
    };
    // Deep, because video encoders look far ahead.
    let mut line = String::from("queue max-size-buffers=0 max-size-time=0");
    if media_type(&audio) == "audio/x-raw" {
        line += " ! audioconvert ! audioresample ! ";
        line += container.audio()?;
    }
    let sound = gst::parse::bin_from_description(&line, true)?;
    pipeline.add(&sound)?;
    sound.link_pads(
        Some("src"),
        &common::element(&pipeline, "muxer")?,
        Some("audio_%u"),
    )?;
    sound.sync_state_with_parent()?;
    audio.link(&sound.static_pad("sink").context("a queue has a pad")?)?;
    Ok(())
}

fn media_type(pad: &gst::Pad) -> String {
    let caps = pad.query_caps(None);
    caps.structure(0)
        .map(|caps| caps.name().to_string())
        .unwrap_or_default()
}
