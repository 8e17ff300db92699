//! Fast convolutions of a line by three taps: fewer multiplications than
//! outputs times taps (Winograd 1980; Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2015, section 4).
//!
//! Each takes a window of `WINDOW` inputs to `POINTS` numbers, each of which
//! is multiplied by one number made from the taps, and makes `TILE` outputs of
//! the products. An algorithm applied to the rows and then to the columns of a
//! window convolves images.
//!
//! Where all numbers of a window are equal, all but one of the points of a filter
//! are exactly 0 at every CPU level, so that flat images stay flat.

use crate::ops::cpu::simd::Vectors;

/// A fast convolution of a line.
pub trait Algorithm<const WINDOW: usize, const POINTS: usize, const TILE: usize> {
    /// Inputs from one window to the next.
    const STEP: usize;
    /// What the products' other factors are for these taps.
    fn taps(taps: [f32; 3]) -> [f32; POINTS];
    /// What is multiplied.
    fn input<S: Vectors>(simd: S, window: [S::V; WINDOW]) -> [S::V; POINTS];
    /// The outputs.
    fn output<S: Vectors>(simd: S, products: [S::V; POINTS]) -> [S::V; TILE];
}

/// Stride 1: F(4, 3) at the points 0, 1, -1, 2, -2 and infinity; 6
/// multiplications in place of 12.
pub struct Same;

impl Algorithm<6, 6, 4> for Same {
    const STEP: usize = 4;

    fn taps([a, b, c]: [f32; 3]) -> [f32; 6] {
        let (even, odd) = (a / 24.0 + c / 6.0, b / 12.0);
        [
            a / 4.0,
            -(a + b + c) / 6.0,
            -(a - b + c) / 6.0,
            even + odd,
            even - odd,
            c,
        ]
    }

    #[inline(always)]
    fn input<S: Vectors>(simd: S, d: [S::V; 6]) -> [S::V; 6] {
        let four = simd.splat(4.0);
        let minus_four = simd.splat(-4.0);
        let a = simd.fma(minus_four, d[2], d[4]);
        let b = simd.fma(minus_four, d[1], d[3]);
        let c = simd.sub(d[4], d[2]);
        let e = simd.mul(simd.splat(2.0), simd.sub(d[3], d[1]));
        [
            simd.fma(four, simd.sub(d[0], d[2]), c),
            simd.add(a, b),
            simd.sub(a, b),
            simd.add(c, e),
            simd.sub(c, e),
            simd.fma(four, simd.sub(d[1], d[3]), simd.sub(d[5], d[3])),
        ]
    }

    #[inline(always)]
    fn output<S: Vectors>(simd: S, m: [S::V; 6]) -> [S::V; 4] {
        let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (sum_2, difference_2) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        [
            simd.add(simd.add(m[0], sum), sum_2),
            simd.fma(simd.splat(2.0), difference_2, difference),
            simd.fma(simd.splat(4.0), sum_2, sum),
            simd.add(simd.fma(simd.splat(8.0), difference_2, difference), m[5]),
        ]
    }
}

/// Stride 2: the first and third tap meet inputs of even index, for F(4, 2);
/// the second meets those of odd index. 9 multiplications in place of 12.
pub struct Strided;

impl Algorithm<9, 9, 4> for Strided {
    const STEP: usize = 8;

    fn taps([a, b, c]: [f32; 3]) -> [f32; 9] {
        let [p, q, r, s, t] = two_taps([a, c], a + c);
        [p, q, r, s, t, b, b, b, b]
    }

    #[inline(always)]
    fn input<S: Vectors>(simd: S, d: [S::V; 9]) -> [S::V; 9] {
        let [p, q, r, s, t] = two_taps_input(simd, [d[0], d[2], d[4], d[6], d[8]]);
        [p, q, r, s, t, d[1], d[3], d[5], d[7]]
    }

    #[inline(always)]
    fn output<S: Vectors>(simd: S, m: [S::V; 9]) -> [S::V; 4] {
        let [p, q, r, s] = two_taps_output(simd, [m[0], m[1], m[2], m[3], m[4]]);
        [
            simd.add(p, m[5]),
            simd.add(q, m[6]),
            simd.add(r, m[7]),
            simd.add(s, m[8]),
        ]
    }
}

/// Stride 1 over a line whose inputs each count twice (nearest-neighbour
/// upsampling), without doubling them: outputs of even index see the taps
/// `a` and `b + c`, those of odd index `a + b` and `c`, each F(4, 2). 10
/// multiplications in place of 24.
pub struct Upsampled;

impl Algorithm<6, 10, 8> for Upsampled {
    const STEP: usize = 4;

    fn taps([a, b, c]: [f32; 3]) -> [f32; 10] {
        // To the last bit the same for both, or flat images would not stay flat.
        let sum = a + b + c;
        let [p, q, r, s, t] = two_taps([a, b + c], sum);
        let [u, v, w, x, y] = two_taps([a + b, c], sum);
        [p, q, r, s, t, u, v, w, x, y]
    }

    #[inline(always)]
    fn input<S: Vectors>(simd: S, d: [S::V; 6]) -> [S::V; 10] {
        let [p, q, r, s, t] = two_taps_input(simd, [d[0], d[1], d[2], d[3], d[4]]);
        let [u, v, w, x, y] = two_taps_input(simd, [d[1], d[2], d[3], d[4], d[5]]);
        [p, q, r, s, t, u, v, w, x, y]
    }

    #[inline(always)]
    fn output<S: Vectors>(simd: S, m: [S::V; 10]) -> [S::V; 8] {
        let [p, q, r, s] = two_taps_output(simd, [m[0], m[1], m[2], m[3], m[4]]);
        let [t, u, v, w] = two_taps_output(simd, [m[5], m[6], m[7], m[8], m[9]]);
        [p, t, q, u, r, v, s, w]
    }
}

/// F(4, 2) at the points 0, 1, -1, 2 and infinity. `sum` is that of the taps.
fn two_taps([a, b]: [f32; 2], sum: f32) -> [f32; 5] {
    [a / 2.0, -sum / 2.0, -(a - b) / 6.0, (a + 2.0 * b) / 6.0, b]
}

#[inline(always)]
fn two_taps_input<S: Vectors>(simd: S, d: [S::V; 5]) -> [S::V; 5] {
    let a = simd.sub(d[3], d[1]);
    let minus_two = simd.splat(-2.0);
    [
        simd.fma(minus_two, simd.sub(d[2], d[0]), a),
        simd.sub(simd.sub(a, d[1]), d[2]),
        simd.fma(simd.splat(3.0), simd.sub(d[1], d[2]), a),
        a,
        simd.fma(minus_two, a, simd.sub(d[4], d[2])),
    ]
}

#[inline(always)]
fn two_taps_output<S: Vectors>(simd: S, m: [S::V; 5]) -> [S::V; 4] {
    let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    [
        simd.add(simd.add(m[0], sum), m[3]),
        simd.fma(simd.splat(2.0), m[3], difference),
        simd.fma(simd.splat(4.0), m[3], sum),
        simd.add(simd.fma(simd.splat(8.0), m[3], difference), m[4]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cpu::simd::Plain;

    const TAPS: [f32; 3] = [0.7, -1.3, 0.4];

    fn run<A, const WINDOW: usize, const POINTS: usize, const TILE: usize>(
        window: [f32; WINDOW],
    ) -> [f32; TILE]
    where
        A: Algorithm<WINDOW, POINTS, TILE>,
    {
        let taps = A::taps(TAPS);
        let mut points = A::input(Plain, window.map(|x| [x; 16]));
        for (point, tap) in points.iter_mut().zip(taps) {
            *point = point.map(|x| x * tap);
        }
        A::output(Plain, points).map(|y| y[0])
    }

    fn assert_convolved<const TILE: usize>(line: &[f32], stride: usize, outputs: [f32; TILE]) {
        for (i, y) in outputs.into_iter().enumerate() {
            let window = &line[i * stride..][..3];
            let expected: f32 = window.iter().zip(TAPS).map(|(x, tap)| x * tap).sum();
            assert!(
                (y - expected).abs() < 1e-5,
                "output {i}: {y}, not {expected}"
            );
        }
    }

    const LINE: [f32; 9] = [0.3, -0.9, 1.4, 0.8, -1.1, 0.2, 0.6, -0.4, 1.0];

    #[test]
    fn each_algorithm_convolves() {
        let line: [f32; 6] = LINE[..6].try_into().unwrap();
        assert_convolved(&line, 1, run::<Same, 6, 6, 4>(line));
        assert_convolved(&LINE, 2, run::<Strided, 9, 9, 4>(LINE));
        // Pixel 0 of the window lies before the tile: only its second copy is seen.
        let doubled: Vec<f32> = line.iter().flat_map(|&x| [x, x]).skip(1).collect();
        assert_convolved(&doubled, 1, run::<Upsampled, 6, 10, 8>(line));
    }

    #[test]
    fn flat_lines_stay_flat_to_the_last_bit() {
        let flat = |outputs: &[f32]| assert!(outputs.iter().all(|y| *y == outputs[0]));
        flat(&run::<Same, 6, 6, 4>([0.1; 6]));
        flat(&run::<Strided, 9, 9, 4>([0.1; 9]));
        flat(&run::<Upsampled, 6, 10, 8>([0.1; 6]));
    }
}
