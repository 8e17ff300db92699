//! A picture as the engine repaints it, at once or by parts.

use super::picture_file::Picture;
use crate::logging::progress::PictureProgress;
use anyhow::ensure;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::{Area, Blend, Canvas, Image, Size};
use gstfaststyle::{Colorimetry, Format, Frame, FrameInfo, FrameMut};
use gstfaststyle::{FrameError, Plane, PlaneMut};
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
    blend: Blend,
    /// The part that is being written, before.
    original: Image,
    report: Option<(&'a AtomicBool, &'a mut PictureProgress)>,
}

impl<'a> PictureCanvas<'a> {
    pub fn new(picture: &'a Picture, blend: Blend) -> Self {
        PictureCanvas {
            picture,
            painted: vec![0; picture.bytes.len()],
            blend,
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

    fn size(&self) -> Size {
        Size::new(self.picture.width, self.picture.height)
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
        let mut original = None;
        if self.blend.needs_original() {
            pixels::read(&frame, &mut self.original);
            original = Some((&self.original, self.blend));
        }
        let (info, start, stride) = self.layout(area);
        let data = &mut self.painted[start..];
        let mut to = FrameMut::new(info, [PlaneMut { data, stride }])?;
        Ok(pixels::write(painted, original, Some(&frame), &mut to)?)
    }

    fn progress(&mut self, share: f64) -> anyhow::Result<()> {
        if let Some((stop, progress)) = &mut self.report {
            progress.part(share);
            ensure!(!stop.load(Ordering::SeqCst), Interrupted);
        }
        Ok(())
    }
}
