//! Pictures made smaller.

use super::Image;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, Level};
use rayon::prelude::*;

/// Rows that one task makes at least.
const ROWS_PER_TASK: usize = 8;

/// Makes `picture` `size` (width, height) large and puts it into `small`, whose
/// memory is kept where it is enough.
///
/// Each pixel is the mean of those it covers and of as many around them, the
/// farther the less (a triangle as wide as two pixels of the result): details
/// too fine for the smaller picture are averaged away and do not flicker when
/// they move. Meant for sizes below the picture's; along a side that grows it
/// interpolates between pixels. Works on the current rayon pool.
///
/// # Panics
/// If `picture` has not `3 * width * height` numbers, or if one of both
/// pictures has no pixels.
pub fn shrink(picture: &Image, size: (usize, usize), small: &mut Image) {
    shrink_at(Level::current(), picture, size, small);
}

/// [`shrink`] at a level of the CPU's; all give the same numbers.
pub fn shrink_at(
    level: Level,
    picture: &Image,
    (width, height): (usize, usize),
    small: &mut Image,
) {
    assert_eq!(picture.check().ok(), Some(()), "a picture of its own size");
    assert!(width > 0 && height > 0, "a size without pixels");
    let rows = Filter::new(picture.height, height);
    let columns = Filter::new(picture.width, width);
    (small.width, small.height) = (width, height);
    small.data.resize(3 * width * height, 0.0);
    small
        .data
        .par_chunks_mut(width)
        .with_min_len(ROWS_PER_TASK)
        .enumerate()
        .for_each_init(
            || vec![0.0; picture.width],
            |mean, (row, out)| {
                let (plane, y) = (row / height, row % height);
                let first = plane * picture.height + rows.first[y];
                let source = &picture.data[first * picture.width..];
                let source = &source[..rows.taps * picture.width];
                level.run(Row {
                    source,
                    weights: rows.weights(y),
                    columns: &columns,
                    mean,
                    out,
                });
            },
        );
}

/// Which pixels of a line, and how much of each, make those of a shorter one.
struct Filter {
    /// Pixels that make one.
    taps: usize,
    /// The first of them, for each pixel of the shorter line.
    first: Vec<usize>,
    /// Their weights, whose sum is 1: `taps` for each pixel of the shorter line.
    weights: Vec<f32>,
}

impl Filter {
    /// From lines of `from` pixels to lines of `to`.
    fn new(from: usize, to: usize) -> Self {
        let ratio = from as f64 / to as f64;
        let reach = ratio.max(1.0);
        let taps = (2.0 * reach).ceil() as usize + 1;
        let taps = taps.min(from);
        let mut filter = Filter {
            taps,
            first: Vec::with_capacity(to),
            weights: Vec::with_capacity(to * taps),
        };
        for i in 0..to {
            // Of pixels whose middles are at 0.5, 1.5, ...
            let middle = (i as f64 + 0.5) * ratio;
            let first = (middle - reach).floor().max(0.0) as usize;
            let first = first.min(from - taps);
            let weight = |tap| {
                let distance = (first + tap) as f64 + 0.5 - middle;
                (1.0 - distance.abs() / reach).max(0.0)
            };
            let sum: f64 = (0..taps).map(weight).sum();
            filter.first.push(first);
            let weights = (0..taps).map(|tap| (weight(tap) / sum) as f32);
            filter.weights.extend(weights);
        }
        filter
    }

    fn weights(&self, i: usize) -> &[f32] {
        &self.weights[i * self.taps..][..self.taps]
    }
}

/// Makes one row.
struct Row<'a> {
    /// The rows that it is made of.
    source: &'a [f32],
    /// How much of each.
    weights: &'a [f32],
    columns: &'a Filter,
    /// Their mean, as wide as they are.
    mean: &'a mut [f32],
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let width = self.mean.len();
        self.mean.fill(0.0);
        for (row, weight) in self.source.chunks_exact(width).zip(self.weights) {
            for (mean, x) in self.mean.iter_mut().zip(row) {
                *mean += weight * x;
            }
        }
        let taps = self.columns.taps;
        let weights = self.columns.weights.chunks_exact(taps);
        for ((out, first), weights) in self.out.iter_mut().zip(&self.columns.first).zip(weights) {
            let pixels = &self.mean[*first..][..taps];
            *out = pixels.iter().zip(weights).map(|(x, w)| x * w).sum();
        }
    }
}
