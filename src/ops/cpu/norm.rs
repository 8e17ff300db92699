//! Instance normalisation over `[n, pixels, channels]`.

use super::pixels::Pixels;
use super::simd::Simd;
use super::{Kernel, LANES, Level, ROWS_TAKEN};
use rayon::prelude::*;
use std::ops::Range;

/// Sizes of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Pixels of an image.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

/// Mean and 1 / standard deviation of each channel of each image.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// `[n, channels]`
    pub mean: Vec<f32>,
    /// `[n, channels]`
    pub inverse_deviation: Vec<f32>,
}

impl Moments {
    /// Counts `pixels` in.
    pub fn add(&mut self, pixels: &[f32]) {
        if self.pixels == 0.0 {
            self.pivot = pixels.first().copied().unwrap_or(0.0);
        }
        let (mut sum, mut squares) = ([0f32; LANES], [0f32; LANES]);
        for part in pixels.chunks(LANES) {
            for (lane, x) in part.iter().enumerate() {
                let offset = x - self.pivot;
                sum[lane] += offset;
                squares[lane] += offset * offset;
            }
        }
        self.pixels += pixels.len() as f32;
        self.sum += sum.iter().sum::<f32>();
        self.squares += squares.iter().sum::<f32>();
    }
}

/// Pixels that one task handles at a time: a few hundred kilobytes at most, so
/// that a second pass over them finds them in the cache.
const CHUNK: usize = 512;

/// What some pixels of a channel tell about its mean and variance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    /// How many there are.
    pub pixels: f32,
    /// A number near them all, so that a large mean does not swallow a small
    /// variance.
    pub pivot: f32,
    /// Sum of their differences from the pivot.
    pub sum: f32,
    /// Sum of the squares of these differences.
    pub squares: f32,
}

/// Measures one image of `channels`, a row of moments for each of its chunks.
pub fn measure(level: Level, image: &[f32], channels: usize, moments: &mut Vec<Moments>) {
    let chunks = image.len().div_ceil(CHUNK * channels);
    moments.clear();
    moments.resize(chunks * channels, Moments::default());
    image
        .par_chunks(CHUNK * channels)
        .with_max_len(1)
        .zip(moments.par_chunks_mut(channels))
        .for_each(|(chunk, moments)| level.run(Measure { chunk, moments }));
}

/// Measures each image of a batch.
///
/// Each chunk of pixels is centred on its own mean before its squares are
/// summed.
pub fn statistics(level: Level, data: &[f32], extent: Extent, eps: f64) -> Statistics {
    let Extent { pixels, channels } = extent;
    let images: Vec<Statistics> = data
        .par_chunks(pixels * channels)
        .map(|image| {
            let mut moments = Vec::new();
            measure(level, image, channels, &mut moments);
            Statistics::join(&moments, channels, eps)
        })
        .collect();
    Statistics {
        mean: images.iter().flat_map(|s| s.mean.iter().copied()).collect(),
        inverse_deviation: images
            .iter()
            .flat_map(|s| s.inverse_deviation.iter().copied())
            .collect(),
    }
}

/// Measures the pixels `columns` of each of `rows` of an image with `width`
/// pixels of `channels` in a row; a row of moments for each of these rows.
pub fn measure_window(
    level: Level,
    image: Pixels,
    (width, channels): (usize, usize),
    rows: Range<usize>,
    columns: Range<usize>,
    moments: &mut Vec<Moments>,
) {
    moments.clear();
    moments.resize(rows.len() * channels, Moments::default());
    let columns = columns.start * channels..columns.end * channels;
    moments
        .par_chunks_mut(channels)
        .with_max_len(ROWS_TAKEN)
        .enumerate()
        .for_each_init(Vec::new, |numbers, (i, moments)| {
            let row = (rows.start + i) * width * channels;
            let columns = row + columns.start..row + columns.end;
            let chunk = match image {
                Pixels::Floats(image) => &image[columns],
                Pixels::Halves(image) => {
                    numbers.clear();
                    numbers.extend(image[columns].iter().map(|x| x.to_f32()));
                    &numbers[..]
                }
            };
            level.run(Measure { chunk, moments });
        });
}

/// Several rows of moments, a number a channel each, made one.
pub fn merge(moments: &[Moments], channels: usize) -> Vec<Moments> {
    let merge = |channel| {
        let Total {
            pixels,
            mean,
            squares,
        } = total(moments, (channel, channels));
        let pivot = mean as f32;
        let rest = mean - f64::from(pivot);
        Moments {
            pixels: pixels as f32,
            pivot,
            sum: (rest * pixels) as f32,
            squares: (squares + rest * rest * pixels) as f32,
        }
    };
    (0..channels).map(merge).collect()
}

/// All pixels of a channel.
struct Total {
    pixels: f64,
    mean: f64,
    /// Sum of the squares of their differences from the mean.
    squares: f64,
}

/// Mean and 1 / standard deviation of one of so many channels.
fn join(moments: &[Moments], channel: (usize, usize), eps: f64) -> (f32, f32) {
    let all = total(moments, channel);
    let variance = (all.squares / all.pixels).max(0.0);
    (all.mean as f32, (1.0 / (variance + eps).sqrt()) as f32)
}

/// One of so many channels, its parts joined in `f64` (Chan, Golub and LeVeque
/// 1979).
fn total(moments: &[Moments], (channel, channels): (usize, usize)) -> Total {
    let parts = moments.iter().skip(channel).step_by(channels);
    let wide = |m: &Moments| (f64::from(m.pixels), f64::from(m.sum));
    // Around one of the pivots: equal parts give exactly their own mean.
    let pivot = parts.clone().next().map_or(0.0, |m| f64::from(m.pivot));
    let (mut pixels, mut total) = (0.0, 0.0);
    for part in parts.clone() {
        let (count, sum) = wide(part);
        pixels += count;
        total += sum + count * (f64::from(part.pivot) - pivot);
    }
    let mean = pivot + total / pixels;
    let squares = parts
        .map(|part| {
            let (count, sum) = wide(part);
            let offset = f64::from(part.pivot) - mean;
            f64::from(part.squares) + (2.0 * sum + count * offset) * offset
        })
        .sum();
    Total {
        pixels,
        mean,
        squares,
    }
}

struct Measure<'a> {
    chunk: &'a [f32],
    /// A number a channel.
    moments: &'a mut [Moments],
}

impl Kernel for Measure<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let channels = self.moments.len();
        let pixels = (self.chunk.len() / channels) as f32;
        let mut sum = vec![0f32; channels];
        for pixel in self.chunk.chunks_exact(channels) {
            for (sum, x) in sum.iter_mut().zip(pixel) {
                *sum += x;
            }
        }
        let mean: Vec<f32> = sum.iter().map(|sum| sum / pixels).collect();
        let mut squares = vec![0f32; channels];
        for pixel in self.chunk.chunks_exact(channels) {
            for ((squares, x), mean) in squares.iter_mut().zip(pixel).zip(&mean) {
                *squares += (x - mean) * (x - mean);
            }
        }
        for (c, moments) in self.moments.iter_mut().enumerate() {
            *moments = Moments {
                pixels,
                pivot: mean[c],
                // What rounding has left of it.
                sum: (f64::from(sum[c]) - f64::from(mean[c]) * f64::from(pixels)) as f32,
                squares: squares[c],
            };
        }
    }
}

/// What is done to each channel of an image: `x * factor + offset`.
#[derive(Clone, Debug, Default)]
pub struct Affine {
    /// A number a channel.
    pub factor: Vec<f32>,
    /// A number a channel.
    pub offset: Vec<f32>,
}

impl Affine {
    /// Becomes what normalisation, `scale` and `shift` do to an image, of
    /// which several rows of moments are given, a number a channel each.
    pub fn normalise(&mut self, moments: &[Moments], (scale, shift): (&[f32], &[f32]), eps: f64) {
        let channels = scale.len();
        self.factor.clear();
        self.offset.clear();
        for channel in 0..channels {
            let (mean, inverse) = join(moments, (channel, channels), eps);
            let factor = inverse * scale[channel];
            self.factor.push(factor);
            self.offset.push(shift[channel] - mean * factor);
        }
    }

    /// Factors and offsets as slices of one length, which loops over channels
    /// take before they start: the compiler makes vectors of them then.
    #[inline(always)]
    fn slices(&self) -> (&[f32], &[f32]) {
        let channels = self.factor.len();
        (&self.factor, &self.offset[..channels])
    }
}

impl Statistics {
    /// The statistics of one image whose pixels lie in several `moments`, each a row of
    /// `channels`.
    fn join(moments: &[Moments], channels: usize, eps: f64) -> Self {
        let (mean, inverse_deviation) = (0..channels)
            .map(|channel| join(moments, (channel, channels), eps))
            .unzip();
        Statistics {
            mean,
            inverse_deviation,
        }
    }

    /// What normalisation, `scale` and `shift` do to image `image`.
    pub fn affine(&self, image: usize, scale: &[f32], shift: &[f32]) -> Affine {
        let channels = scale.len();
        let of_image = image * channels..(image + 1) * channels;
        let inverse = &self.inverse_deviation[of_image.clone()];
        let factor: Vec<f32> = inverse.iter().zip(scale).map(|(a, b)| a * b).collect();
        let mean = &self.mean[of_image];
        let offset = (0..channels).map(|c| shift[c] - mean[c] * factor[c]);
        let offset = offset.collect();
        Affine { factor, offset }
    }
}

/// Normalises, scales and shifts `data` into `out`, cutting below 0 if `relu`.
pub fn forward(
    level: Level,
    data: &[f32],
    extent: Extent,
    statistics: &Statistics,
    (scale, shift): (&[f32], &[f32]),
    relu: bool,
    out: &mut [f32],
) {
    let image_len = extent.pixels * extent.channels;
    out.par_chunks_mut(image_len)
        .zip(data.par_chunks(image_len))
        .enumerate()
        .for_each(|(image, (out, data))| {
            let affine = statistics.affine(image, scale, shift);
            apply(level, data, &affine, relu, out);
        });
}

/// `x * factor + offset` for each channel of an image, cut below 0 if `relu`.
pub fn apply(level: Level, data: &[f32], affine: &Affine, relu: bool, out: &mut [f32]) {
    let chunk = CHUNK * affine.factor.len();
    out.par_chunks_mut(chunk)
        .zip(data.par_chunks(chunk))
        .for_each(|(out, data)| {
            level.run(Apply {
                data,
                affine,
                relu,
                out,
            });
        });
}

struct Apply<'a> {
    data: &'a [f32],
    affine: &'a Affine,
    relu: bool,
    out: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (factor, offset) = self.affine.slices();
        let channels = factor.len();
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let pixels = self.data.chunks_exact(channels);
        for (out, pixel) in self.out.chunks_exact_mut(channels).zip(pixels) {
            for c in 0..channels {
                out[c] = (pixel[c] * factor[c] + offset[c]).max(floor);
            }
        }
    }
}

/// [`apply`] to the data itself.
pub fn apply_in_place(level: Level, affine: &Affine, relu: bool, data: &mut [f32]) {
    let chunk = CHUNK * affine.factor.len();
    data.par_chunks_mut(chunk)
        .for_each(|data| level.run(ApplyInPlace { affine, relu, data }));
}

struct ApplyInPlace<'a> {
    affine: &'a Affine,
    relu: bool,
    data: &'a mut [f32],
}

impl Kernel for ApplyInPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (factor, offset) = self.affine.slices();
        let channels = factor.len();
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        for pixel in self.data.chunks_exact_mut(channels) {
            for c in 0..channels {
                pixel[c] = (pixel[c] * factor[c] + offset[c]).max(floor);
            }
        }
    }
}

/// Adds `x * factor + offset` of each channel of an image to `sum`.
pub fn add(level: Level, data: &[f32], affine: &Affine, sum: &mut [f32]) {
    let chunk = CHUNK * affine.factor.len();
    sum.par_chunks_mut(chunk)
        .zip(data.par_chunks(chunk))
        .for_each(|(sum, data)| {
            level.run(Add { data, affine, sum });
        });
}

struct Add<'a> {
    data: &'a [f32],
    affine: &'a Affine,
    sum: &'a mut [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (factor, offset) = self.affine.slices();
        let channels = factor.len();
        let pixels = self.data.chunks_exact(channels);
        for (sum, pixel) in self.sum.chunks_exact_mut(channels).zip(pixels) {
            for c in 0..channels {
                sum[c] += pixel[c] * factor[c] + offset[c];
            }
        }
    }
}

/// [`apply`] with ReLU to an image seen through a border: position `(i, j)` of
/// the result is pixel `(rows[i], columns[j])` of the image, whose rows have
/// `width` pixels.
pub fn apply_padded(
    level: Level,
    data: &[f32],
    width: usize,
    affine: &Affine,
    (rows, columns): (&[i32], &[i32]),
    out: &mut [f32],
) {
    let channels = affine.factor.len();
    let row_len = width * channels;
    out.par_chunks_mut(columns.len() * channels)
        .zip(rows)
        .for_each(|(out, &row)| {
            level.run(ApplyRow {
                data: &data[row as usize * row_len..][..row_len],
                affine,
                columns,
                out,
            });
        });
}

struct ApplyRow<'a> {
    data: &'a [f32],
    affine: &'a Affine,
    columns: &'a [i32],
    out: &'a mut [f32],
}

impl Kernel for ApplyRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (factor, offset) = self.affine.slices();
        let channels = factor.len();
        let pixels = self.out.chunks_exact_mut(channels);
        for (out, &column) in pixels.zip(self.columns) {
            let pixel = &self.data[column as usize * channels..][..channels];
            for c in 0..channels {
                out[c] = (pixel[c] * factor[c] + offset[c]).max(0.0);
            }
        }
    }
}

/// Gradients of [`forward`].
pub struct Gradients {
    /// The gradient of the data.
    pub data: Vec<f32>,
    /// The gradient of the scale, `[channels]`.
    pub scale: Vec<f32>,
    /// The gradient of the shift, `[channels]`.
    pub shift: Vec<f32>,
}

/// Gradients from `gradient`, the gradient of the result. `result` is given where
/// ReLU was applied: no gradient passes where it is 0.
pub fn backward(
    level: Level,
    data: &[f32],
    extent: Extent,
    statistics: &Statistics,
    scale: &[f32],
    result: Option<&[f32]>,
    gradient: &[f32],
) -> Gradients {
    let Extent { pixels, channels } = extent;
    let image_len = pixels * channels;
    let mut out = vec![0f32; data.len()];
    let sums: Vec<Sums> = out
        .par_chunks_mut(image_len)
        .enumerate()
        .map(|(image, out)| {
            let of_image = image * image_len..(image + 1) * image_len;
            let of_channels = image * channels..(image + 1) * channels;
            let parts = Parts {
                data: &data[of_image.clone()],
                result: result.map(|result| &result[of_image.clone()]),
                gradient: &gradient[of_image],
                mean: &statistics.mean[of_channels.clone()],
                inverse: &statistics.inverse_deviation[of_channels],
            };
            backward_image(level, parts, scale, out)
        })
        .collect();
    let mut gradients = Gradients {
        data: out,
        scale: vec![0.0; channels],
        shift: vec![0.0; channels],
    };
    for (shift, scale) in &sums {
        for c in 0..channels {
            gradients.shift[c] += shift[c];
            gradients.scale[c] += scale[c];
        }
    }
    gradients
}

/// What [`backward`] reads of one image, or of some of its pixels.
#[derive(Clone, Copy)]
struct Parts<'a> {
    data: &'a [f32],
    result: Option<&'a [f32]>,
    gradient: &'a [f32],
    mean: &'a [f32],
    inverse: &'a [f32],
}

impl<'a> Parts<'a> {
    fn chunk(self, chunk: usize) -> Parts<'a> {
        let len = CHUNK * self.mean.len();
        let range = chunk * len..self.data.len().min((chunk + 1) * len);
        Parts {
            data: &self.data[range.clone()],
            result: self.result.map(|result| &result[range.clone()]),
            gradient: &self.gradient[range],
            ..self
        }
    }
}

/// Each channel's sum of the gradient, and of the gradient times the
/// normalised data.
type Sums = (Vec<f32>, Vec<f32>);

/// Writes the gradient of an image's data; returns its sums.
fn backward_image(level: Level, parts: Parts, scale: &[f32], out: &mut [f32]) -> Sums {
    let channels = scale.len();
    let chunks = out.len().div_ceil(CHUNK * channels);
    let sums: Vec<Sums> = (0..chunks)
        .into_par_iter()
        .map(|chunk| level.run(SumGradients(parts.chunk(chunk))))
        .collect();
    let total = |pick: fn(&Sums) -> &Vec<f32>| -> Vec<f32> {
        (0..channels)
            .map(|c| sums.iter().map(|sum| f64::from(pick(sum)[c])).sum::<f64>() as f32)
            .collect()
    };
    let (shift, scaled) = (total(|sum| &sum.0), total(|sum| &sum.1));
    let pixels = (out.len() / channels) as f32;
    let factor: Vec<f32> = scale
        .iter()
        .zip(parts.inverse)
        .map(|(a, b)| a * b)
        .collect();
    let mean_gradient: Vec<f32> = shift.iter().map(|sum| sum / pixels).collect();
    let mean_scaled: Vec<f32> = scaled.iter().map(|sum| sum / pixels).collect();
    out.par_chunks_mut(CHUNK * channels)
        .enumerate()
        .for_each(|(chunk, out)| {
            level.run(DataGradient {
                parts: parts.chunk(chunk),
                factor: &factor,
                mean_gradient: &mean_gradient,
                mean_scaled: &mean_scaled,
                out,
            });
        });
    (shift, scaled)
}

struct SumGradients<'a>(Parts<'a>);

impl Kernel for SumGradients<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        let parts = self.0;
        let channels = parts.mean.len();
        let (mut sum, mut scaled) = (vec![0f32; channels], vec![0f32; channels]);
        for start in (0..parts.data.len()).step_by(channels) {
            let data = &parts.data[start..start + channels];
            let gradient = &parts.gradient[start..start + channels];
            // Without ReLU every gate is open.
            let gate = parts
                .result
                .map_or(gradient, |r| &r[start..start + channels]);
            let relu = parts.result.is_some();
            for c in 0..channels {
                let g = if relu && gate[c] <= 0.0 {
                    0.0
                } else {
                    gradient[c]
                };
                sum[c] += g;
                scaled[c] += g * ((data[c] - parts.mean[c]) * parts.inverse[c]);
            }
        }
        (sum, scaled)
    }
}

struct DataGradient<'a> {
    parts: Parts<'a>,
    factor: &'a [f32],
    mean_gradient: &'a [f32],
    mean_scaled: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for DataGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let parts = self.parts;
        let channels = parts.mean.len();
        for (i, out) in self.out.chunks_exact_mut(channels).enumerate() {
            let pixel = i * channels..(i + 1) * channels;
            let data = &parts.data[pixel.clone()];
            let gradient = &parts.gradient[pixel.clone()];
            let gate = parts.result.map_or(gradient, |r| &r[pixel]);
            let relu = parts.result.is_some();
            for c in 0..channels {
                let g = if relu && gate[c] <= 0.0 {
                    0.0
                } else {
                    gradient[c]
                };
                let normalised = (data[c] - parts.mean[c]) * parts.inverse[c];
                out[c] =
                    self.factor[c] * (g - self.mean_gradient[c] - normalised * self.mean_scaled[c]);
            }
        }
    }
}
