//! The files of a training, all in the folder of its model.

use crate::io::output;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};

/// What the checkpoint has in its name after the model's.
const CHECKPOINT: &str = ".checkpoint.safetensors";

/// What the folder of small previews and the latest preview have in their names,
/// after the model's.
const PREVIEWS: &str = ".previews";
const PREVIEW: &str = ".preview-";

/// Whether this is a preview of a training whose model or checkpoint lies beside it, or
/// the folder of them.
pub fn is_preview(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = name.strip_suffix(PREVIEWS);
    let latest = || name.strip_suffix(".png")?.split_once(PREVIEW);
    let Some(stem) = folder.or_else(|| Some(latest()?.0)) else {
        return false;
    };
    let beside = |end: &str| path.with_file_name(format!("{stem}{end}")).exists();
    beside(".safetensors") || beside(CHECKPOINT)
}

/// The file's name without folder and extension.
pub fn stem(path: &Path) -> anyhow::Result<String> {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .with_context(|| format!("{}: not a file name", path.display()))
}

/// Where everything goes, for a model `STEM.safetensors`.
pub struct Files {
    /// The model itself.
    pub model: PathBuf,
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// The losses of every step, without the extension of their format.
    pub metrics: PathBuf,
    /// The report.
    pub report: PathBuf,
    /// The folder of what the previews were at each checkpoint.
    pub previews: PathBuf,
    /// The model's name without its extension.
    pub stem: String,
}

impl Files {
    /// The files beside `model`.
    ///
    /// # Errors
    /// `model` cannot be a file to write.
    pub fn beside(model: &Path) -> anyhow::Result<Self> {
        let stem = stem(model)?;
        output::check("--output", model)?;
        let beside = |end: &str| model.with_file_name(format!("{stem}{end}"));
        Ok(Files {
            model: model.to_path_buf(),
            checkpoint: beside(CHECKPOINT),
            metrics: beside(".metrics"),
            report: beside(".report.html"),
            previews: beside(PREVIEWS),
            stem,
        })
    }

    /// Whether there is no training yet, or `overwrite` allows to replace it.
    ///
    /// # Errors
    /// There is one; the error names the flags that help.
    pub fn check_training(&self, overwrite: bool) -> anyhow::Result<()> {
        ensure!(
            overwrite || !self.checkpoint.exists(),
            "there is already a training {}: --resume continues it, --overwrite starts a new one",
            self.checkpoint.display()
        );
        Ok(())
    }

    /// The latest picture of the preview called `name`.
    pub fn preview(&self, name: &str) -> PathBuf {
        self.model
            .with_file_name(format!("{}{PREVIEW}{name}.png", self.stem))
    }
}
