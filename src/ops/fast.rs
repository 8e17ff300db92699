//! The operations as Candle custom operations: our kernels forward and
//! backward on the CPU.

use super::cpu::conv::{Conv, border, mirrored_winograd_weights, winograd_weights};
use super::cpu::pixels::{Pixels, PixelsMut};
use super::cpu::winograd::{self, Epilogue};
use super::cpu::{LANES, Level, norm, pool};
use super::{Padding, Size, Step};
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail,
};
use std::sync::{Arc, OnceLock};

/// The numbers of a contiguous `f32` tensor on the CPU.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("tensor is not contiguous"),
    }
}

/// Calls `f` with the numbers of a tensor on the CPU.
fn with_slice<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(slice(storage, layout)?),
        _ => bail!("tensor is not on the CPU"),
    }
}

fn result(data: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(data), shape.into())
}

/// See [`super::Backend::conv2d`].
pub fn conv2d(x: &Tensor, weight: &Tensor, padding: Padding, stride: usize) -> Result<Tensor> {
    x.contiguous()?
        .apply_op2(&weight.contiguous()?, Conv2d { padding, stride })
}

struct Conv2d {
    padding: Padding,
    stride: usize,
}

/// The convolution of images `x` with `weight`, if these go together.
pub(super) fn convolution(
    x: &Shape,
    weight: &Shape,
    padding: Padding,
    stride: usize,
) -> Result<Conv> {
    let (batch, height, width, channels) = x.dims4()?;
    let (outputs, inputs, kernel, kernel_width) = weight.dims4()?;
    if inputs != channels || kernel != kernel_width || x.elem_count() == 0 {
        bail!("conv2d of {x:?} with weights {weight:?}");
    }
    if kernel % 2 == 0 {
        bail!("conv2d with a kernel of {kernel}, which is even");
    }
    Ok(Conv {
        batch,
        height,
        width,
        inputs,
        outputs,
        kernel,
        stride,
        padding,
    })
}

impl Conv2d {
    fn sizes(&self, x: &Shape, weight: &Shape) -> Result<Conv> {
        convolution(x, weight, self.padding, self.stride)
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "padded-conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let conv = self.sizes(x_layout.shape(), weight_layout.shape())?;
        let weight = slice(weight, weight_layout)?;
        let out = conv.forward(Level::current(), slice(x, x_layout)?, weight);
        let Size { width, height } = conv.output_size();
        Ok(result(out, (conv.batch, height, width, conv.outputs)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let conv = self.sizes(x.shape(), weight.shape())?;
        let level = Level::current();
        with_slice(gradient, |gradient| {
            let of_input = |weight: &[f32]| Ok(conv.input_gradient(level, weight, gradient));
            let of_weight = |x: &[f32]| Ok(conv.weight_gradient(level, x, gradient));
            let tensor = |data, like: &Tensor| Tensor::from_vec(data, like.shape(), like.device());
            // Only what is trained needs a gradient.
            let input = match x.track_op() {
                true => Some(tensor(with_slice(weight, of_input)?, x)?),
                false => None,
            };
            let weights = match weight.track_op() {
                true => Some(tensor(with_slice(x, of_weight)?, weight)?),
                false => None,
            };
            Ok((input, weights))
        })
    }
}

/// See [`super::Backend::conv_transpose2x`].
pub fn conv_transpose2x(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let weight = weight.transpose(0, 1)?.contiguous()?;
    x.contiguous()?.apply_op2(&weight, ConvTranspose2x)
}

/// The convolution of stride 2, from the larger image to the smaller, taken
/// backwards: its weights are `[inputs, outputs, k, k]` in our terms.
struct ConvTranspose2x;

/// The shape of what the transposed convolution of `x` gives, with weights
/// `[inputs, outputs, k, k]`.
pub(super) fn larger(x: &Shape, weight: &Shape) -> Result<Shape> {
    let (batch, height, width, channels) = x.dims4()?;
    let (inputs, outputs, _, _) = weight.dims4()?;
    if inputs != channels {
        bail!("transposed convolution of {x:?} with weights {weight:?}");
    }
    Ok(Shape::from((batch, 2 * height, 2 * width, outputs)))
}

impl ConvTranspose2x {
    fn convolution(x: &Shape, weight: &Shape) -> Result<Conv> {
        convolution(&larger(x, weight)?, weight, Padding::Same, 2)
    }
}

impl CustomOp2 for ConvTranspose2x {
    fn name(&self) -> &'static str {
        "conv-transpose2x"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let conv = Self::convolution(x_layout.shape(), weight_layout.shape())?;
        let weight = slice(weight, weight_layout)?;
        let out = conv.input_gradient(Level::current(), weight, slice(x, x_layout)?);
        let shape = (conv.batch, conv.height, conv.width, conv.inputs);
        Ok(result(out, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of_input = conv2d(gradient, weight, Padding::Same, 2)?;
        let conv = Self::convolution(x.shape(), weight.shape())?;
        let of_weight = with_slice(gradient, |gradient| {
            let of_weight = |x: &[f32]| Ok(conv.weight_gradient(Level::current(), gradient, x));
            with_slice(x, of_weight)
        })?;
        let of_weight = Tensor::from_vec(of_weight, weight.shape(), weight.device())?;
        Ok((Some(of_input), Some(of_weight)))
    }
}

/// See [`super::FrozenConv2d`].
#[derive(Clone)]
pub struct FrozenConv2d(Arc<Frozen>);

struct Frozen {
    forward: winograd::WinogradWeights,
    /// Made when first needed: not every use asks for gradients.
    backward: OnceLock<winograd::WinogradWeights>,
    weight: Tensor,
    bias: Vec<f32>,
    products: Products,
}

/// How exactly a `FrozenConv2d` multiplies on a CPU. A CUDA device has one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// In 32-bit floats.
    Exact,
    /// In 16-bit integers where the CPU is faster with them (AVX-512 VNNI),
    /// elsewhere exactly.
    Fast,
}

impl Products {
    /// `weights` as they are to be multiplied.
    fn of(self, weights: winograd::WinogradWeights) -> winograd::WinogradWeights {
        match self {
            Products::Fast if Level::current().multiplies_pairs() => weights.rounded(),
            _ => weights,
        }
    }
}

impl FrozenConv2d {
    /// See [`super::FrozenConv2d::new`].
    pub fn new(weight: &Tensor, bias: &Tensor, products: Products) -> Result<Self> {
        let (outputs, inputs, _, _) = weight.dims4()?;
        let mut padded_bias = bias.to_vec1::<f32>()?;
        padded_bias.resize(outputs.next_multiple_of(LANES), 0.0);
        let forward = with_slice(weight, |w| {
            Ok(products.of(winograd_weights(Step::Same, w, outputs, inputs)))
        })?;
        Ok(FrozenConv2d(Arc::new(Frozen {
            forward,
            backward: OnceLock::new(),
            weight: weight.detach(),
            bias: padded_bias,
            products,
        })))
    }

    /// See [`super::FrozenConv2d::forward`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(self.clone())
    }

    /// The weights of the convolution that takes gradients back.
    fn backward_weights(&self) -> Result<&winograd::WinogradWeights> {
        if let Some(weights) = self.0.backward.get() {
            return Ok(weights);
        }
        let (outputs, inputs, _, _) = self.0.weight.dims4()?;
        let weights = with_slice(&self.0.weight, |w| {
            let weights = mirrored_winograd_weights(w, outputs, inputs);
            Ok(self.0.products.of(weights))
        })?;
        Ok(self.0.backward.get_or_init(|| weights))
    }
}

impl CustomOp1 for FrozenConv2d {
    fn name(&self) -> &'static str {
        "frozen-conv2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, inputs) = layout.shape().dims4()?;
        if inputs != self.0.weight.dim(1)? {
            bail!("{inputs} channels into weights {:?}", self.0.weight.shape());
        }
        let outputs = self.0.forward.outputs();
        let mut out = vec![0.0; batch * height * width * outputs];
        let source = winograd::Source {
            data: Pixels::Floats(slice(x, layout)?),
            batch,
            height,
            width,
            rows: &border(height, Padding::Same, (1, 1)),
            columns: &border(width, Padding::Same, (1, 1)),
            prologue: winograd::Prologue::None,
        };
        let epilogue = Epilogue {
            bias: Some(&self.0.bias),
            relu: true,
            moments: None,
        };
        winograd::convolve(
            Level::current(),
            &self.0.forward,
            source,
            epilogue,
            PixelsMut::Floats(&mut out),
        );
        Ok(result(out, (batch, height, width, outputs)))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (batch, height, width, _) = y.dims4()?;
        let weights = self.backward_weights()?;
        let mut out = vec![0.0; x.elem_count()];
        with_slice(gradient, |gradient| {
            with_slice(y, |y| {
                let source = winograd::Source {
                    data: Pixels::Floats(gradient),
                    batch,
                    height,
                    width,
                    rows: &border(height, Padding::Same, (1, 1)),
                    columns: &border(width, Padding::Same, (1, 1)),
                    // ReLU let nothing through where the result is 0.
                    prologue: winograd::Prologue::Gate(y),
                };
                let epilogue = Epilogue::default();
                let out = PixelsMut::Floats(&mut out);
                winograd::convolve(Level::current(), weights, source, epilogue, out);
                Ok(())
            })
        })?;
        Ok(Some(Tensor::from_vec(out, x.shape(), x.device())?))
    }
}

/// See [`super::Backend::instance_norm`].
pub fn instance_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
    relu: bool,
) -> Result<Tensor> {
    let op = InstanceNorm {
        eps,
        relu,
        statistics: OnceLock::new(),
    };
    x.contiguous()?
        .apply_op3(&scale.contiguous()?, &shift.contiguous()?, op)
}

struct InstanceNorm {
    eps: f64,
    relu: bool,
    /// Kept from the forward pass for the backward one.
    statistics: OnceLock<norm::Statistics>,
}

impl InstanceNorm {
    fn extent(x: &Shape) -> Result<norm::Extent> {
        let (_, height, width, channels) = x.dims4()?;
        Ok(norm::Extent {
            pixels: height * width,
            channels,
        })
    }

    fn statistics(&self, data: &[f32], extent: norm::Extent) -> &norm::Statistics {
        self.statistics
            .get_or_init(|| norm::statistics(Level::current(), data, extent, self.eps))
    }
}

impl CustomOp3 for InstanceNorm {
    fn name(&self) -> &'static str {
        "instance-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = x_layout.shape();
        let extent = Self::extent(shape)?;
        let affine = (slice(scale, scale_layout)?, slice(shift, shift_layout)?);
        if affine.0.len() != extent.channels || affine.1.len() != extent.channels {
            bail!("instance norm of {shape:?} with {:?}", scale_layout.shape());
        }
        let data = slice(x, x_layout)?;
        let statistics = self.statistics(data, extent);
        let mut out = vec![0.0; data.len()];
        let level = Level::current();
        norm::forward(level, data, extent, statistics, affine, self.relu, &mut out);
        Ok(result(out, shape.clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let extent = Self::extent(x.shape())?;
        let scale_values = scale.to_vec1::<f32>()?;
        let level = Level::current();
        let gradients = with_slice(x, |x| {
            with_slice(y, |y| {
                with_slice(gradient, |gradient| {
                    let statistics = self.statistics(x, extent);
                    let y = self.relu.then_some(y);
                    Ok(norm::backward(
                        level,
                        x,
                        extent,
                        statistics,
                        &scale_values,
                        y,
                        gradient,
                    ))
                })
            })
        })?;
        let tensor = |data, like: &Tensor| Tensor::from_vec(data, like.shape(), like.device());
        Ok((
            Some(tensor(gradients.data, x)?),
            Some(tensor(gradients.scale, scale)?),
            Some(tensor(gradients.shift, shift)?),
        ))
    }
}

/// See [`super::Backend::upsample2x`].
pub fn upsample2x(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Upsample2x)
}

struct Upsample2x;

impl CustomOp1 for Upsample2x {
    fn name(&self) -> &'static str {
        "upsample2x"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let out = pool::upsample(slice(x, layout)?, (h, w, c));
        Ok(result(out, (n, 2 * h, 2 * w, c)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, h, w, c) = x.dims4()?;
        let out = with_slice(gradient, |g| Ok(pool::upsample_gradient(g, (h, w, c))))?;
        Ok(Some(Tensor::from_vec(out, x.shape(), x.device())?))
    }
}

/// See [`super::Backend::max_pool2x2`].
pub fn max_pool2x2(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(MaxPool2x2)
}

struct MaxPool2x2;

impl CustomOp1 for MaxPool2x2 {
    fn name(&self) -> &'static str {
        "max-pool2x2"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        if h < 2 || w < 2 {
            bail!("max pooling of an image of {h}x{w}");
        }
        let out = pool::max_pool(slice(x, layout)?, (h, w, c));
        Ok(result(out, (n, h / 2, w / 2, c)))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, h, w, c) = x.dims4()?;
        let out = with_slice(x, |x| {
            with_slice(y, |y| {
                with_slice(gradient, |g| {
                    Ok(pool::max_pool_gradient(x, (h, w, c), y, g))
                })
            })
        })?;
        Ok(Some(Tensor::from_vec(out, x.shape(), x.device())?))
    }
}
