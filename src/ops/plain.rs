//! The operations in ordinary Candle: the reference that the fast ones are
//! tested against. They run on every device and differentiate by themselves.

use super::{Padding, reflect};
use candle_core::{Result, Tensor};

/// See [`super::Backend::conv2d`].
pub fn conv2d(x: &Tensor, weight: &Tensor, padding: Padding, stride: usize) -> Result<Tensor> {
    let mut x = x.clone();
    for dim in [1, 2] {
        let (before, after) = padding.around(x.dim(dim)?, weight.dim(2)?, stride);
        x = match padding {
            Padding::Reflect => reflect_to(&x, dim, before, after)?,
            Padding::Same => x.pad_with_zeros(dim, before, after)?,
        };
    }
    channels_last(&channels_first(&x)?.conv2d(weight, 0, stride, 1, 1)?)
}

/// See [`super::Backend::conv_transpose2x`].
pub fn conv_transpose2x(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (_, height, width, _) = x.dims4()?;
    let weight = weight.transpose(0, 1)?.contiguous()?;
    // With a line more than all inputs reach, so that even 1x1 kernels fill
    // twice the size; then cut to that.
    let y = channels_first(x)?.conv_transpose2d(&weight, 0, 1, 2, 1)?;
    let (before, _) = Padding::Same.around(2 * height, weight.dim(2)?, 2);
    channels_last(
        &y.narrow(2, before, 2 * height)?
            .narrow(3, before, 2 * width)?,
    )
}

/// `[n, h, w, c]` to Candle's own `[n, c, h, w]`.
pub fn channels_first(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 3, 1, 2))?.contiguous()
}

/// `[n, c, h, w]` to `[n, h, w, c]`.
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 2, 3, 1))?.contiguous()
}

/// Mirrors `before` and `after` pixels beyond the two ends of dimension `dim`.
pub fn reflect_to(x: &Tensor, dim: usize, before: usize, after: usize) -> Result<Tensor> {
    let len = x.dim(dim)?;
    let source: Vec<u32> = (-(before as isize)..(len + after) as isize)
        .map(|i| reflect(i, len) as u32)
        .collect();
    x.index_select(&Tensor::new(source, x.device())?, dim)
}

/// See [`super::Backend::instance_norm`].
pub fn instance_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
    relu: bool,
) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let flat = x.reshape((n, h * w, c))?;
    let centred = flat.broadcast_sub(&flat.mean_keepdim(1)?)?;
    let variance = centred.sqr()?.mean_keepdim(1)?;
    let y = centred
        .broadcast_div(&(variance + eps)?.sqrt()?)?
        .broadcast_mul(scale)?
        .broadcast_add(shift)?
        .reshape((n, h, w, c))?;
    if relu { y.relu() } else { Ok(y) }
}

/// See [`super::Backend::upsample2x`].
pub fn upsample2x(x: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    x.reshape((n, h, 1, w, 1, c))?
        .broadcast_as((n, h, 2, w, 2, c))?
        .reshape((n, 2 * h, 2 * w, c))
}

/// See [`super::Backend::max_pool2x2`].
pub fn max_pool2x2(x: &Tensor) -> Result<Tensor> {
    // Not Candle's max_pool2d, whose gradient is a quarter of the true one.
    let (n, h, w, c) = x.dims4()?;
    x.narrow(1, 0, h / 2 * 2)?
        .narrow(2, 0, w / 2 * 2)?
        .reshape((n, h / 2, 2, w / 2, 2, c))?
        .max(4)?
        .max(2)
}

/// See [`super::FrozenConv2d::forward`].
pub fn frozen_conv2d(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    channels_last(&channels_first(x)?.conv2d(weight, 1, 1, 1, 1)?)?
        .broadcast_add(bias)?
        .relu()
}
