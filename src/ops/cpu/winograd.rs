//! 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): a quarter of the
//! multiplications (Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks", 2015).
//!
//! The output is cut into tiles of 4x4 pixels. Each tile's 6x6 input becomes
//! 36 numbers a channel, each of which meets its own matrix of weights; the 36
//! results become the 16 output pixels.

use super::gemm::{Product, Start};
use super::pack::Panels;
use super::simd::Simd;
use super::{Kernel, LANES, Level, SharedMut};
use rayon::prelude::*;
use std::cell::RefCell;

/// Output pixels along a tile's side.
const TILE: usize = 4;
/// Input pixels along a tile's side.
const WINDOW: usize = TILE + 2;
/// Products a tile.
const POINTS: usize = WINDOW * WINDOW;

/// The kernels of a convolution, transformed and packed.
#[derive(Clone, Debug)]
pub struct Weights {
    points: Vec<Panels>,
    inputs: usize,
    outputs: usize,
}

impl Weights {
    /// Transforms `outputs * inputs` kernels; `kernel(output, input)` gives one
    /// as rows.
    pub fn new(
        outputs: usize,
        inputs: usize,
        kernel: impl Fn(usize, usize) -> [[f32; 3]; 3] + Sync,
    ) -> Self {
        let transformed: Vec<[[f32; WINDOW]; WINDOW]> = (0..inputs * outputs)
            .into_par_iter()
            .map(|i| transform_kernel(kernel(i % outputs, i / outputs)))
            .collect();
        let points = (0..POINTS)
            .into_par_iter()
            .map(|point| {
                let (row, column) = (point / WINDOW, point % WINDOW);
                Panels::pack(inputs, outputs, |input, output| {
                    transformed[input * outputs + output][row][column]
                })
            })
            .collect();
        Weights {
            points,
            inputs,
            outputs,
        }
    }

    /// Number of output channels.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// `G k G^T`
fn transform_kernel(kernel: [[f32; 3]; 3]) -> [[f32; WINDOW]; WINDOW] {
    let line = |[a, b, c]: [f32; 3]| {
        let (even, odd) = (a / 24.0 + c / 6.0, b / 12.0);
        [
            a / 4.0,
            -(a + b + c) / 6.0,
            -(a - b + c) / 6.0,
            even + odd,
            even - odd,
            c,
        ]
    };
    let rows = kernel.map(line);
    let mut result = [[0.0; WINDOW]; WINDOW];
    for column in 0..WINDOW {
        let transformed = line([rows[0][column], rows[1][column], rows[2][column]]);
        for row in 0..WINDOW {
            result[row][column] = transformed[row];
        }
    }
    result
}

/// A batch of images `[n, height, width, channels]` seen through a border:
/// position `(i, j)` of the padded image is source pixel
/// `(rows[i], columns[j])`, or zero where either is negative.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The pixels.
    pub data: &'a [f32],
    /// Images in the batch.
    pub batch: usize,
    /// Rows of an image.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Source row of each padded row.
    pub rows: &'a [i32],
    /// Source column of each padded column.
    pub columns: &'a [i32],
    /// What becomes of the pixels on the way in.
    pub entrance: Entrance<'a>,
}

/// An operation done on pixels while they are loaded.
#[derive(Clone, Copy)]
pub enum Entrance<'a> {
    /// None.
    Plain,
    /// Elements count as 0 where this slice, of the pixels' shape, is not
    /// above 0: the gradient of ReLU.
    Gate(&'a [f32]),
    /// Each channel becomes `x * factor + offset`, then cut below 0: a
    /// normalisation and ReLU. For a batch of one image and without zeros
    /// around it.
    Normalise {
        /// A number a channel.
        factor: &'a [f32],
        /// A number a channel.
        offset: &'a [f32],
    },
}

impl Source<'_> {
    fn check(&self, channels: usize) {
        let inside = |table: &[i32], len: usize| table.iter().all(|&i| i < len as i32);
        assert!(inside(self.rows, self.height) && inside(self.columns, self.width));
        assert_eq!(
            self.data.len(),
            self.batch * self.height * self.width * channels
        );
        match self.entrance {
            Entrance::Plain => {}
            Entrance::Gate(gate) => assert_eq!(gate.len(), self.data.len()),
            Entrance::Normalise { factor, offset } => {
                assert!(factor.len() == channels && offset.len() == channels);
                assert!(self.batch == 1);
            }
        }
    }
}

/// Convolves `source` into `out`, `[n, rows - 2, columns - 2, outputs]`, adding
/// `bias` (padded to whole vectors) and cutting below 0 if `relu`.
pub fn convolve(
    level: Level,
    weights: &Weights,
    source: Source,
    bias: Option<&[f32]>,
    relu: bool,
    out: &mut [f32],
) {
    let (height, width) = (source.rows.len() - 2, source.columns.len() - 2);
    source.check(weights.inputs);
    assert_eq!(out.len(), source.batch * height * width * weights.outputs);
    assert!(bias.is_none_or(|bias| bias.len() >= weights.outputs.next_multiple_of(LANES)));

    let grid = (height.div_ceil(TILE), width.div_ceil(TILE));
    let tiles = source.batch * grid.0 * grid.1;
    let task_tiles = tiles_per_task(tiles, weights);
    let out = SharedMut::new(out);
    (0..tiles.div_ceil(task_tiles))
        .into_par_iter()
        .for_each(|task| {
            let first = task * task_tiles;
            SCRATCH.with_borrow_mut(|scratch| {
                level.run(Task {
                    weights,
                    source,
                    bias,
                    relu,
                    out,
                    size: (height, width),
                    grid,
                    first,
                    count: task_tiles.min(tiles - first),
                    scratch,
                })
            });
        });
}

/// As many tiles as keep the transformed input in the cache, but weights are
/// read once a task, so not too few; and every thread the same number of tasks.
fn tiles_per_task(tiles: usize, weights: &Weights) -> usize {
    const CACHE_BYTES: usize = 1 << 20;
    let tile_bytes = POINTS * size_of::<f32>() * (weights.inputs + weights.outputs);
    let fitting = (CACHE_BYTES / tile_bytes).clamp(48, 128);
    let tasks = tiles
        .div_ceil(fitting)
        .next_multiple_of(rayon::current_num_threads());
    tiles.div_ceil(tasks)
}

/// A run of tiles, all the way from input to output.
struct Task<'a> {
    weights: &'a Weights,
    source: Source<'a>,
    bias: Option<&'a [f32]>,
    relu: bool,
    out: SharedMut<'a>,
    /// Height and width of the output.
    size: (usize, usize),
    /// Tiles down and across an image.
    grid: (usize, usize),
    first: usize,
    count: usize,
    scratch: &'a mut Scratch,
}

/// Transformed input and products of a task.
type Scratch = (Vec<f32>, Vec<f32>);

thread_local! {
    /// Kept from a thread's task to its next.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let inputs_len = self.count * self.weights.inputs.next_multiple_of(LANES);
        let products_len = self.count * self.weights.outputs.next_multiple_of(LANES);
        // Taken out, so that the loops below borrow it apart from the rest.
        let (mut inputs, mut products) = std::mem::take(self.scratch);
        grow(&mut inputs, POINTS * inputs_len);
        grow(&mut products, POINTS * products_len);
        for tile in 0..self.count {
            self.transform_input(simd, tile, &mut inputs);
        }
        for point in 0..POINTS {
            self.multiply(
                simd,
                &self.weights.points[point],
                &inputs[point * inputs_len..][..inputs_len],
                &mut products[point * products_len..][..products_len],
            );
        }
        for tile in 0..self.count {
            self.transform_output(simd, tile, &products);
        }
        *self.scratch = (inputs, products);
    }
}

fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

impl Task<'_> {
    /// Image, row and column of the tile.
    #[inline(always)]
    fn position(&self, tile: usize) -> (usize, usize, usize) {
        let (tile, across) = (self.first + tile, self.grid.1);
        let row = tile / across;
        (row / self.grid.0, row % self.grid.0, tile % across)
    }

    /// `B^T d B` of one tile, to `inputs[point][tile][channel]`.
    #[inline(always)]
    fn transform_input<S: Simd>(&self, simd: S, tile: usize, inputs: &mut [f32]) {
        let channels = self.weights.inputs;
        let (image, tile_row, tile_column) = self.position(tile);
        let row_len = self.source.width * channels;
        let base = image * self.source.height * row_len;
        // Beyond the table, where only outputs beyond the image look, the last
        // pixel stands in: flat images stay flat to the last bit.
        let offset = |table: &[i32], i: usize, unit: usize| match table[i.min(table.len() - 1)] {
            at if at >= 0 => at as isize * unit as isize,
            _ => -1,
        };
        let rows: [isize; WINDOW] =
            std::array::from_fn(|i| offset(self.source.rows, tile_row * TILE + i, row_len));
        let columns: [isize; WINDOW] =
            std::array::from_fn(|j| offset(self.source.columns, tile_column * TILE + j, channels));
        let stride = self.count * channels.next_multiple_of(LANES);
        let tile_start = tile * channels.next_multiple_of(LANES);
        for channel in (0..channels).step_by(LANES) {
            let lanes = LANES.min(channels - channel);
            let pixel = Pixel::new(simd, &self.source, channel, lanes);
            let mut half = [[simd.splat(0.0); WINDOW]; WINDOW];
            for j in 0..WINDOW {
                let mut line = [simd.splat(0.0); WINDOW];
                for i in 0..WINDOW {
                    if rows[i] >= 0 && columns[j] >= 0 {
                        let at = base + (rows[i] + columns[j]) as usize;
                        // SAFETY: `at` is a pixel: `convolve` has checked the
                        // tables and the slices' lengths.
                        line[i] = unsafe { pixel.load(simd, at) };
                    }
                }
                half[j] = input_line(simd, line);
            }
            for i in 0..WINDOW {
                let line = [
                    half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i],
                ];
                let line = input_line(simd, line);
                for j in 0..WINDOW {
                    let at = (i * WINDOW + j) * stride + tile_start + channel;
                    debug_assert!(at + LANES <= inputs.len());
                    // SAFETY: within the buffer: 36 points of `count` rows of
                    // channels padded to whole vectors.
                    unsafe { simd.store(inputs.as_mut_ptr().add(at), line[j]) };
                }
            }
        }
    }

    /// One point of all tiles: `[count, inputs] * [inputs, outputs]`.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, weights: &Panels, inputs: &[f32], products: &mut [f32]) {
        let row = self.weights.outputs.next_multiple_of(LANES);
        for panel in 0..weights.count() {
            let (first, _, width, data) = weights.panel(panel);
            let product = Product {
                a: inputs.as_ptr(),
                a_row: self.weights.inputs.next_multiple_of(LANES),
                a_depth: 1,
                a_segment: 0,
                segments: 1,
                depth: self.weights.inputs,
                b: data.as_ptr(),
                b_depth: width,
                c: products[first..].as_mut_ptr(),
                c_row: row,
                rows: self.count,
                columns: width,
                b_padded: true,
                start: Start::Zero,
                relu: false,
            };
            // SAFETY: `inputs` and `products` hold `count` padded rows, and
            // the panel `depth` rows of `width`.
            unsafe { simd.product(product) };
        }
    }

    /// `A^T m A` of one tile, to the output's pixels.
    #[inline(always)]
    fn transform_output<S: Simd>(&self, simd: S, tile: usize, products: &[f32]) {
        let channels = self.weights.outputs;
        let (image, tile_row, tile_column) = self.position(tile);
        let (height, width) = self.size;
        let (top, left) = (tile_row * TILE, tile_column * TILE);
        let (rows, columns) = (TILE.min(height - top), TILE.min(width - left));
        let stride = self.count * channels.next_multiple_of(LANES);
        let tile_start = tile * channels.next_multiple_of(LANES);
        for channel in (0..channels).step_by(LANES) {
            let lanes = LANES.min(channels - channel);
            let mut half = [[simd.splat(0.0); TILE]; WINDOW];
            for j in 0..WINDOW {
                let mut line = [simd.splat(0.0); WINDOW];
                for i in 0..WINDOW {
                    let at = (i * WINDOW + j) * stride + tile_start + channel;
                    debug_assert!(at + LANES <= products.len());
                    // SAFETY: within the buffer, as in `transform_input`.
                    line[i] = unsafe { simd.load(products.as_ptr().add(at)) };
                }
                half[j] = output_line(simd, line);
            }
            let bias = match self.bias {
                // SAFETY: `convolve` has checked that the bias is padded.
                Some(bias) => unsafe { simd.load(bias.as_ptr().add(channel)) },
                None => simd.splat(0.0),
            };
            for i in 0..rows {
                let line = [
                    half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i],
                ];
                let line = output_line(simd, line);
                let start = ((image * height + top + i) * width + left) * channels + channel;
                for j in 0..columns {
                    let mut y = simd.add(line[j], bias);
                    if self.relu {
                        y = simd.max(y, simd.splat(0.0));
                    }
                    // SAFETY: a pixel of this tile, which is this task's alone.
                    unsafe { simd.store_first(self.out.at(start + j * channels), y, lanes) };
                }
            }
        }
    }
}

/// Loads some channels of pixels.
struct Pixel<S: Simd> {
    data: *const f32,
    lanes: usize,
    entrance: LoadedEntrance<S>,
}

/// An [`Entrance`], ready for some channels.
enum LoadedEntrance<S: Simd> {
    Plain,
    Gate(*const f32),
    Normalise { factor: S::V, offset: S::V },
}

impl<S: Simd> Pixel<S> {
    #[inline(always)]
    fn new(simd: S, source: &Source, channel: usize, lanes: usize) -> Self {
        Pixel {
            data: source.data[channel..].as_ptr(),
            lanes,
            entrance: match source.entrance {
                Entrance::Plain => LoadedEntrance::Plain,
                Entrance::Gate(gate) => LoadedEntrance::Gate(gate[channel..].as_ptr()),
                Entrance::Normalise { factor, offset } => {
                    let (factor, offset) = (&factor[channel..], &offset[channel..]);
                    assert!(factor.len() >= lanes && offset.len() >= lanes);
                    // SAFETY: both have that many numbers.
                    unsafe {
                        LoadedEntrance::Normalise {
                            factor: simd.load_first(factor.as_ptr(), lanes),
                            offset: simd.load_first(offset.as_ptr(), lanes),
                        }
                    }
                }
            },
        }
    }

    /// # Safety
    /// `at` must be where a pixel starts in the source.
    #[inline(always)]
    unsafe fn load(&self, simd: S, at: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe {
            let x = simd.load_first(self.data.add(at), self.lanes);
            match self.entrance {
                LoadedEntrance::Plain => x,
                LoadedEntrance::Gate(gate) => {
                    simd.gate(x, simd.load_first(gate.add(at), self.lanes))
                }
                LoadedEntrance::Normalise { factor, offset } => {
                    simd.max(simd.fma(x, factor, offset), simd.splat(0.0))
                }
            }
        }
    }
}

/// A line of `B^T d`. Of equal numbers, all but one of the results are exactly
/// 0 at every level, so that flat images stay flat.
#[inline(always)]
fn input_line<S: Simd>(simd: S, d: [S::V; WINDOW]) -> [S::V; WINDOW] {
    let four = simd.splat(4.0);
    let minus_four = simd.splat(-4.0);
    let a = simd.fma(minus_four, d[2], d[4]);
    let b = simd.fma(minus_four, d[1], d[3]);
    let c = simd.sub(d[4], d[2]);
    let e = simd.mul(simd.splat(2.0), simd.sub(d[3], d[1]));
    [
        simd.fma(four, simd.sub(d[0], d[2]), c),
        simd.add(a, b),
        simd.sub(a, b),
        simd.add(c, e),
        simd.sub(c, e),
        simd.fma(four, simd.sub(d[1], d[3]), simd.sub(d[5], d[3])),
    ]
}

/// A line of `A^T m`.
#[inline(always)]
fn output_line<S: Simd>(simd: S, m: [S::V; WINDOW]) -> [S::V; TILE] {
    let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    let (sum_2, difference_2) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
    [
        simd.add(simd.add(m[0], sum), sum_2),
        simd.fma(simd.splat(2.0), difference_2, difference),
        simd.fma(simd.splat(4.0), sum_2, sum),
        simd.add(simd.fma(simd.splat(8.0), difference_2, difference), m[5]),
    ]
}
