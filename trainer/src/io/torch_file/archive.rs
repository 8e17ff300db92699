//! The format of `torch.save` since PyTorch 1.6: a zip archive, its entries not
//! compressed, with the saved object (`NAME/data.pkl`) and its storages
//! (`NAME/data/KEY`).

use super::pickle::{Input, StorageData, Storages, Value, storage_bytes, unpickle};
use anyhow::{Context, Result, bail, ensure};
use std::io::{self, Cursor};
use zip::{CompressionMethod, ZipArchive};

/// Whether `bytes` begin as a zip archive does.
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// The saved object, and the data of its storages.
pub fn read(bytes: &[u8]) -> Result<(Value, StorageData<'_>)> {
    let zip = ZipArchive::new(Cursor::new(bytes)).context("damaged zip archive")?;
    let folder = folder(&zip)?;
    let mut archive = Archive { bytes, zip, folder };
    ensure!(
        archive.entry("constants.pkl")?.is_none(),
        "a TorchScript program, not saved weights: save the network's state_dict() alone"
    );
    // Older versions of PyTorch do not say; they ran on no other machines.
    if let Some(order) = archive.entry("byteorder")? {
        ensure!(
            order == b"little",
            "written by a machine that is not little-endian"
        );
    }
    let pickle = archive.entry("data.pkl")?.context("damaged zip archive")?;
    let mut input = Input {
        bytes: pickle,
        at: 0,
    };
    let mut storages = Storages::new();
    let object = unpickle(&mut input, &mut storages).context("saved object")?;
    let mut data = StorageData::new();
    for key in storages.keys() {
        let found = archive
            .entry(&format!("data/{key}"))?
            .with_context(|| format!("storage {key} is missing"))?;
        ensure!(
            found.len() == storage_bytes(&storages, key)?,
            "storage {key} has {} bytes, not those announced",
            found.len()
        );
        data.insert(key.clone(), found);
    }
    Ok((object, data))
}

/// The folder, named after the file, that everything in the archive lies in.
fn folder(zip: &ZipArchive<Cursor<&[u8]>>) -> Result<String> {
    for name in zip.file_names() {
        let name = name.context("damaged zip archive")?;
        if let Some((folder, "data.pkl")) = name.split_once('/') {
            return Ok(folder.to_string());
        }
    }
    bail!("a zip archive, but not one of torch.save: there is no `data.pkl` in it")
}

struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
}

impl<'a> Archive<'a> {
    /// The bytes of an entry, in those of the file; `None` if there is none of
    /// that name.
    fn entry(&mut self, name: &str) -> Result<Option<&'a [u8]>> {
        let path = format!("{}/{name}", self.folder);
        let Some(index) = self.zip.index_for_name(&path) else {
            return Ok(None);
        };
        let damaged = || format!("`{path}` in the archive is damaged");
        let mut entry = self.zip.by_index(index).with_context(damaged)?;
        ensure!(
            entry.compression() == CompressionMethod::Stored,
            "`{path}` in the archive is compressed, as torch.save never does it"
        );
        // To its end, where its checksum is compared.
        io::copy(&mut entry, &mut io::sink()).with_context(damaged)?;
        let start = entry.data_start().and_then(|start| start.try_into().ok());
        let size = entry.size().try_into().ok();
        start
            .zip(size)
            .and_then(|(start, size): (usize, usize)| {
                self.bytes.get(start..start.checked_add(size)?)
            })
            .with_context(damaged)
            .map(Some)
    }
}
