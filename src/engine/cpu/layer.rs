//! Convolutions with packed weights, each with the normalisation behind it.

use super::norm::StyledNorm;
use super::plan::{Border, Storage};
use super::statistics::{Norms, Window};
use crate::engine::Precision;
use crate::engine::styles::StyleTable;
use crate::network::{LayerSpec, Model, Step, Tail};
use crate::ops::Size;
use crate::ops::cpu::conv::winograd_weights;
use crate::ops::cpu::direct::ConvShape;
use crate::ops::cpu::norm::{Affine, Moments};
use crate::ops::cpu::pack::Panels;
use crate::ops::cpu::pixels::{Pixels, PixelsMut};
use crate::ops::cpu::winograd::{self, Epilogue, PaddedPicture, PictureWeights, Prologue, Source};
use crate::ops::cpu::{Level, direct, norm};
use std::ops::{ControlFlow, Range};

/// Weights `[outputs, inputs, kernel, kernel]`.
struct Kernels {
    values: Vec<f32>,
    outputs: usize,
    inputs: usize,
    side: usize,
}

impl Kernels {
    fn new(model: &Model, layer: &LayerSpec) -> candle_core::Result<Self> {
        let tensor = model.tensor(&layer.weight())?;
        let (outputs, inputs, side, _) = tensor.dims4()?;
        Ok(Kernels {
            values: tensor.flatten_all()?.to_vec1()?,
            outputs,
            inputs,
            side,
        })
    }

    /// Scales them by a power of two so that no result is too large for 16-bit floats
    /// while inputs are up to `largest`, and typical ones are not too small either.
    /// By how much.
    fn fit_halves(&mut self, largest: f32) -> f64 {
        const ROOM: f32 = 32768.0;
        let sums = self.values.chunks(self.inputs * self.side * self.side);
        let sums = sums.map(|kernels| kernels.iter().map(|w| w.abs()).sum::<f32>());
        let power = (ROOM / (largest * sums.fold(0.0, f32::max))).log2().floor();
        // All weights may be zero, or no numbers.
        let scale = match power.is_finite() {
            true => power.clamp(-60.0, 60.0).exp2(),
            false => 1.0,
        };
        self.values.iter_mut().for_each(|w| *w *= scale);
        f64::from(scale)
    }

    fn at(&self, output: usize, input: usize, row: usize, column: usize) -> f32 {
        self.values[((output * self.inputs + input) * self.side + row) * self.side + column]
    }
}

/// An image `[height, width, channels]` inside the network.
#[derive(Clone, Copy)]
pub struct Activation<'a> {
    pub data: Pixels<'a>,
    pub size: Size,
    /// A normalisation still to be done to it, and then ReLU.
    pub pending: Option<&'a Affine>,
}

impl<'a> Activation<'a> {
    /// Seen through a border.
    fn source(self, border: &'a Border) -> Source<'a> {
        Source {
            data: self.data,
            batch: 1,
            height: self.size.height,
            width: self.size.width,
            rows: &border.rows,
            columns: &border.columns,
            prologue: match self.pending {
                None => Prologue::None,
                Some(Affine { factor, offset }) => Prologue::Normalise { factor, offset },
            },
        }
    }
}

/// Memory that layers use while they run.
#[derive(Default)]
pub struct Scratch {
    moments: Vec<Moments>,
    /// An input with its border, only for kernels that are not 3x3.
    pub padded: Vec<f32>,
}

/// What the layers share while a picture passes through them.
pub struct Pass<'a, 'n> {
    pub level: Level,
    pub norms: &'a mut Norms<'n>,
    /// The style's row.
    pub style: &'a [f32],
    pub scratch: &'a mut Scratch,
    /// Width of the images at the network's full size.
    pub width: usize,
}

impl Pass<'_, '_> {
    /// Where a convolution is to gather the moments of its result, if it is.
    fn epilogue(&mut self) -> Epilogue<'_> {
        Epilogue {
            moments: self.norms.are_own().then_some(&mut self.scratch.moments),
            ..Epilogue::default()
        }
    }

    /// Makes `next` what normalises `out`, an image whose sides are `scale` times
    /// shorter than those of full size.
    fn finalize(
        &mut self,
        norm: &StyledNorm,
        out: Pixels,
        scale: usize,
        next: &mut Affine,
    ) -> ControlFlow<()> {
        let (level, width) = (self.level, self.width / scale);
        let norm = &norm.in_style(self.style);
        let measure = |window: &Window, moments: &mut Vec<Moments>| {
            let Window { rows, columns } = window.divided(scale);
            let row = (width, norm.channels());
            norm::measure_window(level, out, row, rows, columns, moments);
        };
        self.norms
            .finalize(norm, next, &mut self.scratch.moments, measure)
    }
}

/// The first layer: from a picture.
pub struct FirstLayer {
    weights: PictureWeights,
    norm: StyledNorm,
}

impl FirstLayer {
    /// Packs the layer `spec` of `model`, whose result is stored in this way; what
    /// depends on the style goes to `table`.
    pub fn new(
        model: &Model,
        spec: &LayerSpec,
        storage: Storage,
        table: &mut StyleTable,
    ) -> candle_core::Result<Self> {
        let mut kernels = Kernels::new(model, spec)?;
        let [black, white] = model.architecture.input_range;
        let scale = match storage.is_half(spec.output_scale()) {
            true => kernels.fit_halves((white - black).abs() as f32),
            false => 1.0,
        };
        Ok(FirstLayer {
            weights: PictureWeights::from_picture(kernels.outputs, kernels.side, |o, i, y, x| {
                kernels.at(o, i, y, x)
            }),
            norm: StyledNorm::new(model, spec, scale, table)?,
        })
    }

    /// Pixels beyond the picture that it wants in all.
    pub fn border(&self) -> usize {
        self.weights.border()
    }

    /// Convolves a picture into `out`; `next` becomes the normalisation of that.
    /// Breaks where the statistics end.
    pub fn forward(
        &self,
        picture: &PaddedPicture,
        pass: &mut Pass,
        next: &mut Affine,
        mut out: PixelsMut,
    ) -> ControlFlow<()> {
        let (level, to) = (pass.level, out.reborrow());
        winograd::from_picture(level, &self.weights, picture, pass.epilogue(), to);
        pass.finalize(&self.norm, out.read(), 1, next)
    }
}

/// A layer inside the network.
pub struct InnerLayer {
    /// What the layer is.
    pub spec: LayerSpec,
    kernels: PackedKernels,
    norm: StyledNorm,
}

enum PackedKernels {
    /// 3x3, as trained networks have.
    Winograd(winograd::WinogradWeights),
    /// Any other side.
    Direct(Panels),
}

impl InnerLayer {
    /// Packs the layer `spec` of `model`, after the layer `before`, whose result is
    /// stored in this way; what depends on the style goes to `table`.
    pub fn new(
        model: &Model,
        (before, spec): (&LayerSpec, &LayerSpec),
        (precision, storage): (Precision, Storage),
        table: &mut StyleTable,
    ) -> candle_core::Result<Self> {
        let mut kernels = Kernels::new(model, spec)?;
        let scale = match storage.is_half(spec.output_scale()) {
            true => kernels.fit_halves(largest_normalised(model, before)?),
            false => 1.0,
        };
        let Kernels {
            outputs,
            inputs,
            side,
            ..
        } = kernels;
        let kernels = if side == 3 {
            let weights = winograd_weights(spec.step, &kernels.values, outputs, inputs);
            PackedKernels::Winograd(match precision {
                Precision::Fast => weights.rounded(),
                _ => weights,
            })
        } else {
            let at = |o, i, y, x| kernels.at(o, i, y, x);
            PackedKernels::Direct(direct::pack((outputs, inputs, side), at))
        };
        Ok(InnerLayer {
            spec: spec.clone(),
            kernels,
            norm: StyledNorm::new(model, spec, scale, table)?,
        })
    }

    /// Convolves `x` into `out`; `next` becomes the normalisation of that.
    /// Breaks where the statistics end.
    pub fn forward(
        &self,
        x: Activation,
        border: &Border,
        pass: &mut Pass,
        next: &mut Affine,
        mut out: PixelsMut,
    ) -> ControlFlow<()> {
        let level = pass.level;
        match (&self.kernels, x.data, &mut out) {
            (PackedKernels::Winograd(weights), ..) => {
                let to = out.reborrow();
                winograd::convolve(level, weights, x.source(border), pass.epilogue(), to);
            }
            (PackedKernels::Direct(panels), Pixels::Floats(data), PixelsMut::Floats(out)) => {
                let LayerSpec {
                    inputs,
                    outputs,
                    kernel,
                    step,
                    ..
                } = self.spec;
                let shape = ConvShape {
                    batch: 1,
                    padded_height: border.rows.len(),
                    padded_width: border.columns.len(),
                    inputs,
                    outputs,
                    kernel,
                    stride: if step == Step::Half { 2 } else { 1 },
                };
                let Scratch { padded, moments } = &mut *pass.scratch;
                let padded = &mut padded[..border.rows.len() * border.columns.len() * inputs];
                pad(level, (data, x.size), x.pending, border, inputs, padded);
                direct::convolve(level, panels, shape, padded, None, false, out);
                if pass.norms.are_own() {
                    norm::measure(level, out, outputs, moments);
                }
            }
            // `Storage` has these for kernels of 3x3 alone.
            (PackedKernels::Direct(_), ..) => return ControlFlow::Break(()),
        }
        pass.finalize(&self.norm, out.read(), self.spec.output_scale(), next)
    }
}

/// The largest number that a layer's normalised result may be taken to hold: a
/// thousand deviations, which takes a million pixels of which one alone is not flat.
fn largest_normalised(model: &Model, layer: &LayerSpec) -> candle_core::Result<f32> {
    const DEVIATIONS: f32 = 1024.0;
    let largest = |name: &str| -> candle_core::Result<f32> {
        let numbers: Vec<f32> = model.tensor(name)?.flatten_all()?.to_vec1()?;
        Ok(numbers.iter().fold(0.0, |largest, x| x.abs().max(largest)))
    };
    Ok(DEVIATIONS * largest(&layer.norm_scale())? + largest(&layer.norm_shift())?)
}

/// An image with its border, and all that was still due on it done.
fn pad(
    level: Level,
    (data, image): (&[f32], Size),
    pending: Option<&Affine>,
    Border { rows, columns }: &Border,
    channels: usize,
    padded: &mut [f32],
) {
    match pending {
        None => {
            let size = (image.height, image.width, channels);
            direct::pad_into(data, size, rows, columns, padded);
        }
        Some(affine) => {
            norm::apply_padded(level, data, image.width, affine, (rows, columns), padded);
        }
    }
}

/// The last layer: into a picture's three channels.
pub struct LastLayer {
    weights: PictureWeights,
    tail: LastTail,
}

enum LastTail {
    Norm(StyledNorm),
    /// Where in a style's row it is.
    Bias(Range<usize>),
}

impl LastLayer {
    /// Packs the layer `spec` of `model`. what depends on the style goes to `table`.
    pub fn new(
        model: &Model,
        spec: &LayerSpec,
        table: &mut StyleTable,
    ) -> candle_core::Result<Self> {
        let kernels = Kernels::new(model, spec)?;
        Ok(LastLayer {
            weights: PictureWeights::to_picture(kernels.inputs, kernels.side, |o, i, y, x| {
                kernels.at(o, i, y, x)
            }),
            tail: match spec.tail {
                Tail::Norm => LastTail::Norm(StyledNorm::new(model, spec, 1.0, table)?),
                Tail::Bias => LastTail::Bias(table.push(model, &spec.bias(), spec.outputs)?),
            },
        })
    }

    /// Numbers that [`Self::forward`] writes for a network of this size.
    pub fn sums_len(&self, size: Size) -> usize {
        self.weights.sums_len(size)
    }

    /// Convolves `x` into `sums`; `next` becomes what is still to be done to
    /// them. Breaks where the statistics end.
    pub fn forward(
        &self,
        x: Activation,
        border: &Border,
        pass: &mut Pass,
        next: &mut Affine,
        sums: &mut [f32],
    ) -> ControlFlow<(), PictureSums> {
        winograd::to_sums(pass.level, &self.weights, x.source(border), sums);
        let layout = self.weights.sums(x.size);
        match &self.tail {
            LastTail::Norm(norm) => {
                let Pass {
                    norms,
                    scratch,
                    style,
                    ..
                } = pass;
                let norm = &norm.in_style(style);
                let moments = &mut scratch.moments;
                if norms.are_own() {
                    layout.measure(sums, 0..x.size.height, 0..x.size.width, moments);
                }
                norms.finalize(norm, next, moments, |window, moments| {
                    let Window { rows, columns } = window.clone();
                    layout.measure(sums, rows, columns, moments);
                })?;
            }
            LastTail::Bias(bias) => {
                let bias = &pass.style[bias.clone()];
                next.factor.clear();
                next.factor.resize(bias.len(), 1.0);
                next.offset.clear();
                next.offset.extend(bias);
            }
        }
        ControlFlow::Continue(layout)
    }
}

pub use winograd::PictureSums;
