//! A small styled picture brought to the size of the frame it was made from,
//! with the frame's edges.
//!
//! Interpolation alone would blur. What the small picture lacks is known,
//! though, of the frame: its light and dark at full size less those of its
//! small version. Where the style follows the frame, that detail is added,
//! times how strongly it does so:
//!
//! ```text
//! out = up(styled) + up(gain) * (luma(original) - up(luma(small)))
//! gain = cov(luma(small), styled) / (var(luma(small)) + EPS)
//! ```
//!
//! with covariance and variance over small windows, for each colour. This is
//! the guided filter (K. He, J. Sun, X. Tang, "Guided Image Filtering", 2013),
//! its coefficients found at the small size (K. He, J. Sun, "Fast Guided
//! Filter", 2015) and applied to the detail alone, so that strokes stay as they
//! were painted. Upsampling by the full-size picture began with J. Kopf et
//! al., "Joint Bilateral Upsampling", 2007.

use super::Image;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, Level};
use rayon::prelude::*;

/// Of the variance of luma in a window, of 255 squared: flat areas, where there
/// is nothing but noise, have less and get no detail.
const EPS: f32 = 25.0;

/// How far a window reaches from its middle, in pixels of the small picture.
const REACH: usize = 1;

/// How much of red, green and blue is in luma (BT.601).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// What is interpolated: the styled picture's colours, their gains, and luma.
const FIELDS: usize = 7;

/// Tasks for each thread, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 4;

/// Fewer pixels than these are not worth waking a thread for.
const PIXELS_PER_TASK: usize = 1 << 15;

/// Enlarges styled pictures. Its buffers are kept from frame to frame.
#[derive(Default)]
pub struct Upsampler {
    /// Of the small picture.
    luma: Vec<f32>,
    /// Of each colour: three planes of the small size.
    gain: Vec<f32>,
    columns: Columns,
    /// For each task, see [`Band`].
    scratch: Vec<f32>,
}

impl Upsampler {
    /// Enlarges `styled` to the size of `original` into `out`, which takes that
    /// size and keeps its memory where it is enough. `small` is `original` at
    /// the size of `styled`, as [`shrink`](super::resize::shrink) makes it.
    ///
    /// Numbers may end a little beyond 0..255, like those of `styled`. Works on
    /// the current rayon pool; the result does not depend on its threads.
    ///
    /// # Panics
    /// If a picture has no pixels or other than `3 * width * height` numbers,
    /// or if `small` and `styled` differ in size.
    pub fn run(&mut self, original: &Image, small: &Image, styled: &Image, out: &mut Image) {
        self.run_at(Level::current(), original, small, styled, out);
    }

    /// [`run`](Self::run) at a level of the CPU's; all give the same numbers.
    pub fn run_at(
        &mut self,
        level: Level,
        original: &Image,
        small: &Image,
        styled: &Image,
        out: &mut Image,
    ) {
        for picture in [original, small, styled] {
            assert_eq!(picture.check().ok(), Some(()), "a picture of its own size");
        }
        let size = (styled.width, styled.height);
        assert_eq!((small.width, small.height), size, "pictures of one size");
        self.find_gains(level, small, styled);
        self.columns.fit(styled.width, original.width);
        self.enlarge(level, original, styled, out);
    }

    fn find_gains(&mut self, level: Level, small: &Image, styled: &Image) {
        let Image { width, height, .. } = *small;
        self.luma.resize(width * height, 0.0);
        self.gain.resize(3 * width * height, 0.0);
        let [r, g, b] = planes(&small.data);
        for (i, luma) in self.luma.iter_mut().enumerate() {
            *luma = LUMA[0] * r[i] + LUMA[1] * g[i] + LUMA[2] * b[i];
        }
        let luma = &self.luma;
        let styled = planes(&styled.data);
        let [r, g, b] = planes_mut(&mut self.gain);
        let _ = level;
        (r.par_chunks_mut(width))
            .zip(g.par_chunks_mut(width))
            .zip(b.par_chunks_mut(width))
            .enumerate()
            .for_each(|(y, ((r, g), b))| {
                for (gain, styled) in [r, g, b].into_iter().zip(styled) {
                    for (x, gain) in gain.iter_mut().enumerate() {
                        *gain = gain_at(luma, styled, (width, height), (x, y));
                    }
                }
            });
    }

    fn enlarge(&mut self, level: Level, original: &Image, styled: &Image, out: &mut Image) {
        let Image { width, height, .. } = *original;
        (out.width, out.height) = (width, height);
        out.data.resize(3 * width * height, 0.0);
        let most = rayon::current_num_threads() * TASKS_PER_THREAD;
        let tasks = (width * height / PIXELS_PER_TASK).clamp(1, most);
        let rows = height.div_ceil(tasks);
        let scratch = 2 * FIELDS * width;
        self.scratch.resize(height.div_ceil(rows) * scratch, 0.0);
        let small = Fields {
            fields: {
                let [r, g, b] = planes(&styled.data);
                let [gain_r, gain_g, gain_b] = planes(&self.gain);
                [r, g, b, gain_r, gain_g, gain_b, &self.luma]
            },
            width: styled.width,
            height: styled.height,
        };
        let columns = &self.columns;
        let [r, g, b] = planes_mut(&mut out.data);
        (r.par_chunks_mut(rows * width))
            .zip(g.par_chunks_mut(rows * width))
            .zip(b.par_chunks_mut(rows * width))
            .zip(self.scratch.par_chunks_mut(scratch))
            .enumerate()
            .for_each(|(task, (((r, g), b), scratch))| {
                level.run(Band {
                    original,
                    small: &small,
                    columns,
                    scratch,
                    first: task * rows,
                    out: [r, g, b],
                });
            });
    }
}

fn planes(data: &[f32]) -> [&[f32]; 3] {
    let (r, rest) = data.split_at(data.len() / 3);
    let (g, b) = rest.split_at(rest.len() / 2);
    [r, g, b]
}

fn planes_mut(data: &mut [f32]) -> [&mut [f32]; 3] {
    let (r, rest) = data.split_at_mut(data.len() / 3);
    let (g, b) = rest.split_at_mut(rest.len() / 2);
    [r, g, b]
}

fn gain_at(
    luma: &[f32],
    styled: &[f32],
    (width, height): (usize, usize),
    (x, y): (usize, usize),
) -> f32 {
    let (mut l, mut ll, mut s, mut ls) = (0.0, 0.0, 0.0, 0.0);
    for dy in 0..=2 * REACH {
        for dx in 0..=2 * REACH {
            let y = (y + dy).saturating_sub(REACH).min(height - 1);
            let x = (x + dx).saturating_sub(REACH).min(width - 1);
            let (a, b) = (luma[y * width + x], styled[y * width + x]);
            l += a;
            ll += a * a;
            s += b;
            ls += a * b;
        }
    }
    let count = ((2 * REACH + 1) * (2 * REACH + 1)) as f32;
    let (l, ll, s, ls) = (l / count, ll / count, s / count, ls / count);
    (ls - l * s) / ((ll - l * l).max(0.0) + EPS)
}

/// Between which pixels of a short line those of a longer one are.
#[derive(Default)]
struct Columns {
    /// Pixels of both lines.
    lens: (usize, usize),
    /// The pixel before.
    before: Vec<u32>,
    /// How far from it to the one after, which may be the same.
    part: Vec<f32>,
}

impl Columns {
    fn fit(&mut self, from: usize, to: usize) {
        if self.lens == (from, to) {
            return;
        }
        self.lens = (from, to);
        self.before.clear();
        self.part.clear();
        for i in 0..to {
            let (before, part) = position(i, from, to);
            self.before.push(before as u32);
            self.part.push(part);
        }
    }
}

/// Where pixel `i` of `to` is among `from` pixels of the same extent: after
/// which, and how far, in 0..=1, from it to the next.
fn position(i: usize, from: usize, to: usize) -> (usize, f32) {
    let at = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let at = at.clamp(0.0, (from - 1) as f64);
    let before = (at as usize).min(from.saturating_sub(2));
    (before, (at - before as f64) as f32)
}

/// All that is interpolated, at the small size.
struct Fields<'a> {
    fields: [&'a [f32]; FIELDS],
    width: usize,
    height: usize,
}

/// Some rows of the result.
struct Band<'a> {
    original: &'a Image,
    small: &'a Fields<'a>,
    columns: &'a Columns,
    /// Two rows of the small picture at full width, [`FIELDS`] lines each.
    scratch: &'a mut [f32],
    /// The first row.
    first: usize,
    /// All rows, of each colour.
    out: [&'a mut [f32]; 3],
}

impl Kernel for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Image { width, height, .. } = *self.original;
        let (mut above, mut below) = self.scratch.split_at_mut(FIELDS * width);
        let mut held = None;
        let [r, g, b] = planes(&self.original.data);
        let [out_r, out_g, out_b] = self.out;
        for (i, ((out_r, out_g), out_b)) in out_r
            .chunks_exact_mut(width)
            .zip(out_g.chunks_exact_mut(width))
            .zip(out_b.chunks_exact_mut(width))
            .enumerate()
        {
            let y = self.first + i;
            let (row, part) = position(y, self.small.height, height);
            if held != Some(row) {
                match held.is_some_and(|held| held + 1 == row) {
                    true => std::mem::swap(&mut above, &mut below),
                    false => widen(self.small, row, self.columns, above),
                }
                let next = (row + 1).min(self.small.height - 1);
                widen(self.small, next, self.columns, below);
                held = Some(row);
            }
            let at = y * width..(y + 1) * width;
            let original = [&r[at.clone()], &g[at.clone()], &b[at]];
            blend(original, (above, below), part, [out_r, out_g, out_b]);
        }
    }
}

/// Row `y` of each field at full width.
#[inline(always)]
fn widen(small: &Fields<'_>, y: usize, columns: &Columns, wide: &mut [f32]) {
    let next = usize::from(small.width > 1);
    for (field, wide) in small
        .fields
        .iter()
        .zip(wide.chunks_exact_mut(columns.lens.1))
    {
        let row = &field[y * small.width..][..small.width];
        for ((wide, before), part) in wide.iter_mut().zip(&columns.before).zip(&columns.part) {
            let (a, b) = (row[*before as usize], row[*before as usize + next]);
            *wide = a + part * (b - a);
        }
    }
}

/// One row of the result, from the rows above and below it.
#[inline(always)]
fn blend(
    [r, g, b]: [&[f32]; 3],
    (above, below): (&[f32], &[f32]),
    part: f32,
    out: [&mut [f32]; 3],
) {
    let width = r.len();
    let field = |i: usize, x: usize| {
        let (a, b) = (above[i * width + x], below[i * width + x]);
        a + part * (b - a)
    };
    let [out_r, out_g, out_b] = out;
    for x in 0..width {
        let luma = LUMA[0] * r[x] + LUMA[1] * g[x] + LUMA[2] * b[x];
        let detail = luma - field(6, x);
        out_r[x] = field(0, x) + field(3, x) * detail;
        out_g[x] = field(1, x) + field(4, x) * detail;
        out_b[x] = field(2, x) + field(5, x) * detail;
    }
}
