//! The network on the CPU, one picture at a time.
//!
//! Weights are packed once, and memory is laid out once for each picture size.
//! Between two convolutions nothing but the raw result of the first is stored:
//! its normalisation and ReLU, the border and the upsampling happen where the
//! second one loads its input, and what a normalisation must know is gathered
//! where the result is written.

mod input_output;
mod layer;
mod norm;
mod plan;
mod statistics;

use super::styles::{MixedStyle, StyleTable};
use super::tone::Tone;
use super::{Area, EngineError, Image, Precision, memory};
use crate::network::{
    Architecture, LayerSpec, Model, Residual, SIDE_MULTIPLE, StyleMix, Upsampling,
};
use crate::ops::cpu::Level;
use crate::ops::cpu::norm::{Affine, add, apply_in_place};
use crate::ops::cpu::winograd::PaddedPicture;
use crate::ops::{Padding, Size};
use layer::{Activation, FirstLayer, InnerLayer, LastLayer, Pass, Scratch};
use plan::{Lengths, Plan};
use statistics::{Norms, Window};
use std::ops::ControlFlow;
use std::sync::Arc;

pub use statistics::Statistics;

/// A network's weights as the kernels read them; networks can share them.
pub struct CpuWeights {
    level: Level,
    architecture: Architecture,
    /// All layers, first to last.
    specs: Vec<LayerSpec>,
    first: FirstLayer,
    inner: Vec<InnerLayer>,
    last: LastLayer,
    /// What the layers do in each style.
    styles: StyleTable,
}

/// A network on the CPU: weights, a mix of their styles, and memory for a picture.
pub struct CpuNetwork {
    weights: Arc<CpuWeights>,
    style: MixedStyle,
    plan: Plan,
    memory: Memory,
}

/// Memory for one picture on its way through the network.
#[derive(Default)]
struct Memory {
    picture: PaddedPicture,
    /// What images take turns in; see [`buffers`](super::buffers). The last
    /// layer's result is in one of them, too.
    buffers: [Vec<f32>; 2],
    scratch: Scratch,
    /// The normalisations due on the image in work and on the next.
    pending: Affine,
    next: Affine,
}

impl CpuWeights {
    /// Whether they can be those of a network of this kind: one that mirrors
    /// borders and enlarges by repeating pixels.
    pub fn can_be(architecture: &Architecture) -> bool {
        architecture.padding == Padding::Reflect && architecture.upsampling == Upsampling::Nearest
    }

    /// Packs the weights of `model`, for the instructions of `level` and for
    /// `precision`, whether or not that is faster there.
    ///
    /// # Errors
    /// A model without its tensors, or that this [cannot be](Self::can_be).
    pub fn new(model: &Model, level: Level, precision: Precision) -> candle_core::Result<Self> {
        if !Self::can_be(&model.architecture) {
            candle_core::bail!("no kernels for {:?}", model.architecture);
        }
        let specs = model.architecture.layers();
        let [first, inner @ .., last] = &specs[..] else {
            candle_core::bail!("a network of {} layers", specs.len());
        };
        let mut styles = StyleTable::new(model.architecture.styles);
        Ok(CpuWeights {
            level,
            architecture: model.architecture.clone(),
            first: FirstLayer::new(model, first, &mut styles)?,
            inner: inner
                .iter()
                .map(|spec| InnerLayer::new(model, spec, precision, &mut styles))
                .collect::<candle_core::Result<_>>()?,
            last: LastLayer::new(model, last, &mut styles)?,
            specs,
            styles,
        })
    }
}

impl CpuNetwork {
    /// A network with these weights in the first of their styles, and no memory
    /// yet.
    pub fn new(weights: Arc<CpuWeights>) -> Self {
        CpuNetwork {
            style: MixedStyle::new(&weights.styles),
            weights,
            plan: Plan::default(),
            memory: Memory::default(),
        }
    }

    /// Takes the place of the network before, in its first style, but keeps its
    /// memory.
    pub fn set_weights(&mut self, weights: Arc<CpuWeights>) {
        self.style.reset(&weights.styles);
        self.weights = weights;
        self.plan = Plan::default();
    }

    /// Paints in this mix of styles from now on.
    ///
    /// # Errors
    /// [`EngineError::NoStyle`].
    pub fn set_mix(&mut self, mix: &StyleMix) -> Result<(), EngineError> {
        self.style.set(&self.weights.styles, mix)?;
        Ok(())
    }

    /// Repaints `picture` into `styled`, which takes its size and this tone.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn stylize(
        &mut self,
        picture: &Image,
        tone: Tone,
        styled: &mut Image,
    ) -> Result<(), EngineError> {
        self.run_all(picture, Norms::Own, tone, styled)
    }

    /// Repaints `picture`, a part of one whose `statistics` are complete and whose
    /// `tone` is this.
    ///
    /// # Errors
    /// [`EngineError::Statistics`] if they are not,
    /// [`EngineError::OutOfMemory`].
    pub fn stylize_with(
        &mut self,
        statistics: &Statistics,
        picture: &Image,
        tone: Tone,
        styled: &mut Image,
    ) -> Result<(), EngineError> {
        self.run_all(picture, Norms::given(statistics), tone, styled)
    }

    /// Adds to `statistics`, for the first layer that they lack, the moments
    /// of `area` of `picture`. The area starts and ends at multiples of 4 or at the
    /// picture's end.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn measure(
        &mut self,
        picture: &Image,
        area: Area,
        statistics: &mut Statistics,
    ) -> Result<(), EngineError> {
        let window = Window {
            rows: area.y..(area.y + area.height).next_multiple_of(4),
            columns: area.x..(area.x + area.width).next_multiple_of(4),
        };
        let norms = Norms::measured(statistics, window);
        let flow = self.run(picture, norms, Tone::NONE, &mut Image::default())?;
        // It breaks off where it has measured, unless nothing was left to measure.
        let (ControlFlow::Break(()) | ControlFlow::Continue(())) = flow;
        Ok(())
    }

    fn run_all(
        &mut self,
        picture: &Image,
        norms: Norms,
        tone: Tone,
        styled: &mut Image,
    ) -> Result<(), EngineError> {
        match self.run(picture, norms, tone, styled)? {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Statistics),
        }
    }

    /// Runs layer by layer. Breaks where the statistics end.
    fn run(
        &mut self,
        picture: &Image,
        norms: Norms,
        tone: Tone,
        styled: &mut Image,
    ) -> Result<ControlFlow<()>, EngineError> {
        self.prepare(Size::new(picture.width, picture.height))?;
        Ok(self.forward(picture, norms, tone, styled))
    }

    fn forward(
        &mut self,
        picture: &Image,
        norms: Norms,
        tone: Tone,
        styled: &mut Image,
    ) -> ControlFlow<()> {
        let CpuWeights {
            level,
            architecture,
            first,
            inner,
            last,
            ..
        } = &*self.weights;
        let Memory {
            picture: padded,
            buffers: [from, to],
            scratch,
            pending,
            next,
        } = &mut self.memory;
        let (mut from, mut to) = (from, to);
        let [first_plan, inner_plans @ .., last_plan] = &self.plan.layers[..] else {
            return ControlFlow::Break(());
        };
        let full = self.plan.full;
        let pass = &mut Pass {
            level: *level,
            norms,
            style: self.style.row(),
            scratch,
            width: full.width,
        };

        input_output::enter(
            picture,
            &first_plan.border,
            architecture.input_range,
            padded,
        );
        let out = &mut from[..first_plan.output_len];
        first.forward(padded, pass, next, out)?;
        std::mem::swap(pending, next);
        // Whether `pending` is still to be done to the image in work.
        let mut due = true;

        for (layer, plan) in inner.iter().zip(inner_plans) {
            // Residual blocks add to the smallest image, so nothing may be pending
            // on it. Without blocks the same is done, which rounds alike.
            if layer.spec.input_scale == SIDE_MULTIPLE && std::mem::take(&mut due) {
                apply_in_place(*level, pending, true, &mut from[..plan.input_len]);
            }
            match layer.spec.residual {
                Residual::Outside => {
                    let x = Activation {
                        data: &from[..plan.input_len],
                        size: plan.size,
                        pending: due.then_some(pending),
                    };
                    let out = &mut to[..plan.output_len];
                    layer.forward(x, &plan.border, pass, next, out)?;
                    due = true;
                    std::mem::swap(&mut from, &mut to);
                }
                Residual::First => {
                    let x = Activation {
                        data: &from[..plan.input_len],
                        size: plan.size,
                        pending: None,
                    };
                    let out = &mut to[..plan.output_len];
                    layer.forward(x, &plan.border, pass, next, out)?;
                }
                Residual::Second => {
                    let (inside, result) = to.split_at_mut(plan.input_len);
                    let x = Activation {
                        data: inside,
                        size: plan.size,
                        pending: Some(pending),
                    };
                    let out = &mut result[..plan.output_len];
                    layer.forward(x, &plan.border, pass, next, out)?;
                    // No ReLU, neither before nor after the sum.
                    add(*level, out, next, &mut from[..plan.output_len]);
                }
            }
            std::mem::swap(pending, next);
        }

        let x = Activation {
            data: &from[..last_plan.input_len],
            size: last_plan.size,
            pending: due.then_some(pending),
        };
        let sums = &mut to[..last.sums_len(full)];
        let layout = last.forward(x, &last_plan.border, pass, next, sums)?;
        let map = architecture.output_map;
        input_output::leave(&layout, sums, next, map, (picture, tone), styled);
        ControlFlow::Continue(())
    }

    /// How many layers are normalised.
    pub fn norms(&self) -> usize {
        self.weights.architecture.norms()
    }

    /// How far, at least, a pixel of the result is from those pixels of the
    /// picture that it does not depend on: a multiple of 4.
    pub fn reach(&self) -> usize {
        self.weights.architecture.reach()
    }

    /// Bytes that [`Self::stylize`] needs for a picture of `size`, besides the
    /// picture and what does not depend on the size.
    pub fn memory_needed(&self, size: Size) -> usize {
        self.lengths(size).sum().saturating_mul(size_of::<f32>())
    }

    fn lengths(&self, size: Size) -> Lengths {
        let CpuWeights {
            specs, first, last, ..
        } = &*self.weights;
        Lengths::new(specs, first.border(), |full| last.sums_len(full), size)
    }

    /// Lays out memory for pictures of `size`.
    fn prepare(&mut self, size: Size) -> Result<(), EngineError> {
        if self.plan.fits(size) {
            return Ok(());
        }
        // In case that memory does not suffice: nothing fits then.
        self.plan = Plan::default();
        let Lengths {
            buffers, padded, ..
        } = self.lengths(size);
        for (buffer, len) in self.memory.buffers.iter_mut().zip(buffers) {
            resize(buffer, len)?;
        }
        resize(&mut self.memory.scratch.padded, padded)?;
        self.plan = Plan::new(&self.weights.specs, self.weights.first.border(), size);
        Ok(())
    }
}

/// Makes `buffer` `len` numbers long, of any value.
fn resize(buffer: &mut Vec<f32>, len: usize) -> Result<(), EngineError> {
    if buffer.capacity() < len {
        // The old memory first: the new one need not fit beside it.
        *buffer = Vec::new();
        buffer
            .try_reserve_exact(len)
            .map_err(|_| EngineError::OutOfMemory {
                needed_mib: len.saturating_mul(size_of::<f32>()) >> 20,
                available_mib: memory::free() >> 20,
            })?;
    }
    buffer.resize(len, 0.0);
    Ok(())
}
