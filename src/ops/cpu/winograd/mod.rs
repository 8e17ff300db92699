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
mod picture;

pub use input::{Prologue, Source};
pub use output::Epilogue;
pub use picture::{PaddedPicture, PictureSums, PictureWeights, from_picture, to_sums};

use super::gemm::{Product, Scale, Start};
use super::simd::Simd;
use super::{Kernel, LANES, Level};
use crate::ops::Step;
use algorithm::{Algorithm, Same, Strided, Upsampled};
use rayon::prelude::*;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

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
pub struct Weights {
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

impl Weights {
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
        Weights {
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
) -> Weights
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
    Weights {
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
    weights: &Weights,
    source: Source,
    epilogue: Epilogue,
    out: &mut [f32],
) {
    with_algorithm!(
        weights.step,
        convolve_by(level, weights, source, epilogue, out)
    );
}

fn convolve_by<A, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
    level: Level,
    weights: &Weights,
    source: Source,
    epilogue: Epilogue,
    out: &mut [f32],
) where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    source.check(weights.inputs);
    let size = (
        output_len(weights.step, source.rows.len()),
        output_len(weights.step, source.columns.len()),
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
    weights: &Weights,
    input: &I,
    (batch, grid): (usize, Grid),
    mut epilogue: Epilogue,
    out: &mut [f32],
) where
    A: Algorithm<WINDOW, POINTS, TILE>,
    I: Input<A, WINDOW, POINTS, TILE>,
{
    let tiles = batch * grid.tiles();
    // As few as give many threads work. The number of threads itself has no
    // say: it would decide in which order moments are summed, and so the last
    // bits.
    const LEAST_TASKS: usize = 16;
    let per_task = tiles_in_cache(weights).min(tiles.div_ceil(LEAST_TASKS));
    let tasks = tiles.div_ceil(per_task);
    epilogue.check(weights.outputs, tasks);
    let image = output::Image::new(weights.outputs, (batch, grid), &mut epilogue, out);
    (0..tasks).into_par_iter().for_each(|task| {
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
fn tiles_in_cache(weights: &Weights) -> usize {
    const CACHE_BYTES: usize = 640 << 10;
    /// Rows that the products' kernels like best.
    const ROWS: usize = 14;
    let tile_bytes = weights.points * size_of::<f32>() * (weights.inputs + PANEL);
    (CACHE_BYTES / tile_bytes / ROWS * ROWS).clamp(ROWS, 8 * ROWS)
}

/// How an image is cut into tiles.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Height and width of the image.
    size: (usize, usize),
    /// Tiles down.
    rows: usize,
    /// Tiles across.
    columns: usize,
}

impl Grid {
    fn new(size: (usize, usize), tile: usize) -> Self {
        Grid {
            size,
            rows: size.0.div_ceil(tile),
            columns: size.1.div_ceil(tile),
        }
    }

    fn tiles(&self) -> usize {
        self.rows * self.columns
    }

    /// Image, row and column of a tile of a batch.
    #[inline(always)]
    fn position(&self, tile: usize) -> (usize, usize, usize) {
        let row = tile / self.columns;
        (row / self.rows, row % self.rows, tile % self.columns)
    }
}

/// Tiles that follow one another in a batch.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    first: usize,
    count: usize,
}

/// How the points of a run of tiles lie in memory.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// From a point to the next.
    point: usize,
    /// From a tile to the next.
    tile: usize,
    /// From a channel to the next.
    channel: usize,
}

/// Numbers between the points of a run beside the points themselves: points a
/// multiple of 4096 bytes apart would share the same few lines of the cache.
const POINT_GAP: usize = LANES;

impl Layout {
    /// Tile by tile, channels padded to whole vectors.
    fn by_tile(tiles: usize, channels: usize) -> Self {
        let tile = channels.next_multiple_of(LANES);
        Layout {
            point: tiles * tile + POINT_GAP,
            tile,
            channel: 1,
        }
    }

    /// Channel by channel, tiles padded to whole vectors.
    fn by_channel(tiles: usize, channels: usize) -> Self {
        let channel = tiles.next_multiple_of(LANES);
        Layout {
            point: channels * channel + POINT_GAP,
            tile: 1,
            channel,
        }
    }
}

/// Where the points of tiles come from.
trait Input<A, const WINDOW: usize, const POINTS: usize, const TILE: usize>: Sync
where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    /// How it lays out the points of so many tiles and channels.
    fn layout(&self, tiles: usize, channels: usize) -> Layout;

    /// Writes the points of `tiles`, laid out like that.
    fn transform<S: Simd>(&self, simd: S, tiles: Tiles, channels: usize, points: &mut [f32]);
}

/// Where the products of tiles go.
trait Output<A, const WINDOW: usize, const POINTS: usize, const TILE: usize>
where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    /// Takes the products of `tiles` and of the output channels from
    /// `channel` on, laid out by tile.
    fn put<S: Simd>(&self, simd: S, tiles: Tiles, channel: usize, layout: Layout, products: &[f32]);
}

/// `COUNT` lines of `LEN` vectors on the stack, without zeros written first:
/// that alone would take a tenth of the time.
struct Lines<V, const LEN: usize, const COUNT: usize>(MaybeUninit<[[V; LEN]; COUNT]>);

impl<V: Copy, const LEN: usize, const COUNT: usize> Lines<V, LEN, COUNT> {
    #[inline(always)]
    fn new() -> Self {
        Lines(MaybeUninit::uninit())
    }

    #[inline(always)]
    fn set(&mut self, i: usize, line: [V; LEN]) {
        assert!(i < COUNT);
        // SAFETY: one of the lines.
        unsafe { self.0.as_mut_ptr().cast::<[V; LEN]>().add(i).write(line) };
    }

    /// # Safety
    /// All lines must have been set.
    #[inline(always)]
    unsafe fn all(&self) -> &[[V; LEN]; COUNT] {
        // SAFETY: the caller's.
        unsafe { self.0.assume_init_ref() }
    }
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
    weights: &'a Weights,
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
    fn run<S: Simd>(self, simd: S) {
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
