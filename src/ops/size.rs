//! The size of a picture, a frame or an image inside the network.

use std::fmt;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// The size `width` x `height`.
    pub const fn new(width: usize, height: usize) -> Self {
        Size { width, height }
    }

    /// Number of pixels, [`usize::MAX`] where it would overflow.
    pub const fn area(self) -> usize {
        self.width.saturating_mul(self.height)
    }

    /// Whether it holds no pixel.
    pub const fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// Both sides changed by `change`.
    pub fn map(self, change: impl Fn(usize) -> usize) -> Self {
        Size::new(change(self.width), change(self.height))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}
