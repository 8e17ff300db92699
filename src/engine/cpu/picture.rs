//! From a picture into the network and back.

use super::Activation;
use super::buffers::Buffers;
use crate::engine::{EngineError, Image};
use crate::network::OutputMap;
use crate::ops::cpu::norm::Affine;
use crate::ops::reflect;
use rayon::prelude::*;

/// The channels of a picture.
const CHANNELS: usize = 3;

/// The picture as the network's input: pixel by pixel, in its range, mirrored
/// to sides that divide by 4.
pub fn enter(
    picture: &Image,
    [black, white]: [f64; 2],
    buffers: &mut Buffers,
) -> Result<Activation, EngineError> {
    let (height, width) = (
        picture.height.next_multiple_of(4),
        picture.width.next_multiple_of(4),
    );
    let (scale, black) = (((white - black) / 255.0) as f32, black as f32);
    let plane = picture.width * picture.height;
    let mut data = buffers.take(height * width * CHANNELS)?;
    data.par_chunks_mut(width * CHANNELS)
        .enumerate()
        .for_each(|(y, out)| {
            let start = reflect(y as isize, picture.height) * picture.width;
            for channel in 0..CHANNELS {
                let row = &picture.data[channel * plane + start..][..picture.width];
                for (out, x) in out.chunks_exact_mut(CHANNELS).zip(row) {
                    out[channel] = x * scale + black;
                }
            }
            for x in picture.width..width {
                let from = reflect(x as isize, picture.width) * CHANNELS;
                out.copy_within(from..from + CHANNELS, x * CHANNELS);
            }
        });
    Ok(Activation {
        data,
        height,
        width,
        channels: CHANNELS,
        pending: None,
    })
}

/// The network's output as a picture of `size` (width, height).
pub fn leave(y: &Activation, map: OutputMap, (width, height): (usize, usize), styled: &mut Image) {
    let plane = width * height;
    (styled.width, styled.height) = (width, height);
    styled.data.resize(CHANNELS * plane, 0.0);
    let identity = Affine {
        factor: vec![1.0; CHANNELS],
        offset: vec![0.0; CHANNELS],
    };
    let affine = y.pending.as_ref().unwrap_or(&identity);
    styled
        .data
        .par_chunks_mut(width)
        .enumerate()
        .for_each(|(i, out)| {
            let (channel, row) = (i / height, i % height);
            let pixels = y.data[row * y.width * CHANNELS..].chunks_exact(CHANNELS);
            let (factor, offset) = (affine.factor[channel], affine.offset[channel]);
            for (out, pixel) in out.iter_mut().zip(pixels) {
                let x = pixel[channel] * factor + offset;
                *out = match map {
                    OutputMap::Tanh => tanh(x) * 127.5 + 127.5,
                    OutputMap::Clamp => x.clamp(0.0, 255.0),
                };
            }
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
