//! Networks that other programs trained, made into model files.
//!
//! A network is taken over only if ours can compute the same picture; any other
//! file is refused with what was found in it.

mod fast_style_transfer;
mod onnx;
mod tensors;
mod transformer_net;
mod unsupported;

use crate::cli::ImportArgs;
use crate::commands::about;
use crate::io::input;
use crate::io::output;
use crate::io::safetensors_file::Safetensors;
use crate::io::torch_file::{self, ElementType, SavedTensor};
use crate::logging::say::say;
use anyhow::{Context, Result, bail, ensure};
use gstfaststyle::{Model, Style};
use safetensors::tensor::Dtype;
use serde_json::json;
use std::path::Path;
use tensors::{Converted, Tensors};

/// Many times the size of a network with its optimiser's state.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Runs the command `import`.
///
/// # Errors
/// The file cannot be read or is no network that ours can be, or there is one
/// already where the model file should be. Each message names the file.
pub fn run(args: &ImportArgs) -> Result<()> {
    let input = &args.input;
    let output = match &args.output {
        Some(path) => path.clone(),
        None => input.with_extension("safetensors"),
    };
    let output = output::model_file("--output", &output)?;
    ensure!(
        output != *input,
        "--output {}: this is the file to import; name another",
        output.display()
    );
    output::check_new("--output", &output, args.overwrite)?;
    let style = about::style(&args.about, &output, Style::default())?;
    let (model, family) =
        read(input, args.prefix.as_deref(), style).with_context(|| input.display().to_string())?;
    model.save(&output).context("cannot write the model")?;
    say(format_args!(
        "{} is ready: width {}, from {family}",
        output.display(),
        model.architecture.width,
    ));
    Ok(())
}

/// The model of the network in a file, and the network's family.
fn read(path: &Path, prefix: Option<&str>, style: Style) -> Result<(Model, &'static str)> {
    let bytes = input::read(path, MAX_FILE_BYTES)?;
    let Converted {
        family,
        architecture,
        weights,
    } = network(&bytes, prefix)?;
    let model = Model {
        architecture,
        styles: vec![style],
        training: json!({
            "imported": {
                "file": path.file_name().map(|name| name.to_string_lossy()),
                "family": family,
            },
            "software": concat!("faststyle-train ", env!("CARGO_PKG_VERSION")),
        }),
        weights,
    };
    Ok((model, family))
}

/// The network in the bytes of a file, as one of ours: of several, the one whose
/// tensors' names begin with `prefix`.
fn network(bytes: &[u8], prefix: Option<&str>) -> Result<Converted> {
    let tensors = read_tensors(bytes)?;
    if let Some(network) = transformer_net::find(&tensors, prefix)? {
        return transformer_net::convert(&network).context(transformer_net::FAMILY);
    }
    match fast_style_transfer::find(&tensors, prefix).context(fast_style_transfer::FAMILY)? {
        Some(network) => {
            fast_style_transfer::convert(&network).context(fast_style_transfer::FAMILY)
        }
        None => Err(unsupported::refusal(&tensors)),
    }
}

/// The tensors of a file of `torch.save`, a safetensors file or an ONNX file.
fn read_tensors(bytes: &[u8]) -> Result<Tensors<'_>> {
    if torch_file::is_torch_file(bytes) {
        return torch_file::read(bytes);
    }
    if onnx::is_one(bytes) {
        return onnx::read(bytes);
    }
    if !Safetensors::is_one(bytes) {
        bail!("{}; {}", unsupported::format(bytes), unsupported::KNOWN);
    }
    let file = Safetensors::parse(bytes)?;
    ensure!(
        file.text("format") != Some("faststyle"),
        "a faststyle model already"
    );
    file.tensors
        .iter()
        .map(|(name, view)| {
            let element_type = match view.dtype() {
                Dtype::U8 => ElementType::Byte,
                Dtype::I64 => ElementType::Long,
                Dtype::F16 => ElementType::Half,
                Dtype::BF16 => ElementType::BFloat16,
                Dtype::F32 => ElementType::Float,
                Dtype::F64 => ElementType::Double,
                other => bail!("tensor `{name}` is of type {other:?}, which no network uses"),
            };
            let shape = view.shape().to_vec();
            let data = view.data().into();
            Ok((
                name.to_string(),
                SavedTensor {
                    element_type,
                    shape,
                    data,
                },
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests;
