//! Motion between two pictures, as dense inverse search finds it.
//!
//! Patches of 8x8 pixels, 4 apart, look for themselves in the picture before, from
//! the smallest plane of a pyramid to the largest, each starting where the plane
//! below has led. A pixel's motion is the mean of the patches that cover it; those that
//! fit better there count more. T. Kroeger et al., "Fast Optical Flow using
//! Dense Inverse Search", 2016, sections 2.1 to 2.3; without their variational
//! refinement.
//!
//! Cameras on a tripod see much that does not move, and noise on it. So a patch
//! rests where moving it would gain next to nothing.

use super::pyramid::{MARGIN, Plane, Pyramid};
use crate::ops::Size;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, Level};
use rayon::prelude::*;

/// Rows and columns of a patch.
const PATCH: usize = 8;

/// Pixels from one patch to the next.
const STEP: usize = 4;

/// Steps of a patch's search at most.
const STEPS: usize = 8;

/// A search ends where a step is shorter, in pixels.
const SHORT: f32 = 0.05;

/// Patches do not move farther on one plane, in pixels.
const FAR: f32 = PATCH as f32;

/// A patch moves only if that lowers its mean difference by at least this, of 255.
const GAIN: f32 = 0.5;

/// Patches whose gradients have less structure stay where they start: the
/// determinant of their Hessian, of 255 to the fourth power.
const FLAT: f32 = 64.0 * 64.0;

/// Rows of patches or bands that are worth waking a thread for.
const ROWS_PER_TASK: usize = 4;

/// Motion of each pixel of a plane, in its pixels: where it was in the picture
/// before, relative to where it is now.
#[derive(Default)]
pub struct Flow {
    size: Size,
    /// Of each patch, row by row. One more of them than blocks in a row and column:
    /// patch (i, j) begins at pixel (STEP * i - STEP, STEP * j - STEP).
    patches: Vec<[f32; 2]>,
    /// Right and down, and the weights' sums while they are found. Rows have
    /// [`Flow::SIDE`] numbers before the first pixel and at least as many behind.
    x: Vec<f32>,
    y: Vec<f32>,
    weights: Vec<f32>,
}

impl Flow {
    /// Numbers of a row before the first pixel: the border, repeated.
    pub const SIDE: usize = STEP;

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Squares of [`STEP`] pixels that cover the plane.
    fn blocks(&self) -> Size {
        let Size { width, height } = self.size;
        Size::new(width.div_ceil(STEP), height.div_ceil(STEP))
    }

    /// Numbers from one row to the next.
    fn stride(&self) -> usize {
        stride(self.size.width)
    }

    /// Row `y`: motion to the right and down, with [`Flow::SIDE`] numbers before
    /// the first pixel.
    #[inline(always)]
    pub fn row(&self, y: usize) -> [&[f32]; 2] {
        let stride = self.stride();
        [&self.x, &self.y].map(|plane| &plane[y * stride..][..stride])
    }

    fn resize(&mut self, size: Size) {
        self.size = size;
        let Size { width, height } = self.blocks();
        self.patches.resize((width + 1) * (height + 1), [0.0; 2]);
        let len = height * STEP * self.stride();
        for plane in [&mut self.x, &mut self.y, &mut self.weights] {
            plane.resize(len, 0.0);
        }
    }

    /// Finds the motion from `before` to `now`, starting from that at half the size.
    fn find(&mut self, level: Level, now: &Plane, before: &Plane, smaller: Option<&Flow>) {
        self.resize(now.size());
        let blocks = self.blocks();
        let planes = Planes { now, before };
        (self.patches.par_chunks_mut(blocks.width + 1))
            .with_min_len(ROWS_PER_TASK)
            .enumerate()
            .for_each(|(j, patches)| {
                level.run(SearchRow {
                    planes,
                    smaller,
                    j,
                    patches,
                });
            });
        let band = STEP * self.stride();
        let patches = &self.patches;
        (self.x.par_chunks_mut(band))
            .zip(self.y.par_chunks_mut(band))
            .zip(self.weights.par_chunks_mut(band))
            .with_min_len(ROWS_PER_TASK)
            .enumerate()
            .for_each(|(j, ((x, y), weights))| {
                level.run(AverageBand {
                    planes,
                    patches: [j, j + 1]
                        .map(|j| &patches[j * (blocks.width + 1)..][..=blocks.width]),
                    j,
                    out: [x, y, weights],
                });
            });
    }
}

fn stride(width: usize) -> usize {
    width.next_multiple_of(STEP) + 2 * Flow::SIDE
}

/// Finds motion, from the smallest plane to the largest.
#[derive(Default)]
pub struct FlowFinder {
    /// The largest first.
    flows: Vec<Flow>,
}

impl FlowFinder {
    /// Finds the motion from `before` to `now`, pyramids of one size.
    pub fn find(&mut self, level: Level, now: &Pyramid, before: &Pyramid) {
        let (now, before) = (now.luma(), before.luma());
        self.flows.resize_with(now.len(), Flow::default);
        for i in (0..now.len()).rev() {
            let (flows, smaller) = self.flows.split_at_mut(i + 1);
            flows[i].find(level, &now[i], &before[i], smaller.first());
        }
    }

    /// The motion at each size, the largest first.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// The motion at half the picture's size.
    ///
    /// # Panics
    /// If none has been found yet.
    pub fn finest(&self) -> &Flow {
        &self.flows[0]
    }
}

#[derive(Clone, Copy)]
struct Planes<'a> {
    now: &'a Plane,
    before: &'a Plane,
}

type Block = [[f32; PATCH]; PATCH];

impl Planes<'_> {
    /// The pixels that begin at `(x, y)` now.
    #[inline(always)]
    fn patch(&self, x: isize, y: isize) -> Block {
        let mut block = [[0.0; PATCH]; PATCH];
        for (row, y) in block.iter_mut().zip(y..) {
            row.copy_from_slice(&self.now.from(x, y)[..PATCH]);
        }
        block
    }

    /// Those that begin at `(x, y)` in the picture before, interpolated, and so many
    /// rows of them.
    #[inline(always)]
    fn sampled<const ROWS: usize>(&self, x: f32, y: f32) -> [[f32; PATCH]; ROWS] {
        let Size { width, height } = self.before.size();
        // One more row and column are read; far outside all is the border anyway.
        let [x, y] = [(x, width), (y, height)].map(|(at, side)| {
            let last = (side + MARGIN - PATCH - 1) as f32;
            at.clamp(-(MARGIN as f32), last)
        });
        let (left, top) = (x.floor(), y.floor());
        let (right, down) = (x - left, y - top);
        let (left, top) = (left as isize, top as isize);
        let mut out = [[0.0; PATCH]; ROWS];
        let mut above = self.between(left, top, right);
        for (out, y) in out.iter_mut().zip(top + 1..) {
            let below = self.between(left, y, right);
            for i in 0..PATCH {
                out[i] = above[i] + down * (below[i] - above[i]);
            }
            above = below;
        }
        out
    }

    /// A row of pixels `right` of those that begin at `(x, y)` in the picture before.
    #[inline(always)]
    fn between(&self, x: isize, y: isize, right: f32) -> [f32; PATCH] {
        let row = &self.before.from(x, y)[..=PATCH];
        let mut out = [0.0; PATCH];
        for i in 0..PATCH {
            out[i] = row[i] + right * (row[i + 1] - row[i]);
        }
        out
    }
}

/// Finds the motion of a row of patches.
struct SearchRow<'a> {
    planes: Planes<'a>,
    smaller: Option<&'a Flow>,
    j: usize,
    patches: &'a mut [[f32; 2]],
}

impl Kernel for SearchRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let y = origin(self.j);
        for (i, patch) in self.patches.iter_mut().enumerate() {
            let x = origin(i);
            let start = match self.smaller {
                Some(flow) => doubled(flow, x, y),
                None => [0.0; 2],
            };
            *patch = Patch::new(self.planes, x, y).find(start);
        }
    }
}

/// Where patch `i` of a row begins.
#[inline(always)]
fn origin(i: usize) -> isize {
    (STEP * i) as isize - STEP as isize
}

/// The motion in the middle of a patch, from that at half the size.
#[inline(always)]
fn doubled(flow: &Flow, x: isize, y: isize) -> [f32; 2] {
    let middle = |at: isize, side: usize| ((at + STEP as isize).max(0) as usize / 2).min(side - 1);
    let (column, row) = (middle(x, flow.size.width), middle(y, flow.size.height));
    flow.row(row).map(|row| 2.0 * row[Flow::SIDE + column])
}

/// Pixels that look for themselves in the picture before.
struct Patch<'a> {
    planes: Planes<'a>,
    x: isize,
    y: isize,
    pixels: Block,
}

impl<'a> Patch<'a> {
    #[inline(always)]
    fn new(planes: Planes<'a>, x: isize, y: isize) -> Self {
        let pixels = planes.patch(x, y);
        Patch {
            planes,
            x,
            y,
            pixels,
        }
    }

    /// Where they were, relative to where they are.
    #[inline(always)]
    fn find(&self, start: [f32; 2]) -> [f32; 2] {
        let resting = self.mean_difference([0.0; 2]);
        // Nothing could be better by more than that.
        if resting < GAIN {
            return [0.0; 2];
        }
        let found = self.descend(start);
        match found != [0.0; 2] && resting - self.mean_difference(found) >= GAIN {
            true => found,
            false => [0.0; 2],
        }
    }

    /// Gauss-Newton on the sum of squared differences, less their mean: a change of
    /// brightness that the whole patch shares leads nowhere. The gradients are the
    /// patch's own, so that they and their Hessian are the same in all steps.
    #[inline(always)]
    fn descend(&self, start: [f32; 2]) -> [f32; 2] {
        let [right, down] = self.gradients().map(without_mean);
        let xx = product(&right, &right);
        let xy = product(&right, &down);
        let yy = product(&down, &down);
        let determinant = xx * yy - xy * xy;
        if determinant <= FLAT {
            return start;
        }
        let mut at = start;
        let mut best = (f32::INFINITY, start);
        for _ in 0..STEPS {
            let difference = without_mean(self.difference(at));
            let error = product(&difference, &difference);
            if error >= best.0 {
                break;
            }
            best = (error, at);
            let (gx, gy) = (product(&difference, &right), product(&difference, &down));
            let dx = (yy * gx - xy * gy) / determinant;
            let dy = (xx * gy - xy * gx) / determinant;
            at = [at[0] - dx, at[1] - dy];
            if dx.abs().max(dy.abs()) < SHORT {
                break;
            }
        }
        let [x, y] = best.1;
        match (x - start[0]).abs().max((y - start[1]).abs()) <= FAR {
            true => [x, y],
            false => start,
        }
    }

    /// To the right, and down.
    #[inline(always)]
    fn gradients(&self) -> [Block; 2] {
        let now = self.planes.now;
        let mut right = [[0.0; PATCH]; PATCH];
        let mut down = [[0.0; PATCH]; PATCH];
        for (j, y) in (0..PATCH).zip(self.y..) {
            let row = &now.from(self.x - 1, y)[..PATCH + 2];
            let above = &now.from(self.x, y - 1)[..PATCH];
            let below = &now.from(self.x, y + 1)[..PATCH];
            for i in 0..PATCH {
                right[j][i] = 0.5 * (row[i + 2] - row[i]);
                down[j][i] = 0.5 * (below[i] - above[i]);
            }
        }
        [right, down]
    }

    /// The picture before, this far from the patch, less the patch.
    #[inline(always)]
    fn difference(&self, [x, y]: [f32; 2]) -> Block {
        let (x, y) = (self.x as f32 + x, self.y as f32 + y);
        let mut block = self.planes.sampled::<PATCH>(x, y);
        for (row, pixels) in block.iter_mut().zip(&self.pixels) {
            for i in 0..PATCH {
                row[i] -= pixels[i];
            }
        }
        block
    }

    #[inline(always)]
    fn mean_difference(&self, at: [f32; 2]) -> f32 {
        let block = self.difference(at);
        let mut sums = [0.0; PATCH];
        for row in &block {
            for i in 0..PATCH {
                sums[i] += row[i].abs();
            }
        }
        total(sums) / (PATCH * PATCH) as f32
    }
}

/// Sums in an order that does not depend on how many numbers a vector has.
#[inline(always)]
fn total(sums: [f32; PATCH]) -> f32 {
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[inline(always)]
fn product(a: &Block, b: &Block) -> f32 {
    let mut sums = [0.0; PATCH];
    for (a, b) in a.iter().zip(b) {
        for i in 0..PATCH {
            sums[i] += a[i] * b[i];
        }
    }
    total(sums)
}

#[inline(always)]
fn without_mean(mut block: Block) -> Block {
    let mut sums = [0.0; PATCH];
    for row in &block {
        for i in 0..PATCH {
            sums[i] += row[i];
        }
    }
    let mean = total(sums) / (PATCH * PATCH) as f32;
    for value in block.as_flattened_mut() {
        *value -= mean;
    }
    block
}

/// The motion of [`STEP`] rows of pixels, from the patches that cover them.
struct AverageBand<'a> {
    planes: Planes<'a>,
    /// The two rows of patches.
    patches: [&'a [[f32; 2]]; 2],
    j: usize,
    /// Right, down, weights.
    out: [&'a mut [f32]; 3],
}

impl Kernel for AverageBand<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let AverageBand {
            planes,
            patches: [upper, lower],
            j,
            out: [x, y, weights],
        } = self;
        let stride = x.len() / STEP;
        for plane in [&mut *x, &mut *y, &mut *weights] {
            plane.fill(0.0);
        }
        let top = (STEP * j) as isize;
        for patches in [upper, lower] {
            for (i, &[right, down]) in patches.iter().enumerate() {
                let left = origin(i);
                let rows = planes.sampled::<STEP>(left as f32 + right, top as f32 + down);
                for (k, row) in rows.iter().enumerate() {
                    let now = &planes.now.from(left, top + k as isize)[..PATCH];
                    let at = k * stride + STEP * i;
                    let x = &mut x[at..][..PATCH];
                    let y = &mut y[at..][..PATCH];
                    let weights = &mut weights[at..][..PATCH];
                    for i in 0..PATCH {
                        let weight = 1.0 / (row[i] - now[i]).abs().max(1.0);
                        x[i] += weight * right;
                        y[i] += weight * down;
                        weights[i] += weight;
                    }
                }
            }
        }
        for ((x, y), weight) in x.iter_mut().zip(y).zip(weights) {
            *x /= *weight;
            *y /= *weight;
        }
    }
}
