//! The network on the CPU, one picture at a time.
//!
//! Weights are packed once. Between two convolutions nothing but the raw
//! result of the first is stored: its normalisation and ReLU, the border and
//! the upsampling happen where the second one loads its input. What they need
//! to know is an [`Activation`].

mod buffers;
mod layer;
mod picture;

use super::{EngineError, Image};
use crate::network::{Model, OutputMap};
use crate::ops::cpu::Level;
use crate::ops::cpu::norm::{self, Affine};
use buffers::Buffers;
use layer::{Layer, OutputLayer};

/// An image `[height, width, channels]` inside the network, on which a
/// normalisation may still be due.
struct Activation {
    data: Vec<f32>,
    height: usize,
    width: usize,
    channels: usize,
    /// What is still to be done to it; inside the network, ReLU follows.
    pending: Option<Affine>,
}

/// A network whose weights lie as the kernels read them.
pub struct CpuNetwork {
    level: Level,
    input_range: [f64; 2],
    output_map: OutputMap,
    down: Vec<Layer>,
    residual: Vec<[Layer; 2]>,
    up: Vec<Layer>,
    output: OutputLayer,
    buffers: Buffers,
}

impl CpuNetwork {
    /// Packs the weights of `model`, for the instructions of `level`.
    pub fn new(model: &Model, level: Level) -> candle_core::Result<Self> {
        let blocks = model.architecture.residual_blocks;
        let layer = |name: &str, stride| Layer::new(model, name, stride);
        Ok(CpuNetwork {
            level,
            input_range: model.architecture.input_range,
            output_map: model.architecture.output_map,
            down: vec![
                layer("down.0", 1)?,
                layer("down.1", 2)?,
                layer("down.2", 2)?,
            ],
            residual: (0..blocks)
                .map(|i| {
                    Ok([
                        layer(&format!("residual.{i}.0"), 1)?,
                        layer(&format!("residual.{i}.1"), 1)?,
                    ])
                })
                .collect::<candle_core::Result<_>>()?,
            up: vec![layer("up.0", 1)?, layer("up.1", 1)?],
            output: OutputLayer::new(model)?,
            buffers: Buffers::default(),
        })
    }

    /// Repaints `picture` into `styled`, which takes its size.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn stylize(&mut self, picture: &Image, styled: &mut Image) -> Result<(), EngineError> {
        let (level, buffers) = (self.level, &mut self.buffers);
        let mut x = picture::enter(picture, self.input_range, buffers)?;
        for layer in &self.down {
            let y = layer.forward(level, &x, 1, buffers)?;
            buffers.give_back(std::mem::replace(&mut x, y).data);
        }
        // The blocks add to it, so nothing may be pending.
        if let Some(affine) = x.pending.take() {
            let mut settled = buffers.take(x.data.len())?;
            norm::apply(level, &x.data, &affine, true, &mut settled);
            buffers.give_back(std::mem::replace(&mut x.data, settled));
        }
        for [first, second] in &self.residual {
            let inner = first.forward(level, &x, 1, buffers)?;
            let y = second.forward(level, &inner, 1, buffers)?;
            if let Some(affine) = &y.pending {
                // No ReLU, neither before nor after the sum.
                norm::add(level, &y.data, affine, &mut x.data);
            }
            buffers.give_back(inner.data);
            buffers.give_back(y.data);
        }
        for layer in &self.up {
            let y = layer.forward(level, &x, 2, buffers)?;
            buffers.give_back(std::mem::replace(&mut x, y).data);
        }
        let y = self.output.forward(level, &x, buffers)?;
        buffers.give_back(x.data);
        let size = (picture.width, picture.height);
        picture::leave(&y, self.output_map, size, styled);
        buffers.give_back(y.data);
        Ok(())
    }
}
