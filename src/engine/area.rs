//! Parts of pictures.

use crate::ops::Size;

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Area {
    /// All of a picture of this size.
    pub fn whole(size: Size) -> Self {
        Area {
            x: 0,
            y: 0,
            width: size.width,
            height: size.height,
        }
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}
