//! A model's weights on the device.

use crate::engine::EngineError;
use crate::network::{Architecture, Model, OutputMap, Upsampling};
use crate::ops::Padding;
use crate::ops::cuda::pack::{self, OUTER_SIDE, padded};
use crate::ops::cuda::parameters::{Address, Affine};
use crate::ops::cuda::shapes::{self, Kind, Shape};
use crate::ops::cuda::{Gpu, Limits, Numbers};
use std::sync::Arc;

/// A network's weights as the kernels read them; networks can share them.
pub struct Weights<G: Gpu> {
    pub(super) gpu: Arc<G>,
    pub(super) numbers: Numbers,
    pub(super) architecture: Architecture,
    pub(super) layers: Layers,
    /// What the layers' addresses lie in.
    _memory: G::Memory,
}

/// Layers whose addresses count from the start of the weights' memory, until
/// that is there.
pub(super) struct Layers {
    pub first: Outer,
    pub down: [Layer; 2],
    pub residual: Vec<[Layer; 2]>,
    pub up: [Layer; 2],
    pub last: Outer,
}

/// The first layer, or the last.
pub(super) struct Outer {
    pub weights: Address,
    pub tail: Tail,
}

pub(super) struct Layer {
    pub shape: Shape,
    /// Inputs and outputs, as they are in memory.
    pub channels: (usize, usize),
    pub weights: Address,
    pub norm: Norm,
}

/// A normalisation's parameters, a number a channel.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    pub channels: usize,
    pub scale: Address,
    pub shift: Address,
    pub eps: Address,
}

pub(super) enum Tail {
    Norm(Norm),
    /// What does not depend on the picture.
    Bias(Affine),
}

/// Bytes on their way to the device.
struct Packer<'a> {
    model: &'a Model,
    limits: Limits,
    numbers: Numbers,
    bytes: Vec<u8>,
}

impl Packer<'_> {
    /// Appends numbers, and tells where.
    fn put<const N: usize>(&mut self, numbers: impl Iterator<Item = [u8; N]>) -> Address {
        self.bytes.resize(self.bytes.len().next_multiple_of(256), 0);
        let at = self.bytes.len();
        self.bytes.extend(numbers.flatten());
        at as Address
    }

    fn put_f32(&mut self, numbers: &[f32]) -> Address {
        self.put(numbers.iter().map(|x| x.to_ne_bytes()))
    }

    fn put_rounded(&mut self, weights: &[f32]) -> Address {
        let numbers = self.numbers;
        self.put(weights.iter().map(|&x| numbers.bits_of(x).to_ne_bytes()))
    }

    fn values(&self, name: &str) -> candle_core::Result<Vec<f32>> {
        match self.model.weights.get(name) {
            Some(tensor) => tensor.flatten_all()?.to_vec1(),
            None => candle_core::bail!("the model has no tensor {name}"),
        }
    }

    /// Weights of a layer, checked to be as many as they must.
    fn kernels(&self, layer: &str, shape: [usize; 3]) -> candle_core::Result<Vec<f32>> {
        let weights = self.values(&format!("{layer}.conv.weight"))?;
        let [outputs, inputs, side] = shape;
        if weights.len() != outputs * inputs * side * side {
            candle_core::bail!("{layer} has {} weights", weights.len());
        }
        Ok(weights)
    }

    /// The normalisation behind weights that have been multiplied by `scales`.
    fn norm(&mut self, layer: &str, scales: &[f32], channels: usize) -> candle_core::Result<Norm> {
        let mut scale = self.values(&format!("{layer}.norm.weight"))?;
        let mut shift = self.values(&format!("{layer}.norm.bias"))?;
        // What is added to a variance grows as that does.
        let eps = self.model.architecture.norm_eps as f32;
        let mut eps: Vec<f32> = scales.iter().map(|scale| eps * scale * scale).collect();
        // Channels of zeros stay that.
        scale.resize(channels, 0.0);
        shift.resize(channels, 0.0);
        eps.resize(channels, 1.0);
        Ok(Norm {
            channels,
            scale: self.put_f32(&scale),
            shift: self.put_f32(&shift),
            eps: self.put_f32(&eps),
        })
    }

    fn layer(
        &mut self,
        name: &str,
        kind: Kind,
        (inputs, outputs): (usize, usize),
    ) -> candle_core::Result<Layer> {
        let channels = (padded(inputs), padded(outputs));
        let Some(shape) = Shape::fitting(kind, channels, self.limits) else {
            candle_core::bail!("no kernel for {inputs} and {outputs} channels on this device");
        };
        let weights = self.kernels(name, [outputs, inputs, 3])?;
        let scales = pack::scales(&weights, outputs);
        let packed = pack::convolution(shape, &weights, (outputs, inputs), &scales, self.numbers);
        Ok(Layer {
            shape,
            channels,
            weights: self.put_rounded(&packed),
            norm: self.norm(name, &scales, channels.1)?,
        })
    }

    fn first(&mut self) -> candle_core::Result<Outer> {
        let Architecture {
            width,
            input_range: [black, white],
            ..
        } = self.model.architecture;
        let mut weights = self.kernels("down.0", [width, 3, OUTER_SIDE])?;
        // The picture is (value - 128) / 128. What its middle adds to all
        // pixels alike, the normalisation takes away.
        let gain = ((white - black) / 255.0 * 128.0) as f32;
        weights.iter_mut().for_each(|weight| *weight *= gain);
        let scales = pack::scales(&weights, width);
        Ok(Outer {
            weights: self.put_rounded(&pack::first(&weights, width, &scales)),
            tail: Tail::Norm(self.norm("down.0", &scales, padded(width))?),
        })
    }

    fn last(&mut self) -> candle_core::Result<Outer> {
        let Architecture {
            width, output_norm, ..
        } = self.model.architecture;
        let weights = self.kernels("output", [3, width, OUTER_SIDE])?;
        let scales = pack::scales(&weights, 3);
        let chunk = shapes::last_chunk(padded(width), self.limits);
        let packed = pack::last(&weights, width, &scales, chunk);
        Ok(Outer {
            weights: self.put_rounded(&packed),
            tail: match output_norm {
                true => Tail::Norm(self.norm("output", &scales, 4)?),
                false => {
                    let bias = self.values("output.conv.bias")?;
                    let factor: Vec<f32> = scales.iter().map(|scale| 1.0 / scale).collect();
                    Tail::Bias(Affine {
                        factor: self.put_f32(&factor),
                        offset: self.put_f32(&bias),
                    })
                }
            },
        })
    }

    fn layers(&mut self) -> candle_core::Result<Layers> {
        let Architecture {
            width: c,
            residual_blocks,
            ..
        } = self.model.architecture;
        let mut block = |i| -> candle_core::Result<_> {
            let mut layer =
                |j| self.layer(&format!("residual.{i}.{j}"), Kind::Same, (4 * c, 4 * c));
            Ok([layer(0)?, layer(1)?])
        };
        let residual = (0..residual_blocks)
            .map(&mut block)
            .collect::<candle_core::Result<_>>()?;
        Ok(Layers {
            first: self.first()?,
            down: [
                self.layer("down.1", Kind::Half, (c, 2 * c))?,
                self.layer("down.2", Kind::Half, (2 * c, 4 * c))?,
            ],
            residual,
            up: [
                self.layer("up.0", Kind::Double, (4 * c, 2 * c))?,
                self.layer("up.1", Kind::Double, (2 * c, c))?,
            ],
            last: self.last()?,
        })
    }
}

impl Layers {
    /// Makes all addresses count from 0 instead of `start`.
    fn rebase(&mut self, start: Address) {
        let norm = |norm: &mut Norm| {
            norm.scale += start;
            norm.shift += start;
            norm.eps += start;
        };
        for outer in [&mut self.first, &mut self.last] {
            outer.weights += start;
            match &mut outer.tail {
                Tail::Norm(own) => norm(own),
                Tail::Bias(Affine { factor, offset }) => {
                    *factor += start;
                    *offset += start;
                }
            }
        }
        let inner = self.down.iter_mut().chain(&mut self.up);
        for layer in inner.chain(self.residual.iter_mut().flatten()) {
            layer.weights += start;
            norm(&mut layer.norm);
        }
    }
}

impl<G: Gpu> Weights<G> {
    /// Whether they can be those of a network of this kind: with the article's
    /// kernels, mirrored borders and repeated pixels.
    pub fn can_be(architecture: &Architecture) -> bool {
        architecture.padding == Padding::Reflect
            && architecture.upsampling == Upsampling::Nearest
            && architecture.outer_kernel == OUTER_SIDE
            && architecture.inner_kernel == 3
    }

    /// Packs the weights of `model`, rounded to `numbers`, and moves them to the
    /// device.
    ///
    /// # Errors
    /// A model without its tensors, or that this [cannot be](Self::can_be);
    /// too little memory on the device.
    pub fn new(gpu: Arc<G>, model: &Model, numbers: Numbers) -> Result<Self, EngineError> {
        if !Self::can_be(&model.architecture) {
            return Err(candle_core::Error::msg(format!(
                "no CUDA kernels for {:?}",
                model.architecture
            )))?;
        }
        let mut packer = Packer {
            model,
            limits: gpu.limits(),
            numbers,
            bytes: Vec::new(),
        };
        let mut layers = packer.layers()?;
        let mut memory = gpu.allocate(packer.bytes.len())?;
        gpu.upload(&packer.bytes, &mut memory)?;
        layers.rebase(gpu.address(&memory));
        Ok(Weights {
            gpu,
            numbers,
            architecture: model.architecture.clone(),
            layers,
            _memory: memory,
        })
    }

    /// What the span of tanh is in the result, 0 where there is none.
    pub(super) fn span(&self) -> f32 {
        match self.architecture.output_map {
            OutputMap::Tanh => 127.5,
            OutputMap::Tanh150 => 150.0,
            OutputMap::Clamp => 0.0,
        }
    }
}
