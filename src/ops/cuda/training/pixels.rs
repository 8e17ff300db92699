//! Operations on single pixels: halving, doubling, ReLU, mirrored borders. All
//! images are in 16 bits.

use super::{at_a_time, pointwise};
use crate::ops::cuda::parameters::{Address, Fold, Gate, Parameters, Resize};
use crate::ops::cuda::{Launch, Limits};

/// Batch, height, width and channels.
pub type ImageShape = [usize; 4];

/// The largest of each 2x2 pixels of `x`, images of `size`.
pub fn max_pool(size: ImageShape, x: Address, y: Address, limits: Limits) -> Launch {
    let pixels = size[0] * (size[1] / 2) * (size[2] / 2);
    resize("max_pool", size, pixels, resized(x, y), limits)
}

/// The gradient of [`max_pool`]: that of `y` goes to the first of the largest.
pub fn max_pool_gradient(
    size: ImageShape,
    (x, y): (Address, Address),
    (y_gradient, x_gradient): (Address, Address),
    limits: Limits,
) -> Launch {
    let pixels = size[0] * size[1].div_ceil(2) * size[2].div_ceil(2);
    let parameters = Resize {
        large: x,
        small: y,
        ..resized(y_gradient, x_gradient)
    };
    resize("max_pool_gradient", size, pixels, parameters, limits)
}

/// Each pixel of `x` twice in both directions; images of `size` result.
pub fn upsample(size: ImageShape, x: Address, y: Address, limits: Limits) -> Launch {
    let pixels = size[0] * size[1] * size[2];
    resize("upsample", size, pixels, resized(x, y), limits)
}

/// The gradient of [`upsample`]: the sum of each pixel's four copies.
pub fn upsample_gradient(
    size: ImageShape,
    y_gradient: Address,
    x_gradient: Address,
    limits: Limits,
) -> Launch {
    let pixels = size[0] * (size[1] / 2) * (size[2] / 2);
    let parameters = resized(y_gradient, x_gradient);
    resize("upsample_gradient", size, pixels, parameters, limits)
}

fn resized(from: Address, to: Address) -> Resize {
    Resize {
        from,
        to,
        ..Resize::default()
    }
}

fn resize(name: &str, size: ImageShape, pixels: usize, p: Resize, limits: Limits) -> Launch {
    let [batch, height, width, channels] = size;
    let parameters = Parameters::Resize(Resize {
        batch: batch as i32,
        height: height as i32,
        width: width as i32,
        channels: channels as i32,
        ..p
    });
    by_channels(name, pixels, channels, parameters, limits)
}

/// `gradient` where `result`, what a ReLU gave, is more than 0; else 0.
pub fn gate(
    count: usize,
    gradient: Address,
    result: Address,
    gated: Address,
    limits: Limits,
) -> Launch {
    let parameters = Parameters::Gate(Gate {
        gradient,
        result,
        gated,
        count: count as i64,
    });
    by_channels("gate", 1, count, parameters, limits)
}

/// The gradient of images of `size` from that of the same with `reach` mirrored
/// pixels more on each side.
pub fn fold(
    size: ImageShape,
    reach: usize,
    mirrored: Address,
    folded: Address,
    limits: Limits,
) -> Launch {
    let [batch, height, width, channels] = size;
    let parameters = Parameters::Fold(Fold {
        mirrored,
        folded,
        batch: batch as i32,
        height: height as i32,
        width: width as i32,
        channels: channels as i32,
        reach: reach as i32,
    });
    by_channels("fold", batch * height * width, channels, parameters, limits)
}

fn by_channels(
    name: &str,
    pixels: usize,
    channels: usize,
    parameters: Parameters,
    limits: Limits,
) -> Launch {
    let at_a_time = at_a_time(channels);
    let count = pixels * (channels / at_a_time);
    pointwise(format!("{name}_{at_a_time}"), count, limits, parameters)
}
