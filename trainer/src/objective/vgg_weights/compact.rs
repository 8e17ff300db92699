//! The compact file: safetensors with one byte a weight.
//!
//! | tensor | type and shape | |
//! | --- | --- | --- |
//! | `features.N.indices` | `U8` `[outputs, inputs, 3, 3]` | an index into the table for each weight |
//! | `features.N.table` | `F32` `[256]` | the values that the weights take |
//! | `features.N.bias` | `F32` `[outputs]` | |
//!
//! Its string metadata states `format`, `format_version`, the convention of
//! the input (`channel_order`, `input`, `means`), the `source` of the weights,
//! their `licence` and the `credit` that it asks for.

use super::convention;
use super::convolutions::{CONVOLUTIONS, check_finite};
use super::quantise::{TABLE, quantise};
use crate::io::safetensors_file::Safetensors;
use anyhow::{Context, Result, ensure};
use safetensors::tensor::Dtype;
use serde_json::json;
use std::collections::BTreeMap;

/// What the metadata `format` says.
pub const FORMAT: &str = "faststyle-vgg19";

const FORMAT_VERSION: u64 = 1;

const METADATA: [(&str, &str); 4] = [
    ("format", FORMAT),
    ("channel_order", "BGR"),
    (
        "licence",
        "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    ),
    (
        "credit",
        "Visual Geometry Group, University of Oxford: K. Simonyan and A. Zisserman, \
         \"Very Deep Convolutional Networks for Large-Scale Image Recognition\"",
    ),
];

/// The weights of one convolution, quantised.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantisedConvolution {
    /// An index into `table` for each weight.
    pub indices: Vec<u8>,
    /// [`TABLE`] values.
    pub table: Vec<f32>,
    pub bias: Vec<f32>,
}

impl QuantisedConvolution {
    /// The closest layer of [`TABLE`] values to these weights.
    pub fn quantise(weights: &[f32], bias: Vec<f32>) -> Self {
        let (indices, table) = quantise(weights);
        QuantisedConvolution {
            indices,
            table,
            bias,
        }
    }

    /// Its weights and its bias.
    pub fn expand(self) -> (Vec<f32>, Vec<f32>) {
        let lookup = |index: &u8| self.table[usize::from(*index)];
        (self.indices.iter().map(lookup).collect(), self.bias)
    }

    /// That it is what convolution `number` needs, so that nothing later can
    /// go wrong.
    pub fn check(&self, number: usize) -> Result<()> {
        let convolution = &CONVOLUTIONS[number];
        let name = convolution.keras;
        ensure!(
            self.indices.len() == convolution.weights(),
            "{name}: {} weights, expected {}",
            self.indices.len(),
            convolution.weights()
        );
        ensure!(
            self.table.len() == TABLE,
            "{name}: a table of {} values, expected {TABLE}",
            self.table.len()
        );
        ensure!(
            self.bias.len() == convolution.outputs,
            "{name}: {} biases, expected {}",
            self.bias.len(),
            convolution.outputs
        );
        check_finite(name, &self.table)?;
        check_finite(name, &self.bias)
    }
}

/// Whether a safetensors file says that it is of this format.
pub fn is_compact(file: &Safetensors) -> bool {
    file.text("format") == Some(FORMAT)
}

/// The layers of a compact file.
pub fn parse(file: &Safetensors) -> Result<Vec<QuantisedConvolution>> {
    let version = file.text("format_version").unwrap_or_default();
    let version: u64 = version
        .parse()
        .with_context(|| format!("metadata `format_version` is `{version}`"))?;
    ensure!(
        version == FORMAT_VERSION,
        "format version {version}, but this program reads version {FORMAT_VERSION}"
    );
    convention::check_convention(file)?;
    CONVOLUTIONS
        .iter()
        .enumerate()
        .map(|(number, convolution)| {
            let name = |kind| format!("features.{}.{kind}", convolution.feature);
            let shape = convolution.shape();
            let layer = QuantisedConvolution {
                indices: data(file, &name("indices"), Dtype::U8, &shape)?.to_vec(),
                table: floats(file, &name("table"), TABLE)?,
                bias: floats(file, &name("bias"), convolution.outputs)?,
            };
            layer.check(number)?;
            Ok(layer)
        })
        .collect()
}

/// The bytes of a tensor that has to have this type and shape.
fn data<'a>(file: &'a Safetensors, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8]> {
    let view = file.tensor(name, shape)?;
    ensure!(
        view.dtype() == dtype,
        "tensor `{name}` is of type {:?}, expected {dtype:?}",
        view.dtype()
    );
    Ok(view.data())
}

fn floats(file: &Safetensors, name: &str, count: usize) -> Result<Vec<f32>> {
    let (words, _) = data(file, name, Dtype::F32, &[count])?.as_chunks::<4>();
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

/// The compact file of these layers: the same bytes whenever it is made.
///
/// The safetensors crate writes metadata in random order, hence the header
/// made here.
pub fn to_bytes(layers: &[QuantisedConvolution], source: &str) -> Result<Vec<u8>> {
    ensure!(layers.len() == CONVOLUTIONS.len(), "not all convolutions");
    let mut header = BTreeMap::from([("__metadata__".to_string(), json!(metadata(source)))]);
    let mut data = Vec::new();
    let mut add = |name: String, dtype: &str, shape: &[usize], bytes: &[u8]| {
        let start = data.len();
        data.extend_from_slice(bytes);
        let entry = json!({"data_offsets": [start, data.len()], "dtype": dtype, "shape": shape});
        header.insert(name, entry);
    };
    // Floats first, so that they lie at multiples of four.
    for (number, (convolution, layer)) in CONVOLUTIONS.iter().zip(layers).enumerate() {
        layer.check(number)?;
        for (kind, values) in [("table", &layer.table), ("bias", &layer.bias)] {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            let name = format!("features.{}.{kind}", convolution.feature);
            add(name, "F32", &[values.len()], &bytes);
        }
    }
    for (convolution, layer) in CONVOLUTIONS.iter().zip(layers) {
        let name = format!("features.{}.indices", convolution.feature);
        add(name, "U8", &convolution.shape(), &layer.indices);
    }
    let mut header = serde_json::to_string(&header)?;
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length, header.as_bytes(), &data].concat())
}

fn metadata(source: &str) -> BTreeMap<&str, String> {
    METADATA
        .iter()
        .map(|(key, value)| (*key, value.to_string()))
        .chain([
            ("input", convention::input()),
            ("means", convention::means()),
            ("format_version", FORMAT_VERSION.to_string()),
            ("source", source.to_string()),
        ])
        .collect()
}
