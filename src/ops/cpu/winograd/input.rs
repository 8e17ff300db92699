//! From the pixels of images to the points of tiles.

use super::{Algorithm, Grid, Input, Layout, Lines, Tiles};
use crate::ops::cpu::LANES;
use crate::ops::cpu::simd::Simd;

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
    pub(super) fn check(&self, channels: usize) {
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

/// The windows of a source's tiles.
pub struct Windows<'a> {
    pub source: Source<'a>,
    pub grid: Grid,
}

impl<A, const WINDOW: usize, const POINTS: usize, const TILE: usize> Input<A, WINDOW, POINTS, TILE>
    for Windows<'_>
where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    fn layout(&self, tiles: usize, channels: usize) -> Layout {
        Layout::by_tile(tiles, channels)
    }

    #[inline(always)]
    fn transform<S: Simd>(&self, simd: S, tiles: Tiles, channels: usize, points: &mut [f32]) {
        let source = &self.source;
        for channel in (0..channels).step_by(LANES) {
            let lanes = LANES.min(channels - channel);
            let pixels = source.data[channel..].as_ptr();
            let run = Run {
                windows: self,
                tiles,
                channels,
                channel,
            };
            match source.entrance {
                Entrance::Plain => {
                    let load = Plain { pixels, lanes };
                    run.transform::<S, A, _, WINDOW, POINTS, TILE>(simd, load, points);
                }
                Entrance::Gate(gate) => {
                    let load = Gate {
                        pixels,
                        gate: gate[channel..].as_ptr(),
                        lanes,
                    };
                    run.transform::<S, A, _, WINDOW, POINTS, TILE>(simd, load, points);
                }
                Entrance::Normalise { factor, offset } => {
                    let (factor, offset) = (&factor[channel..], &offset[channel..]);
                    assert!(factor.len() >= lanes && offset.len() >= lanes);
                    // SAFETY: both have that many numbers, as just checked.
                    let load = unsafe {
                        Normalise::<S> {
                            pixels,
                            factor: simd.load_first(factor.as_ptr(), lanes),
                            offset: simd.load_first(offset.as_ptr(), lanes),
                            lanes,
                        }
                    };
                    run.transform::<S, A, _, WINDOW, POINTS, TILE>(simd, load, points);
                }
            }
        }
    }
}

/// A vector of channels of a run of tiles.
struct Run<'a> {
    windows: &'a Windows<'a>,
    tiles: Tiles,
    channels: usize,
    /// First of the vector.
    channel: usize,
}

impl Run<'_> {
    #[inline(always)]
    fn transform<S, A, L, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
        &self,
        simd: S,
        load: L,
        points: &mut [f32],
    ) where
        S: Simd,
        A: Algorithm<WINDOW, POINTS, TILE>,
        L: Load<S>,
    {
        let Windows { source, grid } = self.windows;
        let row_len = source.width * self.channels;
        let layout = Layout::by_tile(self.tiles.count, self.channels);
        for tile in 0..self.tiles.count {
            let (image, row, column) = grid.position(self.tiles.first + tile);
            let rows = offsets::<WINDOW>(source.rows, row * A::STEP, row_len);
            let columns = offsets::<WINDOW>(source.columns, column * A::STEP, self.channels);
            let base = image * source.height * row_len;
            // Columns first: each is read once.
            let mut half = Lines::<S::V, POINTS, WINDOW>::new();
            for j in 0..WINDOW {
                let mut line = [simd.splat(0.0); WINDOW];
                for i in 0..WINDOW {
                    if rows[i] >= 0 && columns[j] >= 0 {
                        let at = base + (rows[i] + columns[j]) as usize;
                        // SAFETY: `at` is a pixel: `Source::check` has compared
                        // the tables and the slices' lengths.
                        line[i] = unsafe { load.pixel(simd, at) };
                    }
                }
                half.set(j, A::input(simd, line));
            }
            // SAFETY: all lines have been set.
            let half = unsafe { half.all() };
            let start = tile * layout.tile + self.channel;
            assert!(start + (POINTS * POINTS - 1) * layout.point + LANES <= points.len());
            for i in 0..POINTS {
                let mut line = [simd.splat(0.0); WINDOW];
                for j in 0..WINDOW {
                    line[j] = half[j][i];
                }
                let line = A::input(simd, line);
                for j in 0..POINTS {
                    let at = start + (i * POINTS + j) * layout.point;
                    // SAFETY: within the points, as just checked.
                    unsafe { simd.store(points.as_mut_ptr().add(at), line[j]) };
                }
            }
        }
    }
}

/// Where in the data the coordinates `first..` of a table lie, or -1 for
/// zeros. Beyond the table, where only outputs beyond the image look, the last
/// coordinate stands in: flat images stay flat to the last bit.
#[inline(always)]
fn offsets<const WINDOW: usize>(table: &[i32], first: usize, unit: usize) -> [isize; WINDOW] {
    let mut offsets = [0; WINDOW];
    for i in 0..WINDOW {
        let at = table[(first + i).min(table.len() - 1)];
        offsets[i] = if at < 0 {
            -1
        } else {
            at as isize * unit as isize
        };
    }
    offsets
}

/// An [`Entrance`], ready for a vector of channels.
trait Load<S: Simd>: Copy {
    /// # Safety
    /// `at` must be where a pixel starts in the source.
    unsafe fn pixel(self, simd: S, at: usize) -> S::V;
}

#[derive(Clone, Copy)]
struct Plain {
    pixels: *const f32,
    lanes: usize,
}

impl<S: Simd> Load<S> for Plain {
    #[inline(always)]
    unsafe fn pixel(self, simd: S, at: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe { simd.load_first(self.pixels.add(at), self.lanes) }
    }
}

#[derive(Clone, Copy)]
struct Gate {
    pixels: *const f32,
    gate: *const f32,
    lanes: usize,
}

impl<S: Simd> Load<S> for Gate {
    #[inline(always)]
    unsafe fn pixel(self, simd: S, at: usize) -> S::V {
        // SAFETY: the caller's; the gate is as long as the pixels.
        unsafe {
            let x = simd.load_first(self.pixels.add(at), self.lanes);
            simd.gate(x, simd.load_first(self.gate.add(at), self.lanes))
        }
    }
}

#[derive(Clone, Copy)]
struct Normalise<S: Simd> {
    pixels: *const f32,
    factor: S::V,
    offset: S::V,
    lanes: usize,
}

impl<S: Simd> Load<S> for Normalise<S> {
    #[inline(always)]
    unsafe fn pixel(self, simd: S, at: usize) -> S::V {
        // SAFETY: the caller's.
        let x = unsafe { simd.load_first(self.pixels.add(at), self.lanes) };
        simd.max(simd.fma(x, self.factor, self.offset), simd.splat(0.0))
    }
}
