//! The losses that an objective finds, as numbers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The losses of a step, weighted: `total` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// What the training makes small.
    pub total: f32,
    /// How far the content differs from the photo's, to VGG-19.
    pub content: f32,
    /// How far the style differs from the painting's.
    pub style: f32,
    /// How restless the picture is.
    pub tv: f32,
    /// How differently two views of a scene are painted; 0 where only one is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stability: f32,
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl Losses {
    /// What the losses are called, in the order of [`Losses::as_array`].
    pub const NAMES: [&str; 5] = ["total", "content", "style", "tv", "stability"];

    /// The total and each part.
    pub fn as_array(&self) -> [f32; Losses::NAMES.len()] {
        [
            self.total,
            self.content,
            self.style,
            self.tv,
            self.stability,
        ]
    }

    /// Each with its name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f32)> {
        Losses::NAMES.into_iter().zip(self.as_array())
    }

    /// Those that count, each with its name: not the parts of weight 0.
    pub fn counting(&self) -> impl Iterator<Item = (&'static str, f32)> {
        self.named().filter(|(_, loss)| !is_zero(loss))
    }

    /// These, and a stability loss with them.
    pub fn with_stability(self, stability: f32) -> Self {
        Losses {
            total: self.total + stability,
            stability,
            ..self
        }
    }

    /// Whether none of them is infinite or not a number.
    pub fn are_finite(&self) -> bool {
        self.as_array().iter().all(|v| v.is_finite())
    }

    /// From the values in that order; 0 for what `values` lack.
    pub fn from_slice(values: &[f32]) -> Self {
        let get = |i: usize| values.get(i).copied().unwrap_or_default();
        Losses {
            total: get(0),
            content: get(1),
            style: get(2),
            tv: get(3),
            stability: get(4),
        }
    }

    /// The mean of each, 0 of none.
    pub fn mean<'a>(losses: impl Iterator<Item = &'a Losses>) -> Self {
        let mut sums = [0f64; Losses::NAMES.len()];
        let mut count = 0;
        for step in losses {
            for (sum, value) in sums.iter_mut().zip(step.as_array()) {
                *sum += f64::from(value);
            }
            count += 1;
        }
        Losses::from_slice(&sums.map(|sum| (sum / f64::from(count.max(1))) as f32))
    }
}

impl From<Losses> for f64 {
    /// The total.
    fn from(losses: Losses) -> f64 {
        losses.total.into()
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.counting().filter(|(name, _)| *name != "total");
        let parts: Vec<String> = parts
            .map(|(name, loss)| format!("{name} {loss:.2e}"))
            .collect();
        write!(f, "loss {:.3e} ({})", self.total, parts.join(", "))
    }
}
