//! Convolutions of any kernel and stride, as products of windows of a padded
//! image with the weights, and the gradient of those weights.

use super::gemm::{Gemm, Product, Start};
use super::pack::{PANEL, Panels};
use super::{Kernel, LANES, Level, ROWS_TAKEN, SharedMut};
use rayon::prelude::*;

/// Sizes of a convolution over a padded batch `[n, padded_height, padded_width,
/// inputs]`, giving `[n, height, width, outputs]`.
#[derive(Clone, Copy, Debug)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Rows of a padded image.
    pub padded_height: usize,
    /// Pixels in a row of a padded image.
    pub padded_width: usize,
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Input pixels from one output pixel to the next.
    pub stride: usize,
}

impl ConvShape {
    /// Rows of an output image.
    pub fn height(&self) -> usize {
        (self.padded_height - self.kernel) / self.stride + 1
    }

    /// Pixels in a row of an output image.
    pub fn width(&self) -> usize {
        (self.padded_width - self.kernel) / self.stride + 1
    }

    pub(super) fn padded_row(&self) -> usize {
        self.padded_width * self.inputs
    }

    pub(super) fn check(&self, padded: &[f32], out: &[f32]) {
        let images = self.batch * self.padded_height;
        assert_eq!(padded.len(), images * self.padded_row());
        let pixels = self.batch * self.height() * self.width();
        assert_eq!(out.len(), pixels * self.outputs);
    }
}

/// Copies a batch `[n, height, width, channels]` into one whose position
/// `(i, j)` is pixel `(rows[i], columns[j])`, or 0 where either is negative.
pub fn pad(
    data: &[f32],
    (height, width, channels): (usize, usize, usize),
    rows: &[i32],
    columns: &[i32],
) -> Vec<f32> {
    let batch = data.len() / (height * width * channels);
    let mut padded = vec![0.0; batch * rows.len() * columns.len() * channels];
    pad_into(data, (height, width, channels), rows, columns, &mut padded);
    padded
}

/// [`pad`] into a slice, which must be 0 where the result is to be.
pub fn pad_into(
    data: &[f32],
    (height, width, channels): (usize, usize, usize),
    rows: &[i32],
    columns: &[i32],
    padded: &mut [f32],
) {
    let row_len = width * channels;
    padded
        .par_chunks_mut(columns.len() * channels)
        .with_max_len(ROWS_TAKEN)
        .enumerate()
        .for_each(|(i, out)| {
            let (image, row) = (i / rows.len(), rows[i % rows.len()]);
            if row >= 0 {
                let start = (image * height + row as usize) * row_len;
                pad_row(&data[start..start + row_len], channels, columns, out);
            }
        });
}

fn pad_row(row: &[f32], channels: usize, columns: &[i32], out: &mut [f32]) {
    for (pixel, &column) in out.chunks_exact_mut(channels).zip(columns) {
        if column >= 0 {
            pixel.copy_from_slice(&row[column as usize * channels..][..channels]);
        }
    }
}

/// The gradient of [`pad`]: every padded pixel adds to the pixel that it was.
pub fn unpad(
    padded: &[f32],
    (height, width, channels): (usize, usize, usize),
    rows: &[i32],
    columns: &[i32],
) -> Vec<f32> {
    let padded_row = columns.len() * channels;
    let batch = padded.len() / (rows.len() * padded_row);
    let mut data = vec![0.0; batch * height * width * channels];
    data.par_chunks_mut(width * channels)
        .enumerate()
        .for_each(|(i, out)| {
            let (image, row) = (i / height, (i % height) as i32);
            let sources = rows.iter().enumerate().filter(|&(_, &r)| r == row);
            for (source, _) in sources {
                let start = (image * rows.len() + source) * padded_row;
                let row = &padded[start..start + padded_row];
                for (pixel, &column) in row.chunks_exact(channels).zip(columns) {
                    if column >= 0 {
                        let to = &mut out[column as usize * channels..][..channels];
                        to.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
                    }
                }
            }
        });
    data
}

/// Weights of a convolution, packed with depth in the order kernel row, kernel
/// column, input channel. `weight(output, input, row, column)` gives them.
pub fn pack(
    (outputs, inputs, kernel): (usize, usize, usize),
    weight: impl Fn(usize, usize, usize, usize) -> f32,
) -> Panels {
    Panels::pack(kernel * kernel * inputs, outputs, |k, output| {
        let (input, at) = (k % inputs, k / inputs);
        weight(output, input, at / kernel, at % kernel)
    })
}

/// Convolves a padded batch with weights from [`pack`], adding `bias` (padded
/// to whole vectors) and cutting below 0 if `relu`.
pub fn convolve(
    level: Level,
    weights: &Panels,
    shape: ConvShape,
    padded: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    out: &mut [f32],
) {
    shape.check(padded, out);
    assert_eq!(weights.depth(), shape.kernel * shape.kernel * shape.inputs);
    assert_eq!(weights.columns(), shape.outputs);
    assert!(bias.is_none_or(|bias| bias.len() >= shape.outputs.next_multiple_of(LANES)));
    let row_len = shape.width() * shape.outputs;
    out.par_chunks_mut(row_len)
        .with_max_len(1)
        .enumerate()
        .for_each(|(i, out)| {
            let (image, row) = (i / shape.height(), i % shape.height());
            let first_row = image * shape.padded_height + row * shape.stride;
            level.run(Row {
                weights,
                shape,
                window: &padded[first_row * shape.padded_row()..]
                    [..shape.kernel * shape.padded_row()],
                bias,
                relu,
                out,
            });
        });
}

/// One row of the output.
struct Row<'a> {
    weights: &'a Panels,
    shape: ConvShape,
    /// The padded rows under the kernel.
    window: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Gemm>(self, simd: S) {
        let shape = self.shape;
        for panel in 0..self.weights.count() {
            let (first, columns, width, data) = self.weights.panel(panel);
            let product = Product {
                a: self.window.as_ptr(),
                a_row: shape.stride * shape.inputs,
                a_depth: 1,
                a_segment: shape.padded_row(),
                segments: shape.kernel,
                depth: shape.kernel * shape.inputs,
                b: data.as_ptr(),
                b_depth: width,
                c: self.out[first..].as_mut_ptr(),
                c_row: shape.outputs,
                rows: shape.width(),
                columns,
                b_padded: true,
                start: match self.bias {
                    Some(bias) => Start::Bias(bias[first..].as_ptr()),
                    None => Start::Zero,
                },
                scale: None,
                relu: self.relu,
            };
            // SAFETY: the window holds `kernel` padded rows, so `width` windows
            // of `kernel` pixels lie in each; `out` is one row of the output.
            unsafe { simd.product(product) };
        }
    }
}

/// The gradient of the weights, `[kernel row, kernel column, input, output]`,
/// from the padded input and the gradient of the output.
pub fn weight_gradient(
    level: Level,
    shape: ConvShape,
    padded: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    shape.check(padded, gradient);
    let rows = shape.kernel * shape.inputs;
    let strip = 2 * LANES;
    let mut out = vec![0.0; shape.kernel * rows * shape.outputs];
    let shared = SharedMut::new(&mut out);
    let strips = rows.div_ceil(strip);
    let panels = shape.outputs.div_ceil(PANEL);
    (0..shape.kernel * strips * panels)
        .into_par_iter()
        .for_each(|task| {
            let (panel, task) = (task % panels, task / panels);
            let (first_row, kernel_row) = (task % strips * strip, task / strips);
            level.run(WeightGradient {
                shape,
                padded,
                gradient,
                kernel_row,
                rows: first_row..rows.min(first_row + strip),
                columns: panel * PANEL..shape.outputs.min((panel + 1) * PANEL),
                out: shared,
            });
        });
    out
}

/// Some rows and columns of the gradient of one kernel row's weights.
struct WeightGradient<'a> {
    shape: ConvShape,
    padded: &'a [f32],
    gradient: &'a [f32],
    kernel_row: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    out: SharedMut<'a>,
}

impl Kernel for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Gemm>(self, simd: S) {
        let shape = self.shape;
        let out_row = self.kernel_row * shape.kernel * shape.inputs + self.rows.start;
        let image_len = shape.height() * shape.width() * shape.outputs;
        for image in 0..shape.batch {
            let padded_start = (image * shape.padded_height + self.kernel_row) * shape.padded_row();
            let product = Product {
                a: self.padded[padded_start + self.rows.start..].as_ptr(),
                a_row: 1,
                a_depth: shape.stride * shape.inputs,
                a_segment: shape.stride * shape.padded_row(),
                segments: shape.height(),
                depth: shape.width(),
                b: self.gradient[image * image_len + self.columns.start..].as_ptr(),
                b_depth: shape.outputs,
                c: self.out.at(out_row * shape.outputs + self.columns.start),
                c_row: shape.outputs,
                rows: self.rows.len(),
                columns: self.columns.len(),
                b_padded: false,
                start: if image == 0 {
                    Start::Zero
                } else {
                    Start::Accumulate
                },
                scale: None,
                relu: false,
            };
            // SAFETY: `weight_gradient` has checked the slices; the rows and
            // columns of the output belong to this task alone.
            unsafe { simd.product(product) };
        }
    }
}
