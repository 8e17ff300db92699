//! A picture at half its size and below.

use crate::engine::Image;
use crate::engine::image;
use crate::ops::Size;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, Level};
use rayon::prelude::*;

/// Pixels around a plane that repeat its border.
pub const MARGIN: usize = 16;

/// No side of a plane in a pyramid is shorter, but for the first plane.
const SHORTEST: usize = 8;

/// Rows that are worth waking a thread for.
const ROWS_PER_TASK: usize = 16;

/// Numbers in rows and columns, with a margin that repeats the border.
#[derive(Default)]
pub struct Plane {
    size: Size,
    data: Vec<f32>,
}

impl Plane {
    /// Width and height, without margin.
    pub fn size(&self) -> Size {
        self.size
    }

    fn stride(&self) -> usize {
        self.size.width + 2 * MARGIN
    }

    fn resize(&mut self, size: Size) {
        self.size = size;
        let rows = size.height + 2 * MARGIN;
        self.data.resize(rows * self.stride(), 0.0);
    }

    /// From column `x` of row `y` on. Both may lie up to [`MARGIN`] pixels outside.
    #[inline(always)]
    pub fn from(&self, x: isize, y: isize) -> &[f32] {
        let row = (y + MARGIN as isize) as usize;
        let column = (x + MARGIN as isize) as usize;
        &self.data[row * self.stride() + column..]
    }

    /// Row `y` without margin.
    #[inline(always)]
    pub fn row(&self, y: usize) -> &[f32] {
        &self.from(0, y as isize)[..self.size.width]
    }

    /// The rows with their margins to left and right.
    fn rows_mut(&mut self) -> rayon::slice::ChunksMut<'_, f32> {
        let (stride, height) = (self.stride(), self.size.height);
        self.data[MARGIN * stride..][..height * stride].par_chunks_mut(stride)
    }

    /// Becomes `larger` at half its size.
    fn halve(&mut self, level: Level, larger: &Plane) {
        let width = self.size.width;
        self.rows_mut()
            .with_min_len(ROWS_PER_TASK)
            .enumerate()
            .for_each(|(y, row)| {
                level.run(Halve {
                    rows: pair(y, larger.size.height).map(|y| larger.row(y)),
                    out: &mut row[MARGIN..][..width],
                });
            });
        self.repeat_border();
    }

    /// Fills the margin.
    fn repeat_border(&mut self) {
        let Size { width, height } = self.size;
        let stride = self.stride();
        for row in self.data.chunks_mut(stride).skip(MARGIN).take(height) {
            let (first, last) = (row[MARGIN], row[MARGIN + width - 1]);
            row[..MARGIN].fill(first);
            row[MARGIN + width..].fill(last);
        }
        let rows = height + 2 * MARGIN;
        let (top, bottom) = (MARGIN, MARGIN + height - 1);
        for (from, to) in (0..MARGIN)
            .map(|y| (top, y))
            .chain((bottom + 1..rows).map(|y| (bottom, y)))
        {
            self.data
                .copy_within(from * stride..(from + 1) * stride, to * stride);
        }
    }
}

/// A picture at half its size, and its luma there and at each half of that.
#[derive(Default)]
pub struct Pyramid {
    /// Red, green and blue.
    pub colors: [Plane; 3],
    /// The largest first.
    planes: Vec<Plane>,
    /// How many of them are in use.
    levels: usize,
}

impl Pyramid {
    /// Luma, the largest plane first: half the picture's size.
    pub fn luma(&self) -> &[Plane] {
        &self.planes[..self.levels]
    }

    /// Becomes that of `picture`.
    pub fn fill(&mut self, level: Level, picture: &Image) {
        let size = halved(picture.size());
        self.resize(size);
        let [r, g, b] = &mut self.colors;
        (r.rows_mut())
            .zip(g.rows_mut())
            .zip(b.rows_mut())
            .zip(self.planes[0].rows_mut())
            .with_min_len(ROWS_PER_TASK)
            .enumerate()
            .for_each(|(y, (((r, g), b), luma))| {
                level.run(HalveColors {
                    picture,
                    y,
                    colors: [r, g, b].map(|row| &mut row[MARGIN..][..size.width]),
                    luma: &mut luma[MARGIN..][..size.width],
                });
            });
        for plane in self.colors.iter_mut().chain(&mut self.planes[..1]) {
            plane.repeat_border();
        }
        for i in 1..self.levels {
            let (larger, smaller) = self.planes.split_at_mut(i);
            smaller[0].halve(level, &larger[i - 1]);
        }
    }

    fn resize(&mut self, size: Size) {
        for plane in &mut self.colors {
            plane.resize(size);
        }
        let mut next = Some(size);
        self.levels = 0;
        while let Some(size) = next {
            if self.levels == self.planes.len() {
                self.planes.push(Plane::default());
            }
            self.planes[self.levels].resize(size);
            self.levels += 1;
            let half = halved(size);
            next = (half.width.min(half.height) >= SHORTEST).then_some(half);
        }
    }
}

fn halved(size: Size) -> Size {
    Size::new(size.width.div_ceil(2), size.height.div_ceil(2))
}

/// The rows that row `y` at half the size is the mean of.
fn pair(y: usize, height: usize) -> [usize; 2] {
    [2 * y, (2 * y + 1).min(height - 1)]
}

/// A row of a picture's colors and luma at half its size.
struct HalveColors<'a> {
    picture: &'a Image,
    y: usize,
    colors: [&'a mut [f32]; 3],
    luma: &'a mut [f32],
}

impl Kernel for HalveColors<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let HalveColors {
            picture,
            y,
            colors: [r, g, b],
            luma,
        } = self;
        let [top, bottom] = pair(y, picture.height).map(|y| picture.rows(y));
        halve([top[0], bottom[0]], r);
        halve([top[1], bottom[1]], g);
        halve([top[2], bottom[2]], b);
        for (((luma, r), g), b) in luma.iter_mut().zip(r).zip(g).zip(b) {
            *luma = image::luma([*r, *g, *b]);
        }
    }
}

/// A row at half the size.
struct Halve<'a> {
    rows: [&'a [f32]; 2],
    out: &'a mut [f32],
}

impl Kernel for Halve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        halve(self.rows, self.out);
    }
}

/// Means of two pixels of each row; the last pixel of an odd number counts twice.
#[inline(always)]
fn halve([top, bottom]: [&[f32]; 2], out: &mut [f32]) {
    let (top, top_end) = top.as_chunks::<2>();
    let (bottom, bottom_end) = bottom.as_chunks::<2>();
    for ((out, top), bottom) in out.iter_mut().zip(top).zip(bottom) {
        *out = 0.25 * ((top[0] + top[1]) + (bottom[0] + bottom[1]));
    }
    if let ([top], [bottom], [.., last]) = (top_end, bottom_end, out) {
        *last = 0.5 * (top + bottom);
    }
}
