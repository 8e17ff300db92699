//! Safetensors files, with what their metadata says.

use anyhow::{Context, Result, anyhow, ensure};
use safetensors::tensor::{Metadata, SafeTensorError, SafeTensors, TensorView};
use std::collections::HashMap;

/// A parsed safetensors file.
pub struct Safetensors<'a> {
    /// Its tensors, their data still in the file's bytes.
    pub tensors: SafeTensors<'a>,
    /// The strings of its metadata.
    pub strings: HashMap<String, String>,
}

impl<'a> Safetensors<'a> {
    /// Whether `bytes` may be such a file, whole or cut: a length beyond the
    /// file can mean either, but after it the header begins as JSON does.
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.get(8) == Some(&b'{')
    }

    /// Reads the header, and checks it against the size of the file.
    ///
    /// # Errors
    /// The file is truncated or not a safetensors file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (_, header): (_, Metadata) = SafeTensors::read_metadata(bytes).map_err(explain)?;
        Ok(Safetensors {
            tensors: SafeTensors::deserialize(bytes).map_err(explain)?,
            strings: header.metadata().clone().unwrap_or_default(),
        })
    }

    /// A string of the metadata.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.strings.get(key).map(String::as_str)
    }

    /// The tensor `name`, which must have this shape.
    ///
    /// # Errors
    /// It is missing or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>> {
        let view = self
            .tensors
            .tensor(name)
            .ok()
            .with_context(|| format!("tensor `{name}` is missing"))?;
        ensure!(
            view.shape() == shape,
            "tensor `{name}` has shape {:?}, expected {shape:?}",
            view.shape()
        );
        Ok(view)
    }
}

fn explain(error: SafeTensorError) -> anyhow::Error {
    use SafeTensorError::*;
    match error {
        HeaderTooSmall | InvalidHeaderLength | MetadataIncompleteBuffer => {
            anyhow!("truncated safetensors file: {error}")
        }
        _ => anyhow!("not a safetensors file: {error}"),
    }
}
