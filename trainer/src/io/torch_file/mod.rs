//! Files that PyTorch's `torch.save` wrote: tensors by their names.
//!
//! Since PyTorch 1.6 such a file is a zip archive (`archive`), before it was a
//! few pickles in a row (`legacy`). In either a pickle (`pickle`) says which
//! tensors there are, and their numbers lie beside it as they are in memory.
//!
//! Nothing in a file is executed, and no memory is reserved by what it claims
//! before the claim is checked against its real size.

mod archive;
mod legacy;
mod pickle;
mod saved_tensor;

pub use archive::is_zip;
pub use saved_tensor::{ElementType, SavedTensor};

use anyhow::{Context, Result, bail, ensure};
use pickle::{StorageData, TensorInfo, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Bytes that the longest name has. One dictionary's name becomes a part of
/// those of all its tensors: without a bound, a small file could fill memory.
const MAX_NAME: usize = 1024;

/// Whether `bytes` begin as a file of `torch.save` does.
pub fn is_torch_file(bytes: &[u8]) -> bool {
    is_zip(bytes) || legacy::is_legacy(bytes)
}

/// The tensors of a saved dictionary. One in a dictionary within it has the
/// names of both, as in `state_dict.conv1.weight`; whatever is no tensor is
/// left out.
///
/// # Errors
/// The file is damaged, not one of `torch.save`, or holds more than
/// dictionaries, lists, texts, numbers and tensors.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, SavedTensor<'_>>> {
    let (object, storages) = match is_zip(bytes) {
        true => archive::read(bytes)?,
        false => legacy::read(bytes)?,
    };
    let mut tensors = BTreeMap::new();
    collect(object, "", &mut tensors)?;
    tensors
        .into_iter()
        .map(|(name, info)| {
            let saved = locate(&info, &storages).with_context(|| format!("tensor `{name}`"))?;
            Ok((name, saved))
        })
        .collect()
}

/// Gathers the tensors of a dictionary and of those in it.
fn collect(
    object: Value,
    prefix: &str,
    tensors: &mut BTreeMap<String, Rc<TensorInfo>>,
) -> Result<()> {
    let Value::Dict(dict) = object else {
        bail!("the saved object is not a dictionary");
    };
    for (key, value) in dict.items {
        let Some(name) = key.text() else { continue };
        ensure!(
            prefix.len() + name.len() <= MAX_NAME,
            "a name is longer than {MAX_NAME} bytes"
        );
        let name = format!("{prefix}{name}");
        match value {
            Value::Dict(_) => collect(value, &format!("{name}."), tensors)?,
            Value::Tensor(info) => ensure!(
                tensors.insert(name.clone(), info).is_none(),
                "`{name}` is there twice"
            ),
            _ => {}
        }
    }
    Ok(())
}

fn locate<'a>(info: &TensorInfo, storages: &StorageData<'a>) -> Result<SavedTensor<'a>> {
    let element_type = info.storage.element_type;
    let data = storages
        .get(&info.storage.key)
        .context("its storage is not in the file")?;
    let end = info.offset.checked_add(contiguous_count(info)?);
    let byte = |element: usize| element.checked_mul(element_type.bytes());
    let data = end
        .and_then(|end| data.get(byte(info.offset)?..byte(end)?))
        .context("it reaches beyond its storage")?;
    Ok(SavedTensor {
        element_type,
        shape: info.shape.clone(),
        data,
    })
}

/// The number of a tensor's elements, if they lie one after the other.
fn contiguous_count(info: &TensorInfo) -> Result<usize> {
    ensure!(
        info.shape.len() == info.strides.len(),
        "shape and strides differ in length"
    );
    let mut count = 1usize;
    for (&size, &stride) in info.shape.iter().zip(&info.strides).rev() {
        ensure!(size == 1 || stride == count, "it is not contiguous");
        count = count
            .checked_mul(size)
            .context("it is larger than memory")?;
    }
    Ok(count)
}

#[cfg(test)]
pub(crate) mod tests;
