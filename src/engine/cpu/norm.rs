//! An instance normalisation with a model's parameters.

use crate::network::{LayerSpec, Model};
use crate::ops::cpu::norm::{Affine, Moments};

/// Scale, shift and epsilon of a layer's normalisation.
pub struct InstanceNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    eps: f64,
}

impl InstanceNorm {
    /// That of a layer of `model`.
    pub fn new(model: &Model, layer: &LayerSpec) -> candle_core::Result<Self> {
        Ok(InstanceNorm {
            scale: model.values(&layer.norm_scale())?,
            shift: model.values(&layer.norm_shift())?,
            eps: model.architecture.norm_eps,
        })
    }

    /// How many channels it normalises.
    pub fn channels(&self) -> usize {
        self.scale.len()
    }

    /// Makes `affine` what normalises an image with these moments.
    pub fn finalize(&self, moments: &[Moments], affine: &mut Affine) {
        affine.normalise(moments, (&self.scale, &self.shift), self.eps);
    }
}
