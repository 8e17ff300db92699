//! From the pixels of images to the points of tiles.

use super::algorithm::Algorithm;
use super::tiles::{Grid, Input, Layout, Lines, Tiles};
use crate::ops::cpu::pixels::{Element, Pixels};
use crate::ops::cpu::simd::{Simd, Vectors};

/// A batch of images `[n, height, width, channels]` seen through a border:
/// position `(i, j)` of the padded image is source pixel
/// `(rows[i], columns[j])`, or zero where either is negative.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The pixels; 16-bit floats only to be normalised.
    pub data: Pixels<'a>,
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
    /// The operation on the pixels on their way in.
    pub prologue: Prologue<'a>,
}

/// An operation done on pixels while they are loaded.
#[derive(Clone, Copy)]
pub enum Prologue<'a> {
    /// None.
    None,
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
        let floats = matches!(self.data, Pixels::Floats(_));
        match self.prologue {
            Prologue::None => assert!(floats),
            Prologue::Gate(gate) => assert!(floats && gate.len() == self.data.len()),
            Prologue::Normalise { factor, offset } => {
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
        let simd = simd.narrow();
        match (self.source.data, self.source.prologue) {
            (Pixels::Floats(data), Prologue::None) => {
                let by = (data, Plain);
                self.transform_by::<_, A, _, _, WINDOW, POINTS, TILE>(
                    simd, by, tiles, channels, points,
                );
            }
            (Pixels::Floats(data), Prologue::Gate(gate)) => {
                let by = (data, Gate(gate));
                self.transform_by::<_, A, _, _, WINDOW, POINTS, TILE>(
                    simd, by, tiles, channels, points,
                );
            }
            (Pixels::Floats(data), Prologue::Normalise { factor, offset }) => {
                let by = (data, Normalise { factor, offset });
                self.transform_by::<_, A, _, _, WINDOW, POINTS, TILE>(
                    simd, by, tiles, channels, points,
                );
            }
            (Pixels::Halves(data), Prologue::Normalise { factor, offset }) => {
                let by = (data, Normalise { factor, offset });
                self.transform_by::<_, A, _, _, WINDOW, POINTS, TILE>(
                    simd, by, tiles, channels, points,
                );
            }
            // `Source::check` has found this.
            (Pixels::Halves(_), Prologue::None | Prologue::Gate(_)) => {}
        }
    }
}

impl Windows<'_> {
    #[inline(always)]
    fn transform_by<S, A, T, E, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
        &self,
        simd: S,
        (data, enter): (&[T], E),
        tiles: Tiles,
        channels: usize,
        points: &mut [f32],
    ) where
        S: Vectors,
        A: Algorithm<WINDOW, POINTS, TILE>,
        T: Element,
        E: Enter<S>,
    {
        let Windows { source, grid } = self;
        let row_len = source.width * channels;
        let layout = Layout::by_tile(tiles.count, channels);
        for tile in 0..tiles.count {
            let (image, row, column) = grid.position(tiles.first + tile);
            let rows = offsets::<WINDOW>(source.rows, row * A::STEP, row_len);
            let columns = offsets::<WINDOW>(source.columns, column * A::STEP, channels);
            let base = image * source.height * row_len;
            // Zeros beyond the last channel, up to a whole vector of sixteen.
            for channel in (0..layout.tile).step_by(S::WIDTH) {
                let lanes = S::WIDTH.min(channels.saturating_sub(channel));
                let enter = enter.at(simd, channel, lanes);
                // Columns first: each is read once.
                let mut half = Lines::<S::V, POINTS, WINDOW>::new();
                for j in 0..WINDOW {
                    let mut line = [simd.splat(0.0); WINDOW];
                    for i in 0..WINDOW {
                        if rows[i] >= 0 && columns[j] >= 0 {
                            let at = base + (rows[i] + columns[j]) as usize + channel;
                            // SAFETY: `lanes` channels of a pixel, or none: `Source::check` has compared the tables and
                            // the slices' lengths.
                            unsafe {
                                let x = T::load(simd, data.as_ptr().wrapping_add(at), lanes);
                                line[i] = E::enter(simd, enter, x, at, lanes);
                            }
                        }
                    }
                    half.set(j, A::input(simd, line));
                }
                // SAFETY: all lines have been set.
                let half = unsafe { half.all() };
                let start = tile * layout.tile + channel;
                assert!(start + (POINTS * POINTS - 1) * layout.point + S::WIDTH <= points.len());
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
}

/// Where in the data the coordinates `first..` of a table lie, or -1 for
/// zeros. Beyond the table, where only outputs beyond the image look, the last
/// coordinate repeats: flat images stay flat to the last bit.
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

/// One of the [`Prologue`]s.
trait Enter<S: Vectors>: Copy {
    /// What it needs for a vector of channels.
    type Vector: Copy;
    /// That for the `lanes` channels from `channel` on.
    fn at(self, simd: S, channel: usize, lanes: usize) -> Self::Vector;
    /// What becomes of `x`, `lanes` elements of the data from `at` on.
    ///
    /// # Safety
    /// They must be in the data.
    unsafe fn enter(simd: S, vector: Self::Vector, x: S::V, at: usize, lanes: usize) -> S::V;
}

#[derive(Clone, Copy)]
struct Plain;

impl<S: Vectors> Enter<S> for Plain {
    type Vector = ();

    #[inline(always)]
    fn at(self, _: S, _: usize, _: usize) {}
    #[inline(always)]
    unsafe fn enter(_: S, (): (), x: S::V, _: usize, _: usize) -> S::V {
        x
    }
}

#[derive(Clone, Copy)]
struct Gate<'a>(&'a [f32]);

impl<S: Vectors> Enter<S> for Gate<'_> {
    type Vector = *const f32;

    #[inline(always)]
    fn at(self, _: S, _: usize, _: usize) -> *const f32 {
        self.0.as_ptr()
    }
    #[inline(always)]
    unsafe fn enter(simd: S, gate: *const f32, x: S::V, at: usize, lanes: usize) -> S::V {
        // SAFETY: the caller's; the gate is as long as the data.
        simd.gate(x, unsafe { simd.load_first(gate.wrapping_add(at), lanes) })
    }
}

#[derive(Clone, Copy)]
struct Normalise<'a> {
    factor: &'a [f32],
    offset: &'a [f32],
}

impl<S: Vectors> Enter<S> for Normalise<'_> {
    type Vector = (S::V, S::V);

    #[inline(always)]
    fn at(self, simd: S, channel: usize, lanes: usize) -> (S::V, S::V) {
        let last = self.factor.len();
        let factor = &self.factor[channel.min(last)..][..lanes];
        let offset = &self.offset[channel.min(last)..][..lanes];
        // SAFETY: both have that many numbers.
        unsafe {
            (
                simd.load_first(factor.as_ptr(), lanes),
                simd.load_first(offset.as_ptr(), lanes),
            )
        }
    }
    #[inline(always)]
    unsafe fn enter(simd: S, (factor, offset): (S::V, S::V), x: S::V, _: usize, _: usize) -> S::V {
        simd.max(simd.fma(x, factor, offset), simd.splat(0.0))
    }
}
