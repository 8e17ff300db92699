//! Replaces `cuda_memory` in builds without feature `cuda`: nothing is available.

use super::buffers::FrameBuffer;
use crate::engine::{Blend, FrameTimings, Painter, Size};
use gst::glib;

pub fn is_available() -> bool {
    false
}

/// A device's context, which cannot exist.
#[derive(Clone)]
pub enum Context {}

impl Context {
    pub fn of_device(_ordinal: usize) -> Result<Self, String> {
        Err("this build has no CUDA support".into())
    }

    pub fn answer(&self, _element: &gst::Element, _query: &mut gst::QueryRef) -> bool {
        match *self {}
    }

    pub fn announce(&self, _element: &gst::Element) {
        match *self {}
    }

    pub fn pool(
        &self,
        _caps: &gst::Caps,
        _size: u32,
        _frames: (u32, u32),
    ) -> Result<(gst::BufferPool, u32), glib::BoolError> {
        match *self {}
    }

    pub fn paint(
        &self,
        _painter: &mut Painter,
        _input: &FrameBuffer<&gst::BufferRef>,
        _output: &mut FrameBuffer<&mut gst::BufferRef>,
        _size: Size,
        _blend: Blend,
    ) -> Result<Option<FrameTimings>, gst::ErrorMessage> {
        match *self {}
    }
}
