//! Gradients of several parameters as one vector.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

/// The gradient of all `parameters`, one after the other: 0 for those that the loss does
/// not depend on, such as those of a style whose turn it is not.
pub fn flat(parameters: &[Var], gradients: &GradStore) -> Result<Tensor> {
    let gradients = parameters
        .iter()
        .map(|parameter| match gradients.get(parameter) {
            Some(gradient) => gradient.flatten_all(),
            None => parameter.as_tensor().zeros_like()?.flatten_all(),
        })
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&gradients, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn what_the_loss_does_not_depend_on_has_no_slope() -> Result<()> {
        let var = |values: &[f32]| Var::new(values, &Device::Cpu);
        let (a, b) = (var(&[1.0, 2.0])?, var(&[3.0])?);
        let gradients = a.as_tensor().sqr()?.sum_all()?.backward()?;
        let flat = flat(&[a, b], &gradients)?.to_vec1::<f32>()?;
        assert_eq!(flat, [2.0, 4.0, 0.0]);
        Ok(())
    }
}
