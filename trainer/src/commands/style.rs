//! The flags `--model` and `--style`: a model by its file or name, and one of its styles,
//! or a mix of them.

use anyhow::{Context, anyhow, ensure};
use gstfaststyle::internals::network::{Found, Library};
use gstfaststyle::{Model, StyleMix};
use std::path::{Path, PathBuf};

/// What `model` means: a path, or a name that is looked up as the element does.
///
/// # Errors
/// A name that no model or style has.
pub fn find(model: &Path) -> anyhow::Result<Found> {
    Ok(Library::of_executable().find(model)?)
}

/// The file to write beside the model that `model` means, with the name that `named`
/// makes of its path: in the current folder, if it is the name of a model that was looked
/// up.
///
/// # Errors
/// As [`find`].
pub fn beside(model: &Path, named: impl Fn(&Path) -> PathBuf) -> anyhow::Result<PathBuf> {
    let found = find(model)?.path;
    let output = named(&found);
    Ok(match found == model {
        true => output,
        false => output.file_name().map(PathBuf::from).unwrap_or(output),
    })
}

/// The model that `model` means with nothing but the style, or mix of styles, that
/// `text` names; by default the one that `model` means, or the first.
///
/// # Errors
/// A name that no model has, a file that is none; a style that it lacks.
pub fn load(model: &Path, text: Option<&str>) -> anyhow::Result<Model> {
    let Found { path, style } = find(model)?;
    mixed(&Model::load(&path)?, &path, text.or(style.as_deref()))
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
pub fn load_named(model: &Path, text: Option<&str>) -> anyhow::Result<Model> {
    let Found { path, style } = find(model)?;
    let text = text.or(style.as_deref());
    let model = Model::load(&path)?;
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
    mixed(&model, &path, text)
}
