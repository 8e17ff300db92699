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
use std::borrow::Cow;
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
    ensure!(
        info.shape.len() == info.strides.len(),
        "shape and strides differ in length"
    );
    let bytes = element_type.bytes();
    let count = info
        .shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size));
    let count = count.context("it is larger than memory")?;
    // Every element has its own place: a small file cannot stand for a large tensor.
    let beyond = "it reaches beyond its storage";
    ensure!(count <= data.len() / bytes, beyond);
    let first = info.offset.checked_mul(bytes).context(beyond)?;
    let data = data.get(first..).context(beyond)?;
    let data = match count == 0 || is_contiguous(info) {
        true => Cow::from(data.get(..count * bytes).context(beyond)?),
        false => Cow::from(gather(data, info, bytes).context(beyond)?),
    };
    Ok(SavedTensor {
        element_type,
        shape: info.shape.clone(),
        data,
    })
}

/// Whether a tensor's elements lie one after the other, row by row.
fn is_contiguous(info: &TensorInfo) -> bool {
    let dimensions = info.shape.iter().zip(&info.strides).rev();
    let mut count = 1usize;
    for (&size, &stride) in dimensions {
        if size != 1 && stride != count {
            return false;
        }
        count = count.saturating_mul(size);
    }
    true
}

/// The elements of a tensor, row by row, that its strides find in `data`: of one whose
/// channels were the last dimension, for example. `None` if one is not there.
fn gather(data: &[u8], info: &TensorInfo, bytes: usize) -> Option<Vec<u8>> {
    let mut places = vec![0usize];
    for (&size, &stride) in info.shape.iter().zip(&info.strides) {
        let mut next = Vec::with_capacity(places.len().checked_mul(size)?);
        for place in places {
            for i in 0..size {
                next.push(place.checked_add(i.checked_mul(stride)?)?);
            }
        }
        places = next;
    }
    let mut gathered = Vec::with_capacity(places.len() * bytes);
    for place in places {
        let start = place.checked_mul(bytes)?;
        gathered.extend(data.get(start..start.checked_add(bytes)?)?);
    }
    Some(gathered)
}

#[cfg(test)]
pub(crate) mod tests;
