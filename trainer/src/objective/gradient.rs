//! Gradients of several parameters as one vector.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var, bail};

/// The gradient of all `parameters`, one after the other.
pub fn flat(parameters: &[Var], gradients: &GradStore) -> Result<Tensor> {
    let gradients = parameters
        .iter()
        .map(|parameter| match gradients.get(parameter) {
            Some(gradient) => gradient.flatten_all(),
            None => bail!(
                "a parameter of shape {:?} has no gradient",
                parameter.dims()
            ),
        })
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&gradients, 0)
}
