//! The network on the CPU, one picture at a time.
//!
//! Weights are packed once. Between two convolutions nothing but the raw
//! result of the first is stored: its normalisation and ReLU, the border and
//! the upsampling happen where the second one loads its input. What they need
//! to know is an [`Activation`].

mod buffers;
mod layer;
mod picture;

use super::Image;
use crate::network::{Model, OutputMap};
use crate::ops::cpu::{Level, norm};
use buffers::Buffers;
use layer::{Layer, OutputLayer};

/// An image `[height, width, channels]` inside the network, on which a
/// normalisation may still be due.
struct Activation {
    data: Vec<f32>,
    height: usize,
    width: usize,
    channels: usize,
    pending: Option<Affine>,
}

/// What is still to be done to each channel: `x * factor + offset`, then ReLU.
struct Affine {
    factor: Vec<f32>,
    offset: Vec<f32>,
}

impl Affine {
    fn parts(&self) -> (&[f32], &[f32]) {
        (&self.factor, &self.offset)
    }
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
    pub fn stylize(&mut self, picture: &Image, styled: &mut Image) {
        let mut x = picture::enter(picture, self.input_range, &mut self.buffers);
        for i in 0..self.down.len() {
            x = self.convolve(x, |network| &network.down[i], 1);
        }
        self.settle(&mut x);
        for i in 0..self.residual.len() {
            x = self.residual_block(x, i);
        }
        for i in 0..self.up.len() {
            x = self.convolve(x, |network| &network.up[i], 2);
        }
        let y = self.output.forward(self.level, &x, &mut self.buffers);
        self.buffers.give_back(x.data);
        picture::leave(&y, self.output_map, (picture.width, picture.height), styled);
        self.buffers.give_back(y.data);
    }

    /// Runs a layer on `x`, enlarged `scale` times, and lets `x` go.
    fn convolve(
        &mut self,
        x: Activation,
        layer: impl Fn(&Self) -> &Layer,
        scale: usize,
    ) -> Activation {
        let mut buffers = std::mem::take(&mut self.buffers);
        let y = layer(self).forward(self.level, &x, scale, &mut buffers);
        buffers.give_back(x.data);
        self.buffers = buffers;
        y
    }

    /// Does what is still due on `x`.
    fn settle(&self, x: &mut Activation) {
        if let Some(affine) = x.pending.take() {
            norm::apply_in_place(self.level, &mut x.data, affine.parts(), true);
        }
    }

    /// `x` plus two convolutions of it. No ReLU follows the sum.
    fn residual_block(&mut self, mut x: Activation, block: usize) -> Activation {
        let [first, second] = &self.residual[block];
        let inner = first.forward(self.level, &x, 1, &mut self.buffers);
        let y = second.forward(self.level, &inner, 1, &mut self.buffers);
        if let Some(affine) = &y.pending {
            norm::add(self.level, &y.data, affine.parts(), &mut x.data);
        }
        self.buffers.give_back(inner.data);
        self.buffers.give_back(y.data);
        x
    }
}
