//! What a convolution sees beyond the border of an image.

use serde::{Deserialize, Serialize};

/// What lies beyond the border of an image, and how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// The image mirrored at its border pixels, which are not repeated, by half
    /// a kernel. An image smaller than that is mirrored again and again.
    Reflect,
    /// TensorFlow's `SAME`: as many zeros as give every `stride`th pixel, the
    /// first included, a place in the result. An odd one is at the far end.
    Same,
}

impl Padding {
    /// Pixels added before and after a line of `len` pixels.
    pub fn around(self, len: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Padding::Reflect => (kernel / 2, kernel / 2),
            Padding::Same => {
                let last = len.saturating_sub(1) / stride * stride;
                let zeros = (last + kernel).saturating_sub(len);
                (zeros / 2, zeros - zeros / 2)
            }
        }
    }
}

/// Where a reflected coordinate lands in `0..len`: ..., 2, 1, 0, 1, 2, ...
pub fn reflect(index: isize, len: usize) -> usize {
    let last = len as isize - 1;
    if last == 0 {
        return 0;
    }
    let folded = index.rem_euclid(2 * last);
    folded.min(2 * last - folded) as usize
}
