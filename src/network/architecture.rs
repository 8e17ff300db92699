//! What distinguishes one style network from another: the part of a model file that
//! is not weights. `layers.rs` derives the layers from it.

use super::PredictorShape;
use crate::ops::Padding;
use candle_core::{Device, Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Nearly twice the widest network of five residual blocks; 800 MB.
const MAX_WEIGHTS: u64 = 200_000_000;

/// Far more than a trunk can paint well.
const MAX_STYLES: usize = 1000;

/// How the last layer's numbers become pixel values 0..255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputMap {
    /// `(tanh(x) + 1) * 127.5`, as in the paper.
    Tanh,
    /// `tanh(x) * 150 + 127.5`, cut to 0..255 (lengstrom/fast-style-transfer).
    Tanh150,
    /// `x` as it is, cut to 0..255 (pytorch/examples).
    Clamp,
}

/// How the second half of the network enlarges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Each pixel repeated twice in both directions, then a convolution.
    Nearest,
    /// A transposed convolution of stride 2, whose border is as TensorFlow's
    /// `SAME` has it (lengstrom/fast-style-transfer).
    Transposed,
}

/// The shape of a style network.
///
/// With the base width C = `width`: a convolution to C channels at full size,
/// two of stride 2 to 2C and 4C, `residual_blocks` blocks of 4C, two
/// upsampling convolutions back to 2C and C, and one to the 3 of the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Base width C: 32 in the paper, 16 for live use on a CPU.
    pub width: usize,
    /// Number of residual blocks: 5 in the paper.
    pub residual_blocks: usize,
    /// Side of the first and last convolutions' kernels, odd: 9.
    pub outer_kernel: usize,
    /// Side of all other kernels, odd: 3.
    pub inner_kernel: usize,
    /// Added to the variance in each normalisation.
    pub norm_eps: f64,
    /// Whether the last convolution is normalised too, as in the paper.
    pub output_norm: bool,
    /// How the result becomes 0..255.
    pub output_map: OutputMap,
    /// The values that black and white have at the network's entrance.
    pub input_range: [f64; 2],
    /// How the network enlarges.
    pub upsampling: Upsampling,
    /// What lies beyond the borders of images inside the network. Older files
    /// do not say: they all have [`Padding::Reflect`].
    #[serde(default = "reflect")]
    pub padding: Padding,
    /// How many styles it paints: each has a scale and shift of its own in every
    /// norm, and its own biases, while all share the convolutions (Dumoulin et
    /// al., "A Learned Representation for Artistic Style", 2017, section 2.2).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub styles: usize,
    /// What predicts a style from any picture, if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictor: Option<PredictorShape>,
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

fn reflect() -> Padding {
    Padding::Reflect
}

impl Default for Architecture {
    fn default() -> Self {
        Architecture {
            width: 32,
            residual_blocks: 5,
            outer_kernel: 9,
            inner_kernel: 3,
            norm_eps: 1e-5,
            output_norm: true,
            output_map: OutputMap::Tanh,
            input_range: [0.0, 1.0],
            upsampling: Upsampling::Nearest,
            padding: Padding::Reflect,
            styles: 1,
            predictor: None,
        }
    }
}

impl Architecture {
    /// The paper's network at another width.
    pub fn with_width(width: usize) -> Self {
        Architecture {
            width,
            ..Default::default()
        }
    }

    /// Says what is out of range, if anything is. Every size that memory is
    /// later reserved by is bounded here.
    pub fn check(&self) -> std::result::Result<(), String> {
        let within = |name: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} is {value}, not within {low}..={high}"))
            }
        };
        within("width", self.width, 1, 256)?;
        within("residual_blocks", self.residual_blocks, 0, 32)?;
        within("styles", self.styles, 1, MAX_STYLES)?;
        if let Some(predictor) = &self.predictor {
            within("width of the predictor", predictor.width, 1, 256)?;
            within("hidden of the predictor", predictor.hidden, 1, 4096)?;
        }
        for (name, kernel) in [
            ("outer_kernel", self.outer_kernel),
            ("inner_kernel", self.inner_kernel),
        ] {
            within(name, kernel, 1, 15)?;
            if kernel % 2 == 0 {
                return Err(format!("{name} is {kernel}, not odd"));
            }
        }
        // Smaller ones would vanish in f32, and flat images become NaN.
        if !(1e-12..=1.0).contains(&self.norm_eps) {
            let eps = self.norm_eps;
            return Err(format!("norm_eps is {eps:e}, not within 1e-12..=1"));
        }
        let [black, white] = self.input_range;
        if !(-1e6 <= black && black < white && white <= 1e6) {
            return Err(format!(
                "input_range is {black:e}..{white:e}, not a rising range within -1e6..=1e6"
            ));
        }
        let count = |(_, shape): (_, Vec<usize>)| shape.iter().map(|n| *n as u64).product::<u64>();
        let weights: u64 = self.parameters().into_iter().map(count).sum();
        if weights > MAX_WEIGHTS {
            return Err(format!(
                "{weights} weights are more than any network has ({MAX_WEIGHTS})"
            ));
        }
        Ok(())
    }

    /// Fresh weights: kernels uniform within `±1/sqrt(fan in)` (PyTorch's
    /// default), norms the identity, biases 0. A predictor has He's larger kernels,
    /// for its channels' deviations to stay alike from layer to layer, and predicts
    /// styles close to that identity. The same seed gives the same weights everywhere.
    pub fn random_weights(&self, seed: u64, device: &Device) -> Result<HashMap<String, Tensor>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        self.parameters()
            .into_iter()
            .map(|(name, shape)| {
                let values: Vec<f32> = match self.first_values(&name, &shape) {
                    First::Within(bound) => (0..shape.iter().product())
                        .map(|_| rng.random_range(-bound..bound))
                        .collect(),
                    First::Are(values) => values,
                };
                Ok((name, Tensor::from_vec(values, shape, device)?))
            })
            .collect()
    }

    /// What the tensor called `name` is at first.
    fn first_values(&self, name: &str, shape: &[usize]) -> First {
        let count = shape.iter().product();
        let fan_in: usize = shape[1..].iter().product();
        let fan_in = fan_in as f32;
        match name {
            "predictor.output.weight" => First::Within(0.1 / fan_in.sqrt()),
            "predictor.output.bias" => First::Are(self.identity_style()),
            _ if name.starts_with("predictor.") && name.ends_with(".weight") => {
                First::Within((6.0 / fan_in).sqrt())
            }
            _ if name.ends_with("conv.weight") => First::Within(1.0 / fan_in.sqrt()),
            _ if name.ends_with("norm.weight") => First::Are(vec![1.0; count]),
            _ => First::Are(vec![0.0; count]),
        }
    }

    /// The numbers of a style of scales 1 and shifts 0, in the order of
    /// [`Architecture::style_slots`].
    fn identity_style(&self) -> Vec<f32> {
        let slots = self.style_slots().into_iter();
        let numbers = slots.flat_map(|(name, len)| {
            let value = if name.ends_with("norm.weight") {
                1.0
            } else {
                0.0
            };
            std::iter::repeat_n(value, len)
        });
        numbers.collect()
    }
}

/// The values that a tensor begins with.
enum First {
    /// Random ones, uniform within plus and minus this.
    Within(f32),
    Are(Vec<f32>),
}
