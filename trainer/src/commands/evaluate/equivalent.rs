//! How long the slow method takes to be as good as the network.

use crate::objective::slow_method::SlowMethod;
use anyhow::Result;
use serde::Serialize;
use std::fmt;

/// A number of iterations of the slow method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Iterations {
    /// How many: between two iterations the loss is taken to fall evenly.
    pub iterations: f64,
    /// That many are not enough.
    pub more_than: bool,
}

impl Iterations {
    /// The mean. It is "more than" that if one of them is more than it says.
    pub fn mean(all: &[Iterations]) -> Option<Iterations> {
        let sum: f64 = all.iter().map(|one| one.iterations).sum();
        (!all.is_empty()).then(|| Iterations {
            iterations: sum / all.len() as f64,
            more_than: all.iter().any(|one| one.more_than),
        })
    }
}

impl fmt::Display for Iterations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.more_than { "> " } else { "" };
        f.pad(&format!("{sign}{:.1}", self.iterations))
    }
}

/// How many iterations bring `slow`, which has taken none yet, down to the loss
/// `total`; `most` at most. It stays at the first whole iteration that is as
/// good. `go_on` is asked after each; `None` if it said no.
///
/// # Errors
/// A loss that is not finite.
pub fn search(
    slow: &mut SlowMethod,
    total: f64,
    most: u64,
    mut go_on: impl FnMut(&SlowMethod) -> bool,
) -> Result<Option<Iterations>> {
    let mut before: f64 = slow.losses().into();
    if before <= total {
        return Ok(Some(exactly(0.0)));
    }
    while slow.iterations() < most && slow.step()? {
        if !go_on(slow) {
            return Ok(None);
        }
        let now: f64 = slow.losses().into();
        if now <= total {
            let last_part = (before - total) / (before - now);
            return Ok(Some(exactly((slow.iterations() - 1) as f64 + last_part)));
        }
        before = now;
    }
    Ok(Some(Iterations {
        iterations: most as f64,
        more_than: true,
    }))
}

fn exactly(iterations: f64) -> Iterations {
    Iterations {
        iterations,
        more_than: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::vgg_weights::VggWeights;
    use crate::objective::vgg19::Vgg19;
    use crate::objective::{LossWeights, Objective};
    use candle_core::{Device, Tensor};
    use gstfaststyle::internals::ops::Products;

    /// A picture that `number` makes different from others.
    fn picture(number: usize) -> Result<Tensor> {
        let values = (0..3 * 32 * 32).map(|i| ((i * number + i / 32 * 7) % 256) as f32);
        let values: Vec<f32> = values.collect();
        Ok(Tensor::from_vec(values, (1, 32, 32, 3), &Device::Cpu)?)
    }

    #[test]
    fn finds_the_iteration_with_the_same_loss() -> Result<()> {
        let vgg = VggWeights::builtin(&Device::Cpu)?;
        let vgg = Vgg19::new(&vgg, Products::Exact, &Device::Cpu)?;
        let objective = Objective::new(vgg, &[(1.0, picture(5)?)], LossWeights::default())?;
        let photo = picture(3)?;
        let new = || SlowMethod::new(&objective, &photo, &photo);
        let (mut slow, mut totals) = (new()?, Vec::new());
        totals.push(f64::from(slow.losses()));
        for _ in 0..6 {
            assert!(slow.step()?);
            totals.push(slow.losses().into());
        }
        let content = objective.content(&photo)?;
        let (_, losses) = objective.measure(&slow.picture()?, &content)?;

        let found = |total: f64, most| -> Result<_> {
            let mut slow = new()?;
            let found = search(&mut slow, total, most, |_| true)?;
            Ok((found.expect("nobody stopped it"), slow.iterations()))
        };
        let (same, stays_at) = found(losses.into(), 20)?;
        assert!((same.iterations - 6.0).abs() < 0.01, "{same}");
        assert!(!same.more_than && (6..=7).contains(&stays_at), "{same}");
        let (between, stays_at) = found(0.25 * totals[3] + 0.75 * totals[4], 20)?;
        assert!((between.iterations - 3.75).abs() < 0.01, "{between}");
        assert_eq!(stays_at, 4);
        assert_eq!(found(totals[0], 20)?, (exactly(0.0), 0));
        let (short, _) = found(totals[5], 4)?;
        assert_eq!(short.to_string(), "> 4.0");
        assert_eq!(search(&mut new()?, 0.0, 20, |_| false)?, None);
        Ok(())
    }

    #[test]
    fn a_mean_is_a_lower_bound_if_one_value_is() {
        let more = Iterations {
            iterations: 30.0,
            more_than: true,
        };
        assert_eq!(Iterations::mean(&[]), None);
        assert_eq!(
            Iterations::mean(&[exactly(1.0), exactly(4.0)]),
            Some(exactly(2.5))
        );
        let mean = Iterations::mean(&[exactly(10.0), more]);
        assert_eq!(mean.unwrap().to_string(), "> 20.0");
    }
}
