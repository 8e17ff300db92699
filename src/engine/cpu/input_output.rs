//! From a picture into the network and back.

use super::layer::PictureSums;
use super::plan::{Border, Storage};
use crate::engine::Image;
use crate::engine::tone::Tone;
use crate::network::OutputMap;
use crate::ops::cpu::norm::Affine;
use crate::ops::cpu::winograd::PaddedPicture;
use rayon::prelude::*;

/// What to take from a picture's colours before the first layer, in whose result only
/// a constant is missing then, which its normalisation takes away. 16-bit floats have
/// more digits for a result without it. For a part of a picture, the same for all parts.
pub fn base(storage: Storage, picture: &Image, whole: bool) -> [f32; 3] {
    /// Every so many rows and columns: it need not be exact.
    const STEP: usize = 8;
    match (storage.is_half(1), whole) {
        (false, _) => [0.0; 3],
        (true, false) => [127.5; 3],
        (true, true) => std::array::from_fn(|channel| {
            let len = picture.width * picture.height;
            let plane = &picture.data[channel * len..][..len];
            let rows = plane.chunks(picture.width).step_by(STEP);
            let (mut sum, mut count) = (0.0, 0.0);
            for row in rows {
                for &x in row.iter().step_by(STEP) {
                    sum += f64::from(x);
                    count += 1.0;
                }
            }
            (sum / count) as f32
        }),
    }
}

/// The picture less `base` as the network's input, in its range and with its border.
pub fn enter<'a>(
    picture: &Image,
    base: [f32; 3],
    Border { rows, columns }: &Border,
    [black, white]: [f64; 2],
    memory: &'a mut [f32],
) -> PaddedPicture<'a> {
    let factor = ((white - black) / 255.0) as f32;
    let offsets = base.map(|base| black as f32 - factor * base);
    let range = (factor, offsets);
    PaddedPicture::fill(memory, &picture.data, picture.width, (rows, columns), range)
}

/// The last layer's `sums`, with `affine` still due, as a painting of `picture`.
pub fn leave(
    layout: &PictureSums,
    sums: &[f32],
    affine: &Affine,
    map: OutputMap,
    (picture, tone): (&Image, Tone),
    styled: &mut Image,
) {
    let &Image { width, height, .. } = picture;
    styled.resize(picture.size());
    styled
        .data
        .par_chunks_mut(width)
        .zip(picture.data.par_chunks(width))
        .enumerate()
        .for_each(|(i, (out, original))| {
            let (channel, row) = (i / height, i % height);
            layout.sum(sums, channel, (row, 0), out);
            let (factor, offset) = (affine.factor[channel], affine.offset[channel]);
            match map {
                OutputMap::Tanh => out
                    .iter_mut()
                    .for_each(|y| *y = tanh(*y * factor + offset) * 127.5 + 127.5),
                OutputMap::Tanh150 => out.iter_mut().for_each(|y| {
                    *y = (tanh(*y * factor + offset) * 150.0 + 127.5).clamp(0.0, 255.0)
                }),
                OutputMap::Clamp => out
                    .iter_mut()
                    .for_each(|y| *y = (*y * factor + offset).clamp(0.0, 255.0)),
            }
            tone.apply(out, original);
        });
}

/// The hyperbolic tangent to within 2e-7, in arithmetic that the compiler can
/// turn into vectors: `1 - 2 / (e^2x + 1)`.
fn tanh(x: f32) -> f32 {
    // Beyond 10 the result is 1 in f32.
    let power = x.clamp(-10.0, 10.0) * (2.0 * std::f32::consts::LOG2_E);
    // 2^power: the whole part in the exponent's bits, the rest by its series.
    let whole = (power + 0.5).floor();
    let rest = (power - whole) * std::f32::consts::LN_2;
    let series = 1.0 / 5040.0;
    let series = series * rest + 1.0 / 720.0;
    let series = series * rest + 1.0 / 120.0;
    let series = series * rest + 1.0 / 24.0;
    let series = series * rest + 1.0 / 6.0;
    let series = series * rest + 0.5;
    let series = (series * rest + 1.0) * rest + 1.0;
    let exponential = series * f32::from_bits(((whole as i32 + 127) << 23) as u32);
    1.0 - 2.0 / (exponential + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_close_to_the_true_one() {
        for i in -120_000..=120_000 {
            let x = i as f32 / 10_000.0;
            let error = (f64::from(tanh(x)) - f64::from(x).tanh()).abs();
            assert!(error < 2e-7, "tanh({x}) is off by {error}");
        }
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert!(tanh(f32::NAN).is_nan());
    }
}
