//! What motion cannot explain of a carried painting, made from the picture itself.
//!
//! Around such a place, the picture and the painting that was carried there show how the
//! style changes colors. A line through them for each color of the painting,
//!
//! ```text
//! painting = gain * luma + offset
//! ```
//!
//! fitted by least squares in which each pixel counts as much as motion explains it, then
//! paints the place. This is the local model of the guided filter (K. He, J. Sun, X. Tang,
//! "Guided Image Filtering", 2013), with weights. Sums are taken over cells of 8x8
//! pixels. Where these know little, larger cells help, up to one that covers all: the
//! pull-push of S. Gortler et al., "The Lumigraph", 1996, section 3.4.

use super::agreement::Weights;
use super::carry::{ROWS_PER_TASK, RUN, WeightRow};
use super::flow::Flow;
use super::pyramid::Plane;
use crate::engine::Image;
use crate::engine::image;
use crate::ops::Size;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, Level};
use rayon::prelude::*;

/// Rows and columns of a cell, in pixels.
const CELL: usize = RUN;

/// The same at half the size.
const HALF_CELL: usize = CELL / 2;

/// How much the sums of a cell twice as large count beside a cell's own, for each pixel.
const OUTER: f32 = 0.25;

/// Beside the variance of luma, of 255 squared: flat places take the mean color.
const EPS: f32 = 64.0;

/// The steepest line, either way.
const STEEPEST: f32 = 2.0;

/// Mean products over a cell's pixels: weight, and weight times luma, luma squared, red,
/// green, blue, luma times red, luma times green, luma times blue.
type Moments = [f32; 9];

/// Gains of red, green and blue, and their offsets.
type Fit = [f32; 6];

/// Repairs carried paintings. Its memory is kept from picture to picture.
#[derive(Default)]
pub struct Repairer {
    /// Cells of a size, each of the next four times as large.
    grids: Vec<Grid<Moments>>,
    fits: Grid<Fit>,
}

#[derive(Default)]
struct Grid<T> {
    size: Size,
    cells: Vec<T>,
}

impl<T: Copy + Default> Grid<T> {
    fn resize(&mut self, size: Size) {
        self.size = size;
        self.cells.resize(size.area(), T::default());
    }

    /// The cell at `(x, y)` or, outside, the nearest.
    #[inline(always)]
    fn at(&self, x: usize, y: usize) -> &T {
        let Size { width, height } = self.size;
        &self.cells[y.min(height - 1) * width + x.min(width - 1)]
    }
}

impl Repairer {
    /// Repaints `painting` as far as its `weights` are below 1, as a painting of `picture`,
    /// whose `luma` at half the size this is.
    pub fn run(
        &mut self,
        level: Level,
        picture: &Image,
        luma: &Plane,
        weights: &Weights,
        painting: &mut Image,
    ) {
        self.resize(picture.size());
        let Some(grid) = self.grids.first_mut() else {
            return;
        };
        let painted = &*painting;
        (grid.cells.par_chunks_mut(grid.size.width))
            .enumerate()
            .for_each(|(j, cells)| {
                level.run(Gather {
                    luma,
                    weights,
                    painting: painted,
                    j,
                    cells,
                });
            });
        self.pull();
        self.push();
        self.fit();

        let fits = &self.fits;
        let rows = painting.par_rows_mut().with_min_len(ROWS_PER_TASK);
        rows.enumerate().for_each(|(y, painting)| {
            level.run(Row {
                fits,
                picture: picture.rows(y),
                weights: WeightRow::of(weights, y),
                y,
                painting,
            });
        });
    }

    fn resize(&mut self, picture: Size) {
        let mut size = picture.map(|side| side.div_ceil(CELL));
        self.fits.resize(size);
        let mut count = 0;
        loop {
            if count == self.grids.len() {
                self.grids.push(Grid::default());
            }
            self.grids[count].resize(size);
            count += 1;
            if size.width.max(size.height) == 1 {
                break;
            }
            size = size.map(|side| side.div_ceil(2));
        }
        self.grids.truncate(count);
    }

    /// Finds the sums of larger cells, from the smallest on.
    fn pull(&mut self) {
        for i in 1..self.grids.len() {
            let (smaller, larger) = self.grids.split_at_mut(i);
            let (smaller, larger) = (&smaller[i - 1], &mut larger[0]);
            let Size { width, height } = smaller.size;
            larger.cells.fill(Moments::default());
            for y in 0..height {
                for x in 0..width {
                    let to = &mut larger.cells[y / 2 * larger.size.width + x / 2];
                    for (to, from) in to.iter_mut().zip(smaller.at(x, y)) {
                        *to += 0.25 * from;
                    }
                }
            }
        }
    }

    /// Adds to each cell what the larger ones around it know.
    fn push(&mut self) {
        for i in (1..self.grids.len()).rev() {
            let (smaller, larger) = self.grids.split_at_mut(i);
            let (smaller, larger) = (&mut smaller[i - 1], &larger[0]);
            let Size { width, height } = smaller.size;
            for y in 0..height {
                let rows = nearest(y);
                for x in 0..width {
                    let columns = nearest(x);
                    let to = &mut smaller.cells[y * width + x];
                    for (y, down) in rows.iter().zip([0.75, 0.25]) {
                        for (x, across) in columns.iter().zip([0.75, 0.25]) {
                            let weight = OUTER * down * across;
                            for (to, from) in to.iter_mut().zip(larger.at(*x, *y)) {
                                *to += weight * from;
                            }
                        }
                    }
                }
            }
        }
    }

    fn fit(&mut self) {
        let Some(grid) = self.grids.first() else {
            return;
        };
        for (fit, moments) in self.fits.cells.iter_mut().zip(&grid.cells) {
            *fit = fitted(moments);
        }
    }
}

/// Which two of the cells twice as large a cell lies between: the one around it, and
/// the one beside that. Outside, on the lower side, the one around it.
fn nearest(i: usize) -> [usize; 2] {
    let near = i / 2;
    match i % 2 {
        0 => [near, near.saturating_sub(1)],
        _ => [near, near + 1],
    }
}

/// The line that fits best.
fn fitted(moments: &Moments) -> Fit {
    let &[weight, rest @ ..] = moments;
    if weight <= 0.0 {
        return Fit::default();
    }
    let [luma, squared, r, g, b, luma_r, luma_g, luma_b] = rest.map(|sum| sum / weight);
    let variance = (squared - luma * luma).max(0.0);
    let mut fit = Fit::default();
    for (c, (color, product)) in [(r, luma_r), (g, luma_g), (b, luma_b)]
        .into_iter()
        .enumerate()
    {
        let gain = (product - luma * color) / (variance + EPS);
        let gain = gain.clamp(-STEEPEST, STEEPEST);
        fit[c] = gain;
        fit[3 + c] = color - gain * luma;
    }
    fit
}

/// Finds the moments of a row of cells.
struct Gather<'a> {
    luma: &'a Plane,
    weights: &'a Weights,
    painting: &'a Image,
    j: usize,
    cells: &'a mut [Moments],
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Gather {
            luma,
            weights,
            painting,
            j,
            cells,
        } = self;
        let Size { width, height } = luma.size();
        let last = painting.width - 1;
        cells.fill(Moments::default());
        for y in (j * HALF_CELL)..((j + 1) * HALF_CELL).min(height) {
            let (luma, weights) = (luma.row(y), &weights.row(y)[Flow::SIDE..]);
            let above = painting.rows(2 * y);
            let below = painting.rows((2 * y + 1).min(painting.height - 1));
            for x in 0..width {
                let (left, right) = (2 * x, (2 * x + 1).min(last));
                let (weight, luma) = (weights[x], luma[x]);
                let weighted = weight * luma;
                let moments = &mut cells[x / HALF_CELL];
                moments[0] += weight;
                moments[1] += weighted;
                moments[2] += weighted * luma;
                for c in 0..3 {
                    let (above, below) = (above[c], below[c]);
                    let color =
                        0.25 * ((above[left] + above[right]) + (below[left] + below[right]));
                    moments[3 + c] += weight * color;
                    moments[6 + c] += weighted * color;
                }
            }
        }
        for moment in cells.as_flattened_mut() {
            *moment /= (HALF_CELL * HALF_CELL) as f32;
        }
    }
}

/// Repairs a row.
struct Row<'a> {
    fits: &'a Grid<Fit>,
    picture: [&'a [f32]; 3],
    weights: WeightRow<'a>,
    y: usize,
    painting: [&'a mut [f32]; 3],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Row {
            fits,
            picture,
            weights,
            y,
            painting,
        } = self;
        let width = picture[0].len();
        let ([near, far], share) = between(y);
        for x in (0..width).step_by(RUN) {
            let weight = weights.at(x);
            if weight == [1.0; RUN] {
                continue;
            }
            // Three cells, each between two rows of them.
            let i = x / CELL;
            let columns = [i.saturating_sub(1), i, i + 1];
            let cells = columns.map(|i| mixed(fits.at(i, near), fits.at(i, far), share));
            for k in 0..RUN.min(width - x) {
                let luma = image::luma(picture.map(|plane| plane[x + k]));
                let (_, share) = between(k);
                let beside = if k < CELL / 2 { 0 } else { 2 };
                let fit = mixed(&cells[1], &cells[beside], share);
                for c in 0..3 {
                    let repaired = (fit[c] * luma + fit[3 + c]).clamp(0.0, 255.0);
                    let painting = &mut painting[c][x + k];
                    *painting = repaired + weight[k] * (*painting - repaired);
                }
            }
        }
    }
}

/// The two cells whose middles a pixel lies between, the one around it first, and how
/// much of the other there is in it.
#[inline(always)]
fn between(at: usize) -> ([usize; 2], f32) {
    let cell = at / CELL;
    let offset = ((at % CELL) as f32 + 0.5) / CELL as f32 - 0.5;
    match offset < 0.0 {
        true => ([cell, cell.saturating_sub(1)], -offset),
        false => ([cell, cell + 1], offset),
    }
}

#[inline(always)]
fn mixed(near: &Fit, far: &Fit, share: f32) -> Fit {
    let mut out = *near;
    for i in 0..6 {
        out[i] += share * (far[i] - near[i]);
    }
    out
}
