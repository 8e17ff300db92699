//! Which implementation of an operation runs, by the device where the image lies.

#[cfg(feature = "cuda")]
use super::cuda::training::custom;
use super::{Padding, Products, fast, plain};
use candle_core::{Device, Result, Tensor};

/// Which implementation of the operations runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Ordinary Candle operations: the reference.
    Plain,
    /// Our kernels, where the device has them.
    Fast,
}

/// Whose operations are taken.
enum Dispatch {
    Plain,
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda,
}

impl Backend {
    /// The way that can be gone where `x` lies.
    fn on(self, x: &Tensor) -> Dispatch {
        match (self, x.device()) {
            (Backend::Fast, Device::Cpu) => Dispatch::Cpu,
            #[cfg(feature = "cuda")]
            (Backend::Fast, Device::Cuda(_)) => Dispatch::Cuda,
            _ => Dispatch::Plain,
        }
    }

    /// Convolves `x` `[n, h, w, inputs]` with `weight` `[outputs, inputs, k, k]`
    /// into `[n, (h - 1) / stride + 1, .., outputs]`; `k` is odd.
    pub fn conv2d(
        self,
        x: &Tensor,
        weight: &Tensor,
        padding: Padding,
        stride: usize,
    ) -> Result<Tensor> {
        match self.on(x) {
            Dispatch::Plain => plain::conv2d(x, weight, padding, stride),
            Dispatch::Cpu => fast::conv2d(x, weight, padding, stride),
            #[cfg(feature = "cuda")]
            Dispatch::Cuda => custom::conv2d(x, weight, padding, stride),
        }
    }

    /// Normalises each channel of each image to mean 0 and variance 1, then
    /// applies `scale` and `shift` (both `[channels]`), then ReLU if `relu`.
    pub fn instance_norm(
        self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        eps: f64,
        relu: bool,
    ) -> Result<Tensor> {
        match self.on(x) {
            Dispatch::Plain => plain::instance_norm(x, scale, shift, eps, relu),
            Dispatch::Cpu => fast::instance_norm(x, scale, shift, eps, relu),
            #[cfg(feature = "cuda")]
            Dispatch::Cuda => custom::instance_norm(x, scale, shift, eps, relu),
        }
    }

    /// Doubles height and width by a transposed convolution of stride 2: what
    /// takes gradients back through a convolution of stride 2 with
    /// [`Padding::Same`]. `weight` is `[outputs, inputs, k, k]`; output pixel
    /// `2 i + j - p` takes input pixel `i` times the weight at `j`, where `p` is
    /// that padding's front.
    pub fn conv_transpose2x(self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        match self.on(x) {
            Dispatch::Plain => plain::conv_transpose2x(x, weight),
            Dispatch::Cpu => fast::conv_transpose2x(x, weight),
            #[cfg(feature = "cuda")]
            Dispatch::Cuda => custom::conv_transpose2x(x, weight),
        }
    }

    /// Doubles height and width by repeating each pixel.
    pub fn upsample2x(self, x: &Tensor) -> Result<Tensor> {
        match self.on(x) {
            Dispatch::Plain => plain::upsample2x(x),
            Dispatch::Cpu => fast::upsample2x(x),
            #[cfg(feature = "cuda")]
            Dispatch::Cuda => custom::upsample2x(x),
        }
    }

    /// Halves height and width (rounding down), keeping the largest of each 2x2.
    pub fn max_pool2x2(self, x: &Tensor) -> Result<Tensor> {
        match self.on(x) {
            Dispatch::Plain => plain::max_pool2x2(x),
            Dispatch::Cpu => fast::max_pool2x2(x),
            #[cfg(feature = "cuda")]
            Dispatch::Cuda => custom::max_pool2x2(x),
        }
    }
}

/// A 3x3 convolution with zero padding 1, bias and ReLU whose weights are not
/// trained (VGG's): it gives gradients for its input only.
pub struct FrozenConv2d(Frozen);

enum Frozen {
    Plain {
        weight: Tensor,
        bias: Tensor,
    },
    Cpu(fast::FrozenConv2d),
    #[cfg(feature = "cuda")]
    Cuda(custom::FrozenConv2d),
}

impl FrozenConv2d {
    /// `weight` is `[outputs, inputs, 3, 3]`, `bias` `[outputs]`.
    pub fn new(weight: &Tensor, bias: &Tensor, products: Products) -> Result<Self> {
        Ok(FrozenConv2d(match Backend::Fast.on(weight) {
            Dispatch::Cpu => Frozen::Cpu(fast::FrozenConv2d::new(weight, bias, products)?),
            #[cfg(feature = "cuda")]
            Dispatch::Cuda => Frozen::Cuda(custom::FrozenConv2d::new(weight, bias)?),
            Dispatch::Plain => Frozen::Plain {
                weight: weight.detach(),
                bias: bias.detach(),
            },
        }))
    }

    /// `[n, h, w, inputs]` to `[n, h, w, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Frozen::Plain { weight, bias } => plain::frozen_conv2d(x, weight, bias),
            Frozen::Cpu(conv) => conv.forward(x),
            #[cfg(feature = "cuda")]
            Frozen::Cuda(conv) => conv.forward(x),
        }
    }
}
