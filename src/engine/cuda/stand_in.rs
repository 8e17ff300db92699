//! Frames in main memory of formats that the kernels do not know: the CPU converts
//! them to one that they know, and back.

use crate::engine::frame::{
    Colorimetry, Format, Frame, FrameError, FrameInfo, FrameMut, Plane, PlaneMut,
};
use crate::engine::{Image, Size, pixels};

/// A frame in a format that the kernels know, with all that any format holds: red,
/// green, blue and opacity of 16 bits.
#[derive(Debug, Default)]
pub struct StandIn {
    bytes: Vec<u8>,
    size: Size,
    picture: Image,
}

impl StandIn {
    /// Takes the place of `frame`.
    ///
    /// # Errors
    /// [`FrameError::Size`] if there is no room for so many pixels.
    pub fn read(&mut self, frame: &Frame<'_>) -> Result<Frame<'_>, FrameError> {
        let mut picture = std::mem::take(&mut self.picture);
        pixels::read(frame, &mut picture);
        let mut own = self.resize(frame.info().size())?;
        let written = pixels::write(&picture, None, Some(frame), &mut own);
        self.picture = picture;
        written?;
        self.frame()
    }

    /// Becomes a frame of this size, to be written.
    ///
    /// # Errors
    /// As [`StandIn::read`].
    pub fn resize(&mut self, size: Size) -> Result<FrameMut<'_>, FrameError> {
        self.size = size;
        let info = self.info();
        let stride = info.format.row_bytes(0, size.width);
        self.bytes.resize(stride * size.height, 0);
        let data = &mut self.bytes;
        FrameMut::new(info, [PlaneMut { data, stride }])
    }

    /// Puts what has been painted into `frame`, in whose place it was.
    ///
    /// # Errors
    /// [`FrameError::Mismatch`] if that is of another size.
    pub fn write(&mut self, frame: &mut FrameMut<'_>) -> Result<(), FrameError> {
        let mut picture = std::mem::take(&mut self.picture);
        let own = self.frame()?;
        pixels::read(&own, &mut picture);
        let written = pixels::write(&picture, None, Some(&own), frame);
        self.picture = picture;
        written
    }

    fn frame(&self) -> Result<Frame<'_>, FrameError> {
        let info = self.info();
        let stride = info.format.row_bytes(0, info.width);
        let data = &self.bytes;
        Frame::new(info, [Plane { data, stride }])
    }

    fn info(&self) -> FrameInfo {
        FrameInfo {
            format: Format::Rgba64Le,
            width: self.size.width,
            height: self.size.height,
            colorimetry: Colorimetry::SRGB,
        }
    }
}
