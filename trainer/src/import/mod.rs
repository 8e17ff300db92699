//! Networks that other programs trained, made into model files.
//!
//! A network is taken over only if ours can compute the same picture; any other
//! file is refused with what was found in it.

mod foreign;
mod transformer_net;

use crate::cli::ImportArgs;
use crate::input::read_bounded;
use crate::output;
use crate::recipe::about;
use crate::safetensors_file::Safetensors;
use crate::torch_file::{self, Kind, SavedTensor};
use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;
use gstfaststyle::network::{Architecture, Model, Style};
use safetensors::tensor::Dtype;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

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
    output::check("--output", &output)?;
    ensure!(
        output != *input,
        "--output {}: this is the file to import; name another",
        output.display()
    );
    ensure!(
        args.overwrite || !output.exists(),
        "{} is there already: --overwrite writes over it",
        output.display()
    );
    let style = about(&args.about, &output, Style::default())?;
    let model = read(input, style).with_context(|| input.display().to_string())?;
    model.save(&output).context("cannot write the model")?;
    eprintln!(
        "{} is ready: width {}, from {}",
        output.display(),
        model.architecture.width,
        transformer_net::FAMILY
    );
    Ok(())
}

/// The model of the network in a file.
fn read(path: &Path, style: Style) -> Result<Model> {
    let bytes = read_bounded(path, MAX_FILE_BYTES)?;
    let (architecture, weights) = network(&bytes)?;
    Ok(Model {
        architecture,
        styles: vec![style],
        training: json!({
            "imported": {
                "file": path.file_name().map(|name| name.to_string_lossy()),
                "family": transformer_net::FAMILY,
            },
            "software": concat!("faststyle-train ", env!("CARGO_PKG_VERSION")),
        }),
        weights,
    })
}

/// The network in the bytes of a file, as one of ours.
fn network(bytes: &[u8]) -> Result<(Architecture, HashMap<String, Tensor>)> {
    let tensors = tensors(bytes)?;
    match transformer_net::find(&tensors)? {
        Some(network) => transformer_net::convert(&network).context(transformer_net::FAMILY),
        None => Err(foreign::refusal(&tensors)),
    }
}

/// The tensors of a file by their names.
type Tensors<'a> = BTreeMap<String, SavedTensor<'a>>;

/// The tensors of a file of `torch.save` or a safetensors file.
fn tensors(bytes: &[u8]) -> Result<Tensors<'_>> {
    if torch_file::is_torch_file(bytes) {
        return torch_file::read(bytes);
    }
    if !Safetensors::is_one(bytes) {
        bail!("{}; {}", foreign::format(bytes), foreign::KNOWN);
    }
    let file = Safetensors::parse(bytes)?;
    ensure!(
        file.text("format") != Some("faststyle"),
        "a faststyle model already"
    );
    file.tensors
        .iter()
        .map(|(name, view)| {
            let kind = match view.dtype() {
                Dtype::U8 => Kind::Byte,
                Dtype::I64 => Kind::Long,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                Dtype::F32 => Kind::Float,
                Dtype::F64 => Kind::Double,
                other => bail!("tensor `{name}` is of type {other:?}, which no network uses"),
            };
            let shape = view.shape().to_vec();
            let data = view.data();
            Ok((name.to_string(), SavedTensor { kind, shape, data }))
        })
        .collect()
}

#[cfg(test)]
mod tests;
