//! Buffers in host or CUDA memory as frames for the painter.

use super::library::{Library, MAP_CUDA};
use crate::element::buffers::{FrameBuffer, Planes, frame, frame_mut, wrong_buffer};
use crate::engine::cuda::{DeviceFrame, Source, Target};
use crate::engine::frame::FrameInfo;
use crate::engine::{Blend, FrameTimings, Painter, Size, error_chain};
use gst::ffi::{GST_MAP_READ, GST_MAP_WRITE, GstBuffer, GstMapFlags, GstMapInfo};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A buffer of one memory, mapped where the device sees it.
struct Mapped<'a> {
    buffer: *mut GstBuffer,
    map: GstMapInfo,
    of: PhantomData<&'a gst::BufferRef>,
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // SAFETY: it is mapped, and lives.
        unsafe { gst::ffi::gst_buffer_unmap(self.buffer, &mut self.map) };
    }
}

impl<'a> Mapped<'a> {
    /// # Safety
    /// The buffer is all in memory of CUDA and lives as long as the result;
    /// to write, it is the caller's alone.
    unsafe fn new(buffer: *mut GstBuffer, access: GstMapFlags) -> Result<Self, String> {
        let mut map = MaybeUninit::uninit();
        // SAFETY: the caller's promise.
        let mapped =
            unsafe { gst::ffi::gst_buffer_map(buffer, map.as_mut_ptr(), access | MAP_CUDA) };
        if mapped == 0 {
            return Err("it cannot be mapped on the device".into());
        }
        Ok(Mapped {
            buffer,
            // SAFETY: it has been filled in.
            map: unsafe { map.assume_init() },
            of: PhantomData,
        })
    }

    /// Waits until all writes to the buffer are done.
    fn wait(&self, library: &Library) {
        if let Some(sync) = &library.memory_sync {
            // SAFETY: the memory lives, and is of CUDA.
            unsafe { sync(self.map.memory) };
        }
    }

    fn frame(&self, planes: &Planes, info: FrameInfo) -> Result<DeviceFrame, String> {
        let count = info.format.plane_count();
        let used = &planes[..count];
        if let Some((range, _)) = used.iter().find(|(range, _)| range.end > self.map.size) {
            let size = self.map.size;
            return Err(format!("{size} bytes on the device, {} needed", range.end));
        }
        let start = self.map.data as u64;
        let places: Vec<_> = used
            .iter()
            .map(|(range, stride)| (start + range.start as u64, *stride))
            .collect();
        // SAFETY: the planes are as large as the frame's, and lie in memory
        // that is mapped for the painter as long as this.
        unsafe { DeviceFrame::new(info, &places) }.map_err(|error| error.to_string())
    }
}

/// Paints from one buffer into another, of which at least one is in the
/// network's context: `there` says which, and the others are mapped on the
/// host.
///
/// # Errors
/// If a buffer is not what it should be, or painting fails.
pub fn paint(
    library: &Library,
    painter: &mut Painter,
    (input, output): (
        &FrameBuffer<&gst::BufferRef>,
        &mut FrameBuffer<&mut gst::BufferRef>,
    ),
    there: [bool; 2],
    (size, blend): (Size, Blend),
) -> Result<Option<FrameTimings>, gst::ErrorMessage> {
    let wrong_input = |reason: String| wrong_buffer("input", &reason);
    let wrong_output = |reason: String| wrong_buffer("output", &reason);
    let (on_device, bytes, on_host);
    let source = if there[0] {
        // SAFETY: it is in CUDA's memory, and borrowed.
        let mapped = unsafe { Mapped::new(input.buffer.as_ptr().cast_mut(), GST_MAP_READ) };
        on_device = mapped.map_err(wrong_input)?;
        on_device.wait(library);
        let frame = on_device.frame(&input.planes, input.info);
        Source::Device(frame.map_err(wrong_input)?)
    } else {
        let mapped = input.buffer.map_readable();
        bytes = mapped.map_err(|error| wrong_input(error.message.into()))?;
        on_host = frame(&bytes, &input.planes, input.info).map_err(wrong_input)?;
        Source::Host(&on_host)
    };
    let (to_device, mut to_bytes, mut to_host);
    let mut target = if there[1] {
        // SAFETY: it is in CUDA's memory, and borrowed by nobody else.
        let mapped = unsafe { Mapped::new(output.buffer.as_mut_ptr(), GST_MAP_WRITE) };
        to_device = mapped.map_err(wrong_output)?;
        to_device.wait(library);
        let frame = to_device.frame(&output.planes, output.info);
        Target::Device(frame.map_err(wrong_output)?)
    } else {
        let mapped = output.buffer.map_writable();
        to_bytes = mapped.map_err(|error| wrong_output(error.message.into()))?;
        to_host = frame_mut(&mut to_bytes, &output.planes, output.info).map_err(wrong_output)?;
        Target::Host(&mut to_host)
    };
    painter
        .paint_directly(source, &mut target, size, blend)
        .map_err(|error| gst::error_msg!(gst::StreamError::Failed, ("{}", error_chain(&error))))
}
