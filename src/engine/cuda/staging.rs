//! Frames on their way to the device and back.
//!
//! A device copies from and to memory of this side at full speed, and beside
//! other work, only where the system cannot move that memory: there the planes
//! are put together, band by band. While the device copies one band, the
//! threads of this side copy the next.

use super::layout::Planes;
use crate::engine::EngineError;
use crate::engine::frame::{Frame, FrameInfo, FrameMut};
use crate::ops::cuda::Gpu;
use std::ops::Range;

/// About how many bytes are a band: far more than it costs to start a copy,
/// and little of a frame that is large enough for that to matter.
const BAND: usize = 1 << 20;

/// Some rows of a plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    pub plane: usize,
    pub rows: Range<usize>,
    /// Where they lie in the packed frame.
    pub bytes: Range<usize>,
}

/// The bands of a packed frame.
pub fn bands<'a>(info: &'a FrameInfo, planes: &'a Planes) -> impl Iterator<Item = Band> + 'a {
    planes
        .offsets
        .iter()
        .enumerate()
        .flat_map(|(plane, start)| {
            let stride = planes.strides[plane].max(1);
            let all = info.format.plane_rows(plane, info.height);
            let step = (BAND / stride).max(1);
            (0..all).step_by(step).map(move |first| {
                let rows = first..all.min(first + step);
                Band {
                    plane,
                    bytes: start + rows.start * stride..start + rows.end * stride,
                    rows,
                }
            })
        })
}

/// Memory of this side that frames pass through.
pub struct Staging<G: Gpu> {
    host: Option<(G::Host, usize)>,
}

impl<G: Gpu> Default for Staging<G> {
    fn default() -> Self {
        Staging { host: None }
    }
}

impl<G: Gpu> Staging<G> {
    /// Starts to move a frame to the device, where it is packed.
    ///
    /// # Safety
    /// Neither this nor `memory` is used or dropped before the device has done
    /// all that was started.
    pub unsafe fn upload(
        &mut self,
        gpu: &G,
        input: &Frame<'_>,
        planes: &Planes,
        memory: &mut G::Memory,
    ) -> Result<(), EngineError> {
        let host = self.at_least(gpu, planes.len)?;
        for band in bands(input.info(), planes) {
            // SAFETY: `at_least` has made room. The device does nothing with it
            // yet, and all of a frame before is done.
            let to = unsafe {
                let start = gpu.pointer(host).add(band.bytes.start);
                std::slice::from_raw_parts_mut(start, band.bytes.len())
            };
            input.pack(band.plane, band.rows, to);
            // SAFETY: the caller's promise.
            unsafe { gpu.start_upload(host, band.bytes, memory)? };
        }
        Ok(())
    }

    /// Moves a frame from the device, which has it packed, when it has done all
    /// that was started.
    pub fn download(
        &mut self,
        gpu: &G,
        memory: &G::Memory,
        planes: &Planes,
        output: &mut FrameMut<'_>,
    ) -> Result<(), EngineError> {
        let info = *output.info();
        let host = self.at_least(gpu, planes.len)?;
        let mut started = Vec::new();
        for band in bands(&info, planes) {
            // SAFETY: what was started is waited for below, or by `host` when
            // it is dropped.
            unsafe { gpu.start_download(memory, band.bytes.clone(), host)? };
            started.push((band, gpu.event()?));
        }
        for (band, done) in started {
            gpu.wait(&done)?;
            // SAFETY: the device has written it all and writes elsewhere now.
            let from = unsafe {
                let start = gpu.pointer(host).add(band.bytes.start);
                std::slice::from_raw_parts(start, band.bytes.len())
            };
            output.unpack(band.plane, band.rows, from);
        }
        Ok(())
    }

    fn at_least(&mut self, gpu: &G, bytes: usize) -> Result<&G::Host, EngineError> {
        let held = match self.host.take() {
            Some(held) if held.1 >= bytes => held,
            other => {
                drop(other);
                (gpu.host(bytes)?, bytes)
            }
        };
        Ok(&self.host.insert(held).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::frame::{Colorimetry, Format};

    #[test]
    fn bands_are_all_of_a_frame() {
        for (format, width, height) in [
            (Format::I420, 3840, 2160),
            (Format::Rgba, 3, 5),
            (Format::Nv12, 1921, 1081),
        ] {
            let info = FrameInfo {
                format,
                width,
                height,
                colorimetry: Colorimetry::BT709,
            };
            let planes = Planes::packed(&info);
            let all: Vec<Band> = bands(&info, &planes).collect();
            for (plane, start) in planes.offsets.iter().enumerate() {
                let own: Vec<_> = all.iter().filter(|band| band.plane == plane).collect();
                let (mut row, mut byte) = (0, *start);
                for band in own {
                    assert_eq!((band.rows.start, band.bytes.start), (row, byte));
                    assert!(band.bytes.len() <= BAND || band.rows.len() == 1);
                    (row, byte) = (band.rows.end, band.bytes.end);
                }
                assert_eq!(row, format.plane_rows(plane, height));
                assert_eq!(byte - start, row * format.row_bytes(plane, width));
            }
        }
    }
}
