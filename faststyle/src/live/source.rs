//! Where live video comes from.

use super::feed::{self, Origin};
use crate::demo_clip;
use crate::gstreamer::cameras::{self, Camera};
use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{decoder, make};
use crate::messages::say;
use anyhow::{Result, bail};
use gst::prelude::*;
use std::path::PathBuf;

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

    /// Whether there may be sound.
    pub fn has_sound(&self) -> bool {
        matches!(self, Source::File(_) | Source::Stream(_))
    }

    /// Leads the video into `head`, that of cameras at this size, and the sound into `sound`.
    ///
    /// # Errors
    /// Those of elements.
    pub fn connect(
        self,
        pipeline: &Pipeline,
        head: &gst::Element,
        sound: Option<&gst::Element>,
        size: Size,
    ) -> Result<()> {
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
            Source::File(path) => feed::connect(Origin::File(path), pipeline, head, sound),
            Source::Stream(uri) => feed::connect(Origin::Address(uri), pipeline, head, sound),
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
