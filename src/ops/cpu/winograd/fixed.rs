//! Points and weights as 16-bit integers.
//!
//! Winograd's points differ from one another in size by far more than a float
//! of 16 bits has digits for, but those of one kind do not: rounded to a
//! fraction of the largest of their kind, they lose so little that pictures
//! differ by hundredths of a brightness step.

use crate::ops::cpu::LANES;
use crate::ops::cpu::simd::Simd;

/// The largest weight.
const LARGEST_WEIGHT: f32 = 8191.0;

/// The largest point where `depth` channels are summed: fewer digits where
/// there are many, since weights lose as many as it takes for their sums with
/// points that large, all of the worst sign, to stay within 32 bits.
fn largest_point(depth: usize) -> f32 {
    const MOST: f32 = 16383.0;
    const FULL_DEPTH: f32 = 64.0;
    MOST * (FULL_DEPTH / depth as f32).sqrt().min(1.0)
}

/// The largest sum of the sizes of a column's weights, before they are rounded.
fn largest_column(depth: usize) -> f32 {
    const LARGEST_SUM: f32 = i32::MAX as f32;
    LARGEST_SUM / (largest_point(depth) + 1.0) - depth as f32
}

/// Rounds a matrix `[depth][width]`, column by column, to pairs of rows; adds
/// these to `pairs`, and what its columns are to be multiplied by to `scales`.
pub fn round_matrix(
    matrix: &[f32],
    width: usize,
    pairs: &mut Vec<[i16; 2]>,
    scales: &mut Vec<f32>,
) {
    let depth = matrix.len() / width;
    let first = scales.len();
    for column in 0..width {
        let sizes = || (0..depth).map(|row| matrix[row * width + column].abs());
        let largest = sizes().fold(f32::MIN_POSITIVE, f32::max) / LARGEST_WEIGHT;
        scales.push(largest.max(sizes().sum::<f32>() / largest_column(depth)));
    }
    let round = |row: usize, column: usize| match row < depth {
        true => (matrix[row * width + column] / scales[first + column]).round_ties_even() as i16,
        false => 0,
    };
    for row in (0..depth).step_by(2) {
        pairs.extend((0..width).map(|column| [round(row, column), round(row + 1, column)]));
    }
}

/// Rounds points, to be summed over `depth` channels, to `i16` in the first half
/// of their own memory; returns what these are to be multiplied by. There must
/// be a whole number of vectors.
#[inline(always)]
pub fn round_in_place<S: Simd>(simd: S, numbers: &mut [f32], depth: usize) -> f32 {
    assert!(numbers.len().is_multiple_of(LANES));
    let start = numbers.as_mut_ptr();
    let mut largest = simd.splat(f32::MIN_POSITIVE);
    for i in (0..numbers.len()).step_by(LANES) {
        // SAFETY: a whole vector of the numbers.
        let x = unsafe { simd.load(start.add(i)) };
        largest = simd.max(largest, simd.max(x, simd.sub(simd.splat(0.0), x)));
    }
    let scale = simd.largest(largest) / largest_point(depth);
    let factor = simd.splat(1.0 / scale);
    for i in (0..numbers.len()).step_by(LANES) {
        // SAFETY: a whole vector is read before one of half its size is
        // written, which ends where reading has already been.
        unsafe {
            let x = simd.load(start.add(i));
            simd.store_whole(start.cast::<i16>().add(i), simd.mul(x, factor));
        }
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cpu::{Kernel, Level};

    struct Round<'a>(&'a mut [f32]);

    impl Kernel for Round<'_> {
        type Output = f32;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            round_in_place(simd, self.0, 16)
        }
    }

    #[test]
    fn every_level_rounds_to_a_fraction_of_the_largest() {
        let numbers: Vec<f32> = (0..48).map(|i| ((i * 37) % 48) as f32 - 30.0).collect();
        for level in Level::available() {
            let mut rounded = numbers.clone();
            let scale = level.run(Round(&mut rounded));
            assert_eq!(scale, 30.0 / 16383.0);
            for (i, x) in numbers.iter().enumerate() {
                let bytes = rounded[i / 2].to_bits().to_le_bytes();
                let whole = i16::from_le_bytes([bytes[i % 2 * 2], bytes[i % 2 * 2 + 1]]);
                let back = f32::from(whole) * scale;
                assert!((back - x).abs() <= scale * 0.51, "{level}: {back} for {x}");
            }
        }
        let mut zeros = [0.0; 16];
        assert!(Level::Plain.run(Round(&mut zeros)) > 0.0);
        assert_eq!(zeros, [0.0; 16]);
    }

    #[test]
    fn sums_stay_within_32_bits() {
        let (mut pairs, mut scales) = (vec![], vec![]);
        round_matrix(&[0.3; 512], 1, &mut pairs, &mut scales);
        let column: i64 = pairs.as_flattened().iter().map(|&w| i64::from(w)).sum();
        let point = largest_point(512).round() as i64;
        assert!(point > 4000 && column > 300_000, "{point} {column}");
        assert!(column * point <= i64::from(i32::MAX), "{point} {column}");
        let back = f32::from(pairs[7][1]) * scales[0];
        assert!((back - 0.3).abs() < 1e-3, "{back}");
    }

    #[test]
    fn columns_are_rounded_apart() {
        let (mut pairs, mut scales) = (vec![], vec![]);
        round_matrix(
            &[1.0, 100.0, -0.5, 25.0, 0.25, 0.0],
            2,
            &mut pairs,
            &mut scales,
        );
        assert_eq!(pairs, [[8191, -4096], [8191, 2048], [2048, 0], [0, 0]]);
        assert_eq!(scales, [1.0 / 8191.0, 100.0 / 8191.0]);
    }
}
