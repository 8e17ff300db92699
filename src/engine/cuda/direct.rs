//! Frames that lie on the device already, or are to lie there: no copy of them
//! is made.

use super::layout::{self, Planes};
use super::plan::Sizes;
use super::stand_in::StandIn;
use super::{CudaNetwork, at_least};
use crate::engine::frame::{Frame, FrameError, FrameInfo, FrameMut, MAX_PLANES};
use crate::engine::pixels;
use crate::engine::{Blend, EngineError, Size};
use crate::ops::cuda::Gpu;
use crate::ops::cuda::parameters::{Address, FrameLayout};
use std::time::Duration;

/// A frame in the device's memory.
#[derive(Clone, Copy, Debug)]
pub struct DeviceFrame {
    info: FrameInfo,
    planes: [Address; MAX_PLANES],
    strides: [usize; MAX_PLANES],
}

impl DeviceFrame {
    /// A frame whose planes start at these addresses, with these strides, in
    /// the order of the format's.
    ///
    /// # Errors
    /// [`FrameError`] if the kernels do not know the format, the planes are not
    /// the format's, or rows do not fit.
    ///
    /// # Safety
    /// From each address on there are as many bytes as
    /// [`FrameInfo::plane_bytes`] says, in memory of the context that the
    /// network runs in. Until the frame has been painted they stay there, and
    /// nobody else writes them or, for a result, reads them.
    pub unsafe fn new(info: FrameInfo, planes: &[(Address, usize)]) -> Result<Self, FrameError> {
        if !layout::is_known(info.format) {
            let format = info.format;
            return Err(FrameError::NotOnDevice { format });
        }
        let expected = info.format.plane_count();
        if planes.len() != expected {
            return Err(FrameError::PlaneCount {
                format: info.format,
                expected,
                found: planes.len(),
            });
        }
        let mut frame = DeviceFrame {
            info,
            planes: [0; MAX_PLANES],
            strides: [0; MAX_PLANES],
        };
        for (plane, &(address, stride)) in planes.iter().enumerate() {
            info.plane_bytes(plane, stride)?;
            frame.planes[plane] = address;
            frame.strides[plane] = stride;
        }
        Ok(frame)
    }

    /// What the frame is.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }

    fn layout(&self) -> FrameLayout {
        let planes = Planes {
            strides: self.strides.to_vec(),
            ..Planes::default()
        };
        let mut layout = layout::of_frame(&self.info, &planes);
        for (to, address) in layout.planes.iter_mut().zip(self.planes) {
            *to = address;
        }
        layout
    }
}

/// Where the frame to paint lies.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// In main memory.
    Host(&'a Frame<'a>),
    /// In the memory of the device that paints.
    Device(DeviceFrame),
}

/// Where the painted frame is to lie.
#[derive(Debug)]
pub enum Target<'a, 'b> {
    /// In main memory.
    Host(&'a mut FrameMut<'b>),
    /// In the memory of the device that paints.
    Device(DeviceFrame),
}

impl Source<'_> {
    /// What the frame is.
    pub fn info(&self) -> &FrameInfo {
        match self {
            Source::Host(frame) => frame.info(),
            Source::Device(frame) => frame.info(),
        }
    }
}

impl Target<'_, '_> {
    /// What the frame is to be.
    pub fn info(&self) -> &FrameInfo {
        match self {
            Target::Host(frame) => frame.info(),
            Target::Device(frame) => frame.info(),
        }
    }
}

impl<G: Gpu> CudaNetwork<G> {
    /// Repaints `input` into `output`, a frame of the same size in any format.
    /// The network sees a picture of `size`, which is at most the frame's; see
    /// [`resize`](crate::engine::resize) and [`upsample`](crate::engine::upsample).
    /// Returns how long the kernels took.
    ///
    /// # Errors
    /// As [`CudaNetwork::stylize`], and [`EngineError::Frame`] if the
    /// frames' sizes differ.
    pub fn paint(
        &mut self,
        input: &Frame<'_>,
        output: &mut FrameMut<'_>,
        size: Size,
        blend: Blend,
    ) -> Result<Duration, EngineError> {
        let output = &mut Target::Host(output);
        self.paint_directly(Source::Host(input), output, size, blend)
    }

    /// As [`CudaNetwork::paint`], with frames on either side of the bus. What
    /// is on the device has been written when this returns.
    ///
    /// # Errors
    /// As [`CudaNetwork::paint`].
    pub fn paint_directly(
        &mut self,
        input: Source<'_>,
        output: &mut Target<'_, '_>,
        size: Size,
        blend: Blend,
    ) -> Result<Duration, EngineError> {
        let mut stand_ins = std::mem::take(&mut self.stand_ins);
        let result = self.paint_with(&mut stand_ins, input, output, size, blend);
        self.stand_ins = stand_ins;
        result
    }

    /// Paints frames in main memory of a format that the kernels do not know by way
    /// of others.
    fn paint_with(
        &mut self,
        [before, after]: &mut [StandIn; 2],
        input: Source<'_>,
        output: &mut Target<'_, '_>,
        size: Size,
        blend: Blend,
    ) -> Result<Duration, EngineError> {
        let read;
        let input = match input {
            Source::Host(frame) if !layout::is_known(frame.info().format) => {
                read = before.read(frame)?;
                Source::Host(&read)
            }
            known => known,
        };
        match output {
            Target::Host(frame) if !layout::is_known(frame.info().format) => {
                let mut written = after.resize(frame.info().size())?;
                let target = &mut Target::Host(&mut written);
                let time = self.paint_known(input, target, size, blend)?;
                after.write(frame)?;
                Ok(time)
            }
            known => self.paint_known(input, known, size, blend),
        }
    }

    fn paint_known(
        &mut self,
        input: Source<'_>,
        output: &mut Target<'_, '_>,
        size: Size,
        blend: Blend,
    ) -> Result<Duration, EngineError> {
        let (from, to) = (*input.info(), *output.info());
        pixels::check_size(from.size(), &to)?;
        let weights = self.weights.clone();
        let gpu = &*weights.gpu;
        let planes = [Planes::packed(&from), Planes::packed(&to)];
        let before = match input {
            Source::Device(frame) => frame.layout(),
            Source::Host(frame) => {
                let memory = at_least(gpu, &mut self.before, planes[0].len)?;
                // SAFETY: all that uses them waits for what was started before,
                // and so do they when they are dropped.
                unsafe { self.staging.upload(gpu, frame, &planes[0], memory)? };
                let layout = layout::of_frame(&from, &planes[0]);
                layout::at(layout, &planes[0], gpu.address(memory))
            }
        };
        let after = match output {
            Target::Device(frame) => frame.layout(),
            Target::Host(_) => {
                let memory = at_least(gpu, &mut self.after, planes[1].len)?;
                let layout = layout::of_frame(&to, &planes[1]);
                layout::at(layout, &planes[1], gpu.address(memory))
            }
        };
        let sizes = Sizes {
            frame: from.size(),
            picture: Size::new(size.width.min(from.width), size.height.min(from.height)),
        };
        let keep_opacity = from.format.has_alpha() && to.format.has_alpha();
        let [start, end] = self.run(sizes, [before, after], blend, keep_opacity)?;
        if let (Target::Host(frame), Some((after, _))) = (output, &self.after) {
            self.staging.download(gpu, after, &planes[1], frame)?;
        }
        gpu.wait(&end)?;
        Ok(gpu.between(&start, &end)?)
    }
}
