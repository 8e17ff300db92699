//! From the products of tiles to the pixels of images.

use super::algorithm::Algorithm;
use super::tiles::{Grid, Layout, Lines, Output, Tiles};
use crate::ops::Size;
use crate::ops::cpu::norm::Moments;
use crate::ops::cpu::pixels::{Element, PixelsMut, SharedPixels};
use crate::ops::cpu::simd::{Simd, Vectors};
use crate::ops::cpu::{LANES, SharedMut};

/// Operations on the outputs on their way into memory.
#[derive(Default)]
pub struct Epilogue<'a> {
    /// Added to them: a number a channel, padded to whole vectors.
    pub bias: Option<&'a [f32]>,
    /// Whether they are cut below 0.
    pub relu: bool,
    /// Where their moments are gathered, `[task][channel]`; becomes as long as
    /// that takes. For a batch of one image.
    pub moments: Option<&'a mut Vec<Moments>>,
}

impl Epilogue<'_> {
    pub(super) fn check(&mut self, outputs: usize, tasks: usize) {
        let padded = outputs.next_multiple_of(LANES);
        assert!(self.bias.is_none_or(|bias| bias.len() >= padded));
        if let Some(moments) = &mut self.moments {
            moments.clear();
            moments.resize(tasks * outputs, Moments::default());
        }
    }
}

/// The images `[n, height, width, channels]` that are written.
pub struct Image<'a> {
    channels: usize,
    grid: Grid,
    bias: Option<&'a [f32]>,
    relu: bool,
    moments: Option<SharedMut<'a, Moments>>,
    pixels: SharedPixels<'a>,
}

impl<'a> Image<'a> {
    pub fn new(
        channels: usize,
        (batch, grid): (usize, Grid),
        epilogue: &'a mut Epilogue,
        pixels: &'a mut PixelsMut,
    ) -> Self {
        assert_eq!(
            pixels.len(),
            batch * grid.size.height * grid.size.width * channels
        );
        Image {
            channels,
            grid,
            bias: epilogue.bias,
            relu: epilogue.relu,
            moments: epilogue.moments.as_mut().map(|m| SharedMut::new(m)),
            pixels: pixels.share(),
        }
    }
}

/// The tiles of an image that a task writes.
pub struct Run<'a> {
    pub image: &'a Image<'a>,
    pub task: usize,
}

impl<A, const WINDOW: usize, const POINTS: usize, const TILE: usize> Output<A, WINDOW, POINTS, TILE>
    for Run<'_>
where
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    #[inline(always)]
    fn put<S: Simd>(
        &self,
        simd: S,
        tiles: Tiles,
        channel: usize,
        layout: Layout,
        products: &[f32],
    ) {
        let run = Channels {
            image: self.image,
            task: self.task,
            tiles,
            channel,
            layout,
            products,
        };
        let simd = simd.narrow();
        match self.image.pixels {
            SharedPixels::Floats(pixels) => {
                run.put::<_, A, _, WINDOW, POINTS, TILE>(simd, pixels);
            }
            SharedPixels::Halves(pixels) => {
                run.put::<_, A, _, WINDOW, POINTS, TILE>(simd, pixels);
            }
        }
    }
}

/// Some output channels of a run of tiles.
struct Channels<'a> {
    image: &'a Image<'a>,
    task: usize,
    tiles: Tiles,
    /// First of them.
    channel: usize,
    layout: Layout,
    products: &'a [f32],
}

impl Channels<'_> {
    #[inline(always)]
    fn put<S, A, T, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
        &self,
        simd: S,
        pixels: SharedMut<T>,
    ) where
        S: Vectors,
        A: Algorithm<WINDOW, POINTS, TILE>,
        T: Element,
    {
        let channels = self.layout.tile.min(self.image.channels - self.channel);
        for block in (0..channels).step_by(S::WIDTH) {
            let vector = Vector {
                image: self.image,
                tiles: self.tiles,
                channel: self.channel + block,
                lanes: S::WIDTH.min(channels - block),
                layout: self.layout,
                products: &self.products[block..],
            };
            match self.image.moments {
                None => vector.put::<S, A, T, _, WINDOW, POINTS, TILE>(simd, pixels, &mut Nothing),
                Some(moments) => {
                    let mut sums = Sums::new(simd);
                    vector.put::<S, A, T, _, WINDOW, POINTS, TILE>(simd, pixels, &mut sums);
                    let first = self.task * self.image.channels + vector.channel;
                    // SAFETY: a task's moments are its own.
                    unsafe { sums.store(simd, vector.lanes, moments.at(first)) };
                }
            }
        }
    }
}

/// A vector of output channels of a run of tiles.
struct Vector<'a> {
    image: &'a Image<'a>,
    tiles: Tiles,
    /// First of the vector.
    channel: usize,
    /// How many there are in it.
    lanes: usize,
    layout: Layout,
    products: &'a [f32],
}

impl Vector<'_> {
    #[inline(always)]
    fn put<S, A, T, G, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
        &self,
        simd: S,
        pixels: SharedMut<T>,
        gather: &mut G,
    ) where
        S: Vectors,
        A: Algorithm<WINDOW, POINTS, TILE>,
        T: Element,
        G: Gather<S>,
    {
        let Image { channels, grid, .. } = *self.image;
        let floor = simd.splat(if self.image.relu {
            0.0
        } else {
            f32::NEG_INFINITY
        });
        let bias = match self.image.bias {
            // SAFETY: `Epilogue::check` has made sure that the bias is padded.
            Some(bias) => unsafe { simd.load(bias[self.channel..].as_ptr()) },
            None => simd.splat(0.0),
        };
        let adjusted = self.image.relu || self.image.bias.is_some();
        let Size { width, height } = grid.size;
        for tile in 0..self.tiles.count {
            let (image, row, column) = grid.position(self.tiles.first + tile);
            let (top, left) = (row * TILE, column * TILE);
            let (rows, columns) = (TILE.min(height - top), TILE.min(width - left));
            let products = &self.products[tile * self.layout.tile..];
            let mut half = Lines::new();
            let half = untransform_columns::<S, A, WINDOW, POINTS, TILE>(
                simd,
                products,
                self.layout.point,
                &mut half,
            );
            for i in 0..TILE {
                if i >= rows {
                    break;
                }
                let line = untransform_row::<S, A, WINDOW, POINTS, TILE>(simd, half, i);
                let start = ((image * height + top + i) * width + left) * channels + self.channel;
                for j in 0..TILE {
                    if j >= columns {
                        break;
                    }
                    let mut y = line[j];
                    if adjusted {
                        y = simd.max(simd.add(y, bias), floor);
                    }
                    gather.add(simd, y);
                    let to = pixels.at(start + j * channels);
                    // SAFETY: a pixel of this tile, which is this task's alone.
                    unsafe { T::store(simd, to, y, self.lanes) };
                }
            }
        }
    }
}

/// Sets `half` to the columns of a tile whose products start at `products`,
/// `point` numbers apart: half of the way to its pixels.
#[inline(always)]
pub fn untransform_columns<'a, S, A, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
    simd: S,
    products: &[f32],
    point: usize,
    half: &'a mut Lines<S::V, TILE, POINTS>,
) -> &'a [[S::V; TILE]; POINTS]
where
    S: Vectors,
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    assert!(products.len() >= (POINTS * POINTS - 1) * point + S::WIDTH);
    for j in 0..POINTS {
        let mut line = [simd.splat(0.0); POINTS];
        for i in 0..POINTS {
            // SAFETY: within the products, as just checked.
            line[i] = unsafe { simd.load(products.as_ptr().add((i * POINTS + j) * point)) };
        }
        half.set(j, A::output(simd, line));
    }
    // SAFETY: all lines have been set.
    unsafe { half.all() }
}

/// Row `i` of the pixels of a tile.
#[inline(always)]
pub fn untransform_row<S, A, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
    simd: S,
    half: &[[S::V; TILE]; POINTS],
    i: usize,
) -> [S::V; TILE]
where
    S: Vectors,
    A: Algorithm<WINDOW, POINTS, TILE>,
{
    let mut line = [simd.splat(0.0); POINTS];
    for j in 0..POINTS {
        line[j] = half[j][i];
    }
    A::output(simd, line)
}

/// Looks at outputs on their way into memory.
trait Gather<S: Vectors> {
    fn add(&mut self, simd: S, y: S::V);
}

struct Nothing;

impl<S: Vectors> Gather<S> for Nothing {
    #[inline(always)]
    fn add(&mut self, _: S, _: S::V) {}
}

/// Moments of a vector of channels, around their first pixel: of a flat image
/// they are exactly 0.
struct Sums<S: Vectors> {
    pixels: usize,
    pivot: S::V,
    sum: S::V,
    squares: S::V,
}

impl<S: Vectors> Sums<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = simd.splat(0.0);
        Sums {
            pixels: 0,
            pivot: zero,
            sum: zero,
            squares: zero,
        }
    }

    /// # Safety
    /// The caller must own `lanes` moments at `to`.
    #[inline(always)]
    unsafe fn store(&self, simd: S, lanes: usize, to: *mut Moments) {
        let (mut pivot, mut sum, mut squares) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        // SAFETY: the arrays are ours, and the rest is the caller's.
        unsafe {
            simd.store(pivot.as_mut_ptr(), self.pivot);
            simd.store(sum.as_mut_ptr(), self.sum);
            simd.store(squares.as_mut_ptr(), self.squares);
            for lane in 0..lanes {
                to.add(lane).write(Moments {
                    pixels: self.pixels as f32,
                    pivot: pivot[lane],
                    sum: sum[lane],
                    squares: squares[lane],
                });
            }
        }
    }
}

impl<S: Vectors> Gather<S> for Sums<S> {
    #[inline(always)]
    fn add(&mut self, simd: S, y: S::V) {
        if self.pixels == 0 {
            self.pivot = y;
        }
        self.pixels += 1;
        let offset = simd.sub(y, self.pivot);
        self.sum = simd.add(self.sum, offset);
        self.squares = simd.fma(offset, offset, self.squares);
    }
}
