//! The painting before, read along the motion.

use super::agreement::Weights;
use super::flow::Flow;
use crate::engine::Image;
use crate::ops::Size;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, Level};
use rayon::prelude::*;

/// Pixels of a row that are worked on at a time.
pub const RUN: usize = 8;

/// Rows that are worth waking a thread for.
pub const ROWS_PER_TASK: usize = 8;

/// Motions that differ less count as one, in pixels.
const ALIKE: f32 = 1.0 / 8.0;

/// Carries `before` along `flow`, which is at half the size, into `out`, an image of the
/// same size.
pub fn carry(level: Level, flow: &Flow, before: &Image, out: &mut Image) {
    let rows = out.par_rows_mut().with_min_len(ROWS_PER_TASK);
    rows.enumerate().for_each(|(y, out)| {
        level.run(Row {
            flow,
            before,
            y,
            out,
        });
    });
}

struct Row<'a> {
    flow: &'a Flow,
    before: &'a Image,
    y: usize,
    out: [&'a mut [f32]; 3],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Row {
            flow,
            before,
            y,
            out,
        } = self;
        let motion = MotionRow::of(flow, y);
        let carry = Carry { before, y };
        for x in (0..before.width).step_by(RUN) {
            let count = RUN.min(before.width - x);
            let mut carried = [[0.0; RUN]; 3];
            carry.run(x, count, motion.at(x), &mut carried);
            for c in 0..3 {
                out[c][x..][..count].copy_from_slice(&carried[c][..count]);
            }
        }
    }
}

/// Motion of a row at full size.
pub struct MotionRow<'a> {
    right: [&'a [f32]; 2],
    down: [&'a [f32]; 2],
}

impl<'a> MotionRow<'a> {
    /// That of row `y`.
    #[inline(always)]
    pub fn of(flow: &'a Flow, y: usize) -> Self {
        let rows = half_rows(y, flow.size().height).map(|y| flow.row(y));
        let [right, down] = [0, 1].map(|i| rows.map(|row| row[i]));
        MotionRow { right, down }
    }

    /// To the right and down, in pixels, from `x` on, a multiple of [`RUN`].
    #[inline(always)]
    pub fn at(&self, x: usize) -> [[f32; RUN]; 2] {
        [self.right, self.down].map(|rows| enlarged(rows, x).map(|m| 2.0 * m))
    }
}

/// Weights of a row at full size.
pub struct WeightRow<'a>([&'a [f32]; 2]);

impl<'a> WeightRow<'a> {
    /// Those of row `y`.
    #[inline(always)]
    pub fn of(weights: &'a Weights, y: usize) -> Self {
        WeightRow(half_rows(y, weights.size().height).map(|y| weights.row(y)))
    }

    /// From `x` on, a multiple of [`RUN`].
    #[inline(always)]
    pub fn at(&self, x: usize) -> [f32; RUN] {
        enlarged(self.0, x)
    }
}

/// The rows at half the size that row `y` lies between: the nearer one, and the other.
#[inline(always)]
fn half_rows(y: usize, height: usize) -> [usize; 2] {
    let near = y / 2;
    let far = match y % 2 {
        0 => near.saturating_sub(1),
        _ => (near + 1).min(height - 1),
    };
    [near, far]
}

/// Eight numbers at full size from `x` on, a multiple of 8, between two rows at half the
/// size. Those begin [`Flow::SIDE`] numbers before their first pixel.
#[inline(always)]
fn enlarged([near, far]: [&[f32]; 2], x: usize) -> [f32; RUN] {
    const PAIRS: usize = RUN / 2;
    let first = Flow::SIDE + x / 2 - 1;
    let (near, far) = (&near[first..][..PAIRS + 2], &far[first..][..PAIRS + 2]);
    let mut row = [0.0; PAIRS + 2];
    for i in 0..PAIRS + 2 {
        row[i] = 0.75 * near[i] + 0.25 * far[i];
    }
    let mut out = [0.0; RUN];
    for i in 0..PAIRS {
        out[2 * i] = 0.75 * row[i + 1] + 0.25 * row[i];
        out[2 * i + 1] = 0.75 * row[i + 1] + 0.25 * row[i + 2];
    }
    out
}

/// Reads a painting at other places than its pixels'.
pub struct Carry<'a> {
    /// The painting.
    pub before: &'a Image,
    /// The row whose pixels lie elsewhere in it.
    pub y: usize,
}

impl Carry<'_> {
    /// Puts what lies `motion` away from the `count` pixels from `x` on into `out`.
    #[inline(always)]
    pub fn run(
        &self,
        x: usize,
        count: usize,
        [right, down]: [[f32; RUN]; 2],
        out: &mut [[f32; RUN]; 3],
    ) {
        let one = alike(&right).zip(alike(&down));
        if let Some((right, down)) = one
            && count == RUN
        {
            if (right, down) == (0.0, 0.0) {
                let rows = self.before.rows(self.y);
                for (out, row) in out.iter_mut().zip(rows) {
                    out.copy_from_slice(&row[x..][..RUN]);
                }
                return;
            }
            if self.together(x, [right, down], out) {
                return;
            }
        }
        for i in 0..count {
            let at = [(x + i) as f32 + right[i], self.y as f32 + down[i]];
            let pixel = self.pixel(at);
            for (out, value) in out.iter_mut().zip(pixel) {
                out[i] = value;
            }
        }
    }

    /// A run of pixels that all move alike. Whether they lie within the painting.
    #[inline(always)]
    fn together(&self, x: usize, [right, down]: [f32; 2], out: &mut [[f32; RUN]; 3]) -> bool {
        let Size { width, height } = self.before.size();
        let (left, top) = (x as f32 + right.floor(), self.y as f32 + down.floor());
        let inside = left >= 1.0
            && top >= 1.0
            && left + (RUN + 2) as f32 <= width as f32
            && top + 3.0 <= height as f32;
        if !inside {
            return false;
        }
        let (left, top) = (left as usize - 1, top as usize - 1);
        let across = cubic(right - right.floor());
        let down = cubic(down - down.floor());
        for (c, out) in out.iter_mut().enumerate() {
            let mut sums = [0.0; RUN];
            for (j, weight) in down.iter().enumerate() {
                let start = (c * height + top + j) * width + left;
                let row = &self.before.data[start..][..RUN + 3];
                for i in 0..RUN {
                    let along = across[0] * row[i]
                        + across[1] * row[i + 1]
                        + across[2] * row[i + 2]
                        + across[3] * row[i + 3];
                    sums[i] += weight * along;
                }
            }
            *out = sums;
        }
        true
    }

    /// Places outside become places on the border.
    #[inline(always)]
    fn pixel(&self, [x, y]: [f32; 2]) -> [f32; 3] {
        let Size { width, height } = self.before.size();
        let x = x.clamp(0.0, (width - 1) as f32);
        let y = y.clamp(0.0, (height - 1) as f32);
        // Not negative: this rounds down.
        let (left, top) = (x as usize, y as usize);
        let across = cubic(x - left as f32);
        let down = cubic(y - top as f32);
        let mut pixel = [0.0; 3];
        if left >= 1 && top >= 1 && left + 2 < width && top + 2 < height {
            for (c, out) in pixel.iter_mut().enumerate() {
                let mut sums = [0.0; 4];
                for (j, weight) in down.iter().enumerate() {
                    let start = (c * height + top + j - 1) * width + left - 1;
                    let row = &self.before.data[start..][..4];
                    for i in 0..4 {
                        sums[i] += weight * row[i];
                    }
                }
                for (sum, weight) in sums.iter().zip(across) {
                    *out += sum * weight;
                }
            }
            return pixel;
        }
        let columns = [0, 1, 2, 3].map(|i| (left + i).saturating_sub(1).min(width - 1));
        let rows = [0, 1, 2, 3].map(|j| (top + j).saturating_sub(1).min(height - 1));
        for (c, out) in pixel.iter_mut().enumerate() {
            for (&y, weight) in rows.iter().zip(down) {
                let row = &self.before.data[(c * height + y) * width..][..width];
                let mut along = 0.0;
                for (&x, weight) in columns.iter().zip(across) {
                    along += weight * row[x];
                }
                *out += weight * along;
            }
        }
        pixel
    }
}

/// The mean of numbers that are nearly the same.
#[inline(always)]
fn alike(numbers: &[f32; RUN]) -> Option<f32> {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &number in numbers {
        low = low.min(number);
        high = high.max(number);
    }
    (high - low < ALIKE).then_some(0.5 * (low + high))
}

/// Weights of four neighbours for a place `x` behind the second: cubic convolution
/// (R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981)
/// with a = -1. That sharpens a little more than the usual -1/2, by 6 % halfway between
/// pixels, and so makes up for what blending strokes that are not quite in place blurs.
#[inline(always)]
fn cubic(x: f32) -> [f32; 4] {
    const A: f32 = -1.0;
    let y = 1.0 - x;
    let outer = |near: f32, far: f32| A * near * far * far;
    let inner = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    [outer(x, y), inner(x), inner(y), outer(y, x)]
}
