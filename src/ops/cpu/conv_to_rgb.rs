//! Convolutions into the three channels of a picture.
//!
//! With outputs along a vector, three of its sixteen lanes would work. Here
//! the input channels lie along it: each output is a vector of partial sums,
//! added up at the end.

use super::direct::ConvShape;
use super::simd::Simd;
use super::{Kernel, LANES, Level};
use rayon::prelude::*;

/// Channels of a picture.
pub const OUTPUTS: usize = 3;

/// RgbWeights in the order kernel row, kernel column, vector of inputs, output.
#[derive(Clone, Debug)]
pub struct RgbWeights(Vec<f32>);

impl RgbWeights {
    /// Packs the weights that `weight(output, input, row, column)` gives.
    pub fn pack(
        inputs: usize,
        kernel: usize,
        weight: impl Fn(usize, usize, usize, usize) -> f32,
    ) -> Self {
        let blocks = inputs.div_ceil(LANES);
        let mut packed = vec![0.0; kernel * kernel * blocks * OUTPUTS * LANES];
        for (i, vector) in packed.chunks_exact_mut(LANES).enumerate() {
            let (output, i) = (i % OUTPUTS, i / OUTPUTS);
            let (block, at) = (i % blocks, i / blocks);
            let first = block * LANES;
            for input in first..inputs.min(first + LANES) {
                vector[input - first] = weight(output, input, at / kernel, at % kernel);
            }
        }
        RgbWeights(packed)
    }
}

/// Convolves a padded batch, with stride 1, into `[n, height, width, 3]`,
/// adding `bias`.
pub fn convolve(
    level: Level,
    weights: &RgbWeights,
    shape: ConvShape,
    padded: &[f32],
    bias: [f32; OUTPUTS],
    out: &mut [f32],
) {
    assert_eq!((shape.outputs, shape.stride), (OUTPUTS, 1));
    shape.check(padded, out);
    let blocks = shape.inputs.div_ceil(LANES);
    let vectors = shape.kernel * shape.kernel * blocks * OUTPUTS;
    assert_eq!(weights.0.len(), vectors * LANES);
    out.par_chunks_mut(shape.width() * OUTPUTS)
        .with_max_len(1)
        .enumerate()
        .for_each(|(i, out)| {
            let (image, row) = (i / shape.height(), i % shape.height());
            let first_row = image * shape.padded_height + row;
            let window = &padded[first_row * shape.padded_row()..];
            level.run(Row {
                weights: &weights.0,
                shape,
                window: &window[..shape.kernel * shape.padded_row()],
                bias,
                out,
            });
        });
}

/// One row of the output.
struct Row<'a> {
    weights: &'a [f32],
    shape: ConvShape,
    /// The padded rows under the kernel.
    window: &'a [f32],
    bias: [f32; OUTPUTS],
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let width = self.shape.width();
        let mut pixel = 0;
        // As many pixels at a time as their sums fit in registers.
        if S::ROWS_1 >= 28 {
            while pixel + 8 <= width {
                self.pixels::<S, 8>(simd, pixel);
                pixel += 8;
            }
        }
        while pixel + 2 <= width {
            self.pixels::<S, 2>(simd, pixel);
            pixel += 2;
        }
        if pixel < width {
            self.pixels::<S, 1>(simd, pixel);
        }
    }
}

impl Row<'_> {
    #[inline(always)]
    fn pixels<S: Simd, const P: usize>(&mut self, simd: S, first: usize) {
        let ConvShape { inputs, kernel, .. } = self.shape;
        let mut sums = [[simd.splat(0.0); OUTPUTS]; P];
        let mut weights = self.weights.as_ptr();
        for row in 0..kernel {
            for column in 0..kernel {
                let at = row * self.shape.padded_row() + (first + column) * inputs;
                for input in (0..inputs).step_by(LANES) {
                    let lanes = LANES.min(inputs - input);
                    // SAFETY: `convolve` has checked that there is a vector of
                    // weights for each of these loops, and that the window
                    // holds `width + kernel - 1` pixels a row; `first + P` is
                    // at most `width`.
                    unsafe {
                        let mut vectors = [simd.splat(0.0); OUTPUTS];
                        for output in 0..OUTPUTS {
                            vectors[output] = simd.load(weights.add(output * LANES));
                        }
                        weights = weights.add(OUTPUTS * LANES);
                        for pixel in 0..P {
                            let from = self.window.as_ptr().add(at + pixel * inputs + input);
                            let x = simd.load_first(from, lanes);
                            for output in 0..OUTPUTS {
                                sums[pixel][output] =
                                    simd.fma(x, vectors[output], sums[pixel][output]);
                            }
                        }
                    }
                }
            }
        }
        for pixel in 0..P {
            for output in 0..OUTPUTS {
                self.out[(first + pixel) * OUTPUTS + output] =
                    simd.sum(sums[pixel][output]) + self.bias[output];
            }
        }
    }
}
