//! Sends an application's own pictures through the element and back:
//!
//! ```sh
//! cargo run --release --example appsrc_appsink -- --output painted/ one.png two.png
//! cargo run --release --example appsrc_appsink      # generated pictures
//! ```
//!
//! - Each picture goes in with its caps (format, size) and a timestamp, by which
//!   the application recognises the result.
//! - Both queues hold two pictures at most: the feeder waits for the
//!   element, the element waits for the fetcher. Memory stays bounded.
//! - An error anywhere ends the loops at both ends and is reported.

mod common;

use anyhow::{Context, Result, bail};
use clap::Parser;
use gst::prelude::*;
use gst_app::{AppSink, AppSrc};
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use image::RgbImage;
use std::path::{Path, PathBuf};
use std::thread;

#[derive(Parser)]
#[command(about = "Repaints pictures without files or cameras in the pipeline")]
struct Args {
    /// Pictures to repaint [default: generated ones]
    pictures: Vec<PathBuf>,
    /// Folder for the results, as PNG files
    #[arg(long)]
    output: Option<PathBuf>,
    /// Model file, or the name of an installed one
    #[arg(long, default_value = "scream")]
    model: String,
    /// How much of the style shows, 0 to 1
    #[arg(long, default_value_t = 1.0)]
    strength: f64,
}

/// The frame rate in the pictures' caps.
const FRAMES_PER_SECOND: i32 = 25;
const TIME_OF_A_FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

fn main() -> Result<()> {
    let args = Args::parse();
    common::init()?;
    let pipeline = common::pipeline(
        "appsrc name=source format=time block=true max-buffers=2 \
         ! faststyle name=style \
         ! video/x-raw,format=RGB ! appsink name=sink sync=false max-buffers=2",
    )?;
    let style = common::element(&pipeline, "style")?;
    style.set_property("model", &args.model);
    style.set_property("strength", args.strength.clamp(0.0, 1.0));
    let source = common::element(&pipeline, "source")?.downcast::<AppSrc>();
    let sink = common::element(&pipeline, "sink")?.downcast::<AppSink>();
    let (Ok(source), Ok(sink)) = (source, sink) else {
        bail!("The pipeline lacks its ends");
    };

    let started = pipeline.set_state(gst::State::Playing);
    let feeder = started.is_ok().then(|| {
        let pictures = args.pictures;
        thread::spawn(move || feed(&source, &pictures))
    });
    let fetched = match started {
        Ok(_) => fetch(&sink, args.output.as_deref()),
        Err(error) => Err(error.into()),
    };
    let heeded = heed(&pipeline);
    // The feeder may be waiting for room in its queue: this wakes it up.
    pipeline.set_state(gst::State::Null)?;
    // Report the first cause first.
    heeded?;
    fetched?;
    match feeder.map(|feeder| feeder.join()) {
        Some(Err(_)) => bail!("the feeder has panicked"),
        Some(Ok(fed)) => fed,
        None => Ok(()),
    }
}

/// Puts pictures into the pipeline, one after the other.
fn feed(source: &AppSrc, pictures: &[PathBuf]) -> Result<()> {
    let fed = match pictures {
        [] => (0..10).try_for_each(|n| push(source, n, &waves(n))),
        paths => (0..).zip(paths).try_for_each(|(n, path)| {
            let opened = image::open(path);
            let picture = opened.with_context(|| path.display().to_string())?;
            push(source, n, &picture.into_rgb8())
        }),
    };
    // After a failure, too: otherwise the other end would wait forever.
    let ended = source.end_of_stream();
    fed?;
    ended?;
    Ok(())
}

/// Puts in picture `number`; waits while the queue is full.
fn push(source: &AppSrc, number: u32, picture: &RgbImage) -> Result<()> {
    let (width, height) = picture.dimensions();
    let info = VideoInfo::builder(VideoFormat::Rgb, width, height);
    let info = info.fps((FRAMES_PER_SECOND, 1)).build()?;
    let mut buffer = gst::Buffer::with_size(info.size())?;
    let new = buffer.get_mut().context("a new buffer is nobody else's")?;
    new.set_pts(TIME_OF_A_FRAME * u64::from(number));
    new.set_duration(TIME_OF_A_FRAME);
    let mut frame = VideoFrameRef::from_buffer_ref_writable(new, &info)?;
    // Rows in the buffer may be padded: each begins at a multiple of 4 bytes.
    let stride = frame.plane_stride()[0] as usize;
    let rows = frame.plane_data_mut(0)?.chunks_exact_mut(stride);
    for (to, from) in rows.zip(picture.chunks_exact(3 * width as usize)) {
        to[..from.len()].copy_from_slice(from);
    }
    drop(frame);
    // With its caps, because they may change with every picture.
    let caps = info.to_caps()?;
    source.push_sample(&gst::Sample::builder().buffer(&buffer).caps(&caps).build())?;
    Ok(())
}

/// Gets painted pictures until there are no more.
fn fetch(sink: &AppSink, folder: Option<&Path>) -> Result<()> {
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    // Fails at the end of the stream, early or not.
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().context("a sample without a buffer")?;
        let info = VideoInfo::from_caps(sample.caps().context("a sample without caps")?)?;
        let time = buffer.pts().context("a buffer without a time")?;
        let number = time / TIME_OF_A_FRAME;
        println!(
            "picture {number}, {time}: {}x{} {}",
            info.width(),
            info.height(),
            info.name()
        );
        if let Some(folder) = folder {
            let path = folder.join(format!("{number:04}.png"));
            let saved = picture(buffer, &info)?.save(&path);
            saved.with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// The picture in an RGB buffer.
fn picture(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<RgbImage> {
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
    let stride = frame.plane_stride()[0] as usize;
    let rows = frame.plane_data(0)?.chunks_exact(stride);
    let row_bytes = 3 * info.width() as usize;
    let bytes = rows.flat_map(|row| &row[..row_bytes]).copied().collect();
    RgbImage::from_raw(info.width(), info.height(), bytes).context("a row is missing")
}

/// Messages of the pipeline: warnings, or the error that stopped it.
fn heed(pipeline: &gst::Pipeline) -> Result<()> {
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    bus.iter().try_for_each(|message| common::heed(&message))
}

/// Moving colours, instead of an application's pictures.
fn waves(number: u32) -> RgbImage {
    RgbImage::from_fn(320, 240, |x, y| {
        let wave = |length: f32| ((x + 8 * number) as f32 / length).sin() * (y as f32 / 30.0).cos();
        image::Rgb([20.0, 33.0, 47.0].map(|length| (127.5 + 127.5 * wave(length)) as u8))
    })
}
