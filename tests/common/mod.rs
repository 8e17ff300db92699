//! Networks to test with.

use candle_core::{Device, Tensor};
use gstfaststyle::network::{Architecture, Model};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
