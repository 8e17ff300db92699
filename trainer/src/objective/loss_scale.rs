//! Loss scaling (Micikevicius et al. 2018, section 3.2): keeps gradients within
//! what 16-bit floats can hold.
//!
//! On CUDA devices gradients pass from operation to operation in 16 bits, where
//! numbers below 6e-8 are lost and those above 65504 are infinite. So the loss is
//! multiplied by a scale before gradients are taken, and they are divided by it
//! when they are in 32 bits. The scale is a power of 2, which rounds nothing, and
//! as large as it can be: it doubles now and then, and is halved where a
//! gradient overflows. That gradient is computed again, from the same forward
//! pass: no step and no photo is left out.

use crate::objective::gradient;
use anyhow::ensure;
use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

/// The first scale, and the bounds.
const FIRST: f64 = 65536.0;
const SMALLEST: f64 = 1.0 / 65536.0;
const LARGEST: f64 = 65536.0 * 65536.0;

/// Gradients without an overflow before the scale is doubled.
const PATIENCE: u32 = 200;

/// What losses are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct LossScale {
    scale: f64,
    /// Gradients since it changed.
    gradients: u32,
}

/// As it may stand in a file.
#[derive(Deserialize)]
struct Saved {
    scale: f64,
    gradients: u32,
}

impl TryFrom<Saved> for LossScale {
    type Error = String;

    fn try_from(Saved { scale, gradients }: Saved) -> Result<Self, String> {
        let possible = (SMALLEST..=LARGEST).contains(&scale) && scale.log2().fract() == 0.0;
        match possible && gradients < PATIENCE {
            true => Ok(LossScale { scale, gradients }),
            false => Err(format!(
                "no loss scale: {scale} after {gradients} gradients"
            )),
        }
    }
}

impl Default for LossScale {
    fn default() -> Self {
        LossScale {
            scale: FIRST,
            gradients: 0,
        }
    }
}

impl LossScale {
    /// For trainings on `device`; none where nothing has 16 bits.
    pub fn on(device: &Device) -> Option<Self> {
        (!device.is_cpu()).then(LossScale::default)
    }

    /// What losses are multiplied by now.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The gradient of `loss`, as [`gradient::flat`] gives it.
    ///
    /// # Errors
    /// If it is not finite at any scale.
    fn gradient(&mut self, loss: &Tensor, parameters: &[Var]) -> anyhow::Result<Tensor> {
        loop {
            let gradients = (loss * self.scale)?.backward()?;
            let gradient = gradient::flat(parameters, &gradients)?;
            let finite = is_finite(&gradient)?;
            let gradient = (gradient / self.scale)?;
            if finite {
                self.gradients += 1;
                if self.gradients == PATIENCE {
                    self.change(2.0);
                }
                return Ok(gradient);
            }
            ensure!(
                self.scale > SMALLEST,
                "the gradient of the loss is not finite; a smaller --lr may help"
            );
            self.change(0.5);
        }
    }

    fn change(&mut self, factor: f64) {
        self.scale = (self.scale * factor).min(LARGEST);
        self.gradients = 0;
    }
}

/// The gradient of `loss`, as [`gradient::flat`] gives it, by way of the scale if
/// there is one.
///
/// # Errors
/// If it is not finite at any scale.
pub fn gradient(
    scale: &mut Option<LossScale>,
    loss: &Tensor,
    parameters: &[Var],
) -> anyhow::Result<Tensor> {
    match scale {
        Some(scale) => scale.gradient(loss, parameters),
        None => Ok(gradient::flat(parameters, &loss.backward()?)?),
    }
}

/// Whether all numbers are: 0 times any other is no number.
fn is_finite(x: &Tensor) -> candle_core::Result<bool> {
    let zero = (x * 0.0)?.sum_all()?.to_scalar::<f32>()?;
    Ok(zero == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    type Result<T = ()> = anyhow::Result<T>;

    /// A loss whose gradient, `slope`, passes through 16 bits.
    fn loss(x: &Var, slope: f64) -> Result<Tensor> {
        let half = x.to_dtype(DType::F16)?.to_dtype(DType::F32)?;
        Ok((half * slope)?.sum_all()?)
    }

    fn variable() -> Result<Var> {
        Ok(Var::new(&[0.5f32, -2.0, 1.0], &Device::Cpu)?)
    }

    #[test]
    fn a_gradient_that_overflows_is_computed_at_half_the_scale() -> Result {
        let x = variable()?;
        let mut scale = LossScale::default();
        let gradient = scale.gradient(&loss(&x, 3.0)?, std::slice::from_ref(&x))?;
        assert_eq!(gradient.to_vec1::<f32>()?, [3.0; 3]);
        // 3 * 32768 is more than 16 bits can hold, 3 * 16384 is not.
        assert_eq!(
            scale,
            LossScale {
                scale: 16384.0,
                gradients: 1
            }
        );
        Ok(())
    }

    #[test]
    fn a_gradient_that_would_vanish_does_not() -> Result {
        let x = variable()?;
        let slope = 2f64.powi(-30);
        let unscaled = gradient(&mut None, &loss(&x, slope)?, std::slice::from_ref(&x))?;
        assert_eq!(unscaled.to_vec1::<f32>()?, [0.0; 3]);
        let mut scale = Some(LossScale::default());
        let scaled = gradient(&mut scale, &loss(&x, slope)?, std::slice::from_ref(&x))?;
        assert_eq!(scaled.to_vec1::<f32>()?, [slope as f32; 3]);
        Ok(())
    }

    #[test]
    fn the_scale_doubles_after_a_while() -> Result {
        let x = variable()?;
        let mut scale = LossScale::default();
        for _ in 0..PATIENCE - 1 {
            scale.gradient(&loss(&x, 1e-3)?, std::slice::from_ref(&x))?;
        }
        assert_eq!((scale.scale, scale.gradients), (FIRST, PATIENCE - 1));
        scale.gradient(&loss(&x, 1e-3)?, std::slice::from_ref(&x))?;
        assert_eq!((scale.scale, scale.gradients), (2.0 * FIRST, 0));
        // A saved scale continues where it was.
        let saved = serde_json::to_string(&scale)?;
        assert_eq!(serde_json::from_str::<LossScale>(&saved)?, scale);
        Ok(())
    }

    #[test]
    fn a_gradient_that_stays_infinite_is_an_error() -> Result {
        let x = variable()?;
        for slope in [f64::INFINITY, f64::NAN] {
            let mut scale = LossScale::default();
            let result = scale.gradient(&loss(&x, slope)?, std::slice::from_ref(&x));
            let error = result.expect_err("not finite").to_string();
            assert!(error.contains("not finite"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn invalid_scales_are_refused() {
        let read = |scale: &str, gradients: u32| {
            let json = format!(r#"{{"scale":{scale},"gradients":{gradients}}}"#);
            serde_json::from_str::<LossScale>(&json)
        };
        assert!(read("65536.0", PATIENCE - 1).is_ok());
        assert!(read("65536.0", PATIENCE).is_err());
        for scale in ["0.0", "-1.0", "3.0", "1e300", "null"] {
            assert!(read(scale, 0).is_err(), "{scale}");
        }
    }
}
