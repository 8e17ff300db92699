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

use super::{EngineError, Image, Precision};
use crate::network::{Architecture, Model};
use crate::ops::cpu::Level;
use crate::ops::cpu::norm::{self, Affine};
use crate::ops::cpu::winograd::PaddedPicture;
use layer::{Activation, FirstLayer, LastLayer, Layer, Scale, Scratch};
use plan::Plan;

/// A network whose weights lie as the kernels read them.
pub struct CpuNetwork {
    level: Level,
    architecture: Architecture,
    layers: Layers,
    plan: Plan,
    memory: Memory,
}

struct Layers {
    first: FirstLayer,
    down: [Layer; 2],
    residual: Vec<[Layer; 2]>,
    up: [Layer; 2],
    last: LastLayer,
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

impl CpuNetwork {
    /// Packs the weights of `model`, for the instructions of `level` and for
    /// `precision`, whether or not that is faster there.
    pub fn new(model: &Model, level: Level, precision: Precision) -> candle_core::Result<Self> {
        let layer = |name: &str, scale| Layer::new(model, name, scale, precision);
        let block = |i| -> candle_core::Result<_> {
            Ok([
                layer(&format!("residual.{i}.0"), Scale::Same)?,
                layer(&format!("residual.{i}.1"), Scale::Same)?,
            ])
        };
        Ok(CpuNetwork {
            level,
            architecture: model.architecture.clone(),
            layers: Layers {
                first: FirstLayer::new(model)?,
                down: [layer("down.1", Scale::Half)?, layer("down.2", Scale::Half)?],
                residual: (0..model.architecture.residual_blocks)
                    .map(block)
                    .collect::<candle_core::Result<_>>()?,
                up: [layer("up.0", Scale::Double)?, layer("up.1", Scale::Double)?],
                last: LastLayer::new(model)?,
            },
            plan: Plan::default(),
            memory: Memory::default(),
        })
    }

    /// Repaints `picture` into `styled`, which takes its size.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn stylize(&mut self, picture: &Image, styled: &mut Image) -> Result<(), EngineError> {
        self.prepare((picture.height, picture.width))?;
        let CpuNetwork {
            level,
            architecture,
            layers,
            plan,
            memory,
        } = self;
        let level = *level;
        let Memory {
            picture: padded,
            large,
            small,
            scratch,
            pending,
            next,
        } = memory;
        let [full, half, quarter] = plan.sizes;
        let width = architecture.width;
        let quarter_len = quarter.0 * quarter.1 * 4 * width;
        let half_len = half.0 * half.1 * 2 * width;

        picture::enter(picture, &plan.first, architecture.input_range, padded);
        layers.first.forward(level, padded, scratch, next, large);
        std::mem::swap(pending, next);

        let x = Activation {
            data: large,
            size: full,
            pending: Some(pending),
        };
        let out = &mut small[..half_len];
        layers.down[0].forward(level, x, &plan.down[0], scratch, next, out)?;
        std::mem::swap(pending, next);

        let x = Activation {
            data: &small[..half_len],
            size: half,
            pending: Some(pending),
        };
        let out = &mut large[..quarter_len];
        layers.down[1].forward(level, x, &plan.down[1], scratch, next, out)?;
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
            first.forward(level, x, &plan.residual, scratch, pending, inner)?;
            let x = Activation {
                data: inner,
                size: quarter,
                pending: Some(pending),
            };
            second.forward(level, x, &plan.residual, scratch, next, result)?;
            // No ReLU, neither before nor after the sum.
            norm::add(level, result, next, &mut large[..quarter_len]);
        }

        let x = Activation {
            data: &large[..quarter_len],
            size: quarter,
            pending: None,
        };
        let out = &mut small[..half_len];
        layers.up[0].forward(level, x, &plan.up[0], scratch, next, out)?;
        std::mem::swap(pending, next);

        let x = Activation {
            data: &small[..half_len],
            size: half,
            pending: Some(pending),
        };
        layers.up[1].forward(level, x, &plan.up[1], scratch, next, large)?;
        std::mem::swap(pending, next);

        let x = Activation {
            data: large,
            size: full,
            pending: Some(pending),
        };
        let sums = &mut small[..layers.last.sums_len(full)];
        let layout = layers
            .last
            .forward(level, x, &plan.last, scratch, next, sums);
        let size = (picture.height, picture.width);
        picture::leave(&layout, sums, next, architecture.output_map, size, styled);
        Ok(())
    }

    /// Lays out memory for pictures of `size` (height, width).
    fn prepare(&mut self, size: (usize, usize)) -> Result<(), EngineError> {
        if self.plan.fits(size) {
            return Ok(());
        }
        // In case that memory does not suffice: nothing fits then.
        self.plan = Plan::default();
        let plan = Plan::new(&self.architecture, self.layers.first.border(), size);
        let [full, half, _] = plan.sizes;
        let width = self.architecture.width;
        let image = |(height, width): (usize, usize), channels: usize| {
            height.saturating_mul(width).saturating_mul(channels)
        };
        resize(&mut self.memory.large, image(full, width))?;
        let small = image(half, 2 * width).max(self.layers.last.sums_len(full));
        resize(&mut self.memory.small, small)?;
        self.plan = plan;
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
            })?;
    }
    buffer.resize(len, 0.0);
    Ok(())
}
