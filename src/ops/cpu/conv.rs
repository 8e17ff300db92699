//! Convolution of a batch and its gradients: picks the kernel for the shape.

use super::pixels::{Pixels, PixelsMut};
use super::winograd::Epilogue;
use super::{Level, conv_to_rgb, direct, winograd};
use crate::ops::{Padding, Size, Step, reflect};

/// A convolution of `[n, height, width, inputs]`, weights in the order
/// `[outputs, inputs, kernel, kernel]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// Images.
    pub batch: usize,
    /// Rows of an input image.
    pub height: usize,
    /// Pixels in a row of an input image.
    pub width: usize,
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Input pixels from one output pixel to the next.
    pub stride: usize,
    /// What lies beyond the border.
    pub padding: Padding,
}

/// Below this many channels Winograd's transforms cost more than they save.
const WINOGRAD_INPUTS: usize = 8;

impl Conv {
    /// The size of an output image.
    pub fn output_size(&self) -> Size {
        let shape = self.shape();
        Size::new(shape.width(), shape.height())
    }

    /// Convolves `data`.
    pub fn forward(&self, level: Level, data: &[f32], weight: &[f32]) -> Vec<f32> {
        let (rows, columns) = self.tables();
        let Size { width, height } = self.output_size();
        let mut out = vec![0.0; self.batch * height * width * self.outputs];
        if self.kernel == 3 && self.stride == 1 && self.inputs >= WINOGRAD_INPUTS {
            let weights = winograd_weights(Step::Same, weight, self.outputs, self.inputs);
            let source = winograd::Source {
                data: Pixels::Floats(data),
                batch: self.batch,
                height: self.height,
                width: self.width,
                rows: &rows,
                columns: &columns,
                prologue: winograd::Prologue::None,
            };
            winograd::convolve(
                level,
                &weights,
                source,
                Epilogue::default(),
                PixelsMut::Floats(&mut out),
            );
        } else if self.outputs == conv_to_rgb::OUTPUTS && self.stride == 1 {
            let weights = conv_to_rgb::RgbWeights::pack(self.inputs, self.kernel, |o, i, y, x| {
                weight[self.weight_index(o, i, y, x)]
            });
            let padded = direct::pad(data, self.image(), &rows, &columns);
            conv_to_rgb::convolve(level, &weights, self.shape(), &padded, [0.0; 3], &mut out);
        } else {
            let sizes = (self.outputs, self.inputs, self.kernel);
            let weights = direct::pack(sizes, |o, i, y, x| weight[self.weight_index(o, i, y, x)]);
            let padded = direct::pad(data, self.image(), &rows, &columns);
            direct::convolve(
                level,
                &weights,
                self.shape(),
                &padded,
                None,
                false,
                &mut out,
            );
        }
        out
    }

    /// The gradient of the input from that of the output: the convolution of
    /// the output's gradient, its pixels `stride` apart, with the mirrored
    /// kernels, then the padding undone.
    pub fn input_gradient(&self, level: Level, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let (rows, columns) = self.tables();
        let Size { width, height } = self.output_size();
        let spread_rows = spread(height, rows.len(), self.kernel, self.stride);
        let spread_columns = spread(width, columns.len(), self.kernel, self.stride);
        let mut padded = vec![0.0; self.batch * rows.len() * columns.len() * self.inputs];
        if self.kernel == 3 && self.outputs >= WINOGRAD_INPUTS {
            let weights = mirrored_winograd_weights(weight, self.outputs, self.inputs);
            let source = winograd::Source {
                data: Pixels::Floats(gradient),
                batch: self.batch,
                height,
                width,
                rows: &spread_rows,
                columns: &spread_columns,
                prologue: winograd::Prologue::None,
            };
            winograd::convolve(
                level,
                &weights,
                source,
                Epilogue::default(),
                PixelsMut::Floats(&mut padded),
            );
        } else {
            let last = self.kernel - 1;
            let sizes = (self.inputs, self.outputs, self.kernel);
            let weights = direct::pack(sizes, |i, o, y, x| {
                weight[self.weight_index(o, i, last - y, last - x)]
            });
            let size = (height, width, self.outputs);
            let spread = direct::pad(gradient, size, &spread_rows, &spread_columns);
            let shape = direct::ConvShape {
                batch: self.batch,
                padded_height: spread_rows.len(),
                padded_width: spread_columns.len(),
                inputs: self.outputs,
                outputs: self.inputs,
                kernel: self.kernel,
                stride: 1,
            };
            direct::convolve(level, &weights, shape, &spread, None, false, &mut padded);
        }
        direct::unpad(&padded, self.image(), &rows, &columns)
    }

    /// The gradient of the weights, in their order.
    pub fn weight_gradient(&self, level: Level, data: &[f32], gradient: &[f32]) -> Vec<f32> {
        let (rows, columns) = self.tables();
        let padded = direct::pad(data, self.image(), &rows, &columns);
        let packed = direct::weight_gradient(level, self.shape(), &padded, gradient);
        let mut weight = vec![0.0; packed.len()];
        for (at, values) in packed.chunks_exact(self.outputs).enumerate() {
            let (input, at) = (at % self.inputs, at / self.inputs);
            for (output, &value) in values.iter().enumerate() {
                let index = self.weight_index(output, input, at / self.kernel, at % self.kernel);
                weight[index] = value;
            }
        }
        weight
    }

    fn weight_index(&self, output: usize, input: usize, row: usize, column: usize) -> usize {
        ((output * self.inputs + input) * self.kernel + row) * self.kernel + column
    }

    fn image(&self) -> (usize, usize, usize) {
        (self.height, self.width, self.inputs)
    }

    /// Source row of each padded row, source column of each padded column.
    fn tables(&self) -> (Vec<i32>, Vec<i32>) {
        let table = |len| border(len, self.padding, self.around(len));
        (table(self.height), table(self.width))
    }

    /// Pixels that pad a line of `len`, before and after.
    fn around(&self, len: usize) -> (usize, usize) {
        self.padding.around(len, self.kernel, self.stride)
    }

    fn shape(&self) -> direct::ConvShape {
        let padded = |len| {
            let (before, after) = self.around(len);
            before + len + after
        };
        direct::ConvShape {
            batch: self.batch,
            padded_height: padded(self.height),
            padded_width: padded(self.width),
            inputs: self.inputs,
            outputs: self.outputs,
            kernel: self.kernel,
            stride: self.stride,
        }
    }
}

/// Source coordinate of each coordinate of a line of `len` that is padded by
/// `before` and `after` pixels; -1 for zeros.
pub fn border(len: usize, padding: Padding, (before, after): (usize, usize)) -> Vec<i32> {
    (-(before as isize)..(len + after) as isize)
        .map(|i| match padding {
            Padding::Reflect => reflect(i, len) as i32,
            Padding::Same if (0..len as isize).contains(&i) => i as i32,
            Padding::Same => -1,
        })
        .collect()
}

/// Where the gradient of a line of `len` output pixels lies in the line that
/// is convolved to give the gradient of `padded` input pixels: pixels `stride`
/// apart, zeros between them and `kernel - 1` before and after.
fn spread(len: usize, padded: usize, kernel: usize, stride: usize) -> Vec<i32> {
    let mut table = vec![-1; padded + kernel - 1];
    for i in 0..len {
        table[kernel - 1 + i * stride] = i as i32;
    }
    table
}

fn rows_of(kernel: &[f32]) -> [[f32; 3]; 3] {
    std::array::from_fn(|y| std::array::from_fn(|x| kernel[3 * y + x]))
}

/// Weights `[outputs, inputs, 3, 3]` for [`winograd::convolve`].
pub fn winograd_weights(
    step: Step,
    weight: &[f32],
    outputs: usize,
    inputs: usize,
) -> winograd::WinogradWeights {
    winograd::WinogradWeights::new(step, outputs, inputs, |output, input| {
        rows_of(&weight[(output * inputs + input) * 9..][..9])
    })
}

/// The same, from outputs to inputs with the kernels mirrored: for gradients.
pub fn mirrored_winograd_weights(
    weight: &[f32],
    outputs: usize,
    inputs: usize,
) -> winograd::WinogradWeights {
    winograd::WinogradWeights::new(Step::Same, inputs, outputs, |input, output| {
        let mut rows = rows_of(&weight[(output * inputs + input) * 9..][..9]);
        rows.reverse();
        rows.iter_mut().for_each(|row| row.reverse());
        rows
    })
}
