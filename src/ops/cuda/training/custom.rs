//! The operations of [`ops`](crate::ops) as Candle custom operations on CUDA
//! devices. Each is a few lines about shapes; what is launched is said, and
//! tested, in the modules beside.
//!
//! Images may come in any type and leave in 16 bits.

use super::convolution::{self, Operands, Product, input_gradient, weight_gradient};
use super::norm::{self, Places};
use super::pixels::{self, ImageShape};
use super::stream::{Input, compute, limits, tensor};
use crate::ops::cpu::conv::Conv;
use crate::ops::{Padding, Size, fast};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape,
    Storage, Tensor, bail,
};
use std::sync::{Arc, OnceLock};

/// As the kernels read images.
fn image(x: &Tensor) -> Result<Tensor> {
    aligned(x, DType::F16)
}

/// As the kernels read what is learned.
fn numbers(x: &Tensor) -> Result<Tensor> {
    aligned(x, DType::F32)
}

/// With its numbers side by side, from a multiple of 16 bytes on.
fn aligned(x: &Tensor, dtype: DType) -> Result<Tensor> {
    let x = x.to_dtype(dtype)?.contiguous()?;
    match x.layout().start_offset().is_multiple_of(8) {
        true => Ok(x),
        false => x.force_contiguous(),
    }
}

/// Kernels count pixels, and the numbers of weights, in 32 bits.
fn check_count(counts: &[usize], what: &Shape) -> Result<()> {
    let product = counts.iter().try_fold(1usize, |n, &c| n.checked_mul(c));
    match product {
        Some(n) if n > 0 && i32::try_from(n).is_ok() => Ok(()),
        _ => bail!("an operation on {what:?}, which is empty or too large"),
    }
}

/// Batch, height, width and channels.
fn size(x: &Shape) -> Result<ImageShape> {
    let (batch, height, width, channels) = x.dims4()?;
    check_count(&[batch, height, width], x)?;
    check_count(&[channels], x)?;
    Ok([batch, height, width, channels])
}

fn on_the_cpu(name: &str) -> Result<(CpuStorage, Shape)> {
    bail!("{name} for CUDA devices on the CPU")
}

/// The convolution of `x` with `weight`, if the kernels can take it.
fn convolution(x: &Shape, weight: &Shape, padding: Padding, stride: usize) -> Result<Conv> {
    let conv = fast::convolution(x, weight, padding, stride)?;
    let border = 2 * (conv.kernel / 2);
    check_count(&[conv.batch, conv.height + border, conv.width + border], x)?;
    // As much as rows and columns are filled up to in a product.
    check_count(
        &[
            conv.outputs + 128,
            conv.inputs + 32,
            conv.kernel,
            conv.kernel,
        ],
        weight,
    )?;
    Ok(conv)
}

/// See [`crate::ops::Backend::conv2d`].
pub fn conv2d(x: &Tensor, weight: &Tensor, padding: Padding, stride: usize) -> Result<Tensor> {
    image(x)?.apply_op2(&numbers(weight)?, Conv2d { padding, stride })
}

struct Conv2d {
    padding: Padding,
    stride: usize,
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "padded-conv2d"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        on_the_cpu(self.name())
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (x_shape, shape) = (x_layout.shape(), weight_layout.shape());
        let conv = convolution(x_shape, shape, self.padding, self.stride)?;
        let Size { width, height } = conv.output_size();
        let shape = Shape::from((conv.batch, height, width, conv.outputs));
        let inputs = [(x, x_layout), (weight, weight_layout)];
        let y = compute(
            &inputs,
            shape.elem_count(),
            DType::F16,
            |at, y, limits, scratch| {
                convolution::forward(&conv, (at[0], at[1]), y, limits, scratch)
            },
        )?;
        Ok((y, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let conv = convolution(x.shape(), weight.shape(), self.padding, self.stride)?;
        let gradient = image(gradient)?;
        // Only what is trained needs a gradient.
        let of_input = match x.track_op() {
            true => Some(gradient_of_input(&conv, &gradient, weight)?),
            false => None,
        };
        let of_weight = match weight.track_op() {
            true => Some(gradient_of_weight(&conv, x, &gradient, weight.shape())?),
            false => None,
        };
        Ok((of_input, of_weight))
    }
}

fn gradient_of_input(conv: &Conv, gradient: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let shape = (conv.batch, conv.height, conv.width, conv.inputs);
    tensor(
        &[gradient, weight],
        shape,
        DType::F16,
        |at, to, limits, scratch| input_gradient(conv, (at[0], at[1]), to, limits, scratch),
    )
}

fn gradient_of_weight(conv: &Conv, x: &Tensor, gradient: &Tensor, of: &Shape) -> Result<Tensor> {
    tensor(&[x, gradient], of, DType::F32, |at, to, limits, scratch| {
        weight_gradient(conv, (at[0], at[1]), to, limits, scratch)
    })
}

/// See [`crate::ops::Backend::conv_transpose2x`].
pub fn conv_transpose2x(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let weight = numbers(&weight.transpose(0, 1)?)?;
    image(x)?.apply_op2(&weight, ConvTranspose2x)
}

/// The convolution of stride 2, from the larger image to the smaller, taken
/// backwards: its weights are `[inputs, outputs, k, k]` in our terms.
struct ConvTranspose2x;

impl ConvTranspose2x {
    fn convolution(x: &Shape, weight: &Shape) -> Result<Conv> {
        let larger = fast::larger(x, weight)?;
        convolution(&larger, weight, Padding::Same, 2)
    }
}

impl CustomOp2 for ConvTranspose2x {
    fn name(&self) -> &'static str {
        "conv-transpose2x"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        on_the_cpu(self.name())
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let conv = Self::convolution(x_layout.shape(), weight_layout.shape())?;
        let shape = Shape::from((conv.batch, conv.height, conv.width, conv.inputs));
        let inputs = [(x, x_layout), (weight, weight_layout)];
        let y = compute(
            &inputs,
            shape.elem_count(),
            DType::F16,
            |at, y, limits, scratch| input_gradient(&conv, (at[0], at[1]), y, limits, scratch),
        )?;
        Ok((y, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = image(gradient)?;
        let conv = Self::convolution(x.shape(), weight.shape())?;
        let of_input = conv2d(&gradient, &weight.detach(), Padding::Same, 2)?;
        let of_weight = gradient_of_weight(&conv, &gradient, x, weight.shape())?;
        Ok((Some(of_input), Some(of_weight)))
    }
}

/// See [`crate::ops::FrozenConv2d`].
#[derive(Clone)]
pub struct FrozenConv2d(Arc<Frozen>);

struct Frozen {
    weight: Tensor,
    bias: Tensor,
    /// Packed for the convolution, and for the gradient of its input.
    forward: Tensor,
    /// Made when first needed: not every use asks for gradients.
    backward: OnceLock<Tensor>,
}

impl FrozenConv2d {
    /// See [`crate::ops::FrozenConv2d::new`].
    pub fn new(weight: &Tensor, bias: &Tensor) -> Result<Self> {
        let weight = numbers(&weight.detach())?;
        // Packed weights are the same for all sizes of images.
        let conv = Self::convolution(&Shape::from((1, 1, 1, weight.dim(1)?)), &weight)?;
        let forward = packed(&Product::forward(&conv, limits(&weight)?), &weight)?;
        Ok(FrozenConv2d(Arc::new(Frozen {
            bias: numbers(&bias.detach())?,
            forward,
            backward: OnceLock::new(),
            weight,
        })))
    }

    /// See [`crate::ops::FrozenConv2d::forward`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        image(x)?.apply_op1(self.clone())
    }

    fn convolution(x: &Shape, weight: &Tensor) -> Result<Conv> {
        convolution(x, weight.shape(), Padding::Same, 1)
    }
}

/// The weights as that product wants them.
fn packed(product: &Product, weight: &Tensor) -> Result<Tensor> {
    let len = product.packed_bytes() / 2;
    tensor(&[weight], len, DType::F16, |at, to, limits, _| {
        vec![product.pack(at[0], to, limits)]
    })
}

impl CustomOp1 for FrozenConv2d {
    fn name(&self) -> &'static str {
        "frozen-conv2d"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        on_the_cpu(self.name())
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let conv = Self::convolution(layout.shape(), &self.0.weight)?;
        let shape = Shape::from((conv.batch, conv.height, conv.width, conv.outputs));
        let (weight, weight_layout) = self.0.forward.storage_and_layout();
        let (bias, bias_layout) = self.0.bias.storage_and_layout();
        let inputs = [
            (x, layout),
            (on_cuda(&weight)?, weight_layout),
            (on_cuda(&bias)?, bias_layout),
        ];
        let y = compute(
            &inputs,
            shape.elem_count(),
            DType::F16,
            |at, y, limits, _| {
                vec![Product::forward(&conv, limits).multiply(Operands {
                    image: at[0],
                    weights: at[1],
                    bias: at[2],
                    relu: true,
                    output: y,
                })]
            },
        )?;
        Ok((y, shape))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let conv = Self::convolution(x.shape(), &self.0.weight)?;
        let gradient = image(gradient)?;
        let count = y.elem_count();
        // ReLU let nothing through where the result is 0.
        let gated = tensor(
            &[&gradient, y],
            y.shape(),
            DType::F16,
            |at, to, limits, _| vec![pixels::gate(count, at[0], at[1], to, limits)],
        )?;
        let products = Product::input_gradient(&conv, limits(x)?);
        let [product] = &products[..] else {
            bail!("a convolution of stride 1 has one gradient");
        };
        let weight = match self.0.backward.get() {
            Some(weight) => weight,
            None => {
                let weight = packed(product, &self.0.weight)?;
                self.0.backward.get_or_init(|| weight)
            }
        };
        let of_input = tensor(&[&gated, weight], x.shape(), DType::F16, |at, to, _, _| {
            vec![product.multiply(Operands {
                image: at[0],
                weights: at[1],
                output: to,
                ..Operands::default()
            })]
        })?;
        Ok(Some(of_input))
    }
}

fn on_cuda(storage: &Storage) -> Result<&CudaStorage> {
    match storage {
        Storage::Cuda(storage) => Ok(storage),
        _ => bail!("tensor is not on a CUDA device"),
    }
}

/// See [`crate::ops::Backend::instance_norm`].
pub fn instance_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
    relu: bool,
) -> Result<Tensor> {
    let x = image(x)?;
    let [batch, height, width, channels] = size(x.shape())?;
    if scale.dims() != [channels] || shift.dims() != [channels] {
        bail!("instance norm of {:?} with {:?}", x.shape(), scale.shape());
    }
    let norm = norm::InstanceNorm {
        batch,
        pixels: height * width,
        channels,
        eps: eps as f32,
        relu,
    };
    let len = norm.statistics_len();
    let statistics = tensor(&[&x], len, DType::F32, |at, statistics, limits, scratch| {
        let at = Places {
            x: at[0],
            statistics,
            ..Places::default()
        };
        norm.statistics(at, limits, scratch)
    })?;
    let op = InstanceNorm { norm, statistics };
    x.apply_op3(&numbers(scale)?, &numbers(shift)?, op)
}

struct InstanceNorm {
    norm: norm::InstanceNorm,
    statistics: Tensor,
}

impl CustomOp3 for InstanceNorm {
    fn name(&self) -> &'static str {
        "instance-norm"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        on_the_cpu(self.name())
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        scale: &CudaStorage,
        scale_layout: &Layout,
        shift: &CudaStorage,
        shift_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (statistics, layout) = self.statistics.storage_and_layout();
        let inputs: [Input; 4] = [
            (x, x_layout),
            (scale, scale_layout),
            (shift, shift_layout),
            (on_cuda(&statistics)?, layout),
        ];
        let shape = x_layout.shape();
        let y = compute(
            &inputs,
            shape.elem_count(),
            DType::F16,
            |at, y, limits, _| {
                let at = Places {
                    x: at[0],
                    scale: at[1],
                    shift: at[2],
                    statistics: at[3],
                    y,
                    ..Places::default()
                };
                vec![self.norm.normalise(at, limits)]
            },
        )?;
        Ok((y, shape.clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        _: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = image(gradient)?;
        let places = |at: &[u64]| Places {
            x: at[0],
            y: at[1],
            y_gradient: at[2],
            statistics: at[3],
            ..Places::default()
        };
        let inputs = [x, y, &gradient, &self.statistics];
        let len = self.norm.sums_len();
        let sums = tensor(&inputs, len, DType::F32, |at, sums, limits, scratch| {
            let at = Places { sums, ..places(at) };
            self.norm.sums(at, limits, scratch)
        })?;
        let inputs = [x, y, &gradient, &self.statistics, scale, &sums];
        let of_x = tensor(
            &inputs,
            x.shape(),
            DType::F16,
            |at, x_gradient, limits, _| {
                let at = Places {
                    scale: at[4],
                    sums: at[5],
                    x_gradient,
                    ..places(at)
                };
                vec![self.norm.gradient(at, limits)]
            },
        )?;
        let channels = self.norm.channels;
        Ok((
            Some(of_x),
            Some(sums.narrow(0, 0, channels)?),
            Some(sums.narrow(0, channels, channels)?),
        ))
    }
}

/// See [`crate::ops::Backend::upsample2x`].
pub fn upsample2x(x: &Tensor) -> Result<Tensor> {
    image(x)?.apply_op1(Upsample2x)
}

struct Upsample2x;

impl Upsample2x {
    /// The size of the result.
    fn size(x: &Shape) -> Result<ImageShape> {
        let [batch, height, width, channels] = size(x)?;
        check_count(&[4, batch, height, width], x)?;
        Ok([batch, 2 * height, 2 * width, channels])
    }
}

impl CustomOp1 for Upsample2x {
    fn name(&self) -> &'static str {
        "upsample2x"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        on_the_cpu(self.name())
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let size = Self::size(layout.shape())?;
        let shape = Shape::from(size.to_vec());
        let y = compute(
            &[(x, layout)],
            shape.elem_count(),
            DType::F16,
            |at, y, limits, _| vec![pixels::upsample(size, at[0], y, limits)],
        )?;
        Ok((y, shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (size, gradient) = (Self::size(x.shape())?, image(gradient)?);
        let of_x = tensor(&[&gradient], x.shape(), DType::F16, |at, to, limits, _| {
            vec![pixels::upsample_gradient(size, at[0], to, limits)]
        })?;
        Ok(Some(of_x))
    }
}

/// See [`crate::ops::Backend::max_pool2x2`].
pub fn max_pool2x2(x: &Tensor) -> Result<Tensor> {
    image(x)?.apply_op1(MaxPool2x2)
}

struct MaxPool2x2;

impl CustomOp1 for MaxPool2x2 {
    fn name(&self) -> &'static str {
        "max-pool2x2"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        on_the_cpu(self.name())
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let size = size(layout.shape())?;
        let [batch, height, width, channels] = size;
        if height < 2 || width < 2 {
            bail!("max pooling of an image of {height}x{width}");
        }
        let shape = Shape::from((batch, height / 2, width / 2, channels));
        let y = compute(
            &[(x, layout)],
            shape.elem_count(),
            DType::F16,
            |at, y, limits, _| vec![pixels::max_pool(size, at[0], y, limits)],
        )?;
        Ok((y, shape))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (size, gradient) = (size(x.shape())?, image(gradient)?);
        let of_x = tensor(
            &[x, y, &gradient],
            x.shape(),
            DType::F16,
            |at, to, limits, _| {
                vec![pixels::max_pool_gradient(
                    size,
                    (at[0], at[1]),
                    (at[2], to),
                    limits,
                )]
            },
        )?;
        Ok(Some(of_x))
    }
}
