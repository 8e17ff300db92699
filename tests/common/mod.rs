//! Networks, random numbers and pictures to test with.

// Each test program uses some of it.
#![allow(dead_code)]

use candle_core::{Device, Tensor};
use gstfaststyle::network::{Architecture, Model};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Random numbers within `range`, the same for the same seed.
pub fn random(seed: u64, count: usize, range: Range<f32>) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let number = || rng.random_range(range.clone());
    std::iter::repeat_with(number).take(count).collect()
}

/// A tensor of random numbers.
pub fn random_tensor(seed: u64, shape: &[usize], range: Range<f32>) -> Tensor {
    let values = random(seed, shape.iter().product(), range);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The values of a picture of coloured waves, plane after plane: more like a
/// photo than noise.
pub fn waves(width: usize, height: usize) -> Vec<f32> {
    let value = |c: usize, y: usize, x: usize| {
        let (x, y, c) = (x as f32, y as f32, c as f32);
        let wave = (x * 0.21 + c).sin() + (y * 0.17 - x * 0.05 * c).cos();
        (127.5 + 60.0 * wave).round()
    };
    let value = &value;
    let rows = (0..3).flat_map(|c| (0..height).map(move |y| (c, y)));
    rows.flat_map(|(c, y)| (0..width).map(move |x| value(c, y, x)))
        .collect()
}

/// A network whose norms are not the identity, as after training.
pub fn model(architecture: Architecture) -> Model {
    let mut model = Model::random(architecture, 3).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (name, shape) in model.architecture.parameters() {
        if shape.len() == 1 {
            let middle = f32::from(u8::from(name.ends_with("norm.weight")));
            let values: Vec<f32> = (0..shape[0])
                .map(|_| middle + rng.random_range(-0.3..0.3))
                .collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            model.weights.insert(name, tensor);
        }
    }
    model
}
