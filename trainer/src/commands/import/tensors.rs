//! The tensors of another program's file, and the network made from them.

use crate::io::torch_file::SavedTensor;
use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use gstfaststyle::Architecture;
use std::collections::{BTreeMap, HashMap};

/// The tensors of a file by their names.
pub type Tensors<'a> = BTreeMap<String, SavedTensor<'a>>;

/// Another program's network, as one of ours.
pub struct Converted {
    /// Where it comes from.
    pub family: &'static str,
    pub architecture: Architecture,
    pub weights: HashMap<String, Tensor>,
}

/// The numbers of the tensor called `name`.
///
/// # Errors
/// It has another shape, or does not hold real numbers.
pub fn numbers(name: &str, tensor: &SavedTensor, shape: &[usize]) -> Result<Vec<f32>> {
    ensure!(
        tensor.shape == shape,
        "tensor `{name}` has shape {:?}, expected {shape:?}",
        tensor.shape
    );
    let values = tensor
        .floats()
        .with_context(|| format!("tensor `{name}`"))?;
    ensure!(
        values.iter().all(|value| value.is_finite()),
        "tensor `{name}` holds a number that is not finite"
    );
    Ok(values)
}
