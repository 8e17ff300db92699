//! Networks, random numbers and pictures to test with.

// Each test program uses some of it.
#![allow(dead_code)]

use candle_core::{Device, Tensor};
use gstfaststyle::{Architecture, DeviceChoice, Image, Model, Options, Precision, Style};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// On the CPU and to the last bits, to compare with the plain network.
pub const EXACT: Options = Options {
    device: DeviceChoice::Cpu,
    precision: Precision::F32,
    threads: 0,
};

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

/// A picture of noise.
pub fn noise(seed: u64, width: usize, height: usize) -> Image {
    Image {
        width,
        height,
        data: random(seed, 3 * width * height, 0.0..255.0),
    }
}

/// The value of a pixel in a picture of coloured waves, which is more like a photo
/// than noise.
pub fn wave(x: usize, y: usize, c: usize) -> f32 {
    let (x, y, c) = (x as f32, y as f32, c as f32);
    127.5 + 60.0 * ((x * 0.21 + c).sin() + (y * 0.17 - x * 0.05 * c).cos())
}

/// Such a picture, rounded to whole numbers.
pub fn waves(width: usize, height: usize) -> Image {
    let rows = (0..3).flat_map(|c| (0..height).map(move |y| (c, y)));
    let data = rows.flat_map(|(c, y)| (0..width).map(move |x| wave(x, y, c).round()));
    Image {
        width,
        height,
        data: data.collect(),
    }
}

/// A network whose norms are not the identity, as after training. Several styles
/// are called `style-0`, `style-1` and so on.
pub fn model(architecture: Architecture) -> Model {
    let mut model = Model::random(architecture, 3).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (name, shape) in model.architecture.parameters() {
        if shape.len() < 4 {
            let middle = f32::from(u8::from(name.ends_with("norm.weight")));
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|_| middle + rng.random_range(-0.3..0.3))
                .collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            model.weights.insert(name, tensor);
        }
    }
    if model.architecture.styles > 1 {
        model.styles = (0..model.architecture.styles)
            .map(|i| Style {
                name: format!("style-{i}"),
                ..Style::default()
            })
            .collect();
    }
    model
}
