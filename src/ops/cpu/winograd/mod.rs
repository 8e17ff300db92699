//! 3x3 convolutions with few multiplications, by the fast algorithms in
//! `algorithm` along rows and columns.
//!
//! The output is cut into tiles. The input window of each becomes a grid of
//! points a channel, each of which meets its own matrix of weights; the
//! results become the tile's pixels. A task takes a run of tiles from input to
//! output while their points are in its cache.

mod algorithm;
mod fixed;
mod input;
mod output;
mod rgb;
mod tiles;

pub use input::{Prologue, Source};
pub use output::Epilogue;
pub use rgb::{PaddedPicture, PictureSums, PictureWeights, from_picture, to_sums};

use super::gemm::{Gemm, Product, Scale, Start};
use super::pixels::PixelsMut;
use super::{Kernel, LANES, Level};
use crate::ops::{Size, Step};
use algorithm::{Algorithm, Same, Strided, Upsampled};
use rayon::prelude::*;
use std::cell::RefCell;
use std::marker::PhantomData;
use tiles::{Grid, Input, Layout, Output, Tiles};

/// Output channels that are multiplied and stored at a time.
const PANEL: usize = 2 * LANES;

/// Outputs along a line of `padded` inputs, border included. For
/// [`Step::Double`] the border is one of the small image's own pixels.
pub fn output_len(step: Step, padded: usize) -> usize {
    match step {
        Step::Same => padded - 2,
        Step::Half => (padded - 3) / 2 + 1,
        Step::Double => 2 * (padded - 2),
    }
}

/// Runs `$body` with `$A`, `$window`, `$points` and `$tile` those of a step.
macro_rules! with_algorithm {
    ($step:expr, $call:ident ( $($argument:expr),* )) => {
        match $step {
            Step::Same => $call::<Same, 6, 6, 4>($($argument),*),
            Step::Half => $call::<Strided, 9, 9, 4>($($argument),*),
            Step::Double => $call::<Upsampled, 6, 10, 8>($($argument),*),
        }
    };
}

/// The kernels of a convolution, transformed and packed: for each panel of
/// output channels and each point, a matrix of inputs by outputs.
#[derive(Clone, Debug)]
pub struct WinogradWeights {
    step: Step,
    matrices: Matrices,
    points: usize,
    inputs: usize,
    outputs: usize,
}

/// The numbers of weights: for each panel, for each point.
#[derive(Clone, Debug)]
enum Matrices {
    /// `[inputs][columns]`
    Floats(Vec<f32>),
    /// `[inputs / 2][columns]`, two inputs each, and what each column is to be
    /// multiplied by.
    Pairs {
        pairs: Vec<[i16; 2]>,
        scales: Vec<f32>,
    },
}

impl WinogradWeights {
    /// Transforms `outputs * inputs` kernels; `kernel(output, input)` gives one
    /// as rows.
    pub fn new(
        step: Step,
        outputs: usize,
        inputs: usize,
        kernel: impl Fn(usize, usize) -> [[f32; 3]; 3] + Sync,
    ) -> Self {
        with_algorithm!(step, pack_weights(step, outputs, inputs, kernel))
    }

    /// The same weights, rounded to 16 bits: products take half the time on
    /// CPUs that have such instructions.
    pub fn rounded(self) -> Self {
        let Matrices::Floats(floats) = &self.matrices else {
            return self;
        };
        let depth = self.inputs.div_ceil(2);
        let columns = self.outputs.next_multiple_of(LANES);
        let mut pairs = Vec::with_capacity(self.points * depth * columns);
        let mut scales = Vec::with_capacity(self.points * columns);
        for panel in 0..self.panels() {
            let width = self.panel_width(panel);
            for point in 0..self.points {
                let len = self.inputs * width;
                let start = panel * self.points * self.inputs * PANEL + point * len;
                fixed::round_matrix(&floats[start..start + len], width, &mut pairs, &mut scales);
            }
        }
        WinogradWeights {
            matrices: Matrices::Pairs { pairs, scales },
            ..self
        }
    }

    /// Number of output channels.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of panels of output channels.
    fn panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    /// Columns of a panel, padded to whole vectors.
    fn panel_width(&self, panel: usize) -> usize {
        PANEL.min((self.outputs - panel * PANEL).next_multiple_of(LANES))
    }

    /// Depth, first element and column scales of the matrix of a panel and
    /// point, `[depth][panel_width]`.
    fn matrix(&self, panel: usize, point: usize) -> (usize, *const f32, Option<*const f32>) {
        let width = self.panel_width(panel);
        let start = |depth| panel * self.points * depth * PANEL + point * depth * width;
        match &self.matrices {
            Matrices::Floats(floats) => {
                let matrix = &floats[start(self.inputs)..][..self.inputs * width];
                (self.inputs, matrix.as_ptr(), None)
            }
            Matrices::Pairs { pairs, scales } => {
                let depth = self.inputs.div_ceil(2);
                let matrix = &pairs[start(depth)..][..depth * width];
                let scales = &scales[start(1)..][..width];
                (depth, matrix.as_ptr().cast(), Some(scales.as_ptr()))
            }
        }
    }
}

fn pack_weights<A, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
    step: Step,
    outputs: usize,
    inputs: usize,
    kernel: impl Fn(usize, usize) -> [[f32; 3]; 3] + Sync,
) -> WinogradWeights
where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    let transform = |kernel: [[f32; 3]; 3]| -> [[f32; POINTS]; POINTS] {
        let rows = kernel.map(A::taps);
        let columns: [[f32; POINTS]; POINTS] =
            std::array::from_fn(|j| A::taps([rows[0][j], rows[1][j], rows[2][j]]));
        std::array::from_fn(|i| std::array::from_fn(|j| columns[j][i]))
    };
    let mut floats = vec![0.0; POINTS * POINTS * inputs * outputs.next_multiple_of(LANES)];
    floats
        .par_chunks_mut(POINTS * POINTS * inputs * PANEL)
        .enumerate()
        .for_each(|(panel, data)| {
            let width = data.len() / (POINTS * POINTS * inputs);
            for column in 0..width.min(outputs - panel * PANEL) {
                for input in 0..inputs {
                    let points = transform(kernel(panel * PANEL + column, input));
                    for (point, &value) in points.as_flattened().iter().enumerate() {
                        data[(point * inputs + input) * width + column] = value;
                    }
                }
            }
        });
    WinogradWeights {
        step,
        matrices: Matrices::Floats(floats),
        points: POINTS * POINTS,
        inputs,
        outputs,
    }
}

/// Convolves `source` into `out`, `[n, height, width, outputs]`.
///
/// # Panics
/// If `out` or the vectors in `epilogue` are not of that size.
pub fn convolve(
    level: Level,
    weights: &WinogradWeights,
    source: Source,
    epilogue: Epilogue,
    out: PixelsMut,
) {
    with_algorithm!(
        weights.step,
        convolve_by(level, weights, source, epilogue, out)
    );
}

fn convolve_by<A, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
    level: Level,
    weights: &WinogradWeights,
    source: Source,
    epilogue: Epilogue,
    out: PixelsMut,
) where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    source.check(weights.inputs);
    let size = Size::new(
        output_len(weights.step, source.columns.len()),
        output_len(weights.step, source.rows.len()),
    );
    let grid = Grid::new(size, TILE);
    let input = input::Windows { source, grid };
    convolve_tiles::<A, _, WINDOW, POINTS, TILE>(
        level,
        weights,
        &input,
        (source.batch, grid),
        epilogue,
        out,
    );
}

/// Convolves whatever `input` makes points of.
fn convolve_tiles<A, I, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
    level: Level,
    weights: &WinogradWeights,
    input: &I,
    (batch, grid): (usize, Grid),
    mut epilogue: Epilogue,
    mut out: PixelsMut,
) where
    A: Algorithm<WINDOW, POINTS, TILE>,
    I: Input<A, WINDOW, POINTS, TILE>,
{
    let tiles = batch * grid.tiles();
    // As few as give many threads work. They must not depend on the number of
    // threads, which would then decide in which order moments are summed, and
    // so the last bits.
    const LEAST_TASKS: usize = 16;
    let per_task = tiles_in_cache(weights).min(tiles.div_ceil(LEAST_TASKS));
    let tasks = tiles.div_ceil(per_task);
    epilogue.check(weights.outputs, tasks);
    let image = output::Image::new(weights.outputs, (batch, grid), &mut epilogue, &mut out);
    let tasks = (0..tasks).into_par_iter().with_max_len(1);
    tasks.for_each(|task| {
        let first = task * per_task;
        SCRATCH.with_borrow_mut(|scratch| {
            level.run(Task {
                weights,
                input,
                output: output::Run {
                    image: &image,
                    task,
                },
                tiles: Tiles {
                    first,
                    count: per_task.min(tiles - first),
                },
                scratch,
                algorithm: PhantomData::<A>,
            })
        });
    });
}

/// As many tiles as keep their points in the cache of a core.
fn tiles_in_cache(weights: &WinogradWeights) -> usize {
    const CACHE_BYTES: usize = 640 << 10;
    /// Rows that the kernels of products are fastest with.
    const ROWS: usize = 14;
    let tile_bytes = weights.points * size_of::<f32>() * (weights.inputs + PANEL);
    (CACHE_BYTES / tile_bytes / ROWS * ROWS).clamp(ROWS, 8 * ROWS)
}

/// Memory for a run of tiles.
struct Scratch {
    /// Points of its input.
    points: Vec<f32>,
    /// Their products with a panel of the weights.
    products: Vec<f32>,
}

thread_local! {
    /// Kept from a thread's task to its next.
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { points: Vec::new(), products: Vec::new() })
    };
}

/// A run of tiles, all the way from input to output.
struct Task<'a, A, I, O, const WINDOW: usize, const POINTS: usize, const TILE: usize> {
    weights: &'a WinogradWeights,
    input: &'a I,
    output: O,
    tiles: Tiles,
    scratch: &'a mut Scratch,
    algorithm: PhantomData<A>,
}

impl<A, I, O, const WINDOW: usize, const POINTS: usize, const TILE: usize> Kernel
    for Task<'_, A, I, O, WINDOW, POINTS, TILE>
where
    A: Algorithm<WINDOW, POINTS, TILE>,
    I: Input<A, WINDOW, POINTS, TILE>,
    O: Output<A, WINDOW, POINTS, TILE>,
{
    type Output = ();

    #[inline(always)]
    fn run<S: Gemm>(self, simd: S) {
        let (count, inputs) = (self.tiles.count, self.weights.inputs);
        let layout = self.input.layout(count, inputs);
        let Scratch { points, products } = self.scratch;
        grow(points, POINTS * POINTS * layout.point);
        grow(
            products,
            POINTS * POINTS * Layout::by_tile(count, PANEL).point,
        );
        self.input.transform(simd, self.tiles, inputs, points);
        let mut scales = [[0.0; POINTS]; POINTS];
        let rounded = matches!(self.weights.matrices, Matrices::Pairs { .. });
        // Elements of 32 bits: half as many where they are pairs.
        let mut row = layout.tile;
        if rounded {
            assert_eq!(layout.channel, 1, "pairs are of adjacent channels");
            row = layout.tile / 2;
            for (point, scale) in scales.as_flattened_mut().iter_mut().enumerate() {
                let point = &mut points[point * layout.point..][..count * layout.tile];
                *scale = fixed::round_in_place(simd, point, inputs);
            }
        }
        for panel in 0..self.weights.panels() {
            let width = self.weights.panel_width(panel);
            let product_layout = Layout::by_tile(count, width);
            for point in 0..POINTS * POINTS {
                let (depth, matrix, columns) = self.weights.matrix(panel, point);
                let product = Product {
                    a: points[point * layout.point..].as_ptr(),
                    a_row: row,
                    a_depth: layout.channel,
                    a_segment: 0,
                    segments: 1,
                    depth,
                    b: matrix,
                    b_depth: width,
                    c: products[point * product_layout.point..].as_mut_ptr(),
                    c_row: product_layout.tile,
                    rows: count,
                    columns: width,
                    b_padded: true,
                    start: Start::Zero,
                    scale: columns.map(|columns| Scale {
                        all: scales.as_flattened()[point],
                        columns,
                    }),
                    relu: false,
                };
                // SAFETY: the scratch holds `count` tiles of `inputs` points
                // and of `width` products, the matrix `depth` rows of `width`
                // and as many scales.
                unsafe {
                    match rounded {
                        true => simd.product_of_pairs(product),
                        false => simd.product(product),
                    }
                }
            }
            self.output
                .put(simd, self.tiles, panel * PANEL, product_layout, products);
        }
    }
}

fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}
