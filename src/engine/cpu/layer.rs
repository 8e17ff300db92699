//! Convolutions with packed weights, each with the normalisation behind it.

use super::Activation;
use super::buffers::Buffers;
use crate::engine::EngineError;
use crate::network::Model;
use crate::ops::Padding;
use crate::ops::cpu::conv::{border, winograd_weights};
use crate::ops::cpu::direct::Shape;
use crate::ops::cpu::norm::Affine;
use crate::ops::cpu::pack::Panels;
use crate::ops::cpu::{Level, direct, narrow, norm, winograd};
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

/// A convolution, its normalisation, and ReLU.
pub struct Layer {
    kernel: usize,
    stride: usize,
    inputs: usize,
    outputs: usize,
    weights: Weights,
    norm: Norm,
}

enum Weights {
    Winograd(winograd::Weights),
    Direct(Panels),
}

struct Norm {
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

    /// What normalises `data`.
    fn measure(&self, level: Level, data: &[f32]) -> Affine {
        let channels = self.scale.len();
        let pixels = data.len() / channels;
        let extent = norm::Extent { pixels, channels };
        let statistics = norm::statistics(level, data, extent, self.eps);
        statistics.affine(0, &self.scale, &self.shift)
    }
}

impl Layer {
    /// The layer of `model` whose tensors' names start with `name`.
    pub fn new(model: &Model, name: &str, stride: usize) -> candle_core::Result<Self> {
        let weight_name = format!("{name}.conv.weight");
        let (outputs, inputs, kernel, _) = tensor(model, &weight_name)?.dims4()?;
        let weight = values(model, &weight_name)?;
        let weights = if kernel == 3 && stride == 1 {
            Weights::Winograd(winograd_weights(&weight, outputs, inputs))
        } else {
            let at = |o, i, y, x| weight[((o * inputs + i) * kernel + y) * kernel + x];
            Weights::Direct(direct::pack((outputs, inputs, kernel), at))
        };
        Ok(Layer {
            kernel,
            stride,
            inputs,
            outputs,
            weights,
            norm: Norm::new(model, name)?,
        })
    }

    /// Convolves `x`, each pixel of which counts as `scale * scale`. The
    /// normalisation of the result is left pending.
    pub fn forward(
        &self,
        level: Level,
        x: &Activation,
        scale: usize,
        buffers: &mut Buffers,
    ) -> Result<Activation, EngineError> {
        let table = |len: usize| enlarged_border(len, scale, self.kernel / 2);
        let (rows, columns) = (table(x.height), table(x.width));
        let size = |padded: usize| (padded - self.kernel) / self.stride + 1;
        let (height, width) = (size(rows.len()), size(columns.len()));
        let mut data = buffers.take(height * width * self.outputs)?;
        match &self.weights {
            Weights::Winograd(weights) => {
                let source = winograd::Source {
                    data: &x.data,
                    batch: 1,
                    height: x.height,
                    width: x.width,
                    rows: &rows,
                    columns: &columns,
                    entrance: match &x.pending {
                        None => winograd::Entrance::Plain,
                        Some(Affine { factor, offset }) => {
                            winograd::Entrance::Normalise { factor, offset }
                        }
                    },
                };
                winograd::convolve(level, weights, source, None, false, &mut data);
            }
            Weights::Direct(weights) => {
                let shape = Shape {
                    batch: 1,
                    padded_height: rows.len(),
                    padded_width: columns.len(),
                    inputs: self.inputs,
                    outputs: self.outputs,
                    kernel: self.kernel,
                    stride: self.stride,
                };
                let padded = pad(level, x, &rows, &columns, buffers)?;
                direct::convolve(level, weights, shape, &padded, None, false, &mut data);
                buffers.give_back(padded);
            }
        }
        let pending = Some(self.norm.measure(level, &data));
        Ok(Activation {
            data,
            height,
            width,
            channels: self.outputs,
            pending,
        })
    }
}

/// Source coordinate of each coordinate of a line of `len` pixels enlarged
/// `scale` times and mirrored `size` pixels beyond both ends.
fn enlarged_border(len: usize, scale: usize, size: usize) -> Vec<i32> {
    let table = border(len * scale, Padding::Reflect(size));
    table.into_iter().map(|i| i / scale as i32).collect()
}

/// `x` with its border, and all that was still due on it done.
fn pad(
    level: Level,
    x: &Activation,
    rows: &[i32],
    columns: &[i32],
    buffers: &mut Buffers,
) -> Result<Vec<f32>, EngineError> {
    let mut padded = buffers.take(rows.len() * columns.len() * x.channels)?;
    match &x.pending {
        None => {
            let size = (x.height, x.width, x.channels);
            direct::pad_into(&x.data, size, rows, columns, &mut padded);
        }
        Some(affine) => {
            let border = (rows, columns);
            norm::apply_padded(level, &x.data, x.width, affine, border, &mut padded);
        }
    }
    Ok(padded)
}

/// The last layer: into a picture's three channels.
pub struct OutputLayer {
    kernel: usize,
    weights: narrow::Weights,
    tail: Tail,
}

enum Tail {
    Norm(Norm),
    Bias([f32; narrow::OUTPUTS]),
}

impl OutputLayer {
    /// The last layer of `model`.
    pub fn new(model: &Model) -> candle_core::Result<Self> {
        let (_, inputs, kernel, _) = tensor(model, "output.conv.weight")?.dims4()?;
        let weight = values(model, "output.conv.weight")?;
        let at = |o, i, y, x| weight[((o * inputs + i) * kernel + y) * kernel + x];
        let tail = match model.architecture.output_norm {
            true => Tail::Norm(Norm::new(model, "output")?),
            false => {
                let bias = values(model, "output.conv.bias")?;
                Tail::Bias(std::array::from_fn(|i| bias[i]))
            }
        };
        Ok(OutputLayer {
            kernel,
            weights: narrow::Weights::pack(inputs, kernel, at),
            tail,
        })
    }

    /// Convolves `x`; a normalisation is left pending, without ReLU.
    pub fn forward(
        &self,
        level: Level,
        x: &Activation,
        buffers: &mut Buffers,
    ) -> Result<Activation, EngineError> {
        let table = |len: usize| enlarged_border(len, 1, self.kernel / 2);
        let (rows, columns) = (table(x.height), table(x.width));
        let padded = pad(level, x, &rows, &columns, buffers)?;
        let shape = Shape {
            batch: 1,
            padded_height: rows.len(),
            padded_width: columns.len(),
            inputs: x.channels,
            outputs: narrow::OUTPUTS,
            kernel: self.kernel,
            stride: 1,
        };
        let mut data = buffers.take(x.height * x.width * narrow::OUTPUTS)?;
        let bias = match &self.tail {
            Tail::Norm(_) => [0.0; narrow::OUTPUTS],
            Tail::Bias(bias) => *bias,
        };
        narrow::convolve(level, &self.weights, shape, &padded, bias, &mut data);
        buffers.give_back(padded);
        let pending = match &self.tail {
            Tail::Norm(norm) => Some(norm.measure(level, &data)),
            Tail::Bias(_) => None,
        };
        Ok(Activation {
            data,
            height: x.height,
            width: x.width,
            channels: narrow::OUTPUTS,
            pending,
        })
    }
}
