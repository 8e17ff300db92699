//! How the learning rate changes during a training.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::fmt;

/// The line along which the learning rate falls from its first value to its
/// last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It does not fall
    Constant,
    /// Slowly at first and at last, faster in between (Loshchilov and Hutter 2017)
    #[default]
    Cosine,
    /// By the same amount each step
    Linear,
    /// By the same factor each step
    Exponential,
}

impl Schedule {
    /// What fraction of the first rate is left at `progress`, 0 to 1, if
    /// `last` is left at 1.
    pub fn factor(self, progress: f64, last: f64) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let fallen = 0.5 * (1.0 - (PI * progress).cos());
                1.0 - (1.0 - last) * fallen
            }
            Schedule::Linear => 1.0 - (1.0 - last) * progress,
            Schedule::Exponential => last.powf(progress),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_start_at_the_full_rate_and_end_at_the_final_one() {
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        };
        for (schedule, half, quarter) in [
            (Schedule::Constant, 1.0, 1.0),
            (
                Schedule::Cosine,
                0.505,
                1.0 - 0.99 * 0.5 * (1.0 - 0.5f64.sqrt()),
            ),
            (Schedule::Linear, 0.505, 0.7525),
            (Schedule::Exponential, 0.1, 0.1f64.sqrt()),
        ] {
            near(schedule.factor(0.0, 0.01), 1.0);
            near(schedule.factor(0.25, 0.01), quarter);
            near(schedule.factor(0.5, 0.01), half);
            let last = if schedule == Schedule::Constant {
                1.0
            } else {
                0.01
            };
            near(schedule.factor(1.0, 0.01), last);
            assert_eq!(schedule.factor(0.3, 1.0), 1.0, "{schedule} does not fall");
        }
    }
}
