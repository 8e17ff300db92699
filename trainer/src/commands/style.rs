//! The flag `--style`: one of a model's styles, or a mix of them.

use anyhow::{Context, anyhow, ensure};
use gstfaststyle::{Model, StyleMix};
use std::path::Path;

/// The model in the file `path` with nothing but the style, or mix of styles, that
/// `text` names; by default the first.
///
/// # Errors
/// A file that is no model; a style that it lacks.
pub fn load(path: &Path, text: Option<&str>) -> anyhow::Result<Model> {
    mixed(&Model::load(path)?, path, text)
}

fn mixed(model: &Model, path: &Path, text: Option<&str>) -> anyhow::Result<Model> {
    let mix = match text {
        Some(text) => StyleMix::parse(text, &model.styles)
            .map_err(|error| anyhow!(error))
            .with_context(|| format!("--style {text}: {}", path.display()))?,
        None => StyleMix::default(),
    };
    Ok(model.with_mix(&mix)?)
}

/// The same, where a style has to be named if there are several.
///
/// # Errors
/// Also if none is named.
pub fn load_named(path: &Path, text: Option<&str>) -> anyhow::Result<Model> {
    let model = Model::load(path)?;
    let names: Vec<&str> = model
        .styles
        .iter()
        .map(|style| style.name.as_str())
        .collect();
    ensure!(
        text.is_some() || names.len() <= 1,
        "{} has several styles: name one with --style ({})",
        path.display(),
        names.join(", ")
    );
    mixed(&model, path, text)
}
