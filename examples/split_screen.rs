//! Shows the original and the painting on two sides of a border that moves back
//! and forth:
//!
//! ```sh
//! cargo run --release --example split_screen
//! cargo run --release --example split_screen -- --input in.mp4 --output out.mp4
//! ```
//!
//! The compositor draws the original over the painting. `videocrop` cuts it off at
//! the border; a controller moves its property `right`.

mod common;

use anyhow::{Context, Result};
use clap::Parser;
use gst::prelude::*;
use gst_controller::prelude::*;
use gst_controller::{DirectControlBinding, LFOControlSource, LFOWaveform};
use std::ops::ControlFlow;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Shows a video and its repainted version side by side")]
struct Args {
    /// Camera (/dev/video…) or video file [default: the shipped clip]
    #[arg(long, default_value = common::CLIP, hide_default_value = true)]
    input: String,
    /// File to write (.mp4, without sound) [default: a window]
    #[arg(long)]
    output: Option<PathBuf>,
    /// Model file, or the name of an installed one
    #[arg(long, default_value = "scream")]
    model: String,
    /// Seconds for the border to move there and back
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    period: u32,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let output = args
        .output
        .as_deref()
        .map(common::Output::new)
        .transpose()?;
    common::init()?;
    // In RGB, `videocrop` can cut off any number of columns.
    let pipeline = common::pipeline(&format!(
        "{} ! video/x-raw,format=RGBx ! tee name=both \
         both. ! queue max-size-buffers=2 ! faststyle name=style ! screen.sink_0 \
         both. ! queue max-size-buffers=2 ! videocrop name=original ! screen.sink_1 \
         compositor name=screen ! videoconvert ! {}",
        common::source(&args.input)?,
        destination(output.as_ref())?,
    ))?;
    let style = common::element(&pipeline, "style")?;
    style.set_property("model", &args.model);
    swing(&common::element(&pipeline, "original")?, args.period)?;
    common::run(&pipeline, false, |_| Ok(ControlFlow::Continue(())))?;
    output.map_or(Ok(()), common::Output::keep)
}

/// The end of the pipeline description.
fn destination(output: Option<&common::Output>) -> Result<String> {
    let Some(output) = output else {
        return Ok("autovideosink".into());
    };
    let part = output.part().to_str();
    let location = common::quoted(part.context("the output's name is no text")?);
    Ok(format!("{} ! filesink location={location}", common::MP4))
}

/// Moves the cut on the right between 5 and 95 % of the width.
fn swing(crop: &gst::Element, period: u32) -> Result<()> {
    let wave = LFOControlSource::new();
    wave.set_waveform(LFOWaveform::Sine);
    wave.set_frequency(1.0 / f64::from(period));
    crop.add_control_binding(&DirectControlBinding::new(crop, "right", &wave))?;
    // The wave's 0 and 1 map to the minimum and maximum of the property.
    let property = crop.find_property("right");
    let property = property.and_then(|p| p.downcast::<gst::glib::ParamSpecInt>().ok());
    let property = property.context("videocrop's `right` is a number")?;
    let (least, most) = (f64::from(property.minimum()), f64::from(property.maximum()));
    let pad = crop.static_pad("sink").context("videocrop has a pad")?;
    pad.connect_caps_notify(move |pad| {
        let caps = pad.current_caps();
        let width = caps.and_then(|caps| caps.structure(0)?.get::<i32>("width").ok());
        let width = f64::from(width.unwrap_or_default());
        wave.set_offset((0.50 * width - least) / (most - least));
        wave.set_amplitude(0.45 * width / (most - least));
    });
    Ok(())
}
