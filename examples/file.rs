//! Repaints a video file with its sound. `faststyle film` copies all sound tracks as
//! they are, resumes after Ctrl-C and more; this is the pipeline at its heart.
//!
//! ```sh
//! cargo run --release --example file -- in.mp4 out.mp4 --strength 0.8 --keep-color
//! ```
//!
//! Ctrl-C ends it early and keeps what is done so far.

mod common;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use gst::prelude::*;
use std::ops::ControlFlow;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Repaints a video file in the style of a painting")]
struct Args {
    /// Video file to repaint
    input: PathBuf,
    /// File to write (.mp4)
    output: PathBuf,
    /// Model file, or the name of an installed one
    #[arg(long, default_value = "scream")]
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
    let input = args.input.display();
    ensure!(args.input.is_file(), "File not found: {input}");
    ensure!(
        (0.0..=1.0).contains(&args.strength),
        "--strength must be 0 to 1"
    );
    let output = common::Output::new(&args.output)?;
    common::init()?;
    let pipeline = common::pipeline(&format!(
        "filesrc name=input ! decodebin name=decoder \
         queue name=pictures max-size-buffers=2 ! videoconvert ! faststyle name=style \
         ! queue max-size-buffers=2 ! {} ! filesink name=output",
        common::MP4
    ))?;
    let element = |name| common::element(&pipeline, name);
    element("input")?.set_property("location", &args.input);
    element("output")?.set_property("location", output.part());
    let style = element("style")?;
    style.set_property("model", &args.model);
    style.set_property("strength", args.strength);
    style.set_property("keep-color", args.keep_color);
    // By then all streams of the file are known, and none has begun to flow.
    element("decoder")?.connect_no_more_pads(|decoder| {
        if let Err(error) = connect(decoder) {
            gst::element_error!(decoder, gst::CoreError::Failed, ("{error:#}"));
        }
    });
    common::run(&pipeline, false, |_| {
        let position = style.query_position::<gst::ClockTime>();
        let duration = style.query_duration::<gst::ClockTime>();
        if let (Some(position), Some(duration)) = (position, duration) {
            eprint!("\r{position:.0} of {duration:.0} ");
        }
        Ok(ControlFlow::Continue(()))
    })?;
    eprintln!();
    output.keep()
}

/// Connects the first video stream and the first audio stream of the file.
fn connect(decoder: &gst::Element) -> Result<()> {
    let parent = decoder.parent().and_downcast::<gst::Pipeline>();
    let pipeline = parent.context("the decoder is in no pipeline")?;
    let first = |kind: &str| {
        let mut pads = decoder.src_pads().into_iter();
        pads.find(|pad| {
            let caps = pad.query_caps(None);
            caps.structure(0)
                .is_some_and(|caps| caps.name().starts_with(kind))
        })
    };
    let video = first("video/").context("the file has no video")?;
    let pictures = common::element(&pipeline, "pictures")?;
    video.link(&pictures.static_pad("sink").context("a queue has a pad")?)?;
    if let Some(audio) = first("audio/") {
        // Deep, because video encoders look far ahead.
        let line = "queue max-size-buffers=0 max-size-time=0 \
                    ! audioconvert ! audioresample ! avenc_aac ! aacparse";
        let sound = gst::parse::bin_from_description(line, true)?;
        pipeline.add(&sound)?;
        let muxer = common::element(&pipeline, "muxer")?;
        sound.link_pads(Some("src"), &muxer, Some("audio_%u"))?;
        sound.sync_state_with_parent()?;
        audio.link(&sound.static_pad("sink").context("a bin has a pad")?)?;
    }
    Ok(())
}
