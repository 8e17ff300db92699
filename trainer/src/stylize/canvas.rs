//! A picture as the engine repaints it, at once or by parts.

use super::picture::Picture;
use crate::progress::PictureProgress;
use anyhow::ensure;
use gstfaststyle::engine::colour::keep_colours;
use gstfaststyle::engine::frame::{Colorimetry, Format, Frame, FrameInfo, FrameMut};
use gstfaststyle::engine::frame::{FrameError, Plane, PlaneMut};
use gstfaststyle::engine::pixels::{self, Mix};
use gstfaststyle::engine::{Area, Canvas, Image};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Somebody does not want to wait.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// A picture and what becomes of it.
pub struct PictureCanvas<'a> {
    picture: &'a Picture,
    painted: Vec<u8>,
    strength: f32,
    keep_colours: bool,
    /// The part that is being written, before.
    original: Image,
    report: Option<(&'a AtomicBool, &'a mut PictureProgress)>,
}

impl<'a> PictureCanvas<'a> {
    pub fn new(picture: &'a Picture, strength: f32, keep_colours: bool) -> Self {
        PictureCanvas {
            picture,
            painted: vec![0; picture.bytes.len()],
            strength,
            keep_colours,
            original: Image::default(),
            report: None,
        }
    }

    /// Shows how far it is, and ends when `stop` is set.
    pub fn report_to(&mut self, stop: &'a AtomicBool, progress: &'a mut PictureProgress) {
        self.report = Some((stop, progress));
    }

    /// The bytes of the picture, repainted.
    pub fn into_painted(self) -> Vec<u8> {
        self.painted
    }

    /// Layout of a part's pixels, the bytes before it, and from row to row.
    fn layout(&self, area: Area) -> (FrameInfo, usize, usize) {
        let format = match self.picture.alpha {
            true => Format::Rgba,
            false => Format::Rgb,
        };
        let stride = format.row_bytes(0, self.picture.width);
        let info = FrameInfo {
            format,
            width: area.width,
            height: area.height,
            colorimetry: Colorimetry::SRGB,
        };
        (info, area.y * stride + format.row_bytes(0, area.x), stride)
    }

    fn frame(&self, area: Area) -> Result<Frame<'a>, FrameError> {
        let (info, start, stride) = self.layout(area);
        let data = &self.picture.bytes[start..];
        Frame::new(info, [Plane { data, stride }])
    }
}

impl Canvas for PictureCanvas<'_> {
    type Error = anyhow::Error;

    fn size(&self) -> (usize, usize) {
        (self.picture.width, self.picture.height)
    }

    /// What is transparent is white to the network: the colour beneath is
    /// anything.
    fn read(&mut self, area: Area, image: &mut Image) -> anyhow::Result<()> {
        pixels::read(&self.frame(area)?, image);
        if self.picture.alpha {
            let opacities = self.picture.opacities(area);
            let plane = area.width * area.height;
            for (i, opacity) in opacities.enumerate() {
                for c in 0..3 {
                    let value = &mut image.data[c * plane + i];
                    *value = 255.0 + opacity * (*value - 255.0);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, area: Area, painted: &mut Image) -> anyhow::Result<()> {
        let frame = self.frame(area)?;
        let mut mix = None;
        if self.keep_colours || self.strength < 1.0 {
            pixels::read(&frame, &mut self.original);
            if self.keep_colours {
                keep_colours(&self.original, painted);
            }
            mix = Some(Mix {
                original: &self.original,
                strength: self.strength,
            });
        }
        let (info, start, stride) = self.layout(area);
        let data = &mut self.painted[start..];
        let mut to = FrameMut::new(info, [PlaneMut { data, stride }])?;
        Ok(pixels::write(painted, mix, Some(&frame), &mut to)?)
    }

    fn progress(&mut self, share: f64) -> anyhow::Result<()> {
        if let Some((stop, progress)) = &mut self.report {
            progress.part(share);
            ensure!(!stop.load(Ordering::SeqCst), Interrupted);
        }
        Ok(())
    }
}
