//! The network as a function of an image: plain, differentiable Candle.

use super::{Architecture, Model, OutputMap, Upsampling};
use crate::ops::{Padding, Path, plain};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;

/// Convolution and what follows it: normalisation, or a bias.
struct ConvLayer {
    weight: Tensor,
    tail: Tail,
    padding: Padding,
    step: Step,
}

/// How the result's size compares to the input's.
#[derive(Clone, Copy)]
enum Step {
    /// One pixel of so many in a line.
    Stride(usize),
    /// Two pixels of one.
    Double(Upsampling),
}

enum Tail {
    Norm {
        scale: Tensor,
        shift: Tensor,
        eps: f64,
    },
    Bias(Tensor),
}

impl ConvLayer {
    fn new(
        shape: [usize; 4],
        padding: Padding,
        step: Step,
        norm_eps: Option<f64>,
        vb: VarBuilder,
    ) -> Result<Self> {
        let out = shape[0];
        let tail = match norm_eps {
            Some(eps) => Tail::Norm {
                scale: vb.get(out, "norm.weight")?,
                shift: vb.get(out, "norm.bias")?,
                eps,
            },
            None => Tail::Bias(vb.get(out, "conv.bias")?),
        };
        Ok(ConvLayer {
            weight: vb.get(&shape, "conv.weight")?,
            tail,
            padding,
            step,
        })
    }

    fn forward(&self, x: &Tensor, relu: bool, path: Path) -> Result<Tensor> {
        let conv = |x, stride| path.conv2d(x, &self.weight, self.padding, stride);
        let y = match self.step {
            Step::Stride(stride) => conv(x, stride)?,
            Step::Double(Upsampling::Nearest) => conv(&path.upsample2x(x)?, 1)?,
            Step::Double(Upsampling::Transposed) => path.conv_transpose2x(x, &self.weight)?,
        };
        match &self.tail {
            Tail::Norm { scale, shift, eps } => path.instance_norm(&y, scale, shift, *eps, relu),
            Tail::Bias(bias) => {
                let y = y.to_dtype(bias.dtype())?.broadcast_add(bias)?;
                if relu { y.relu() } else { Ok(y) }
            }
        }
    }
}

/// An image transformation network.
pub struct Network {
    architecture: Architecture,
    down: Vec<ConvLayer>,
    residual: Vec<[ConvLayer; 2]>,
    up: Vec<ConvLayer>,
    output: ConvLayer,
}

impl Network {
    /// Builds the network from the tensors that `vb` holds under the names of
    /// [`Architecture::parameters`]. Tensors that are variables can be trained.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape.
    pub fn new(architecture: &Architecture, vb: VarBuilder) -> Result<Self> {
        let c = architecture.width;
        let (outer, inner) = (architecture.outer_kernel, architecture.inner_kernel);
        let eps = Some(architecture.norm_eps);
        let padding = architecture.padding;
        let layer = |name: &str, out: usize, input: usize, kernel: usize, step: Step| {
            let shape = [out, input, kernel, kernel];
            ConvLayer::new(shape, padding, step, eps, vb.pp(name))
        };
        let (same, half) = (Step::Stride(1), Step::Stride(2));
        let double = Step::Double(architecture.upsampling);
        Ok(Network {
            architecture: architecture.clone(),
            down: vec![
                layer("down.0", c, 3, outer, same)?,
                layer("down.1", 2 * c, c, inner, half)?,
                layer("down.2", 4 * c, 2 * c, inner, half)?,
            ],
            residual: (0..architecture.residual_blocks)
                .map(|i| {
                    Ok([
                        layer(&format!("residual.{i}.0"), 4 * c, 4 * c, inner, same)?,
                        layer(&format!("residual.{i}.1"), 4 * c, 4 * c, inner, same)?,
                    ])
                })
                .collect::<Result<_>>()?,
            up: vec![
                layer("up.0", 2 * c, 4 * c, inner, double)?,
                layer("up.1", c, 2 * c, inner, double)?,
            ],
            output: ConvLayer::new(
                [3, c, outer, outer],
                padding,
                same,
                eps.filter(|_| architecture.output_norm),
                vb.pp("output"),
            )?,
        })
    }

    /// The network of a loaded model, on `device`.
    pub fn from_model(model: &Model, device: &Device) -> Result<Self> {
        let vb = VarBuilder::from_tensors(model.weights.clone(), DType::F32, device);
        Network::new(&model.architecture, vb)
    }

    /// Repaints `image`, RGB `[n, 3, h, w]` in 0..255, into the same shape and
    /// range. Any size from 1x1 will do: sides that are not multiples of 4 are
    /// mirrored up to the next and the result is cut back.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        self.forward_by(image, Path::Fast)
    }

    /// [`Network::forward`], with the operations of `path`.
    pub fn forward_by(&self, image: &Tensor, path: Path) -> Result<Tensor> {
        let (_, _, height, width) = image.dims4()?;
        let [black, white] = self.architecture.input_range;
        let image = plain::channels_last(image)?;
        let mut x = pad_to_multiple_of_4(&image)?.affine((white - black) / 255.0, black)?;
        for layer in &self.down {
            x = layer.forward(&x, true, path)?;
        }
        for [first, second] in &self.residual {
            let inner = first.forward(&x, true, path)?;
            x = (second.forward(&inner, false, path)? + x)?;
        }
        for layer in &self.up {
            x = layer.forward(&x, true, path)?;
        }
        // Images inside may have 16 bits; pictures have 32.
        let x = self.output.forward(&x, false, path)?;
        let x = x.to_dtype(DType::F32)?;
        let x = match self.architecture.output_map {
            OutputMap::Tanh => x.tanh()?.affine(127.5, 127.5)?,
            OutputMap::Tanh150 => x.tanh()?.affine(150.0, 127.5)?.clamp(0f32, 255f32)?,
            OutputMap::Clamp => x.clamp(0f32, 255f32)?,
        };
        plain::channels_first(&x.narrow(1, 0, height)?.narrow(2, 0, width)?)
    }

    /// Bytes that [`Network::forward`] takes at most, about, for a picture of
    /// `size` (width, height) on the CPU where no gradients are wanted.
    pub fn memory_needed(&self, (width, height): (usize, usize)) -> usize {
        let pixels = width
            .next_multiple_of(4)
            .saturating_mul(height.next_multiple_of(4));
        pixels.saturating_mul(size_of::<f32>() * self.numbers_per_pixel())
    }

    /// Numbers held at once for each pixel of a picture, at most: some
    /// pictures, and in the layer after the last enlargement its input, that
    /// enlarged and perhaps padded, and its result.
    fn numbers_per_pixel(&self) -> usize {
        let padded = match self.architecture.inner_kernel {
            3 => 0,
            _ => 2,
        };
        24 + (4 + padded) * self.architecture.width
    }

    /// What the network looks like.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }
}

/// Mirrors at the right and lower border until both sides divide by 4.
fn pad_to_multiple_of_4(image: &Tensor) -> Result<Tensor> {
    let mut padded = image.clone();
    for dim in [1, 2] {
        let len = image.dim(dim)?;
        if len % 4 != 0 {
            padded = plain::reflect_to(&padded, dim, 0, len.next_multiple_of(4) - len)?;
        }
    }
    Ok(padded)
}
