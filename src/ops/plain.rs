//! The operations in ordinary Candle: the reference that the fast ones are
//! tested against. They run on every device and differentiate by themselves.

use super::{Padding, reflect};
use candle_core::{Result, Tensor};

/// See [`super::Path::conv2d`].
pub fn conv2d(x: &Tensor, weight: &Tensor, padding: Padding, stride: usize) -> Result<Tensor> {
    match padding {
        Padding::Zero(size) => x.conv2d(weight, size, stride, 1, 1),
        Padding::Reflect(size) => reflection_pad(x, size)?.conv2d(weight, 0, stride, 1, 1),
    }
}

/// Mirrors `size` pixels beyond each border of height and width.
pub fn reflection_pad(x: &Tensor, size: usize) -> Result<Tensor> {
    reflect_to(&reflect_to(x, 2, size, size)?, 3, size, size)
}

/// Mirrors `before` and `after` pixels beyond the two ends of dimension `dim`.
pub fn reflect_to(x: &Tensor, dim: usize, before: usize, after: usize) -> Result<Tensor> {
    let len = x.dim(dim)?;
    let source: Vec<u32> = (-(before as isize)..(len + after) as isize)
        .map(|i| reflect(i, len) as u32)
        .collect();
    x.index_select(&Tensor::new(source, x.device())?, dim)
}

/// See [`super::Path::instance_norm`].
pub fn instance_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
    relu: bool,
) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let flat = x.reshape((n, c, h * w))?;
    let centred = flat.broadcast_sub(&flat.mean_keepdim(2)?)?;
    let variance = centred.sqr()?.mean_keepdim(2)?;
    let y = centred
        .broadcast_div(&(variance + eps)?.sqrt()?)?
        .broadcast_mul(&scale.reshape((1, c, 1))?)?
        .broadcast_add(&shift.reshape((1, c, 1))?)?
        .reshape((n, c, h, w))?;
    if relu { y.relu() } else { Ok(y) }
}

/// See [`super::Path::upsample2x`].
pub fn upsample2x(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    x.reshape((n, c, h, 1, w, 1))?
        .broadcast_as((n, c, h, 2, w, 2))?
        .reshape((n, c, 2 * h, 2 * w))
}

/// Halves height and width (rounding down), keeping the largest of each 2x2.
pub fn max_pool2x2(x: &Tensor) -> Result<Tensor> {
    x.max_pool2d(2)
}
