//! The format of `torch.save` before PyTorch 1.6: a few pickles in a row
//! (magic number, protocol version, facts about the writer, the saved object,
//! the keys of its storages), then the storages.

use super::pickle::{Input, StorageData, Storages, Value, storage_bytes, unpickle};
use anyhow::{Context, Result, bail, ensure};
use std::rc::Rc;

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i128 = 1001;

/// Whether `bytes` begin as such a file does.
pub fn is_legacy(bytes: &[u8]) -> bool {
    // PROTO 2, LONG1 of 10 bytes, the magic number.
    let magic = MAGIC.to_le_bytes();
    bytes.get(..4) == Some(&[0x80, 2, 0x8a, 10]) && bytes.get(4..14) == Some(&magic[..10])
}

/// The saved object, and the data of its storages.
pub fn read(bytes: &[u8]) -> Result<(Value, StorageData<'_>)> {
    let mut input = Input { bytes, at: 0 };
    let mut storages = Storages::new();
    let mut next = |what| unpickle(&mut input, &mut storages).context(what);
    let magic = next("magic number")?;
    ensure!(
        matches!(magic, Value::Int(MAGIC)),
        "not a legacy torch.save file"
    );
    let protocol = next("protocol version")?;
    ensure!(
        matches!(protocol, Value::Int(PROTOCOL)),
        "torch.save protocol is not {PROTOCOL}"
    );
    check_byte_order(&next("system information")?)?;
    let object = next("saved object")?;
    let keys = storage_keys(next("storage keys")?)?;
    let data = storage_data(&mut input, &keys, &storages)?;
    Ok((object, data))
}

fn check_byte_order(system: &Value) -> Result<()> {
    let Value::Dict(system) = system else {
        bail!("system information is not a dictionary");
    };
    let little = system.items.iter().any(|(key, value)| {
        key.text() == Some("little_endian") && matches!(value, Value::Bool(true))
    });
    ensure!(little, "written by a machine that is not little-endian");
    Ok(())
}

fn storage_keys(object: Value) -> Result<Vec<Rc<str>>> {
    let Value::List(list) = object else {
        bail!("the storage keys are not a list");
    };
    list.items
        .into_iter()
        .map(|key| match key {
            Value::Text(key) => Ok(key),
            _ => bail!("a storage key is not a text"),
        })
        .collect()
}

/// The storages that end the file: for each key the number of elements (64
/// bits), then the elements.
fn storage_data<'a>(
    input: &mut Input<'a>,
    keys: &[Rc<str>],
    storages: &Storages,
) -> Result<StorageData<'a>> {
    let mut found = StorageData::new();
    for key in keys {
        let bytes = storage_bytes(storages, key)?;
        let expected = storages.get(key).map(|info| info.count);
        let count = u64::from_le_bytes(input.array()?);
        ensure!(
            usize::try_from(count).ok() == expected,
            "storage {key} has {count} elements, not those announced"
        );
        let data = input
            .take(bytes)
            .with_context(|| format!("storage {key}"))?;
        ensure!(
            found.insert(key.clone(), data).is_none(),
            "storage {key} is there twice"
        );
    }
    ensure!(
        input.at == input.bytes.len(),
        "there is more after the last storage"
    );
    Ok(found)
}
