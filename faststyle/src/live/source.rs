//! Where live video comes from.

use crate::gstreamer::cameras::{self, Camera};
use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{decoder, make, stream_time};
use crate::messages::say;
use crate::{demo_clip, stop};
use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst::{ClockTime, glib};
use gst_app::{AppSink, AppSrc};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Where live video comes from.
pub enum Source {
    Camera(Camera),
    Screen,
    /// Shown again and again.
    File(PathBuf),
    /// An address.
    Stream(String),
}

impl Source {
    /// What was asked for; otherwise the first camera, or the demo clip where there
    /// is none.
    ///
    /// # Errors
    /// There is no such camera or file.
    pub fn choose(camera: Option<&str>, screen: bool, input: Option<&str>) -> Result<Self> {
        if screen {
            return Ok(Source::Screen);
        }
        if let Some(camera) = camera {
            return Ok(Source::Camera(cameras::find(camera)?));
        }
        if let Some(input) = input {
            return match PathBuf::from(input) {
                path if path.is_file() => Ok(Source::File(path)),
                _ if is_address(input) => Ok(Source::Stream(input.into())),
                _ => bail!("--input {input}: no such film, and no address such as rtsp://…"),
            };
        }
        match cameras::all().into_iter().next() {
            Some(camera) => Ok(Source::Camera(camera)),
            None => {
                let clip = demo_clip::find()?;
                say("No camera: here is a clip. --input shows another, --screen the screen.");
                Ok(Source::File(clip))
            }
        }
    }

    /// Leads the video into `head`; that of cameras at this size.
    ///
    /// # Errors
    /// Those of elements.
    pub fn connect(self, pipeline: &Pipeline, head: &gst::Element, size: Size) -> Result<()> {
        match self {
            Source::Camera(camera) => {
                let shape = sized(pipeline, head, size)?;
                decoder::element(pipeline, camera.element()?, &shape)
            }
            Source::Screen => {
                if std::env::var_os("DISPLAY").is_none() {
                    bail!("--screen needs an X11 display (DISPLAY is not set)");
                }
                let source = make("ximagesrc")?;
                // All of the picture, even if a part has changed.
                source.set_property("use-damage", false);
                let rate = make("capsfilter")?;
                let caps = gst::Caps::builder("video/x-raw");
                let caps = caps.field("framerate", gst::Fraction::new(30, 1)).build();
                rate.set_property("caps", caps);
                pipeline.chain(&[source, rate.clone()])?;
                Ok(rate.link(head)?)
            }
            Source::File(path) => Loop::connect(path, pipeline, head),
            Source::Stream(uri) => decoder::address(pipeline, &uri, head),
        }
    }
}

/// Whether it looks like `scheme://…`.
fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        let letter = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        !scheme.is_empty() && scheme.chars().all(letter)
    })
}

/// Width and height.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub i32, pub i32);

/// Elements in front of `head` that scale; returns the first of them.
fn sized(
    pipeline: &Pipeline,
    head: &gst::Element,
    Size(width, height): Size,
) -> Result<gst::Element> {
    let [convert, scale, shape] = ["videoconvert", "videoscale", "capsfilter"].map(make);
    let (convert, shape) = (convert?, shape?);
    let caps = gst::Caps::builder("video/x-raw");
    let caps = caps.field("width", width).field("height", height).build();
    shape.set_property("caps", caps);
    pipeline.chain(&[convert.clone(), scale?, shape.clone()])?;
    shape.link(head)?;
    Ok(convert)
}

/// A film that is shown for ever, at its own pace, as a camera would.
struct Loop {
    film: Pipeline,
    frames: AppSink,
    path: PathBuf,
}

impl Loop {
    fn connect(path: PathBuf, pipeline: &Pipeline, head: &gst::Element) -> Result<()> {
        let film = Pipeline::new();
        let (queue, flip) = (make("videoconvert")?, make("videoflip")?);
        flip.set_property_from_str("video-direction", "auto");
        let frames = AppSink::builder().sync(false).max_buffers(3).build();
        film.chain(&[queue.clone(), flip, frames.clone().upcast()])?;
        decoder::file(&film, &path, &queue)?;
        let source = AppSrc::builder()
            .format(gst::Format::Time)
            .is_live(true)
            .block(true)
            .max_buffers(2)
            .max_bytes(0)
            .build();
        let pace = make("clocksync")?;
        pipeline.chain(&[source.clone().upcast(), pace.clone()])?;
        pace.link(head)?;
        let shown = Loop { film, frames, path };
        let clock = pipeline.0.downgrade();
        thread::spawn(move || {
            if let Err(error) = shown.run(&source, &clock) {
                gst::element_error!(source, gst::ResourceError::Read, ("{error:#}"));
            }
        });
        Ok(())
    }

    /// Hands on frames until the pipeline ends.
    fn run(&self, source: &AppSrc, pipeline: &glib::WeakRef<gst::Pipeline>) -> Result<()> {
        let shown = || self.path.display().to_string();
        self.film.play().with_context(shown)?;
        // The time at which this turn began, and its last frame ends.
        let (mut begin, mut end) = (None, ClockTime::ZERO);
        let mut empty = true;
        while !stop::requested() {
            let sample = self.frames.try_pull_sample(ClockTime::from_mseconds(100));
            self.film.check().with_context(shown)?;
            let Some(sample) = sample else {
                if self.frames.is_eos() {
                    if empty {
                        bail!("{}: no frame in it", shown());
                    }
                    (begin, empty) = (Some(end), true);
                    self.film
                        .0
                        .seek_simple(gst::SeekFlags::FLUSH, ClockTime::ZERO)?;
                }
                continue;
            };
            let begin = match begin {
                Some(begin) => begin,
                None => {
                    let Some(now) = running_time(pipeline) else {
                        return Ok(());
                    };
                    *begin.insert(now)
                }
            };
            let Some((caps, mut buffer, time)) = parts(&sample) else {
                continue;
            };
            empty = false;
            if source.caps().as_ref() != Some(&caps) {
                source.set_caps(Some(&caps));
            }
            let new = buffer.make_mut();
            new.set_pts(begin + time);
            new.set_dts(None);
            end = begin + time + new.duration().unwrap_or(ClockTime::from_mseconds(40));
            if source.push_buffer(buffer).is_err() {
                // The pipeline has ended.
                return Ok(());
            }
        }
        Ok(())
    }
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

/// A sample's caps, frame, and time in the film.
fn parts(sample: &gst::Sample) -> Option<(gst::Caps, gst::Buffer, ClockTime)> {
    let buffer = sample.buffer_owned()?;
    let time = stream_time(sample.segment()?, buffer.pts())?;
    Some((sample.caps_owned()?, buffer, time))
}
