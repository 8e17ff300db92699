//! The painting before, carried along the motion and blended with the new one.

use super::agreement::Weights;
use super::carry::{Carry, MotionRow, ROWS_PER_TASK, RUN, WeightRow};
use super::flow::Flow;
use crate::engine::Image;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, Level};
use rayon::prelude::*;

/// Carries a painting and blends it with the next.
pub struct Blender<'a> {
    /// Motion at half the paintings' size, in its pixels.
    pub flow: &'a Flow,
    /// How much of the painting before is taken.
    pub weights: &'a Weights,
    /// The painting before.
    pub before: &'a Image,
}

impl Blender<'_> {
    /// Blends `painted` into `out`, an image of the same size.
    pub fn run(&self, level: Level, painted: &Image, out: &mut Image) {
        let rows = out.par_rows_mut().with_min_len(ROWS_PER_TASK);
        rows.enumerate().for_each(|(y, out)| {
            level.run(Row {
                blender: self,
                y,
                painted: painted.rows(y),
                out,
            });
        });
    }
}

struct Row<'a> {
    blender: &'a Blender<'a>,
    y: usize,
    painted: [&'a [f32]; 3],
    out: [&'a mut [f32]; 3],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Row {
            blender:
                Blender {
                    flow,
                    weights,
                    before,
                },
            y,
            painted,
            out,
        } = self;
        let motion = MotionRow::of(flow, y);
        let weights = WeightRow::of(weights, y);
        let carry = Carry { before, y };
        for x in (0..before.width).step_by(RUN) {
            let count = RUN.min(before.width - x);
            let weight = weights.at(x);
            let mut carried = [[0.0; RUN]; 3];
            if weight != [0.0; RUN] {
                carry.run(x, count, motion.at(x), &mut carried);
            }
            for c in 0..3 {
                let out = &mut out[c][x..][..count];
                let painted = &painted[c][x..][..count];
                for i in 0..count {
                    out[i] = painted[i] + weight[i] * (carried[c][i] - painted[i]);
                }
            }
        }
    }
}
