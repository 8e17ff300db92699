//! The picture between a frame and the network.

use super::{Area, EngineError};
use crate::ops::Size;
use rayon::prelude::*;

/// How much of red, green and blue is in luma (BT.601).
pub(super) const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// The luma of red, green and blue.
#[inline(always)]
pub fn luma([r, g, b]: [f32; 3]) -> f32 {
    LUMA[0] * r + LUMA[1] * g + LUMA[2] * b
}

/// An RGB picture, `f32` in 0..255: three planes of `height` rows of `width`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red plane, green plane, blue plane: `3 * height * width` numbers.
    pub data: Vec<f32>,
}

impl Image {
    /// Width and height.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Takes this size; what the pixels are then is not defined. The memory is
    /// kept where it is enough.
    pub(super) fn resize(&mut self, size: Size) {
        (self.width, self.height) = (size.width, size.height);
        self.data.resize(3 * size.area(), 0.0);
    }

    /// The three planes, to be written.
    pub(super) fn planes_mut(&mut self) -> [&mut [f32]; 3] {
        let plane = self.size().area();
        let (red, rest) = self.data.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        [red, green, blue]
    }

    /// Each row of the three planes, to be written by several threads.
    pub(super) fn par_rows_mut(&mut self) -> impl IndexedParallelIterator<Item = [&mut [f32]; 3]> {
        let width = self.width;
        let [r, g, b] = self.planes_mut().map(|plane| plane.par_chunks_mut(width));
        r.zip(g).zip(b).map(|((r, g), b)| [r, g, b])
    }

    /// Row `y` of each plane.
    #[inline(always)]
    pub(super) fn rows(&self, y: usize) -> [&[f32]; 3] {
        let &Image { width, height, .. } = self;
        [0, 1, 2].map(|plane| &self.data[(plane * height + y) * width..][..width])
    }

    pub(super) fn check(&self) -> Result<(), EngineError> {
        let pixels = self.width.checked_mul(self.height);
        match pixels.and_then(|pixels| pixels.checked_mul(3)) {
            Some(numbers) if numbers > 0 && numbers == self.data.len() => Ok(()),
            _ => Err(EngineError::Picture {
                size: self.size(),
                numbers: self.data.len(),
            }),
        }
    }

    /// Keeps `area` alone.
    pub(super) fn crop(&mut self, area: Area) {
        let Image {
            width,
            height,
            data,
        } = self;
        let mut to = 0;
        for (plane, y) in (0..3).flat_map(|c| (0..area.height).map(move |y| (c, y))) {
            let from = (plane * *height + area.y + y) * *width + area.x;
            data.copy_within(from..from + area.width, to);
            to += area.width;
        }
        data.truncate(to);
        (*width, *height) = (area.width, area.height);
    }
}
