//! Pictures too large for memory, in tiles.
//!
//! Two things make tiles agree with the whole picture, and so with each other.
//! Each is painted with as much of its surroundings as its pixels depend on.
//! And the network's normalisations, which take the mean and deviation of the
//! whole picture, do so here as well: they are found first, layer by layer,
//! because what a layer computes depends on those before it. That takes about
//! half a painting for each layer, some nine in all for five residual blocks,
//! but nothing is guessed: the picture is the same, up to rounding, however
//! much memory there was.

use super::cpu::{CpuNetwork, Statistics};
use super::tone::LumaMoments;
use super::{Area, EngineError, Image, Threads};
use crate::ops::Size;

/// A picture to be repainted, by parts if it is large.
pub trait Canvas {
    /// Why reading, writing or waiting ended.
    type Error: From<EngineError>;

    /// Width and height.
    fn size(&self) -> Size;

    /// Reads `area` of the picture as it was into `image`, which takes its
    /// size. Some pixels are read many times.
    ///
    /// # Errors
    /// Whatever is to end the painting.
    fn read(&mut self, area: Area, image: &mut Image) -> Result<(), Self::Error>;

    /// Takes what `area` has become; each pixel comes once.
    ///
    /// # Errors
    /// Whatever is to end the painting.
    fn write(&mut self, area: Area, painted: &mut Image) -> Result<(), Self::Error>;

    /// Called again and again: the part `share` of the work is done.
    ///
    /// # Errors
    /// Whatever is to end the painting.
    fn progress(&mut self, share: f64) -> Result<(), Self::Error> {
        let _ = share;
        Ok(())
    }
}

/// Bytes of three [`Image`]s for each pixel: before, after, and one for the
/// canvas to work with.
const PICTURES: usize = 3 * 3 * size_of::<f32>();

/// Bytes that pictures of this size take around the network.
pub fn pictures_memory(size: Size) -> usize {
    size.area().saturating_mul(PICTURES)
}

/// Bytes that painting a picture of this size takes, pictures included.
pub fn memory_needed(network: &CpuNetwork, size: Size) -> usize {
    network
        .memory_needed(size)
        .saturating_add(pictures_memory(size))
}

/// Paints `canvas` in tiles, each within `limit` bytes.
pub fn paint<C: Canvas>(
    network: &mut CpuNetwork,
    threads: &Threads,
    canvas: &mut C,
    limit: usize,
) -> Result<(), C::Error> {
    let grid = Grid::within(network, canvas.size(), limit)?;
    let (mut picture, mut styled) = (Image::default(), Image::default());
    let mut statistics = Statistics::default();
    let mut luma = LumaMoments::default();
    // A run that measures layer n ends there.
    let norms = network.norms();
    let whole = (norms * (norms + 1) / 2 + norms + 1) * grid.count();
    let mut done = 0;
    for layer in 1..=norms {
        for tile in grid.tiles() {
            canvas.progress(done as f64 / whole as f64)?;
            canvas.read(tile.with_surroundings, &mut picture)?;
            if layer == 1 {
                threads.run(|| luma.measure(&picture, tile.inner()));
            }
            threads.run(|| network.measure(&picture, tile.inner(), &mut statistics))?;
            done += layer;
        }
        statistics.finalize();
    }
    let tone = luma.tone();
    for tile in grid.tiles() {
        canvas.progress(done as f64 / whole as f64)?;
        canvas.read(tile.with_surroundings, &mut picture)?;
        threads.run(|| network.stylize_with(&statistics, &picture, tone, &mut styled))?;
        styled.crop(tile.inner());
        canvas.write(tile.area, &mut styled)?;
        done += norms + 1;
    }
    Ok(())
}

/// One of the parts that make up a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tile {
    /// The pixels of the picture that this tile alone writes.
    area: Area,
    /// All pixels of the picture that those depend on.
    with_surroundings: Area,
}

impl Tile {
    /// The tile's area within its surroundings.
    fn inner(&self) -> Area {
        Area {
            x: self.area.x - self.with_surroundings.x,
            y: self.area.y - self.with_surroundings.y,
            ..self.area
        }
    }
}

/// A picture cut into tiles. All cuts, those of the surroundings too, are at
/// multiples of 4: strides and enlargements then meet the same pixels as in
/// the whole picture.
#[derive(Debug)]
struct Grid {
    /// Size of the picture.
    size: Size,
    /// Size of a tile, less at the right and lower end.
    tile: Size,
    /// Pixels around a tile that its own depend on.
    reach: usize,
}

impl Grid {
    /// The fewest tiles, about as high as wide, that can be painted within
    /// `limit` bytes. None is smaller than its surroundings are wide: most
    /// of the work would be on pixels that are thrown away.
    fn within(network: &CpuNetwork, size: Size, limit: usize) -> Result<Self, EngineError> {
        let mut grid = Grid {
            size,
            tile: size,
            reach: network.reach(),
        };
        let (mut columns, mut rows) = (1, 1);
        loop {
            let needed = memory_needed(network, grid.largest());
            if needed <= limit {
                return Ok(grid);
            }
            if grid.tile.width.max(grid.tile.height) <= grid.reach {
                return Err(EngineError::MemoryLimit {
                    limit_mib: limit >> 20,
                    needed_mib: needed.div_ceil(1 << 20),
                });
            }
            match grid.tile.width > grid.tile.height {
                true => columns += 1,
                false => rows += 1,
            }
            let side = |len: usize, parts: usize| len.div_ceil(parts).next_multiple_of(4).min(len);
            grid.tile = Size::new(side(size.width, columns), side(size.height, rows));
        }
    }

    /// The most pixels that a tile's surroundings have in a row and a column.
    fn largest(&self) -> Size {
        let side = |tile: usize, whole: usize| (tile + 2 * self.reach).min(whole);
        Size::new(
            side(self.tile.width, self.size.width),
            side(self.tile.height, self.size.height),
        )
    }

    fn count(&self) -> usize {
        let Grid { size, tile, .. } = self;
        size.width.div_ceil(tile.width) * size.height.div_ceil(tile.height)
    }

    fn tiles(&self) -> impl Iterator<Item = Tile> {
        let rows = (0..self.size.height).step_by(self.tile.height);
        rows.flat_map(move |y| {
            let columns = (0..self.size.width).step_by(self.tile.width);
            columns.map(move |x| self.tile_at(x, y))
        })
    }

    fn tile_at(&self, x: usize, y: usize) -> Tile {
        let line = |start: usize, tile: usize, whole: usize| {
            let end = (start + tile).min(whole);
            let first = start.saturating_sub(self.reach);
            let last = (end + self.reach).min(whole);
            ((start, end - start), (first, last - first))
        };
        let (columns, outer_columns) = line(x, self.tile.width, self.size.width);
        let (rows, outer_rows) = line(y, self.tile.height, self.size.height);
        let area = |(x, width), (y, height)| Area {
            x,
            y,
            width,
            height,
        };
        Tile {
            area: area(columns, rows),
            with_surroundings: area(outer_columns, outer_rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_picture_once() {
        let grid = Grid {
            size: Size::new(101, 37),
            tile: Size::new(40, 20),
            reach: 12,
        };
        let mut seen = vec![0; 101 * 37];
        for tile in grid.tiles() {
            let Area {
                x,
                y,
                width,
                height,
            } = tile.area;
            for y in y..y + height {
                seen[y * 101 + x..][..width]
                    .iter_mut()
                    .for_each(|n| *n += 1);
            }
            let outer = tile.with_surroundings;
            assert_eq!((outer.x % 4, outer.y % 4), (0, 0));
            assert!(outer.width <= grid.largest().width && outer.height <= grid.largest().height);
        }
        assert!(seen.iter().all(|n| *n == 1));
        assert_eq!(grid.tiles().count(), grid.count());
        let last = grid.tile_at(80, 20);
        assert_eq!(
            last.inner(),
            Area {
                x: 12,
                y: 12,
                width: 21,
                height: 17
            }
        );
    }
}
