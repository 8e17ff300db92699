//! The network as a function of an image: plain, differentiable Candle.

use super::{
    Architecture, LayerSpec, Model, OutputMap, Residual, SIDE_MULTIPLE, Step, StyleMix, Tail,
    Upsampling,
};
use crate::ops::{Backend, Size, plain};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;

/// A layer with its tensors.
struct NetworkLayer {
    spec: LayerSpec,
    weight: Tensor,
    tail: TailTensors,
}

/// The tensors of a [`Tail`], `[styles, outputs]`.
enum TailTensors {
    Norm { scale: Tensor, shift: Tensor },
    Bias(Tensor),
}

impl NetworkLayer {
    fn new(spec: LayerSpec, vb: &VarBuilder) -> Result<Self> {
        let shapes: HashMap<_, _> = spec.parameters().into_iter().collect();
        // One row for each style.
        let rows = |name: String| {
            let tensor = vb.get(shapes[&name].as_slice(), &name)?;
            tensor.reshape((spec.styles, spec.outputs))
        };
        let tail = match spec.tail {
            Tail::Norm => TailTensors::Norm {
                scale: rows(spec.norm_scale())?,
                shift: rows(spec.norm_shift())?,
            },
            Tail::Bias => TailTensors::Bias(rows(spec.bias())?),
        };
        let shape = (spec.outputs, spec.inputs, spec.kernel, spec.kernel);
        Ok(NetworkLayer {
            weight: vb.get(shape, &spec.weight())?,
            tail,
            spec,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        mix: &StyleMix,
        architecture: &Architecture,
        backend: Backend,
    ) -> Result<Tensor> {
        let conv = |x, stride| backend.conv2d(x, &self.weight, architecture.padding, stride);
        let y = match (self.spec.step, architecture.upsampling) {
            (Step::Same, _) => conv(x, 1)?,
            (Step::Half, _) => conv(x, 2)?,
            (Step::Double, Upsampling::Nearest) => conv(&backend.upsample2x(x)?, 1)?,
            (Step::Double, Upsampling::Transposed) => backend.conv_transpose2x(x, &self.weight)?,
        };
        let relu = self.spec.relu;
        match &self.tail {
            TailTensors::Norm { scale, shift } => {
                let (scale, shift) = (mix.of(scale)?, mix.of(shift)?);
                backend.instance_norm(&y, &scale, &shift, architecture.norm_eps, relu)
            }
            TailTensors::Bias(bias) => {
                let y = y.to_dtype(bias.dtype())?.broadcast_add(&mix.of(bias)?)?;
                if relu { y.relu() } else { Ok(y) }
            }
        }
    }
}

/// An image transformation network.
pub struct Network {
    architecture: Architecture,
    layers: Vec<NetworkLayer>,
}

impl Network {
    /// Builds the network from the tensors that `vb` holds under the names of
    /// [`Architecture::parameters`]. Tensors that are variables can be trained.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape.
    pub fn new(architecture: &Architecture, vb: VarBuilder) -> Result<Self> {
        let layers = architecture.layers().into_iter();
        Ok(Network {
            architecture: architecture.clone(),
            layers: layers
                .map(|spec| NetworkLayer::new(spec, &vb))
                .collect::<Result<_>>()?,
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
    ///
    /// It paints in the first of its styles.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        self.forward_by(image, Backend::Fast)
    }

    /// [`Network::forward`], with the operations of `backend`.
    pub fn forward_by(&self, image: &Tensor, backend: Backend) -> Result<Tensor> {
        self.forward_mix(image, &StyleMix::default(), backend)
    }

    /// [`Network::forward_by`], in a mix of styles.
    ///
    /// # Errors
    /// A mix of styles that the network lacks.
    pub fn forward_mix(&self, image: &Tensor, mix: &StyleMix, backend: Backend) -> Result<Tensor> {
        let image = plain::channels_last(image)?;
        plain::channels_first(&self.run(&image, mix, backend)?)
    }

    /// [`Network::forward_mix`] of `image` with its channels last, `[n, h, w, 3]`.
    pub fn forward_channels_last(&self, image: &Tensor, mix: &StyleMix) -> Result<Tensor> {
        self.run(image, mix, Backend::Fast)
    }

    fn run(&self, image: &Tensor, mix: &StyleMix, backend: Backend) -> Result<Tensor> {
        mix.check(self.architecture.styles)?;
        let (_, height, width, _) = image.dims4()?;
        let [black, white] = self.architecture.input_range;
        let mut x = pad_sides(image)?.affine((white - black) / 255.0, black)?;
        let mut kept = None;
        for layer in &self.layers {
            if layer.spec.residual == Residual::First {
                kept = Some(x.clone());
            }
            x = layer.forward(&x, mix, &self.architecture, backend)?;
            if layer.spec.residual == Residual::Second
                && let Some(kept) = kept.take()
            {
                x = (x + kept)?;
            }
        }
        // Images inside may have 16 bits; pictures have 32.
        let x = x.to_dtype(DType::F32)?;
        let x = match self.architecture.output_map {
            OutputMap::Tanh => x.tanh()?.affine(127.5, 127.5)?,
            OutputMap::Tanh150 => x.tanh()?.affine(150.0, 127.5)?.clamp(0f32, 255f32)?,
            OutputMap::Clamp => x.clamp(0f32, 255f32)?,
        };
        x.narrow(1, 0, height)?.narrow(2, 0, width)
    }

    /// Bytes that [`Network::forward`] takes at most, about, for a picture of
    /// `size` on the CPU where no gradients are wanted.
    pub fn memory_needed(&self, size: Size) -> usize {
        let padded = size.map(|side| side.next_multiple_of(SIDE_MULTIPLE));
        padded
            .area()
            .saturating_mul(size_of::<f32>() * self.numbers_per_pixel())
    }

    /// Numbers held at once for each pixel of a picture, at most: some
    /// pictures, and in the largest layer its input, that enlarged and perhaps
    /// padded, and its result, rounded up to whole images of full size.
    fn numbers_per_pixel(&self) -> usize {
        let held = |NetworkLayer { spec, .. }: &NetworkLayer| {
            let image = |channels: usize, scale: usize| channels as f64 / (scale * scale) as f64;
            let input = image(spec.inputs, spec.input_scale);
            let under_kernel = image(spec.inputs, spec.kernel_scale());
            let enlarged = match spec.step {
                Step::Double => under_kernel,
                Step::Same | Step::Half => 0.0,
            };
            let padded = match spec.kernel {
                3 => 0.0,
                _ => under_kernel,
            };
            input + enlarged + padded + image(spec.outputs, spec.output_scale())
        };
        let most = self.layers.iter().map(held).fold(0.0, f64::max);
        24 + (most.ceil() as usize).next_multiple_of(self.architecture.width)
    }

    /// What the network looks like.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }
}

/// Mirrors at the right and lower border until both sides divide by [`SIDE_MULTIPLE`].
fn pad_sides(image: &Tensor) -> Result<Tensor> {
    let mut padded = image.clone();
    for dim in [1, 2] {
        let len = image.dim(dim)?;
        if len % SIDE_MULTIPLE != 0 {
            padded = plain::reflect_to(&padded, dim, 0, len.next_multiple_of(SIDE_MULTIPLE) - len)?;
        }
    }
    Ok(padded)
}
