//! What has been done with one frame.

use crate::engine::{FrameTimings, Size};

/// What has been done with one frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Painted {
    pub timings: FrameTimings,
    /// The size of the network's picture, if there was one.
    pub size: Option<Size>,
    /// Whether the network has finished a key frame.
    pub key_frame: bool,
    /// The share of the frame that was repaired, if its painting was carried from the
    /// frame before.
    pub repaired: Option<f32>,
}
