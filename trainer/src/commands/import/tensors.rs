//! The tensors of another program's file, and the network made from them.

use crate::io::torch_file::SavedTensor;
use anyhow::{Context, Result, bail, ensure};
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

/// The prefix of the network to take, of those in a file; none if there is no network.
/// `asked` may leave out the separator at its end.
///
/// # Errors
/// There are several, or none with the prefix `asked`.
pub fn choose<'p>(prefixes: &[&'p str], asked: Option<&str>) -> Result<Option<&'p str>> {
    let bare = |prefix: &str| prefix.trim_end_matches(['.', '/']).to_string();
    let listed = || {
        let listed = prefixes.iter().map(|prefix| format!("`{prefix}`"));
        listed.collect::<Vec<_>>().join(" and ")
    };
    match (prefixes, asked) {
        ([], _) => Ok(None),
        (_, Some(asked)) => {
            let found = prefixes.iter().find(|prefix| bare(prefix) == bare(asked));
            let found = found.with_context(|| {
                format!(
                    "--prefix {asked}: the names of its networks begin with {}",
                    listed()
                )
            });
            found.copied().map(Some)
        }
        ([prefix], None) => Ok(Some(prefix)),
        ([.., last], None) => bail!(
            "several networks, whose tensors' names begin with {}: choose one with --prefix, for \
             example --prefix {}",
            listed(),
            bare(last)
        ),
    }
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
