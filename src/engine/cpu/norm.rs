//! An instance normalisation with a model's parameters.

use crate::engine::styles::StyleTable;
use crate::network::{LayerSpec, Model};
use crate::ops::cpu::norm::{Affine, Moments};
use std::ops::Range;

/// A layer's normalisation, whose scale and shift depend on the style.
pub struct StyledNorm {
    /// Where in a style's row they are.
    scale: Range<usize>,
    shift: Range<usize>,
    eps: f64,
}

/// Scale, shift and epsilon of a layer's normalisation.
pub struct InstanceNorm<'a> {
    scale: &'a [f32],
    shift: &'a [f32],
    eps: f64,
}

impl StyledNorm {
    /// The norm of a layer of `model`, whose result is `scale` times as large as the
    /// model says. Its numbers go to `table`.
    pub fn new(
        model: &Model,
        layer: &LayerSpec,
        scale: f64,
        table: &mut StyleTable,
    ) -> candle_core::Result<Self> {
        Ok(StyledNorm {
            scale: table.push(model, &layer.norm_scale(), layer.outputs)?,
            shift: table.push(model, &layer.norm_shift(), layer.outputs)?,
            // As small beside the variance as it was.
            eps: model.architecture.norm_eps * scale * scale,
        })
    }

    /// As it is in the style of this row.
    pub fn in_style<'a>(&self, row: &'a [f32]) -> InstanceNorm<'a> {
        InstanceNorm {
            scale: &row[self.scale.clone()],
            shift: &row[self.shift.clone()],
            eps: self.eps,
        }
    }
}

impl InstanceNorm<'_> {
    /// How many channels it normalises.
    pub fn channels(&self) -> usize {
        self.scale.len()
    }

    /// Makes `affine` what normalises an image with these moments.
    pub fn finalize(&self, moments: &[Moments], affine: &mut Affine) {
        affine.normalise(moments, (self.scale, self.shift), self.eps);
    }
}
