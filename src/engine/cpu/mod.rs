//! The network on the CPU, one picture at a time.
//!
//! Weights are packed once, and memory is laid out once for each picture size.
//! Between two convolutions nothing but the raw result of the first is stored:
//! its normalisation and ReLU, the border and the upsampling happen where the
//! second one loads its input, and what a normalisation must know is gathered
//! where the result is written.

mod layer;
mod picture;
mod plan;
mod statistics;

use super::{Area, EngineError, Image, Precision, memory};
use crate::network::{Architecture, Model, Upsampling};
use crate::ops::Padding;
use crate::ops::cpu::Level;
use crate::ops::cpu::norm::{self, Affine};
use crate::ops::cpu::winograd::PaddedPicture;
use layer::{Activation, FirstLayer, LastLayer, Layer, Pass, Scale, Scratch};
use plan::Plan;
use statistics::{Halt, Norms, Window};
use std::sync::Arc;

pub use statistics::Statistics;

/// A network's weights as the kernels read them; networks can share them.
pub struct Weights {
    level: Level,
    architecture: Architecture,
    first: FirstLayer,
    down: [Layer; 2],
    residual: Vec<[Layer; 2]>,
    up: [Layer; 2],
    last: LastLayer,
}

/// A network on the CPU: weights, and memory for a picture.
pub struct CpuNetwork {
    weights: Arc<Weights>,
    plan: Plan,
    memory: Memory,
}

/// Memory for one picture on its way through the network.
#[derive(Default)]
struct Memory {
    picture: PaddedPicture,
    /// Holds an image of full size and C channels, then one of a quarter of
    /// the size and 4C channels.
    large: Vec<f32>,
    /// Holds an image of half the size and 2C channels, then two like the
    /// latter of `large`, in the end the last layer's result.
    small: Vec<f32>,
    scratch: Scratch,
    /// The normalisations due on the image in work and on the next.
    pending: Affine,
    next: Affine,
}

impl Weights {
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
        let layer = |name: &str, scale| Layer::new(model, name, scale, precision);
        let block = |i| -> candle_core::Result<_> {
            Ok([
                layer(&format!("residual.{i}.0"), Scale::Same)?,
                layer(&format!("residual.{i}.1"), Scale::Same)?,
            ])
        };
        Ok(Weights {
            level,
            architecture: model.architecture.clone(),
            first: FirstLayer::new(model)?,
            down: [layer("down.1", Scale::Half)?, layer("down.2", Scale::Half)?],
            residual: (0..model.architecture.residual_blocks)
                .map(block)
                .collect::<candle_core::Result<_>>()?,
            up: [layer("up.0", Scale::Double)?, layer("up.1", Scale::Double)?],
            last: LastLayer::new(model)?,
        })
    }
}

impl CpuNetwork {
    /// A network with these weights, and no memory yet.
    pub fn new(weights: Arc<Weights>) -> Self {
        CpuNetwork {
            weights,
            plan: Plan::default(),
            memory: Memory::default(),
        }
    }

    /// Takes the place of the network before, but keeps its memory.
    pub fn set_weights(&mut self, weights: Arc<Weights>) {
        self.weights = weights;
        self.plan = Plan::default();
    }

    /// Repaints `picture` into `styled`, which takes its size.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn stylize(&mut self, picture: &Image, styled: &mut Image) -> Result<(), EngineError> {
        Ok(self.run(picture, Norms::Own, styled)?)
    }

    /// Repaints `picture`, a part of one whose `statistics` are complete.
    ///
    /// # Errors
    /// [`EngineError::Statistics`] if they are not,
    /// [`EngineError::OutOfMemory`].
    pub fn stylize_with(
        &mut self,
        statistics: &Statistics,
        picture: &Image,
        styled: &mut Image,
    ) -> Result<(), EngineError> {
        Ok(self.run(picture, Norms::given(statistics), styled)?)
    }

    /// Adds to `statistics`, for the first layer that they lack, what `area`
    /// of `picture` tells. The area starts and ends at multiples of 4 or at the
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
        match self.run(picture, norms, &mut Image::default()) {
            Err(Halt::Failed(error)) => Err(error),
            Ok(()) | Err(Halt::Measured) => Ok(()),
        }
    }

    fn run(&mut self, picture: &Image, norms: Norms, styled: &mut Image) -> Result<(), Halt> {
        self.prepare((picture.height, picture.width))?;
        let CpuNetwork {
            weights: layers,
            plan,
            memory,
        } = self;
        let Weights {
            level,
            ref architecture,
            ..
        } = **layers;
        let Memory {
            picture: padded,
            large,
            small,
            scratch,
            pending,
            next,
        } = memory;
        let [full, half, quarter] = plan.sizes;
        let pass = &mut Pass {
            level,
            norms,
            scratch,
            width: full.1,
        };
        let width = architecture.width;
        let quarter_len = quarter.0 * quarter.1 * 4 * width;
        let half_len = half.0 * half.1 * 2 * width;

        picture::enter(picture, &plan.first, architecture.input_range, padded);
        layers.first.forward(padded, pass, next, large)?;
        std::mem::swap(pending, next);

        let x = Activation {
            data: large,
            size: full,
            pending: Some(pending),
        };
        let out = &mut small[..half_len];
        layers.down[0].forward(x, &plan.down[0], pass, next, out)?;
        std::mem::swap(pending, next);

        let x = Activation {
            data: &small[..half_len],
            size: half,
            pending: Some(pending),
        };
        let out = &mut large[..quarter_len];
        layers.down[1].forward(x, &plan.down[1], pass, next, out)?;
        // The blocks add to it, so nothing may be pending.
        norm::apply_in_place(level, next, true, out);

        let (inner, result) = small.split_at_mut(quarter_len);
        let result = &mut result[..quarter_len];
        for [first, second] in &layers.residual {
            let x = Activation {
                data: &large[..quarter_len],
                size: quarter,
                pending: None,
            };
            first.forward(x, &plan.residual, pass, pending, inner)?;
            let x = Activation {
                data: inner,
                size: quarter,
                pending: Some(pending),
            };
            second.forward(x, &plan.residual, pass, next, result)?;
            // No ReLU, neither before nor after the sum.
            norm::add(level, result, next, &mut large[..quarter_len]);
        }

        let x = Activation {
            data: &large[..quarter_len],
            size: quarter,
            pending: None,
        };
        let out = &mut small[..half_len];
        layers.up[0].forward(x, &plan.up[0], pass, next, out)?;
        std::mem::swap(pending, next);

        let x = Activation {
            data: &small[..half_len],
            size: half,
            pending: Some(pending),
        };
        layers.up[1].forward(x, &plan.up[1], pass, next, large)?;
        std::mem::swap(pending, next);

        let x = Activation {
            data: large,
            size: full,
            pending: Some(pending),
        };
        let sums = &mut small[..layers.last.sums_len(full)];
        let layout = layers.last.forward(x, &plan.last, pass, next, sums)?;
        let size = (picture.height, picture.width);
        picture::leave(&layout, sums, next, architecture.output_map, size, styled);
        Ok(())
    }

    /// How many layers are normalised.
    pub fn norms(&self) -> usize {
        let Architecture {
            residual_blocks,
            output_norm,
            ..
        } = self.weights.architecture;
        5 + 2 * residual_blocks + usize::from(output_norm)
    }

    /// How far, at least, a pixel of the result is from those pixels of the
    /// picture that it does not depend on: a multiple of 4.
    pub fn reach(&self) -> usize {
        plan::reach(&self.weights.architecture)
    }

    /// Bytes that [`Self::stylize`] needs for a picture of `size` (height,
    /// width), besides the picture and what does not depend on the size.
    pub fn memory_needed(&self, size: (usize, usize)) -> usize {
        let Architecture {
            width,
            inner_kernel,
            ..
        } = self.weights.architecture;
        let (height, columns) = plan::full_size(size);
        let border = self.weights.first.border();
        let picture = PaddedPicture::len((
            height.saturating_add(border),
            columns.saturating_add(border),
        ));
        // Of all layers, the one after the last enlargement has the largest.
        let padded = match inner_kernel {
            3 => 0,
            side => area((height.saturating_add(side), columns.saturating_add(side)))
                .saturating_mul(2 * width),
        };
        let (large, small) = self.arena((height, columns));
        [picture, padded, large, small]
            .into_iter()
            .fold(0, usize::saturating_add)
            .saturating_mul(size_of::<f32>())
    }

    /// Lengths of [`Memory::large`] and [`Memory::small`] for images of `full`
    /// size.
    fn arena(&self, full: (usize, usize)) -> (usize, usize) {
        let width = self.weights.architecture.width;
        let half = (full.0 / 2, full.1 / 2);
        let small = area(half).saturating_mul(2 * width);
        (
            area(full).saturating_mul(width),
            small.max(self.weights.last.sums_len(full)),
        )
    }

    /// Lays out memory for pictures of `size` (height, width).
    fn prepare(&mut self, size: (usize, usize)) -> Result<(), EngineError> {
        if self.plan.fits(size) {
            return Ok(());
        }
        // In case that memory does not suffice: nothing fits then.
        self.plan = Plan::default();
        let plan = Plan::new(
            &self.weights.architecture,
            self.weights.first.border(),
            size,
        );
        let (large, small) = self.arena(plan.sizes[0]);
        resize(&mut self.memory.large, large)?;
        resize(&mut self.memory.small, small)?;
        self.plan = plan;
        Ok(())
    }
}

/// Pixels of an image of `size`.
fn area((height, width): (usize, usize)) -> usize {
    height.saturating_mul(width)
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
