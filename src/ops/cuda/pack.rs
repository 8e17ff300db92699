//! Weights as the kernels read them.

use super::HalfType;
use super::launches::{ConvTiling, OUTER_SIDE, first_columns, padded};
use crate::ops::Step;

/// What weights are multiplied by, a power of 2 for each output, before they
/// are rounded to 16 bits: it makes the length of an output's weights about 1,
/// which keeps sums far from the largest number of 16 bits, 65504. The
/// normalisation behind takes it away again.
pub fn scales(weights: &[f32], outputs: usize) -> Vec<f32> {
    weights
        .chunks(weights.len() / outputs.max(1))
        .map(|own| {
            let square: f64 = own.iter().map(|&w| f64::from(w).powi(2)).sum();
            match square.sqrt().log2() {
                power if power.is_finite() => (-power.round()).clamp(-60.0, 60.0).exp2() as f32,
                _ => 1.0,
            }
        })
        .collect()
}

/// Weights `[outputs, inputs, 3, 3]`, those of each output times its scale, for
/// a convolution of that shape: `[block][chunk][tap][column][channel]`.
pub fn convolution(
    shape: ConvTiling,
    weights: &[f32],
    (outputs, inputs): (usize, usize),
    scales: &[f32],
    half: HalfType,
) -> Vec<f32> {
    let ConvTiling {
        step,
        chunk,
        columns,
        ..
    } = shape;
    let (padded_outputs, padded_inputs) = (padded(outputs), padded(inputs));
    let (side, chunks) = (shape.side(), padded_inputs / chunk);
    let phases = shape.phases();
    let mut sums = vec![0.0; phases * padded_outputs * padded_inputs * side * side];
    let at = |phase: usize, output: usize, input: usize, tap: usize| {
        let column = phase * padded_outputs + output;
        let stage = (column / columns * chunks + input / chunk) * side * side + tap;
        (stage * columns + column % columns) * chunk + input % chunk
    };
    for (i, taps) in weights.as_chunks::<9>().0.iter().enumerate() {
        let (output, input) = (i / inputs, i % inputs);
        let taps = taps.map(|tap| tap * scales[output]);
        let taps = match step {
            Step::Same | Step::Half => taps,
            Step::Double => alike_in_sums(taps, half),
        };
        for (phase, (tap, weight)) in
            (0..phases).flat_map(|p| taps.iter().enumerate().map(move |t| (p, t)))
        {
            let (y, x) = match step {
                Step::Same | Step::Half => (tap / 3, tap % 3),
                Step::Double => (small_tap(phase / 2, tap / 3), small_tap(phase % 2, tap % 3)),
            };
            sums[at(phase, output, input, y * side + x)] += weight;
        }
    }
    sums
}

/// The taps rounded to multiples of a step at which any sum of theirs fits in 16
/// bits. So the sums of each phase add up to the same, and the four pixels that
/// one becomes are equal where the image is of one colour: where they were not,
/// the normalisation would make a pattern of it.
fn alike_in_sums(taps: [f32; 9], half: HalfType) -> [f32; 9] {
    let mut largest = 0f32;
    for phase in 0..4 {
        let mut sums = [0f32; 4];
        for (tap, weight) in taps.iter().enumerate() {
            let (y, x) = (small_tap(phase / 2, tap / 3), small_tap(phase % 2, tap % 3));
            sums[y * 2 + x] += weight.abs();
        }
        largest = sums.into_iter().fold(largest, f32::max);
    }
    // All significant bits, but for the two steps that rounding four taps can
    // add.
    let bits = half.significant_bits();
    let power = (largest * (1.0 + (2.0 - bits).exp2())).log2().ceil() - bits;
    let step = power.max(-24.0).exp2();
    taps.map(|tap| (tap / step).round() * step)
}

/// Which of two pixels of the small image a kernel's tap meets, for the first
/// or the second of the pixels that one becomes.
fn small_tap(phase: usize, tap: usize) -> usize {
    (tap + 1 - phase) / 2
}

/// Weights `[outputs, 3, 9, 9]`, those of each output times its scale, for the
/// first layer: `[block][pair of pixels][column][pixel][colour]`, with a zero
/// for a tenth pixel of a row and for a fourth colour.
pub fn first(weights: &[f32], outputs: usize, scales: &[f32]) -> Vec<f32> {
    let columns = first_columns(outputs);
    let pairs_of_row = OUTER_SIDE.div_ceil(2);
    let pairs = (OUTER_SIDE * pairs_of_row).next_multiple_of(2);
    let mut packed = vec![0.0; padded(outputs) * pairs * 8];
    for (i, weight) in weights.iter().enumerate() {
        let (rest, x) = (i / OUTER_SIDE, i % OUTER_SIDE);
        let (rest, y) = (rest / OUTER_SIDE, rest % OUTER_SIDE);
        let (output, colour) = (rest / 3, rest % 3);
        let pair = output / columns * pairs + y * pairs_of_row + x / 2;
        let at = (pair * columns + output % columns) * 8 + x % 2 * 4 + colour;
        packed[at] = weight * scales[output];
    }
    packed
}

/// Weights `[3, inputs, 9, 9]`, those of each output times its scale, for the
/// last layer, `chunk` channels at a time:
/// `[chunk][row][column of the kernel and colour][channel]`, 32 of the third.
pub fn last(weights: &[f32], inputs: usize, scales: &[f32], chunk: usize) -> Vec<f32> {
    let mut packed = vec![0.0; padded(inputs) * OUTER_SIDE * 32];
    for (i, weight) in weights.iter().enumerate() {
        let (rest, x) = (i / OUTER_SIDE, i % OUTER_SIDE);
        let (rest, y) = (rest / OUTER_SIDE, rest % OUTER_SIDE);
        let (colour, input) = (rest / inputs, rest % inputs);
        let row = input / chunk * OUTER_SIDE + y;
        let at = (row * 32 + x * 3 + colour) * chunk + input % chunk;
        packed[at] = weight * scales[colour];
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cuda::Limits;

    #[test]
    fn phases_add_up_to_the_same() {
        let limits = Limits {
            multiprocessors: 1,
            shared: 227 << 10,
        };
        let shape = ConvTiling::fitting(Step::Double, (16, 16), limits).unwrap();
        let weights: Vec<f32> = (0..16 * 16 * 9).map(|i| (i as f32 * 0.7).sin()).collect();
        let scales = scales(&weights, 16);
        for half in HalfType::ALL {
            let packed = convolution(shape, &weights, (16, 16), &scales, half);
            let rounded = |i: usize| half.of_bits(half.bits_of(packed[i]));
            // [chunk][tap][phase][output][channel], with one chunk.
            for i in 0..16 * 16 {
                let sum = |phase: usize| -> f32 {
                    (0..4).map(|tap| rounded((tap * 4 + phase) * 256 + i)).sum()
                };
                let own: f32 = weights[i * 9..][..9].iter().sum();
                let close = 2.0 * (-half.significant_bits()).exp2();
                let difference = (sum(0) - own * scales[i / 16]).abs();
                assert!(difference < close, "{half:?} {i}: {difference}");
                for phase in 1..4 {
                    assert_eq!(sum(phase), sum(0), "{half:?} {i}");
                }
            }
        }
    }
}
