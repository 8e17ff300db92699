//! Where a picture shows the same as the one before, carried along the motion.

use super::flow::Flow;
use super::pyramid::{Plane, Pyramid};
use crate::ops::Size;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, Level};
use rayon::prelude::*;

/// By how much colors may differ, of 255: at this distance, the weight has fallen
/// to `exp(-1/2)`.
const TOLERANCE: f32 = 12.0;

/// What counts as the difference of a pixel that was outside the picture.
const OUTSIDE: f32 = 1e6;

/// Unexplained share of the variance from which on a picture does not follow the
/// one before.
const CUT: f32 = 0.2;

/// Variance of what noise leaves at the size where cuts are looked for, of 255
/// squared.
const NOISE: f32 = 4.0 * 4.0;

/// Which plane of a pyramid cuts are looked for on: small enough to forget noise.
const CUT_PLANE: usize = 2;

/// Rows that are worth waking a thread for.
const ROWS_PER_TASK: usize = 8;

/// Whether `now` is another scene than `before`: motion explains too little of it.
/// A flash is one, too.
pub fn is_cut(now: &Pyramid, before: &Pyramid, flows: &[Flow]) -> bool {
    let plane = CUT_PLANE.min(flows.len() - 1);
    let (now, before, flow) = (&now.luma()[plane], &before.luma()[plane], &flows[plane]);
    let Size { width, height } = now.size();
    let mut unexplained = 0.0;
    for y in 0..height {
        let [right, down] = flow.row(y);
        for (x, now) in now.row(y).iter().enumerate() {
            let at = [
                x as f32 + right[Flow::SIDE + x],
                y as f32 + down[Flow::SIDE + x],
            ];
            let difference = Sample::at(before, at).of(before) - now;
            unexplained += difference * difference;
        }
    }
    let unexplained = unexplained / (width * height) as f32;
    unexplained > NOISE + CUT * (variance(now) + variance(before))
}

fn variance(plane: &Plane) -> f32 {
    let pixels = plane.size().area() as f32;
    let rows = || (0..plane.size().height).map(|y| plane.row(y));
    let mean = rows().flatten().sum::<f32>() / pixels;
    rows()
        .flatten()
        .map(|x| (x - mean) * (x - mean))
        .sum::<f32>()
        / pixels
}

/// A place between four pixels of a plane.
struct Sample {
    x: isize,
    y: isize,
    right: f32,
    down: f32,
}

impl Sample {
    /// Places outside become places on the border.
    #[inline(always)]
    fn at(plane: &Plane, [x, y]: [f32; 2]) -> Self {
        let Size { width, height } = plane.size();
        let x = x.clamp(0.0, (width - 1) as f32);
        let y = y.clamp(0.0, (height - 1) as f32);
        // Not negative: this rounds down.
        let (left, top) = (x as isize, y as isize);
        Sample {
            x: left,
            y: top,
            right: x - left as f32,
            down: y - top as f32,
        }
    }

    /// What `plane` has there, interpolated.
    #[inline(always)]
    fn of(&self, plane: &Plane) -> f32 {
        let mix = |row: &[f32]| row[0] + self.right * (row[1] - row[0]);
        let above = mix(plane.from(self.x, self.y));
        let below = mix(plane.from(self.x, self.y + 1));
        above + self.down * (below - above)
    }
}

/// How much of the painting before is taken, at half the picture's size.
#[derive(Default)]
pub struct Agreement {
    size: Size,
    differences: Vec<f32>,
    weights: Weights,
    /// The sum of each row's weights.
    sums: Vec<f32>,
}

/// A weight for each pixel at half the picture's size. Rows have [`Flow::SIDE`]
/// numbers before the first pixel and behind the last, which repeat the border.
#[derive(Default)]
pub struct Weights {
    size: Size,
    data: Vec<f32>,
}

impl Weights {
    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    fn stride(&self) -> usize {
        self.size.width + 2 * Flow::SIDE
    }

    /// Row `y`, with [`Flow::SIDE`] numbers before the first pixel.
    #[inline(always)]
    pub fn row(&self, y: usize) -> &[f32] {
        &self.data[y * self.stride()..][..self.stride()]
    }
}

impl Agreement {
    /// What has been measured last.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Compares `now` with `before`, carried along `flow`.
    pub fn compare(&mut self, level: Level, now: &Pyramid, before: &Pyramid, flow: &Flow) {
        self.size = flow.size();
        self.differences.resize(self.size.area(), 0.0);
        (self.differences.par_chunks_mut(self.size.width))
            .with_min_len(ROWS_PER_TASK)
            .enumerate()
            .for_each(|(y, out)| {
                level.run(CompareRow {
                    now,
                    before,
                    flow,
                    y,
                    out,
                });
            });
    }

    /// Finds weights that reach `scale` where the two that were compared last are alike,
    /// and not more than 1. Gives their mean.
    pub fn weigh(&mut self, level: Level, scale: f32) -> f32 {
        let size = self.size;
        self.weights.size = size;
        let stride = self.weights.stride();
        self.weights.data.resize(stride * size.height, 0.0);
        self.sums.resize(size.height, 0.0);
        let differences = &self.differences;
        (self.weights.data.par_chunks_mut(stride))
            .zip(&mut self.sums)
            .with_min_len(ROWS_PER_TASK)
            .enumerate()
            .for_each(|(y, (out, sum))| {
                let rows = [y.saturating_sub(1), y, (y + 1).min(size.height - 1)];
                *sum = level.run(WeighRow {
                    differences: rows.map(|y| &differences[y * size.width..][..size.width]),
                    scale,
                    out,
                });
            });
        // In the rows' order: the sum does not depend on the threads.
        self.sums.iter().sum::<f32>() / size.area() as f32
    }
}

/// The largest squared difference of a color, for each pixel of a row.
struct CompareRow<'a> {
    now: &'a Pyramid,
    before: &'a Pyramid,
    flow: &'a Flow,
    y: usize,
    out: &'a mut [f32],
}

impl Kernel for CompareRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Size { width, height } = self.flow.size();
        let [right, down] = self.flow.row(self.y);
        let now = self.now.colors.each_ref().map(|plane| plane.row(self.y));
        for (x, out) in self.out.iter_mut().enumerate() {
            let at_x = x as f32 + right[Flow::SIDE + x];
            let at_y = self.y as f32 + down[Flow::SIDE + x];
            let inside = at_x > -0.5
                && at_y > -0.5
                && at_x < width as f32 - 0.5
                && at_y < height as f32 - 0.5;
            if !inside {
                *out = OUTSIDE;
                continue;
            }
            let sample = Sample::at(&self.before.colors[0], [at_x, at_y]);
            let mut largest = 0.0f32;
            for (now, before) in now.iter().zip(&self.before.colors) {
                let difference = sample.of(before) - now[x];
                largest = largest.max(difference * difference);
            }
            *out = largest;
        }
    }
}

/// Weights of a row, from its differences and those above and below, and their sum.
struct WeighRow<'a> {
    differences: [&'a [f32]; 3],
    scale: f32,
    out: &'a mut [f32],
}

impl Kernel for WeighRow<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f32 {
        let [above, here, below] = self.differences;
        let width = here.len();
        let (side, rest) = self.out.split_at_mut(Flow::SIDE);
        let (row, other_side) = rest.split_at_mut(width);
        // Means of three, down and then across.
        for (((sum, above), here), below) in row.iter_mut().zip(above).zip(here).zip(below) {
            *sum = above + here + below;
        }
        let mut left = row[0];
        for x in 0..width {
            let (here, right) = (row[x], row[(x + 1).min(width - 1)]);
            row[x] = left + here + right;
            left = here;
        }
        let mut sum = 0.0;
        for weight in row.iter_mut() {
            *weight = (self.scale * falloff(*weight / 9.0)).min(1.0);
            sum += *weight;
        }
        side.fill(row[0]);
        other_side.fill(row[width - 1]);
        sum
    }
}

/// Close to `exp(-difference / (2 * TOLERANCE^2))`, but 0 from 8 times that exponent
/// on.
#[inline(always)]
fn falloff(difference: f32) -> f32 {
    let x = (1.0 - difference / (16.0 * TOLERANCE * TOLERANCE)).max(0.0);
    let x = x * x;
    let x = x * x;
    x * x
}
