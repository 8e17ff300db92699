//! The convolutions of VGG-19 that there are weights of, from conv1_1 to conv5_1.

use anyhow::{Result, ensure};

/// One of the convolutions.
pub struct Convolution {
    /// The number N of `features.N` in the names of tensors.
    pub feature: usize,
    /// The name of Keras, without its kind of parameter.
    pub keras: &'static str,
    pub inputs: usize,
    pub outputs: usize,
}

impl Convolution {
    const fn new(feature: usize, keras: &'static str, inputs: usize, outputs: usize) -> Self {
        Convolution {
            feature,
            keras,
            inputs,
            outputs,
        }
    }

    /// Output channels, input channels, height, width.
    pub fn shape(&self) -> [usize; 4] {
        [self.outputs, self.inputs, 3, 3]
    }

    pub fn weights(&self) -> usize {
        self.shape().iter().product()
    }
}

/// The convolutions from conv1_1 to conv5_1.
pub const CONVOLUTIONS: [Convolution; 13] = [
    Convolution::new(0, "block1_conv1", 3, 64),
    Convolution::new(2, "block1_conv2", 64, 64),
    Convolution::new(5, "block2_conv1", 64, 128),
    Convolution::new(7, "block2_conv2", 128, 128),
    Convolution::new(10, "block3_conv1", 128, 256),
    Convolution::new(12, "block3_conv2", 256, 256),
    Convolution::new(14, "block3_conv3", 256, 256),
    Convolution::new(16, "block3_conv4", 256, 256),
    Convolution::new(19, "block4_conv1", 256, 512),
    Convolution::new(21, "block4_conv2", 512, 512),
    Convolution::new(23, "block4_conv3", 512, 512),
    Convolution::new(25, "block4_conv4", 512, 512),
    Convolution::new(28, "block5_conv1", 512, 512),
];

/// Refuses values of a tensor that are not finite.
pub fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    ensure!(
        values.iter().all(|value| value.is_finite()),
        "tensor `{name}` holds a number that is not finite"
    );
    Ok(())
}
