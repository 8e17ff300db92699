//! What the predictor of styles looks like, and the tensors that it has.

use serde::{Deserialize, Serialize};

/// Channels after each convolution, in widths.
const CHANNELS: [usize; 5] = [1, 2, 4, 6, 8];

/// Side of the kernels.
const KERNEL: usize = 3;

/// The shape of a [`StylePredictor`](super::StylePredictor).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictorShape {
    /// Channels after the first convolution. Later ones have up to eight times as
    /// many.
    pub width: usize,
    /// How many numbers describe a painting.
    pub hidden: usize,
}

impl Default for PredictorShape {
    fn default() -> Self {
        PredictorShape {
            width: 16,
            hidden: 128,
        }
    }
}

impl PredictorShape {
    /// Name and shape of each of its tensors. `outputs` are the numbers of a style.
    pub(super) fn parameters(&self, outputs: usize) -> Vec<(String, Vec<usize>)> {
        let mut parameters = Vec::new();
        let mut add = |layer: &str, weight: Vec<usize>| {
            let bias = vec![weight[0]];
            parameters.push((format!("predictor.{layer}.weight"), weight));
            parameters.push((format!("predictor.{layer}.bias"), bias));
        };
        let mut inputs = 3;
        for (i, channels) in self.channels().enumerate() {
            add(&format!("{i}.conv"), vec![channels, inputs, KERNEL, KERNEL]);
            inputs = channels;
        }
        let seen: usize = self.channels().map(|channels| 2 * channels).sum();
        add("hidden", vec![self.hidden, seen]);
        add("output", vec![outputs, self.hidden]);
        parameters
    }

    /// The channels after each convolution.
    pub(super) fn channels(&self) -> impl ExactSizeIterator<Item = usize> {
        CHANNELS.iter().map(|widths| widths * self.width)
    }
}
