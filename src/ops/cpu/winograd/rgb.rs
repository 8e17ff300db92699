//! Convolutions with large kernels from a picture's three channels and into
//! them.
//!
//! A kernel of 9x9 is 3x3 blocks of 3x3 taps. From a picture, each block sees
//! the picture moved by three more pixels: nine times three channels go into
//! one 3x3 convolution. Into a picture, each block is a 3x3 convolution into
//! three channels of its own: twenty-seven channels come out of one, which are
//! summed, each block's moved. Kernels of other sizes are filled up with zeros.

use super::algorithm::{Algorithm, Same};
use super::output::{untransform_columns, untransform_row};
use super::tiles::{Grid, Input, Layout, Lines, Output, Tiles};
use super::{
    Epilogue, Scratch, Source, Task, WinogradWeights, convolve_tiles, grow, input, tiles_in_cache,
};
use crate::ops::cpu::norm::Moments;
use crate::ops::cpu::pixels::PixelsMut;
use crate::ops::cpu::simd::{Simd, Vectors};
use crate::ops::cpu::{Kernel, LANES, Level, ROWS_TAKEN, SharedMut};
use crate::ops::{Size, Step};
use rayon::prelude::*;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

/// Channels of a picture.
const CHANNELS: usize = 3;
/// Side of a block of taps.
const BLOCK: usize = 3;
/// Pixels from a tile to the next.
const STEP: usize = 4;

/// The weights of a convolution from or into a picture.
#[derive(Clone, Debug)]
pub struct PictureWeights {
    weights: WinogradWeights,
    /// Blocks along a side of the kernel.
    blocks: usize,
}

impl PictureWeights {
    /// Packs the weights `weight(output, channel, row, column)` of a
    /// convolution from a picture; the kernel's side is at most 15.
    pub fn from_picture(
        outputs: usize,
        kernel: usize,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let blocks = kernel.div_ceil(BLOCK);
        let weights = WinogradWeights::new(
            Step::Same,
            outputs,
            CHANNELS * blocks * blocks,
            |output, input| {
                let (channel, down, across) = (
                    input / (blocks * blocks),
                    input / blocks % blocks,
                    input % blocks,
                );
                block(kernel, down, across, |y, x| weight(output, channel, y, x))
            },
        );
        PictureWeights { weights, blocks }
    }

    /// Packs the weights `weight(channel, input, row, column)` of a
    /// convolution into a picture; the kernel's side is at most 15.
    pub fn to_picture(
        inputs: usize,
        kernel: usize,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let blocks = kernel.div_ceil(BLOCK);
        let group = CHANNELS * blocks;
        assert!(group <= LANES);
        let weights = WinogradWeights::new(Step::Same, blocks * group, inputs, |output, input| {
            let (across, down, channel) =
                (output / group, output % group / CHANNELS, output % CHANNELS);
            block(kernel, down, across, |y, x| weight(channel, input, y, x))
        });
        PictureWeights { weights, blocks }
    }

    /// Pixels that a line must be longer than its result.
    pub fn border(&self) -> usize {
        BLOCK * self.blocks - 1
    }

    /// How [`to_sums`] lays out a result of `size`.
    pub fn sums(&self, size: Size) -> PictureSums {
        PictureSums {
            size,
            blocks: self.blocks,
        }
    }

    /// How many numbers that takes.
    pub fn sums_len(&self, size: Size) -> usize {
        let rows = size.height + BLOCK * (self.blocks - 1);
        (rows * self.blocks * CHANNELS).saturating_mul(size.width)
    }
}

/// A picture before its last sum: `[row][block][channel][width]`, where pixel
/// `x` of row `y` is the sum over blocks of `[y + 3 * block][block][channel][x]`.
#[derive(Clone, Copy, Debug)]
pub struct PictureSums {
    size: Size,
    blocks: usize,
}

impl PictureSums {
    /// Sums pixels of a row of a channel, from `column` on, into `out`.
    pub fn sum(
        &self,
        sums: &[f32],
        channel: usize,
        (row, column): (usize, usize),
        out: &mut [f32],
    ) {
        for block in 0..self.blocks {
            let at = ((row + BLOCK * block) * self.blocks + block) * CHANNELS + channel;
            let part = &sums[at * self.size.width + column..][..out.len()];
            match block {
                0 => out.copy_from_slice(part),
                _ => out.iter_mut().zip(part).for_each(|(out, x)| *out += x),
            }
        }
    }

    /// The moments of the pixels `columns` of each of `rows`, one row of
    /// channels for each of these rows.
    pub fn measure(
        &self,
        sums: &[f32],
        rows: Range<usize>,
        columns: Range<usize>,
        moments: &mut Vec<Moments>,
    ) {
        moments.clear();
        moments.resize(rows.len() * CHANNELS, Moments::default());
        let moments = moments.par_iter_mut().with_max_len(ROWS_TAKEN);
        moments.enumerate().for_each(|(i, moments)| {
            let (row, channel) = (rows.start + i / CHANNELS, i % CHANNELS);
            let mut pixels = [0.0; 256];
            for column in columns.clone().step_by(pixels.len()) {
                let count = pixels.len().min(columns.end - column);
                let pixels = &mut pixels[..count];
                self.sum(sums, channel, (row, column), pixels);
                moments.add(pixels);
            }
        });
    }
}

/// The taps of a block of a kernel; 0 beyond the kernel.
fn block(
    kernel: usize,
    down: usize,
    across: usize,
    tap: impl Fn(usize, usize) -> f32,
) -> [[f32; 3]; 3] {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let (y, x) = (down * BLOCK + i, across * BLOCK + j);
            if y < kernel && x < kernel {
                tap(y, x)
            } else {
                0.0
            }
        })
    })
}

/// A picture with its border, laid out so that the same pixels of adjacent
/// tiles are adjacent: `[channel][row][column % 4][column / 4]`.
pub struct PaddedPicture<'a> {
    data: &'a [f32],
    /// Padded rows.
    rows: usize,
    /// Padded columns.
    columns: usize,
    /// Numbers of a row that have one `column % 4`.
    phase: usize,
}

impl<'a> PaddedPicture<'a> {
    /// How many numbers one of so many rows and columns, its border included,
    /// holds.
    pub fn len(
        Size {
            width: columns,
            height: rows,
        }: Size,
    ) -> usize {
        let row = STEP.saturating_mul(Self::phase(columns));
        rows.saturating_mul(row).saturating_mul(CHANNELS)
    }

    /// How many numbers of a row have one `column % 4`.
    fn phase(columns: usize) -> usize {
        // Windows are read sixteen tiles at a time, to beyond the last one's end.
        columns.div_ceil(STEP) + 2 * LANES
    }

    /// Fills the start of `memory`, [`len`](Self::len) numbers, from three planes
    /// with rows of `width` pixels: position `(i, j)` is pixel `(rows[i],
    /// columns[j])`, as `x * factor + offset` with an offset for each plane.
    ///
    /// # Panics
    /// If a table leads out of the planes, or the memory does not suffice.
    pub fn fill(
        memory: &'a mut [f32],
        planes: &[f32],
        width: usize,
        (rows, columns): (&[i32], &[i32]),
        (factor, offsets): (f32, [f32; CHANNELS]),
    ) -> Self {
        let phase = Self::phase(columns.len());
        let row_len = STEP * phase;
        let plane_len = planes.len() / CHANNELS;
        let data = &mut memory[..Self::len(Size::new(columns.len(), rows.len()))];
        data.par_chunks_mut(row_len)
            .with_max_len(ROWS_TAKEN)
            .enumerate()
            .for_each(|(i, out)| {
                let (channel, row) = (i / rows.len(), rows[i % rows.len()] as usize);
                let plane = &planes[channel * plane_len..][..plane_len];
                let line = &plane[row * width..][..width];
                let offset = offsets[channel];
                for (i, out) in out.chunks_exact_mut(phase).enumerate() {
                    for (t, out) in out.iter_mut().enumerate() {
                        // Beyond the table as at its end, like all windows.
                        let column = columns[(t * STEP + i).min(columns.len() - 1)];
                        *out = line[column as usize] * factor + offset;
                    }
                }
            });
        PaddedPicture {
            data,
            rows: rows.len(),
            columns: columns.len(),
            phase,
        }
    }

    /// Where the columns `first..` of sixteen tiles start in a row of a plane.
    #[inline(always)]
    fn at(&self, channel: usize, row: usize, first: usize) -> usize {
        let row = channel * self.rows + row.min(self.rows - 1);
        (row * STEP + first % STEP) * self.phase + first / STEP
    }
}

/// Convolves a padded picture into `out`, `[height, width, outputs]`.
pub fn from_picture(
    level: Level,
    weights: &PictureWeights,
    picture: &PaddedPicture,
    epilogue: Epilogue,
    out: PixelsMut,
) {
    let padded = Size::new(picture.columns, picture.rows);
    let size = padded.map(|side| side - weights.border());
    let grid = Grid::new(size, STEP);
    let input = Blocks {
        picture,
        blocks: weights.blocks,
        grid,
    };
    convolve_tiles::<Same, _, 6, 6, 4>(level, &weights.weights, &input, (1, grid), epilogue, out);
}

/// The windows of a picture's tiles under every block of a kernel.
struct Blocks<'a> {
    picture: &'a PaddedPicture<'a>,
    blocks: usize,
    grid: Grid,
}

impl Input<Same, 6, 6, 4> for Blocks<'_> {
    fn layout(&self, tiles: usize, channels: usize) -> Layout {
        Layout::by_channel(tiles, channels)
    }

    #[inline(always)]
    fn transform<S: Simd>(&self, simd: S, tiles: Tiles, channels: usize, points: &mut [f32]) {
        self.transform_by(simd.narrow(), tiles, channels, points);
    }
}

impl Blocks<'_> {
    #[inline(always)]
    fn transform_by<S: Vectors>(&self, simd: S, tiles: Tiles, channels: usize, points: &mut [f32]) {
        let layout = Layout::by_channel(tiles.count, channels);
        assert!(points.len() >= 36 * layout.point);
        let mut done = 0;
        while done < tiles.count {
            // As many tiles of one row as a vector holds.
            let (_, row, column) = self.grid.position(tiles.first + done);
            let count = S::WIDTH
                .min(tiles.count - done)
                .min(self.grid.columns - column);
            for channel in 0..channels {
                let (plane, block) = (
                    channel / (self.blocks * self.blocks),
                    channel % (self.blocks * self.blocks),
                );
                let (top, left) = (
                    row * STEP + block / self.blocks * BLOCK,
                    column * STEP + block % self.blocks * BLOCK,
                );
                let mut half = Lines::new();
                let half = self.transform_columns(simd, plane, (top, left), &mut half);
                let start = channel * layout.channel + done;
                for i in 0..6 {
                    let mut line = [simd.splat(0.0); 6];
                    for j in 0..6 {
                        line[j] = half[j][i];
                    }
                    let line = Same::input(simd, line);
                    for j in 0..6 {
                        let at = (i * 6 + j) * layout.point + start;
                        // SAFETY: `count` tiles of a point that the layout
                        // has; there are 36, as checked.
                        unsafe {
                            simd.store_first(points.as_mut_ptr().add(at), line[j], count);
                        }
                    }
                }
            }
            done += count;
        }
    }

    /// Sets `half` to the windows of a vector of tiles, their columns transformed.
    #[inline(always)]
    fn transform_columns<'b, S: Vectors>(
        &self,
        simd: S,
        plane: usize,
        (top, left): (usize, usize),
        half: &'b mut Lines<S::V, 6, 6>,
    ) -> &'b [[S::V; 6]; 6] {
        for j in 0..6 {
            let mut line = [simd.splat(0.0); 6];
            for i in 0..6 {
                let at = self.picture.at(plane, top + i, left + j);
                let pixels = &self.picture.data[at..at + S::WIDTH];
                // SAFETY: a vector of pixels, as just sliced.
                line[i] = unsafe { simd.load(pixels.as_ptr()) };
            }
            half.set(j, Same::input(simd, line));
        }
        // SAFETY: all lines have been set.
        unsafe { half.all() }
    }
}

/// Convolves `source` into the three channels of a picture, but for the last
/// sum: see [`PictureSums`].
///
/// # Panics
/// If `sums` is not as long as [`PictureWeights::sums_len`] says.
pub fn to_sums(level: Level, weights: &PictureWeights, source: Source, sums: &mut [f32]) {
    let blocks = weights.blocks;
    source.check(weights.weights.inputs);
    assert_eq!(source.batch, 1);
    // The size of each block's convolution, before they are moved and summed.
    let size = Size::new(source.columns.len() - 2, source.rows.len() - 2);
    let width = size.width - BLOCK * (blocks - 1);
    let row_len = blocks * CHANNELS * width;
    assert_eq!(sums.len(), size.height * row_len);
    let grid = Grid::new(size, STEP);
    let input = input::Windows { source, grid };
    sums.par_chunks_mut(STEP * row_len)
        .with_max_len(1)
        .enumerate()
        .for_each(|(row, sums)| {
            let strip = Strip::new(&weights.weights, &grid);
            STRIP.with_borrow_mut(|memory| {
                grow(memory, strip.len());
                let run = tiles_in_cache(&weights.weights);
                for column in (0..grid.columns).step_by(run) {
                    super::SCRATCH.with_borrow_mut(|scratch: &mut Scratch| {
                        level.run(Task {
                            weights: &weights.weights,
                            input: &input,
                            output: StripOutput {
                                strip,
                                memory: SharedMut::new(memory),
                            },
                            tiles: Tiles {
                                first: row * grid.columns + column,
                                count: run.min(grid.columns - column),
                            },
                            scratch,
                            algorithm: PhantomData::<Same>,
                        });
                    });
                }
                level.run(SumAcross {
                    strip,
                    memory,
                    blocks,
                    width,
                    sums,
                });
            });
        });
}

thread_local! {
    /// The rows of a strip, kept from a thread's task to its next.
    static STRIP: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// One row of tiles: `[row][pixel][channel]`.
#[derive(Clone, Copy)]
struct Strip {
    columns: usize,
    /// Channels, padded to whole vectors.
    channels: usize,
}

impl Strip {
    fn new(weights: &WinogradWeights, grid: &Grid) -> Self {
        Strip {
            columns: grid.columns,
            channels: weights.outputs.next_multiple_of(LANES),
        }
    }

    /// Numbers of a row of pixels.
    fn row(&self) -> usize {
        self.columns * STEP * self.channels
    }

    /// With a vector beyond the end, for loads from the middle of a pixel.
    fn len(&self) -> usize {
        STEP * self.row() + LANES
    }
}

struct StripOutput<'a> {
    strip: Strip,
    memory: SharedMut<'a>,
}

impl Output<Same, 6, 6, 4> for StripOutput<'_> {
    #[inline(always)]
    fn put<S: Simd>(
        &self,
        simd: S,
        tiles: Tiles,
        channel: usize,
        layout: Layout,
        products: &[f32],
    ) {
        self.put_by(simd.narrow(), tiles, channel, layout, products);
    }
}

impl StripOutput<'_> {
    #[inline(always)]
    fn put_by<S: Vectors>(
        &self,
        simd: S,
        tiles: Tiles,
        channel: usize,
        layout: Layout,
        products: &[f32],
    ) {
        let Strip { columns, channels } = self.strip;
        for tile in 0..tiles.count {
            let left = (tiles.first + tile) % columns * STEP;
            for block in (0..layout.tile).step_by(S::WIDTH) {
                let products = &products[tile * layout.tile + block..];
                let mut half = Lines::new();
                let half = untransform_columns::<S, Same, 6, 6, 4>(
                    simd,
                    products,
                    layout.point,
                    &mut half,
                );
                for i in 0..STEP {
                    let line = untransform_row::<S, Same, 6, 6, 4>(simd, half, i);
                    let start = i * self.strip.row() + left * channels + channel + block;
                    for j in 0..STEP {
                        let at = start + j * channels;
                        debug_assert!(at + S::WIDTH <= self.strip.len());
                        // SAFETY: a vector of channels of a pixel of the
                        // strip, which is this task's alone.
                        unsafe { simd.store(self.memory.at(at), line[j]) };
                    }
                }
            }
        }
    }
}

/// Sums the blocks side by side: rows of `sums` are rows of the strip.
struct SumAcross<'a> {
    strip: Strip,
    memory: &'a [f32],
    blocks: usize,
    width: usize,
    sums: &'a mut [f32],
}

impl Kernel for SumAcross<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (blocks, width, channels) = (self.blocks, self.width, self.strip.channels);
        let group = blocks * CHANNELS;
        for (i, out) in self.sums.chunks_exact_mut(group * width).enumerate() {
            let row = &self.memory[i * self.strip.row()..];
            for left in (0..width).step_by(LANES) {
                let count = LANES.min(width - left);
                // Pixel by pixel, then turned to channel by channel.
                let mut pixels = [[0f32; LANES]; LANES];
                for (j, pixel) in pixels.iter_mut().enumerate().take(count) {
                    let mut sum = simd.splat(0.0);
                    for block in 0..blocks {
                        let at = (left + j + BLOCK * block) * channels + block * group;
                        let lanes = &row[at..at + LANES];
                        // SAFETY: a vector, as just sliced.
                        sum = simd.add(sum, unsafe { simd.load(lanes.as_ptr()) });
                    }
                    // SAFETY: the pixel is one vector.
                    unsafe { simd.store(pixel.as_mut_ptr(), sum) };
                }
                for lane in 0..group {
                    let out = &mut out[lane * width + left..][..count];
                    for (j, out) in out.iter_mut().enumerate() {
                        *out = pixels[j][lane];
                    }
                }
            }
        }
    }
}
