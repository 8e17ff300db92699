//! Frames in the memory of an NVIDIA GPU, `video/x-raw(memory:CUDAMemory)`: the
//! network's kernels read and write them where they are.
//!
//! All elements of a process share one CUDA context a device, the primary one,
//! in which the network runs. It is offered to the neighbours, so that their
//! frames are in it too. Frames of another context go through the host's
//! memory, into which GStreamer maps them.

mod frames;
mod library;

use super::buffers::FrameBuffer;
use crate::engine::cuda::primary_context;
use crate::engine::{Blend, FrameTimings, Painter, Size};
use gst::glib;
use gst::glib::translate::from_glib_full;
use gst::prelude::*;
use library::{CudaMemory, Library};
use std::sync::{Mutex, PoisonError};

/// Whether GStreamer's library for such memory is there.
pub fn is_available() -> bool {
    Library::get().is_some()
}

/// A device's context.
#[derive(Clone)]
pub struct Context {
    library: &'static Library,
    /// A `GstCudaContext`.
    object: gst::Object,
    /// The driver's handle, for comparison only.
    handle: usize,
}

impl Context {
    /// The context that the process shares on the device of this number.
    ///
    /// # Errors
    /// If the library is not there, or not the device.
    pub fn of_device(ordinal: usize) -> Result<Self, String> {
        static MADE: Mutex<Vec<(usize, Context)>> = Mutex::new(Vec::new());
        let library = Library::get().ok_or("GStreamer's CUDA library is not there")?;
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, context)) = made.iter().find(|(other, _)| *other == ordinal) {
            return Ok(context.clone());
        }
        let (handle, device) = primary_context(ordinal).map_err(|error| error.to_string())?;
        // SAFETY: the driver's context stays until the process ends; the
        // result, if there is one, is the caller's.
        let object: Option<gst::Object> =
            unsafe { from_glib_full((library.context_new_wrapped)(handle.cast(), device)) };
        let context = Context {
            library,
            object: object.ok_or("GStreamer does not take the CUDA context")?,
            handle: handle as usize,
        };
        made.push((ordinal, context.clone()));
        Ok(context)
    }

    /// Answers a neighbour who asks for a context of any kind.
    pub fn answer(&self, element: &gst::Element, query: &mut gst::QueryRef) -> bool {
        // SAFETY: all three live.
        let answered = unsafe {
            (self.library.handle_context_query)(
                element.as_ptr(),
                query.as_mut_ptr(),
                self.object.as_ptr(),
            )
        };
        answered != 0
    }

    /// Offers the context to the bins around the element, for elements that are
    /// added later.
    pub fn announce(&self, element: &gst::Element) {
        // SAFETY: the object lives; the result is the caller's.
        let context: Option<gst::Context> =
            unsafe { from_glib_full((self.library.context_new)(self.object.as_ptr())) };
        if let Some(context) = context {
            let message = gst::message::HaveContext::builder(context).src(element);
            // Without a bus, the message is dropped.
            let _ = element.post_message(message.build());
        }
    }

    /// A pool of `least` to `most` frames of these caps, `size` bytes each by
    /// the caps, and the bytes that they really have.
    ///
    /// # Errors
    /// If the library does not take the caps.
    pub fn pool(
        &self,
        caps: &gst::Caps,
        size: u32,
        (least, most): (u32, u32),
    ) -> Result<(gst::BufferPool, u32), glib::BoolError> {
        // SAFETY: the object lives; the result is the caller's.
        let pool: Option<gst::BufferPool> =
            unsafe { from_glib_full((self.library.buffer_pool_new)(self.object.as_ptr())) };
        let pool = pool.ok_or_else(|| glib::bool_error!("no pool of CUDA memory"))?;
        let mut config = pool.config();
        config.set_params(Some(caps), size, least, most);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        pool.set_config(config)?;
        // Rows are padded there, so that a frame is larger than by its caps.
        let size = pool.config().params().map_or(size, |(_, size, ..)| size);
        Ok((pool, size))
    }

    /// Paints, if one of the buffers is in this context's memory and the
    /// network is on the device too. Else nothing is done.
    ///
    /// # Errors
    /// If a buffer is not what it should be, or painting fails.
    pub fn paint(
        &self,
        painter: &mut Painter,
        input: &FrameBuffer<&gst::BufferRef>,
        output: &mut FrameBuffer<&mut gst::BufferRef>,
        size: Size,
        blend: Blend,
    ) -> Result<Option<FrameTimings>, gst::ErrorMessage> {
        let there = [self.holds(input.buffer), self.holds(output.buffer)];
        if there == [false, false] || !painter.paints_on_cuda(blend) {
            return Ok(None);
        }
        frames::paint(self.library, painter, (input, output), there, (size, blend))
    }

    /// Whether a buffer is all in this context's memory.
    fn holds(&self, buffer: &gst::BufferRef) -> bool {
        if buffer.n_memory() != 1 {
            return false;
        }
        let memory = buffer.peek_memory(0).as_ptr().cast_mut();
        // SAFETY: the memory lives, and is known to be a `GstCudaMemory` before
        // its context is looked at.
        unsafe {
            (self.library.is_cuda_memory)(memory) != 0 && {
                let context = (*memory.cast::<CudaMemory>()).context;
                (self.library.context_get_handle)(context) as usize == self.handle
            }
        }
    }
}
