//! The command `export-onnx`: a style network for other programs.

use crate::cli::ExportOnnxArgs;
use crate::commands::style;
use crate::io::{onnx, output};
use crate::logging::say::say;
use anyhow::{Context, Result, ensure};
use gstfaststyle::Size;
use gstfaststyle::internals::network::write_atomically;

/// Writes the model as an ONNX file.
///
/// # Errors
/// A model that cannot be read, a file that cannot be written.
pub fn run(args: &ExportOnnxArgs) -> Result<()> {
    let found = style::open(&args.model)?;
    let path = match &args.output {
        Some(path) => path.clone(),
        None => found.beside(|model| model.with_extension("onnx")),
    };
    ensure!(
        path != found.path,
        "--output {}: this is the model itself",
        path.display()
    );
    output::check_new("--output", &path, args.overwrite)?;
    let model = found.in_named_style(args.style.as_deref())?;
    let size = args.size.map(|(width, height)| Size::new(width, height));
    let bytes = onnx::export(&model, size)?;
    write_atomically(&path, &bytes).with_context(|| format!("writing {}", path.display()))?;
    say(format_args!(
        "{} is ready: {} bytes",
        path.display(),
        bytes.len()
    ));
    Ok(())
}
