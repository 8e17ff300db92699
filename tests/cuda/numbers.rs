//! Random images, rounded and padded as the kernels have them.

use candle_core::{Device, Tensor};
use gstfaststyle::internals::ops::cuda::launches::padded;
use half::f16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Numbers that 16 bits can hold, within `±span`.
    pub fn values(&mut self, len: usize, span: f32) -> Vec<f32> {
        let value = || f16::from_f32(self.0.random_range(-span..span)).to_f32();
        std::iter::repeat_with(value).take(len).collect()
    }
}

/// Channels of each pixel in 16 bits, with zeros behind.
pub fn pad(image: &[f32], channels: usize) -> Vec<f16> {
    let zeros = padded(channels) - channels;
    let pixel = |pixel: &[f32]| {
        let values: Vec<f16> = pixel.iter().map(|&x| f16::from_f32(x)).collect();
        values.into_iter().chain(vec![f16::ZERO; zeros])
    };
    image.chunks(channels).flat_map(pixel).collect()
}

/// Numbers rounded to 16 bits.
pub fn rounded(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&x| f16::from_f32(x)).collect()
}

/// The true channels of each pixel.
pub fn unpad(image: &[f16], channels: usize) -> Vec<f32> {
    let pixels = image.chunks(padded(channels));
    pixels
        .flat_map(|pixel| pixel[..channels].iter().map(|x| x.to_f32()))
        .collect()
}

pub fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

pub fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// That all numbers are as expected within `relative` of the largest.
pub fn assert_close(found: &[f32], expected: &[f32], relative: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(
            error <= relative * largest,
            "{what}, number {i}: {found}, not {expected}"
        );
    }
}
