//! How far a repainted photo is from what is wanted.
//!
//! Every loss is a scalar tensor whose gradient is written here by hand: two
//! or three passes over the features, where Candle's own differentiation of
//! the same formula makes many more and differentiates the targets too.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, D, Layout, Result, Shape, Storage, Tensor, bail,
};
use gstfaststyle::internals::ops::plain;

/// The Gram matrices of `features` `[n, h, w, c]`, divided by `h * w * c`:
/// `[n, c, c]`. No gradient flows through; see [`style`].
pub fn gram(features: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = features.dims4()?;
    let flat = features.detach().reshape((n, h * w, c))?;
    flat.t()?.matmul(&flat)? / (h * w * c) as f64
}

/// The mean squared difference of `features` and `target`, of the same shape.
pub fn content(features: &Tensor, target: &Tensor) -> Result<Tensor> {
    let difference = (features.detach() - target.detach())?;
    let count = difference.elem_count() as f64;
    let value = (sum(&difference.sqr()?)? / count)?;
    with_gradient(features, value, move |_, upstream| {
        difference.broadcast_mul(&(upstream * (2.0 / count))?)
    })
}

/// The mean squared difference of the Gram matrices of `features`
/// `[n, h, w, c]` and `target` `[1, c, c]`, a Gram matrix too (symmetric), over
/// images and matrix elements.
pub fn style(features: &Tensor, target: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = features.dims4()?;
    let difference = gram(features)?.broadcast_sub(&target.detach())?;
    let count = (n * c * c) as f64;
    let value = (sum(&difference.sqr()?)? / count)?;
    with_gradient(features, value, move |features, upstream| {
        // The matrix is symmetric, so both factors of the product give the
        // same: d/dF of F^T F / s with the weights D is 2 F D / s.
        let scale = 2.0 * 2.0 / (count * (h * w * c) as f64);
        let weights = difference.broadcast_mul(&(upstream * scale)?)?;
        features
            .detach()
            .reshape((n, h * w, c))?
            .matmul(&weights)?
            .reshape((n, h, w, c))
    })
}

/// The sum of the absolute differences of neighbours, across and down, of
/// `image` `[n, h, w, c]`: the mean over the `n` images.
pub fn total_variation(image: &Tensor) -> Result<Tensor> {
    let n = image.dim(0)? as f64;
    let mut value = Tensor::zeros((), image.dtype(), image.device())?;
    let mut gradient = image.zeros_like()?;
    for dim in [1, 2] {
        let len = image.dim(dim)?;
        if len < 2 {
            continue;
        }
        let pixels = image.detach();
        let step = (pixels.narrow(dim, 1, len - 1)? - pixels.narrow(dim, 0, len - 1)?)?;
        // Summed along rows of a plane, which round less than whole pictures do.
        let planes = plain::channels_first(&step.abs()?)?;
        value = (value + (sum(&planes)? / n)?)?;
        let sign = (step.sign()? / n)?;
        gradient = (gradient + sign.pad_with_zeros(dim, 1, 0)?)?;
        gradient = (gradient - sign.pad_with_zeros(dim, 0, 1)?)?;
    }
    with_gradient(image, value, move |_, upstream| {
        gradient.broadcast_mul(upstream)
    })
}

/// The sum of all elements, row by row first: fewer roundings pile up.
fn sum(x: &Tensor) -> Result<Tensor> {
    x.sum(D::Minus1)?.sum_all()
}

/// The scalar `value`, a function of `arg` whose gradient `gradient` gives
/// when asked, from `arg` and the gradient of the scalar.
fn with_gradient<F>(arg: &Tensor, value: Tensor, gradient: F) -> Result<Tensor>
where
    F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    arg.apply_op1(Known { value, gradient })
}

/// A scalar function whose value is known already.
struct Known<F> {
    value: Tensor,
    gradient: F,
}

impl<F> CustomOp1 for Known<F>
where
    F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync,
{
    fn name(&self) -> &'static str {
        "loss"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match &*self.value.storage_and_layout().0 {
            Storage::Cpu(storage) => Ok((storage.clone(), Shape::from(()))),
            _ => bail!("a loss on another device than its features"),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, Shape::from(()))),
            _ => bail!("a loss on another device than its features"),
        }
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        (self.gradient)(arg, upstream).map(Some)
    }
}
