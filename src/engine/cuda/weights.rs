//! A model's weights on the device.

use crate::engine::EngineError;
use crate::engine::styles::StyleTable;
use crate::network::{Architecture, LayerSpec, Model, OutputMap, Tail, Upsampling};
use crate::ops::Padding;
use crate::ops::cuda::launches::{self, ConvTiling, OUTER_SIDE, padded};
use crate::ops::cuda::pack;
use crate::ops::cuda::parameters::Address;
use crate::ops::cuda::{Gpu, HalfType, Limits};
use std::sync::Arc;

/// A network's weights as the kernels read them; networks can share them.
pub struct CudaWeights<G: Gpu> {
    pub(super) gpu: Arc<G>,
    pub(super) half_type: HalfType,
    pub(super) architecture: Architecture,
    pub(super) layers: Layers,
    /// What the layers do in each style: a device has only the row of a mix.
    pub(super) styles: StyleTable,
    /// What the layers' addresses lie in.
    _memory: G::Memory,
}

/// Layers whose addresses count from the start of the weights' memory, until
/// that is there.
pub(super) struct Layers {
    pub first: OuterLayer,
    pub inner: Vec<InnerLayer>,
    pub last: OuterLayer,
}

/// The first layer, or the last.
pub(super) struct OuterLayer {
    pub spec: LayerSpec,
    pub weights: Address,
    pub tail: PackedTail,
}

pub(super) struct InnerLayer {
    pub spec: LayerSpec,
    pub shape: ConvTiling,
    /// Inputs and outputs, as they are in memory.
    pub channels: (usize, usize),
    pub weights: Address,
    pub norm: PackedNorm,
}

/// A normalisation's parameters, a number a channel.
#[derive(Clone, Copy)]
pub(super) struct PackedNorm {
    pub channels: usize,
    /// Where in a style's row they start.
    pub scale: usize,
    pub shift: usize,
    pub eps: Address,
}

pub(super) enum PackedTail {
    Norm(PackedNorm),
    /// What does not depend on the picture.
    Bias {
        factor: Address,
        /// Where in a style's row it starts.
        bias: usize,
    },
}

/// Bytes on their way to the device.
struct Packer<'a> {
    model: &'a Model,
    limits: Limits,
    half_type: HalfType,
    bytes: Vec<u8>,
    styles: StyleTable,
}

impl Packer<'_> {
    /// Appends numbers and returns where.
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
        let half_type = self.half_type;
        self.put(weights.iter().map(|&x| half_type.bits_of(x).to_ne_bytes()))
    }

    /// Weights of a layer, checked to be as many as they must.
    fn kernels(&self, layer: &LayerSpec) -> candle_core::Result<Vec<f32>> {
        let weights = self.model.values(&layer.weight())?;
        if weights.len() != layer.outputs * layer.inputs * layer.kernel * layer.kernel {
            candle_core::bail!("{} has {} weights", layer.name, weights.len());
        }
        Ok(weights)
    }

    /// The normalisation behind weights that have been multiplied by `scales`.
    fn norm(
        &mut self,
        layer: &LayerSpec,
        scales: &[f32],
        channels: usize,
    ) -> candle_core::Result<PackedNorm> {
        // What is added to a variance grows as that does.
        let eps = self.model.architecture.norm_eps as f32;
        let mut eps: Vec<f32> = scales.iter().map(|scale| eps * scale * scale).collect();
        // Channels of zeros stay that.
        eps.resize(channels, 1.0);
        let mut in_row = |name: &str| self.styles.push(self.model, name, channels);
        let (scale, shift) = (in_row(&layer.norm_scale())?, in_row(&layer.norm_shift())?);
        Ok(PackedNorm {
            channels,
            scale: scale.start,
            shift: shift.start,
            eps: self.put_f32(&eps),
        })
    }

    fn inner(&mut self, layer: &LayerSpec) -> candle_core::Result<InnerLayer> {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let channels = (padded(inputs), padded(outputs));
        let Some(shape) = ConvTiling::fitting(layer.step, channels, self.limits) else {
            candle_core::bail!("no kernel for {inputs} and {outputs} channels on this device");
        };
        let weights = self.kernels(layer)?;
        let scales = pack::scales(&weights, outputs);
        let packed = pack::convolution(shape, &weights, (outputs, inputs), &scales, self.half_type);
        Ok(InnerLayer {
            spec: layer.clone(),
            shape,
            channels,
            weights: self.put_rounded(&packed),
            norm: self.norm(layer, &scales, channels.1)?,
        })
    }

    fn first(&mut self, layer: &LayerSpec) -> candle_core::Result<OuterLayer> {
        let [black, white] = self.model.architecture.input_range;
        let outputs = layer.outputs;
        let mut weights = self.kernels(layer)?;
        // The picture is (value - 128) / 128. What its middle adds to all
        // pixels alike, the normalisation takes away.
        let gain = ((white - black) / 255.0 * 128.0) as f32;
        weights.iter_mut().for_each(|weight| *weight *= gain);
        let scales = pack::scales(&weights, outputs);
        Ok(OuterLayer {
            spec: layer.clone(),
            weights: self.put_rounded(&pack::first(&weights, outputs, &scales)),
            tail: PackedTail::Norm(self.norm(layer, &scales, padded(outputs))?),
        })
    }

    fn last(&mut self, layer: &LayerSpec) -> candle_core::Result<OuterLayer> {
        let weights = self.kernels(layer)?;
        let scales = pack::scales(&weights, layer.outputs);
        let chunk = launches::last_chunk(padded(layer.inputs), self.limits);
        let packed = pack::last(&weights, layer.inputs, &scales, chunk);
        Ok(OuterLayer {
            spec: layer.clone(),
            weights: self.put_rounded(&packed),
            tail: match layer.tail {
                Tail::Norm => PackedTail::Norm(self.norm(layer, &scales, 4)?),
                Tail::Bias => {
                    let factor: Vec<f32> = scales.iter().map(|scale| 1.0 / scale).collect();
                    let bias = self.styles.push(self.model, &layer.bias(), layer.outputs)?;
                    PackedTail::Bias {
                        factor: self.put_f32(&factor),
                        bias: bias.start,
                    }
                }
            },
        })
    }

    fn layers(&mut self) -> candle_core::Result<Layers> {
        let specs = self.model.architecture.layers();
        let [first, inner @ .., last] = &specs[..] else {
            candle_core::bail!("a network of {} layers", specs.len());
        };
        Ok(Layers {
            first: self.first(first)?,
            inner: inner
                .iter()
                .map(|layer| self.inner(layer))
                .collect::<candle_core::Result<_>>()?,
            last: self.last(last)?,
        })
    }
}

impl Layers {
    /// Makes all addresses count from 0 instead of `start`.
    fn rebase(&mut self, start: Address) {
        for outer in [&mut self.first, &mut self.last] {
            outer.weights += start;
            match &mut outer.tail {
                PackedTail::Norm(norm) => norm.eps += start,
                PackedTail::Bias { factor, .. } => *factor += start,
            }
        }
        for layer in &mut self.inner {
            layer.weights += start;
            layer.norm.eps += start;
        }
    }
}

impl<G: Gpu> CudaWeights<G> {
    /// Whether they can be those of a network of this kind: with the paper's
    /// kernels, mirrored borders and repeated pixels.
    pub fn can_be(architecture: &Architecture) -> bool {
        architecture.padding == Padding::Reflect
            && architecture.upsampling == Upsampling::Nearest
            && architecture.outer_kernel == OUTER_SIDE
            && architecture.inner_kernel == 3
    }

    /// Packs the weights of `model`, rounded to `half_type`, and moves them to the
    /// device.
    ///
    /// # Errors
    /// A model without its tensors, or that this [cannot be](Self::can_be);
    /// too little memory on the device.
    pub fn new(gpu: Arc<G>, model: &Model, half_type: HalfType) -> Result<Self, EngineError> {
        if !Self::can_be(&model.architecture) {
            return Err(candle_core::Error::msg(format!(
                "no CUDA kernels for {:?}",
                model.architecture
            )))?;
        }
        let mut packer = Packer {
            model,
            limits: gpu.limits(),
            half_type,
            bytes: Vec::new(),
            styles: StyleTable::new(model.architecture.styles),
        };
        let mut layers = packer.layers()?;
        let mut memory = gpu.allocate(packer.bytes.len())?;
        gpu.upload(&packer.bytes, &mut memory)?;
        layers.rebase(gpu.address(&memory));
        Ok(CudaWeights {
            gpu,
            half_type,
            architecture: model.architecture.clone(),
            layers,
            styles: packer.styles,
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
