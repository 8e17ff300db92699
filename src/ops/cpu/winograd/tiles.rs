//! How images are cut into tiles, how the points of tiles lie in memory, and who
//! makes and takes them.

use super::algorithm::Algorithm;
use crate::ops::cpu::LANES;
use crate::ops::cpu::simd::Simd;
use std::mem::MaybeUninit;

/// How an image is cut into tiles.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Height and width of the image.
    pub size: (usize, usize),
    /// Tiles down.
    pub rows: usize,
    /// Tiles across.
    pub columns: usize,
}

impl Grid {
    pub fn new(size: (usize, usize), tile: usize) -> Self {
        Grid {
            size,
            rows: size.0.div_ceil(tile),
            columns: size.1.div_ceil(tile),
        }
    }

    pub fn tiles(&self) -> usize {
        self.rows * self.columns
    }

    /// Image, row and column of a tile of a batch.
    #[inline(always)]
    pub fn position(&self, tile: usize) -> (usize, usize, usize) {
        let row = tile / self.columns;
        (row / self.rows, row % self.rows, tile % self.columns)
    }
}

/// Tiles that follow one another in a batch.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    pub first: usize,
    pub count: usize,
}

/// How the points of a run of tiles lie in memory.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// From a point to the next.
    pub point: usize,
    /// From a tile to the next.
    pub tile: usize,
    /// From a channel to the next.
    pub channel: usize,
}

/// Numbers between the points of a run beside the points themselves: points a
/// multiple of 4096 bytes apart would share the same few lines of the cache.
const POINT_GAP: usize = LANES;

impl Layout {
    /// Tile by tile, channels padded to whole vectors.
    pub fn by_tile(tiles: usize, channels: usize) -> Self {
        let tile = channels.next_multiple_of(LANES);
        Layout {
            point: tiles * tile + POINT_GAP,
            tile,
            channel: 1,
        }
    }

    /// Channel by channel, tiles padded to whole vectors.
    pub fn by_channel(tiles: usize, channels: usize) -> Self {
        let channel = tiles.next_multiple_of(LANES);
        Layout {
            point: channels * channel + POINT_GAP,
            tile: 1,
            channel,
        }
    }
}

/// Where the points of tiles come from.
pub trait Input<A, const WINDOW: usize, const POINTS: usize, const TILE: usize>: Sync
where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    /// How it lays out the points of so many tiles and channels.
    fn layout(&self, tiles: usize, channels: usize) -> Layout;

    /// Writes the points of `tiles`, laid out like that.
    fn transform<S: Simd>(&self, simd: S, tiles: Tiles, channels: usize, points: &mut [f32]);
}

/// Where the products of tiles go.
pub trait Output<A, const WINDOW: usize, const POINTS: usize, const TILE: usize>
where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    /// Takes the products of `tiles` and of the output channels from
    /// `channel` on, laid out by tile.
    fn put<S: Simd>(&self, simd: S, tiles: Tiles, channel: usize, layout: Layout, products: &[f32]);
}

/// `COUNT` lines of `LEN` vectors on the stack, without zeros written first:
/// that alone would take a tenth of the time.
pub struct Lines<V, const LEN: usize, const COUNT: usize>(MaybeUninit<[[V; LEN]; COUNT]>);

impl<V: Copy, const LEN: usize, const COUNT: usize> Lines<V, LEN, COUNT> {
    #[inline(always)]
    pub fn new() -> Self {
        Lines(MaybeUninit::uninit())
    }

    #[inline(always)]
    pub fn set(&mut self, i: usize, line: [V; LEN]) {
        assert!(i < COUNT);
        // SAFETY: one of the lines.
        unsafe { self.0.as_mut_ptr().cast::<[V; LEN]>().add(i).write(line) };
    }

    /// # Safety
    /// All lines must have been set.
    #[inline(always)]
    pub unsafe fn all(&self) -> &[[V; LEN]; COUNT] {
        // SAFETY: the caller's.
        unsafe { self.0.assume_init_ref() }
    }
}
