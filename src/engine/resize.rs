//! Pictures made smaller.

use super::Image;
use crate::ops::Size;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, LANES, Level};
use rayon::prelude::*;

/// Rows that one task makes at least.
const ROWS_PER_TASK: usize = 8;

/// Weights of a pixel come in a multiple of these, with zeros at the end, and
/// are multiplied as many at a time.
const QUAD: usize = 4;

/// Makes `picture` `size` large and puts it into `small`, whose memory is kept
/// where it is enough.
///
/// Each pixel is the mean of those it covers and of as many around them, the
/// farther the less (a triangle as wide as two pixels of the result): details
/// too fine for the smaller picture are averaged away and do not flicker when
/// they move. Meant for sizes below the picture's; along a side that grows it
/// interpolates between pixels. Works on the current rayon pool; the result
/// does not depend on its threads.
///
/// # Panics
/// If `picture` has not `3 * width * height` numbers, or if one of both
/// pictures has no pixels.
pub fn shrink(picture: &Image, size: Size, small: &mut Image) {
    shrink_at(Level::current(), picture, size, small);
}

/// [`shrink`] at a level of the CPU's; all give the same numbers up to rounding.
pub fn shrink_at(level: Level, picture: &Image, size: Size, small: &mut Image) {
    assert!(picture.check().is_ok(), "a picture that is none");
    assert!(!size.is_empty(), "a size without pixels");
    let Size { width, height } = size;
    let rows = Filter::new(picture.height, height);
    let columns = Filter::new(picture.width, width);
    small.resize(size);
    small
        .data
        .par_chunks_mut(width)
        .with_min_len(ROWS_PER_TASK)
        .enumerate()
        .for_each_init(
            || vec![0.0; picture.width + QUAD],
            |mean, (row, out)| {
                let (plane, y) = (row / height, row % height);
                let first = plane * picture.height + rows.first[y];
                level.run(Row {
                    source: &picture.data[first * picture.width..],
                    weights: &rows.weights(y)[..rows.taps],
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
    /// Their weights, whose sum is 1, in whole [`QUAD`]s for each pixel of the
    /// shorter line.
    weights: Vec<f32>,
}

impl Filter {
    /// From lines of `from` pixels to lines of `to`.
    fn new(from: usize, to: usize) -> Self {
        let ratio = from as f64 / to as f64;
        let reach = ratio.max(1.0);
        let taps = ((2.0 * reach).ceil() as usize).min(from);
        let mut filter = Filter {
            taps,
            first: Vec::with_capacity(to),
            weights: Vec::with_capacity(to * taps.next_multiple_of(QUAD)),
        };
        for i in 0..to {
            // The middles of pixels are at 0.5, 1.5, ...
            let middle = (i as f64 + 0.5) * ratio;
            let first = (middle - reach + 0.5).floor().max(0.0) as usize;
            let first = first.min(from - taps);
            let weight = |tap| {
                let distance = (first + tap) as f64 + 0.5 - middle;
                (1.0 - distance.abs() / reach).max(0.0)
            };
            let sum: f64 = (0..taps).map(weight).sum();
            filter.first.push(first);
            let weights = (0..taps).map(|tap| (weight(tap) / sum) as f32);
            filter.weights.extend(weights);
            filter.weights.resize((i + 1) * filter.padded(), 0.0);
        }
        filter
    }

    /// Weights of each pixel, zeros included.
    fn padded(&self) -> usize {
        self.taps.next_multiple_of(QUAD)
    }

    fn weights(&self, i: usize) -> &[f32] {
        &self.weights[i * self.padded()..][..self.padded()]
    }
}

/// Makes one row.
struct Row<'a> {
    /// The rows that it is made of, and what follows them.
    source: &'a [f32],
    /// How much of each.
    weights: &'a [f32],
    columns: &'a Filter,
    /// Their mean, as wide as they are, and a [`QUAD`] of zeros.
    mean: &'a mut [f32],
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.mean.len() - QUAD;
        let mean = &mut self.mean[..width];
        let mut blocks = mean.chunks_exact_mut(4 * LANES);
        let mut x = 0;
        for block in &mut blocks {
            add_rows::<S, 4>(simd, &self.source[x..], width, self.weights, block);
            x += block.len();
        }
        for block in blocks.into_remainder().chunks_mut(LANES) {
            add_rows::<S, 1>(simd, &self.source[x..], width, self.weights, block);
            x += block.len();
        }
        match self.columns.padded() {
            4 => add_pixels::<4>(self.mean, self.columns, self.out),
            8 => add_pixels::<8>(self.mean, self.columns, self.out),
            12 => add_pixels::<12>(self.mean, self.columns, self.out),
            _ => add_any_pixels(self.mean, self.columns, self.out),
        }
    }
}

/// The weighted sum of rows, of which `source` has one every `width` numbers,
/// over the pixels of `block`, `N` vectors at most.
#[inline(always)]
fn add_rows<S: Simd, const N: usize>(
    simd: S,
    source: &[f32],
    width: usize,
    weights: &[f32],
    block: &mut [f32],
) {
    let mut sum = [simd.splat(0.0); N];
    for (i, weight) in weights.iter().enumerate() {
        let row = &source[i * width..][..block.len()];
        for j in 0..N {
            sum[j] = simd.fma(simd.read(&row[j * LANES..]), simd.splat(*weight), sum[j]);
        }
    }
    for j in 0..N {
        simd.write(&mut block[j * LANES..], sum[j]);
    }
}

/// The weighted sum of `TAPS` pixels of a line for each of `out`.
#[inline(always)]
fn add_pixels<const TAPS: usize>(line: &[f32], filter: &Filter, out: &mut [f32]) {
    let (weights, _) = filter.weights.as_chunks::<TAPS>();
    for ((out, first), weights) in out.iter_mut().zip(&filter.first).zip(weights) {
        *out = add_quads(&line[*first..][..TAPS], weights);
    }
}

/// The same for any number of pixels.
#[inline(always)]
fn add_any_pixels(line: &[f32], filter: &Filter, out: &mut [f32]) {
    let taps = filter.padded();
    let weights = filter.weights.chunks_exact(taps);
    for ((out, first), weights) in out.iter_mut().zip(&filter.first).zip(weights) {
        *out = add_quads(&line[*first..][..taps], weights);
    }
}

#[inline(always)]
fn add_quads(pixels: &[f32], weights: &[f32]) -> f32 {
    let mut sum = [0f32; QUAD];
    let (pixels, weights) = (pixels.as_chunks::<QUAD>().0, weights.as_chunks::<QUAD>().0);
    for (pixels, weights) in pixels.iter().zip(weights) {
        for i in 0..QUAD {
            sum[i] += pixels[i] * weights[i];
        }
    }
    (sum[0] + sum[2]) + (sum[1] + sum[3])
}
