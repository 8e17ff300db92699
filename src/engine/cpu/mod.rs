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
use crate::ops::cpu::pixels::{Pixels, PixelsMut};
use crate::ops::{Padding, Size};
use layer::{Activation, FirstLayer, InnerLayer, LastLayer, Pass, Scratch};
use plan::{Lengths, Plan, Storage};
use statistics::{Norms, Window};
use std::ops::ControlFlow;
use std::sync::Arc;

pub use statistics::Statistics;

/// A network's weights as the kernels read them; networks can share them.
pub struct CpuWeights {
    level: Level,
    architecture: Architecture,
    storage: Storage,
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
    progress: Progress,
}

/// How far a picture has come through the network.
#[derive(Default)]
struct Progress {
    /// Layers that are done.
    layers: usize,
    /// Whether the image in work is in the second buffer.
    swapped: bool,
    /// Whether a normalisation is still to be done to it.
    due: bool,
}

/// Memory for one picture on its way through the network.
#[derive(Default)]
struct Memory {
    /// What images take turns in; see [`buffers`](super::buffers). The padded picture
    /// and the last layer's result are in the second, too.
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
        let storage = Storage::new(&specs, precision);
        let mut styles = StyleTable::new(model.architecture.styles);
        Ok(CpuWeights {
            level,
            architecture: model.architecture.clone(),
            storage,
            first: FirstLayer::new(model, first, storage, &mut styles)?,
            inner: specs
                .iter()
                .zip(inner)
                .map(|specs| InnerLayer::new(model, specs, (precision, storage), &mut styles))
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
            progress: Progress::default(),
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
        mut norms: Norms,
        tone: Tone,
        styled: &mut Image,
    ) -> ControlFlow<()> {
        self.begin();
        while !self.is_done() {
            self.step(picture, &mut norms, tone, styled)?;
        }
        ControlFlow::Continue(())
    }

    /// Begins with a picture, of which [`Self::advance`] does a part at a time. What has
    /// been begun before is given up.
    pub fn begin(&mut self) {
        self.progress = Progress::default();
    }

    /// Goes on to repaint `picture`, the same since [`Self::begin`], as
    /// [`Self::stylize`] does at once, until `share` of all work is done, from 0 to 1.
    /// Whole layers are run. Whether all is done, and `styled` the result.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn advance(
        &mut self,
        picture: &Image,
        share: f64,
        styled: &mut Image,
    ) -> Result<bool, EngineError> {
        self.prepare(picture.size())?;
        let wanted = share * self.weights.architecture.products_per_pixel();
        while !self.is_done() && (share >= 1.0 || self.products_done() < wanted) {
            let tone = match self.progress.layers + 1 == self.weights.specs.len() {
                true => Tone::of(picture),
                // The last layer alone needs it.
                false => Tone::NONE,
            };
            // All statistics are the picture's own: it never breaks.
            let flow = self.step(picture, &mut Norms::Own, tone, styled);
            if flow.is_break() {
                return Err(EngineError::Statistics);
            }
        }
        Ok(self.is_done())
    }

    fn is_done(&self) -> bool {
        self.progress.layers == self.weights.specs.len()
    }

    /// For each pixel, in all layers that are done and half of the next.
    fn products_done(&self) -> f64 {
        let products = LayerSpec::products_per_pixel;
        let (done, rest) = self.weights.specs.split_at(self.progress.layers);
        done.iter().map(products).sum::<f64>() + 0.5 * rest.first().map_or(0.0, products)
    }

    /// Runs the next layer.
    fn step(
        &mut self,
        picture: &Image,
        norms: &mut Norms,
        tone: Tone,
        styled: &mut Image,
    ) -> ControlFlow<()> {
        let CpuWeights {
            level,
            architecture,
            storage,
            first,
            inner,
            last,
            ..
        } = &*self.weights;
        let Memory {
            buffers: [from, to],
            scratch,
            pending,
            next,
        } = &mut self.memory;
        let Progress {
            layers,
            swapped,
            due,
        } = &mut self.progress;
        let (from, to) = match *swapped {
            false => (from, to),
            true => (to, from),
        };
        let Some(plan) = self.plan.layers.get(*layers) else {
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

        if *layers == 0 {
            let base = input_output::base(*storage, picture, pass.norms.are_own());
            let range = architecture.input_range;
            let padded = input_output::enter(picture, base, &plan.border, range, to);
            let out = storage.pixels_mut(&mut from[..plan.output_len], 1);
            first.forward(&padded, pass, next, out)?;
            *due = true;
        } else if let Some(layer) = inner.get(*layers - 1) {
            // Residual blocks add to the smallest image, so nothing may be pending
            // on it. Without blocks the same is done, which rounds alike.
            if layer.spec.input_scale == SIDE_MULTIPLE && std::mem::take(due) {
                apply_in_place(*level, pending, true, &mut from[..plan.input_len]);
            }
            match layer.spec.residual {
                Residual::Outside => {
                    let x = Activation {
                        data: storage.pixels(&from[..plan.input_len], layer.spec.input_scale),
                        size: plan.size,
                        pending: due.then_some(pending),
                    };
                    let scale = layer.spec.output_scale();
                    let out = storage.pixels_mut(&mut to[..plan.output_len], scale);
                    layer.forward(x, &plan.border, pass, next, out)?;
                    *due = true;
                    *swapped = !*swapped;
                }
                Residual::First => {
                    let x = Activation {
                        data: Pixels::Floats(&from[..plan.input_len]),
                        size: plan.size,
                        pending: None,
                    };
                    let out = PixelsMut::Floats(&mut to[..plan.output_len]);
                    layer.forward(x, &plan.border, pass, next, out)?;
                }
                Residual::Second => {
                    let (inside, result) = to.split_at_mut(plan.input_len);
                    let x = Activation {
                        data: Pixels::Floats(inside),
                        size: plan.size,
                        pending: Some(pending),
                    };
                    let out = &mut result[..plan.output_len];
                    let to = PixelsMut::Floats(out);
                    layer.forward(x, &plan.border, pass, next, to)?;
                    // No ReLU, neither before nor after the sum.
                    add(*level, out, next, &mut from[..plan.output_len]);
                }
            }
        } else {
            let x = Activation {
                data: storage.pixels(&from[..plan.input_len], 1),
                size: plan.size,
                pending: due.then_some(pending),
            };
            let sums = &mut to[..last.sums_len(full)];
            let layout = last.forward(x, &plan.border, pass, next, sums)?;
            let map = architecture.output_map;
            input_output::leave(&layout, sums, next, map, (picture, tone), styled);
        }
        std::mem::swap(pending, next);
        *layers += 1;
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
            specs,
            storage,
            first,
            last,
            ..
        } = &*self.weights;
        let sums_len = |full| last.sums_len(full);
        Lengths::new(specs, *storage, first.border(), sums_len, size)
    }

    /// Lays out memory for pictures of `size`.
    fn prepare(&mut self, size: Size) -> Result<(), EngineError> {
        if self.plan.fits(size) {
            return Ok(());
        }
        self.begin();
        // In case that memory does not suffice: nothing fits then.
        self.plan = Plan::default();
        let Lengths { buffers, padded } = self.lengths(size);
        for (buffer, len) in self.memory.buffers.iter_mut().zip(buffers) {
            resize(buffer, len)?;
        }
        resize(&mut self.memory.scratch.padded, padded)?;
        let CpuWeights {
            specs,
            storage,
            first,
            ..
        } = &*self.weights;
        self.plan = Plan::new(specs, *storage, first.border(), size);
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
