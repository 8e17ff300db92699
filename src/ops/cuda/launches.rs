//! Which kernel runs a layer, with how many blocks and how much shared memory; for
//! convolutions, which of those that are compiled:
//! `kernels/conv_tilings.h` in Rust.

use super::parameters::{
    Convolution, Fields, FinalizeNorm, FindTone, First, Last, Parameters, Residual, Shrink,
};
use super::{Launch, Limits};
use crate::ops::{Size, Step};
use std::sync::LazyLock;

/// How the kernels are named.
fn name(step: Step) -> &'static str {
    match step {
        Step::Same => "SAME",
        Step::Half => "HALF",
        Step::Double => "DOUBLE",
    }
}

/// Pixels of the input from one of the result to the next.
fn stride(step: Step) -> usize {
    match step {
        Step::Half => 2,
        Step::Same | Step::Double => 1,
    }
}

/// Pixels that one of the input becomes.
fn phases(step: Step) -> usize {
    match step {
        Step::Double => 4,
        Step::Same | Step::Half => 1,
    }
}

/// Channels that a layer of `channels` has in memory.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(16)
}

/// Sides of the kernels of the first and the last layer.
pub const OUTER_SIDE: usize = 9;

/// Columns of a block of the first layer's kernel.
pub fn first_columns(outputs: usize) -> usize {
    match padded(outputs).is_multiple_of(32) {
        true => 32,
        false => 16,
    }
}

/// Channels that the last layer's kernel could take at a time.
fn widest_last_chunk(inputs: usize) -> usize {
    match padded(inputs).is_multiple_of(32) {
        true => 32,
        false => 16,
    }
}

/// Pixels in a row of a tile.
const TILE_WIDTH: usize = 16;

/// What a kernel computes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTiling {
    /// Which convolution.
    pub step: Step,
    /// Channels of the input that it takes at a time.
    pub chunk: usize,
    /// Columns of a block.
    pub columns: usize,
    warps_down: usize,
    warps_across: usize,
    /// Rows of pixels and columns of a warp.
    rows: usize,
    width: usize,
    /// Blocks that fit on a multiprocessor.
    blocks: usize,
}

/// Lines `CONVOLUTION(step, number, ...)`.
static SHAPES: LazyLock<Vec<ConvTiling>> = LazyLock::new(|| {
    let table = include_str!("kernels/conv_tilings.h");
    table.lines().filter_map(ConvTiling::parse).collect()
});

impl ConvTiling {
    fn parse(line: &str) -> Option<ConvTiling> {
        let line = line.strip_prefix("CONVOLUTION(")?.strip_suffix(')')?;
        let (name, numbers) = line.split_once(',')?;
        let steps = [Step::Same, Step::Half, Step::Double];
        let step = steps.into_iter().find(|&step| self::name(step) == name)?;
        let numbers: Vec<usize> = numbers
            .split(',')
            .map(|number| number.trim().parse().ok())
            .collect::<Option<_>>()?;
        let [
            chunk,
            columns,
            warps_down,
            warps_across,
            rows,
            width,
            blocks,
        ] = numbers[..]
        else {
            return None;
        };
        Some(ConvTiling {
            step,
            chunk,
            columns,
            warps_down,
            warps_across,
            rows,
            width,
            blocks,
        })
    }

    /// Taps in a line: of what each pixel of the result is the sum.
    pub fn side(self) -> usize {
        match self.step {
            Step::Double => 2,
            Step::Same | Step::Half => 3,
        }
    }

    /// Groups of columns: pixels that one of the input becomes.
    pub fn phases(self) -> usize {
        phases(self.step)
    }

    /// All that are compiled.
    pub fn all() -> &'static [ConvTiling] {
        &SHAPES
    }

    /// The one with the most columns that fits the device and so many channels;
    /// none if they are not multiples of 16.
    pub fn fitting(
        step: Step,
        (inputs, outputs): (usize, usize),
        limits: Limits,
    ) -> Option<ConvTiling> {
        let fits = |shape: &&ConvTiling| {
            shape.step == step
                && shape.shared() <= limits.shared as usize
                && inputs.is_multiple_of(shape.chunk)
                && (outputs * phases(step)).is_multiple_of(shape.columns)
                // No warp has columns of two phases.
                && (step != Step::Double || outputs.is_multiple_of(shape.width))
        };
        let size = |shape: &&ConvTiling| (shape.columns, shape.chunk);
        ConvTiling::all()
            .iter()
            .filter(fits)
            .max_by_key(size)
            .copied()
    }

    /// Height and width of a tile of the result, or of a quarter of that where
    /// it is [twice](Step::Double) the input.
    fn tile(self) -> (usize, usize) {
        (self.warps_down * self.rows, TILE_WIDTH)
    }

    /// Bytes of shared memory, as `ConvTiling::SHARED` in `convolution.cuh`.
    fn shared(self) -> usize {
        let (tile_height, tile_width) = self.tile();
        let halo = |len| (len - 1) * stride(self.step) + 3;
        let pitch = 2 * self.chunk + 16;
        let halo = halo(tile_width) * halo(tile_height) * pitch;
        let stage = self.columns * pitch;
        let staging = 16 * (2 * self.width + 16);
        let moments = self.warps_down * self.columns * 8;
        2 * halo + 3 * stage + self.warps_down * self.warps_across * staging + moments
    }

    /// How the kernel runs over an image, and how many rows of moments it
    /// writes. The addresses are still to be filled in.
    ///
    /// `size` is the input's; with stride 2 its sides are even.
    pub fn launch(
        self,
        size: Size,
        (inputs, outputs): (usize, usize),
        limits: Limits,
    ) -> (Launch, usize) {
        let (tile_height, tile_width) = self.tile();
        let stride = stride(self.step);
        let down = (size.height / stride).div_ceil(tile_height);
        let across = (size.width / stride).div_ceil(tile_width);
        let tiles = down * across;
        let beside = outputs * self.phases() / self.columns;
        // As many blocks as run at the same time, each with its share of tiles.
        let most = (limits.multiprocessors as usize * self.blocks).div_ceil(beside);
        let blocks = tiles.min(most);
        let parameters = Convolution {
            height: size.height as i32,
            width: size.width as i32,
            inputs: inputs as i32,
            outputs: outputs as i32,
            tiles_across: across as i32,
            tiles: tiles as i32,
            ..Convolution::default()
        };
        let launch = Launch {
            kernel: format!(
                "convolve_{}_{}_{}",
                name(self.step),
                self.chunk,
                self.columns
            ),
            blocks: (blocks as u32, beside as u32),
            threads: (32 * self.warps_down * self.warps_across) as u32,
            shared: self.shared() as u32,
            parameters: Parameters::Convolution(parameters),
        };
        (launch, blocks * self.phases())
    }
}

/// Blocks for so many tiles, where so many of a line fit on a multiprocessor.
fn blocks(tiles: usize, fitting: usize, limits: Limits) -> usize {
    tiles.min(limits.multiprocessors as usize * fitting)
}

/// How the first layer's kernel runs over a picture of the size
/// `picture`, and how many rows of moments it writes. `size` is the result's.
pub fn first(picture: Size, size: Size, outputs: usize, limits: Limits) -> (Launch, usize) {
    let columns = first_columns(outputs);
    let across = size.width.div_ceil(16);
    let tiles = size.height.div_ceil(16) * across;
    let beside = outputs / columns;
    let blocks = blocks(tiles, 2usize.div_ceil(beside), limits);
    let parameters = First {
        picture_height: picture.height as i32,
        picture_width: picture.width as i32,
        height: size.height as i32,
        width: size.width as i32,
        outputs: outputs as i32,
        tiles_across: across as i32,
        tiles: tiles as i32,
        ..First::default()
    };
    // As `FirstTiling::SHARED` in `first.cuh`.
    let halo = (25 * 24 * 8usize).next_multiple_of(128);
    let shared = 2 * halo + 46 * columns * 16 + 8 * 16 * (2 * columns + 16) + 8 * columns * 8;
    let launch = Launch {
        kernel: format!("convolve_picture_{columns}"),
        blocks: (blocks as u32, beside as u32),
        threads: 256,
        shared: shared as u32,
        parameters: Parameters::First(parameters),
    };
    (launch, blocks)
}

/// Bytes of shared memory of the last layer's kernel, as `LastTiling::SHARED` in
/// `last.cuh`.
fn last_shared(chunk: usize) -> usize {
    let pitch = 2 * chunk + 16;
    let area = 64 * 16 * pitch + 9 * 32 * pitch;
    area.max(8 * 64 * 33 * 4) + 8 * 8 * 4
}

/// Channels that the last layer's kernel takes at a time on such a device.
pub fn last_chunk(inputs: usize, limits: Limits) -> usize {
    match widest_last_chunk(inputs) {
        32 if last_shared(32) <= limits.shared as usize => 32,
        _ => 16,
    }
}

/// How the last layer's kernel runs over an image of `size`, and how many rows of moments it writes.
pub fn last(size: Size, inputs: usize, limits: Limits) -> (Launch, usize) {
    let chunk = last_chunk(inputs, limits);
    let across = size.width.div_ceil(56);
    let tiles = size.height.div_ceil(8) * across;
    let blocks = blocks(tiles, 2, limits);
    let parameters = Last {
        height: size.height as i32,
        width: size.width as i32,
        inputs: inputs as i32,
        tiles_across: across as i32,
        tiles: tiles as i32,
        ..Last::default()
    };
    let launch = Launch {
        kernel: format!("convolve_to_picture_{chunk}"),
        blocks: (blocks as u32, 1),
        threads: 256,
        shared: last_shared(chunk) as u32,
        parameters: Parameters::Last(parameters),
    };
    (launch, blocks)
}

/// How the sum of a residual block runs over `pixels` of so many channels.
pub fn residual(pixels: usize, channels: usize, replace: bool, limits: Limits) -> Launch {
    let groups = pixels * channels / 8;
    let parameters = Residual {
        replace: i32::from(replace),
        channels: channels as i32,
        groups: groups as i32,
        ..Residual::default()
    };
    Launch {
        kernel: "add_residual".into(),
        blocks: (blocks(groups.div_ceil(256), 8, limits) as u32, 1),
        threads: 256,
        shared: 0,
        parameters: Parameters::Residual(parameters),
    }
}

/// How the sum of so many rows of moments runs, of `pixels` in all.
pub fn finalize_norm(rows: usize, channels: usize, pixels: usize) -> Launch {
    let parameters = FinalizeNorm {
        rows: rows as i32,
        channels: channels as i32,
        pixels: pixels as f32,
        ..FinalizeNorm::default()
    };
    Launch {
        kernel: "finalize_norm".into(),
        blocks: (channels.div_ceil(8) as u32, 1),
        threads: 256,
        shared: 2 * 256 * 8,
        parameters: Parameters::FinalizeNorm(parameters),
    }
}

/// Blocks of 256 threads for so many threads in a row, and rows.
pub fn grid(across: usize, down: usize) -> (u32, u32) {
    // No grid is higher; kernels go on from row to row.
    (across.div_ceil(256) as u32, down.min(65535) as u32)
}

/// How a picture of size `from` is shrunk to `to`.
pub fn shrink(from: Size, to: Size) -> Launch {
    let parameters = Shrink {
        height: from.height as i32,
        width: from.width as i32,
        small_height: to.height as i32,
        small_width: to.width as i32,
        ..Shrink::default()
    };
    Launch {
        kernel: "shrink_picture".into(),
        blocks: grid(to.width, to.height),
        threads: 256,
        shared: 0,
        parameters: Parameters::Shrink(parameters),
    }
}

/// How the tone is found from a picture of `size`: the kernel that measures luma,
/// each of whose blocks writes a row of moments, and the one that sums them up.
pub fn find_tone(size: Size, limits: Limits) -> [Launch; 2] {
    // A thread for each 4x4 pixels.
    let threads = size.map(|side| side.div_ceil(4)).area();
    let rows = blocks(threads.div_ceil(256), 4, limits);
    let parameters = FindTone {
        height: size.height as i32,
        width: size.width as i32,
        rows: rows as i32,
        ..FindTone::default()
    };
    [("measure_luma", rows), ("find_tone", 1)].map(|(kernel, blocks)| Launch {
        kernel: kernel.into(),
        blocks: (blocks as u32, 1),
        threads: 256,
        // Three sums for each thread.
        shared: 256 * 3 * 8,
        parameters: Parameters::FindTone(parameters),
    })
}

/// How what is interpolated is found from a picture of `size`.
pub fn fields(size: Size) -> Launch {
    let parameters = Fields {
        height: size.height as i32,
        width: size.width as i32,
        ..Fields::default()
    };
    Launch {
        kernel: "find_fields".into(),
        blocks: (
            size.width.div_ceil(16) as u32,
            size.height.div_ceil(16) as u32,
        ),
        threads: 256,
        // `Sources` in `resize.cu`.
        shared: 20 * 20 * 16,
        parameters: Parameters::Fields(parameters),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = include_str!("kernels/conv_tilings.h").lines();
        let count = lines.filter(|l| l.starts_with("CONVOLUTION")).count();
        assert_eq!(ConvTiling::all().len(), count);
        assert!(count > 0);
    }

    /// Devices of compute capability 9.0, 8.0 and 8.6.
    const SHARED: [u32; 3] = [227 << 10, 163 << 10, 99 << 10];

    #[test]
    fn every_device_has_a_kernel_for_all_channels() {
        let fitting = |step, channels, shared| {
            let limits = Limits {
                multiprocessors: 1,
                shared,
            };
            ConvTiling::fitting(step, channels, limits)
        };
        for shared in SHARED {
            for step in [Step::Same, Step::Half, Step::Double] {
                for channels in [(16, 16), (48, 16), (32, 96), (128, 128), (64, 256)] {
                    let shape = fitting(step, channels, shared);
                    assert!(shape.is_some(), "{step:?} {channels:?} {shared}");
                }
                assert_eq!(fitting(step, (24, 16), shared), None);
            }
        }
        let widest = fitting(Step::Same, (128, 128), SHARED[1]).unwrap();
        assert_eq!((widest.columns, widest.chunk), (128, 32));
    }

    #[test]
    fn as_many_blocks_fit_as_the_table_says() {
        for shape in ConvTiling::all() {
            let all = shape.shared() * shape.blocks;
            assert!(all <= SHARED[0] as usize, "{shape:?}: {all}");
        }
    }
}
