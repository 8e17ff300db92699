//! The network as a function of an image: plain, differentiable Candle.

use super::{Architecture, Model, OutputMap};
use crate::ops::{Padding, Path, plain};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;

/// Convolution and what follows it: normalisation, or a bias.
struct ConvLayer {
    weight: Tensor,
    tail: Tail,
    stride: usize,
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
        stride: usize,
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
            stride,
        })
    }

    fn forward(&self, x: &Tensor, relu: bool, path: Path) -> Result<Tensor> {
        let padding = Padding::Reflect(self.weight.dim(2)? / 2);
        let y = path.conv2d(x, &self.weight, padding, self.stride)?;
        match &self.tail {
            Tail::Norm { scale, shift, eps } => path.instance_norm(&y, scale, shift, *eps, relu),
            Tail::Bias(bias) => {
                let y = y.broadcast_add(bias)?;
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
        let layer = |name: &str, out: usize, input: usize, kernel: usize, stride: usize| {
            ConvLayer::new([out, input, kernel, kernel], stride, eps, vb.pp(name))
        };
        Ok(Network {
            architecture: architecture.clone(),
            down: vec![
                layer("down.0", c, 3, outer, 1)?,
                layer("down.1", 2 * c, c, inner, 2)?,
                layer("down.2", 4 * c, 2 * c, inner, 2)?,
            ],
            residual: (0..architecture.residual_blocks)
                .map(|i| {
                    Ok([
                        layer(&format!("residual.{i}.0"), 4 * c, 4 * c, inner, 1)?,
                        layer(&format!("residual.{i}.1"), 4 * c, 4 * c, inner, 1)?,
                    ])
                })
                .collect::<Result<_>>()?,
            up: vec![
                layer("up.0", 2 * c, 4 * c, inner, 1)?,
                layer("up.1", c, 2 * c, inner, 1)?,
            ],
            output: ConvLayer::new(
                [3, c, outer, outer],
                1,
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
            x = layer.forward(&path.upsample2x(&x)?, true, path)?;
        }
        let x = self.output.forward(&x, false, path)?;
        let x = match self.architecture.output_map {
            OutputMap::Tanh => x.tanh()?.affine(127.5, 127.5)?,
            OutputMap::Clamp => x.clamp(0f32, 255f32)?,
        };
        plain::channels_first(&x.narrow(1, 0, height)?.narrow(2, 0, width)?)
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
