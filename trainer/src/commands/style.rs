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

/// A model that has been found, with all that its file holds.
pub struct FoundModel {
    /// The file.
    pub path: PathBuf,
    /// The model, of one style or several.
    pub model: Model,
    /// The style that its name means, if that is not the file's name.
    style: Option<String>,
    /// Whether it was found by a name.
    by_name: bool,
}

/// The model that `model` means: see [`find`].
///
/// # Errors
/// A name that no model has, a file that is none.
pub fn open(model: &Path) -> anyhow::Result<FoundModel> {
    let Found { path, style } = find(model)?;
    Ok(FoundModel {
        model: Model::load(&path)?,
        by_name: path != model,
        path,
        style,
    })
}

impl FoundModel {
    /// The names of its styles, in their order.
    pub fn names(&self) -> Vec<&str> {
        names(&self.model)
    }

    /// Nothing but the style, or mix of styles, that `text` names; by default the one
    /// that the model's name means, or the first.
    ///
    /// # Errors
    /// A style that it lacks.
    pub fn in_style(&self, text: Option<&str>) -> anyhow::Result<Model> {
        let mix = match self.meant(text) {
            Some(text) => StyleMix::parse(text, &self.model.styles)
                .map_err(|error| anyhow!(error))
                .with_context(|| format!("--style {text}: {}", self.path.display()))?,
            None => StyleMix::default(),
        };
        Ok(self.model.with_mix(&mix)?)
    }

    /// The same, where a style has to be named if there are several.
    ///
    /// # Errors
    /// Also if none is named.
    pub fn in_named_style(&self, text: Option<&str>) -> anyhow::Result<Model> {
        let names = self.names();
        ensure!(
            self.meant(text).is_some() || names.len() <= 1,
            "{} has several styles: name one with --style ({})",
            self.path.display(),
            names.join(", ")
        );
        self.in_style(text)
    }

    /// The style, or mix of styles, that `text` names as a model of its own; by default
    /// each style, or the one that the model's name means.
    ///
    /// # Errors
    /// A style that it lacks.
    pub fn in_each_style(&self, text: Option<&str>) -> anyhow::Result<Vec<Model>> {
        if self.meant(text).is_some() {
            return Ok(vec![self.in_style(text)?]);
        }
        let styles = 0..self.model.architecture.styles;
        let each = styles.map(|index| Ok(self.model.with_mix(&StyleMix::single(index))?));
        each.collect()
    }

    /// The file to write beside it, with the name that `named` makes of its path: in the
    /// current folder, if the model was found by a name.
    pub fn beside(&self, named: impl Fn(&Path) -> PathBuf) -> PathBuf {
        let output = named(&self.path);
        match self.by_name {
            false => output,
            true => output.file_name().map(PathBuf::from).unwrap_or(output),
        }
    }

    /// The style, or mix of styles, that is meant: `text`, or that of the model's name.
    pub fn meant<'t>(&'t self, text: Option<&'t str>) -> Option<&'t str> {
        text.or(self.style.as_deref())
    }
}

/// The names of a model's styles, in their order.
pub fn names(model: &Model) -> Vec<&str> {
    model.styles.iter().map(|s| s.name.as_str()).collect()
}
