//! Convolutions with packed weights, each with the normalisation behind it.

use super::plan::Border;
use super::statistics::{Halt, Norms, Window};
use crate::engine::{EngineError, Precision};
use crate::network::Model;
use crate::ops::cpu::conv::winograd_weights;
use crate::ops::cpu::direct::Shape;
use crate::ops::cpu::norm::{Affine, Moments};
use crate::ops::cpu::pack::Panels;
use crate::ops::cpu::winograd::{self, Entrance, Finish, PaddedPicture, PictureWeights, Source};
use crate::ops::cpu::{Level, direct, norm};
use candle_core::Tensor;

/// A tensor of a model as plain numbers.
fn values(model: &Model, name: &str) -> candle_core::Result<Vec<f32>> {
    tensor(model, name)?.flatten_all()?.to_vec1()
}

fn tensor<'a>(model: &'a Model, name: &str) -> candle_core::Result<&'a Tensor> {
    match model.weights.get(name) {
        Some(tensor) => Ok(tensor),
        None => candle_core::bail!("the model has no tensor {name}"),
    }
}

/// Weights `[outputs, inputs, kernel, kernel]`.
struct Kernels {
    values: Vec<f32>,
    outputs: usize,
    inputs: usize,
    side: usize,
}

impl Kernels {
    fn new(model: &Model, layer: &str) -> candle_core::Result<Self> {
        let name = format!("{layer}.conv.weight");
        let (outputs, inputs, side, _) = tensor(model, &name)?.dims4()?;
        Ok(Kernels {
            values: values(model, &name)?,
            outputs,
            inputs,
            side,
        })
    }

    fn at(&self, output: usize, input: usize, row: usize, column: usize) -> f32 {
        self.values[((output * self.inputs + input) * self.side + row) * self.side + column]
    }
}

/// An image `[height, width, channels]` inside the network.
#[derive(Clone, Copy)]
pub struct Activation<'a> {
    pub data: &'a [f32],
    /// Height and width.
    pub size: (usize, usize),
    /// A normalisation still to be done to it; ReLU follows.
    pub pending: Option<&'a Affine>,
}

impl<'a> Activation<'a> {
    /// Seen through a border.
    fn source(self, border: &'a Border) -> Source<'a> {
        Source {
            data: self.data,
            batch: 1,
            height: self.size.0,
            width: self.size.1,
            rows: &border.rows,
            columns: &border.columns,
            entrance: match self.pending {
                None => Entrance::Plain,
                Some(Affine { factor, offset }) => Entrance::Normalise { factor, offset },
            },
        }
    }
}

/// Memory that layers use while they run.
#[derive(Default)]
pub struct Scratch {
    moments: Vec<Moments>,
    /// Only for kernels that are not 3x3.
    padded: Vec<f32>,
}

/// What the layers share while a picture passes through them.
pub struct Pass<'a> {
    pub level: Level,
    pub norms: Norms<'a>,
    pub scratch: &'a mut Scratch,
    /// Width of the images at the network's full size.
    pub width: usize,
}

impl Pass<'_> {
    /// Where a convolution is to gather the moments of its result, if it is.
    fn finish(&mut self) -> Finish<'_> {
        Finish {
            moments: self.norms.are_own().then_some(&mut self.scratch.moments),
            ..Finish::default()
        }
    }

    /// Makes `next` what normalises `out`, an image with rows of `width` pixels.
    fn settle(
        &mut self,
        norm: &Norm,
        out: &[f32],
        width: usize,
        next: &mut Affine,
    ) -> Result<(), Halt> {
        let (level, divisor) = (self.level, self.width / width);
        let measure = |window: &Window, moments: &mut Vec<Moments>| {
            let Window { rows, columns } = window.divided(divisor);
            let row = (width, norm.channels());
            norm::measure_window(level, out, row, rows, columns, moments);
        };
        self.norms
            .settle(norm, next, &mut self.scratch.moments, measure)
    }
}

/// An instance normalisation's parameters.
pub struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    eps: f64,
}

impl Norm {
    fn new(model: &Model, layer: &str) -> candle_core::Result<Self> {
        Ok(Norm {
            scale: values(model, &format!("{layer}.norm.weight"))?,
            shift: values(model, &format!("{layer}.norm.bias"))?,
            eps: model.architecture.norm_eps,
        })
    }

    /// How many channels it normalises.
    pub fn channels(&self) -> usize {
        self.scale.len()
    }

    /// What normalises an image with these moments.
    pub fn settle(&self, moments: &[Moments], affine: &mut Affine) {
        affine.normalise(moments, (&self.scale, &self.shift), self.eps);
    }
}

/// The first layer: from a picture.
pub struct FirstLayer {
    weights: PictureWeights,
    norm: Norm,
}

impl FirstLayer {
    /// That of `model`.
    pub fn new(model: &Model) -> candle_core::Result<Self> {
        let kernels = Kernels::new(model, "down.0")?;
        Ok(FirstLayer {
            weights: PictureWeights::from_picture(kernels.outputs, kernels.side, |o, i, y, x| {
                kernels.at(o, i, y, x)
            }),
            norm: Norm::new(model, "down.0")?,
        })
    }

    /// Pixels beyond the picture that it wants in all.
    pub fn border(&self) -> usize {
        self.weights.border()
    }

    /// Convolves a picture into `out`; `next` becomes the normalisation of that.
    ///
    /// # Errors
    /// [`Halt::Measured`].
    pub fn forward(
        &self,
        picture: &PaddedPicture,
        pass: &mut Pass,
        next: &mut Affine,
        out: &mut [f32],
    ) -> Result<(), Halt> {
        winograd::from_picture(pass.level, &self.weights, picture, pass.finish(), out);
        pass.settle(&self.norm, out, pass.width, next)
    }
}

/// How a layer's output relates to its input in size.
#[derive(Clone, Copy, PartialEq)]
pub enum Scale {
    Half,
    Same,
    Double,
}

impl Scale {
    /// What becomes of a side of `len` pixels.
    fn of(self, len: usize) -> usize {
        match self {
            Scale::Half => len / 2,
            Scale::Same => len,
            Scale::Double => len * 2,
        }
    }

    fn kind(self) -> winograd::Kind {
        match self {
            Scale::Half => winograd::Kind::Strided,
            Scale::Same => winograd::Kind::Same,
            Scale::Double => winograd::Kind::Upsampled,
        }
    }
}

/// A layer inside the network.
pub struct Layer {
    weights: Weights,
    scale: Scale,
    norm: Norm,
}

enum Weights {
    /// Of kernels of 3x3, as trained networks have.
    Winograd(winograd::Weights),
    /// Of any others.
    Direct {
        panels: Panels,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    },
}

impl Layer {
    /// The layer of `model` whose tensors' names start with `name`.
    pub fn new(
        model: &Model,
        name: &str,
        scale: Scale,
        precision: Precision,
    ) -> candle_core::Result<Self> {
        let kernels = Kernels::new(model, name)?;
        let Kernels {
            outputs,
            inputs,
            side,
            ..
        } = kernels;
        let weights = if side == 3 {
            let weights = winograd_weights(scale.kind(), &kernels.values, outputs, inputs);
            Weights::Winograd(match precision {
                Precision::Fast => weights.rounded(),
                _ => weights,
            })
        } else {
            let at = |o, i, y, x| kernels.at(o, i, y, x);
            Weights::Direct {
                panels: direct::pack((outputs, inputs, side), at),
                inputs,
                outputs,
                kernel: side,
            }
        };
        Ok(Layer {
            weights,
            scale,
            norm: Norm::new(model, name)?,
        })
    }

    /// Convolves `x` into `out`; `next` becomes the normalisation of that.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`], [`Halt::Measured`].
    pub fn forward(
        &self,
        x: Activation,
        border: &Border,
        pass: &mut Pass,
        next: &mut Affine,
        out: &mut [f32],
    ) -> Result<(), Halt> {
        let level = pass.level;
        match &self.weights {
            Weights::Winograd(weights) => {
                winograd::convolve(level, weights, x.source(border), pass.finish(), out);
            }
            &Weights::Direct {
                ref panels,
                inputs,
                outputs,
                kernel,
            } => {
                let shape = Shape {
                    batch: 1,
                    padded_height: border.rows.len(),
                    padded_width: border.columns.len(),
                    inputs,
                    outputs,
                    kernel,
                    stride: if self.scale == Scale::Half { 2 } else { 1 },
                };
                let Scratch { padded, moments } = &mut *pass.scratch;
                pad(level, x, border, inputs, padded)?;
                direct::convolve(level, panels, shape, padded, None, false, out);
                if pass.norms.are_own() {
                    norm::measure(level, out, outputs, moments);
                }
            }
        }
        pass.settle(&self.norm, out, self.scale.of(x.size.1), next)
    }
}

/// `x` with its border, and all that was still due on it done.
fn pad(
    level: Level,
    x: Activation,
    Border { rows, columns }: &Border,
    channels: usize,
    padded: &mut Vec<f32>,
) -> Result<(), EngineError> {
    super::resize(padded, rows.len() * columns.len() * channels)?;
    match x.pending {
        None => {
            let size = (x.size.0, x.size.1, channels);
            direct::pad_into(x.data, size, rows, columns, padded);
        }
        Some(affine) => {
            norm::apply_padded(level, x.data, x.size.1, affine, (rows, columns), padded);
        }
    }
    Ok(())
}

/// The last layer: into a picture's three channels.
pub struct LastLayer {
    weights: PictureWeights,
    tail: Tail,
}

enum Tail {
    Norm(Norm),
    Bias(Vec<f32>),
}

impl LastLayer {
    /// That of `model`.
    pub fn new(model: &Model) -> candle_core::Result<Self> {
        let kernels = Kernels::new(model, "output")?;
        Ok(LastLayer {
            weights: PictureWeights::to_picture(kernels.inputs, kernels.side, |o, i, y, x| {
                kernels.at(o, i, y, x)
            }),
            tail: match model.architecture.output_norm {
                true => Tail::Norm(Norm::new(model, "output")?),
                false => Tail::Bias(values(model, "output.conv.bias")?),
            },
        })
    }

    /// Numbers that [`Self::forward`] writes for a network of this size.
    pub fn sums_len(&self, size: (usize, usize)) -> usize {
        self.weights.sums_len(size)
    }

    /// Convolves `x` into `sums`; `next` becomes what is still to be done to
    /// them.
    ///
    /// # Errors
    /// [`Halt::Measured`].
    pub fn forward(
        &self,
        x: Activation,
        border: &Border,
        pass: &mut Pass,
        next: &mut Affine,
        sums: &mut [f32],
    ) -> Result<PictureSums, Halt> {
        winograd::to_sums(pass.level, &self.weights, x.source(border), sums);
        let layout = self.weights.sums(x.size);
        match &self.tail {
            Tail::Norm(norm) => {
                let Pass { norms, scratch, .. } = pass;
                let moments = &mut scratch.moments;
                if norms.are_own() {
                    layout.measure(sums, 0..x.size.0, 0..x.size.1, moments);
                }
                norms.settle(norm, next, moments, |window, moments| {
                    let Window { rows, columns } = window.clone();
                    layout.measure(sums, rows, columns, moments);
                })?;
            }
            Tail::Bias(bias) => {
                next.factor.clear();
                next.factor.resize(bias.len(), 1.0);
                next.offset.clone_from(bias);
            }
        }
        Ok(layout)
    }
}

pub use winograd::PictureSums;
