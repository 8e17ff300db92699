//! The files of a training, all in the folder of its model.

use crate::output;
use crate::recipe::stem;
use std::path::{Path, PathBuf};

/// Where everything goes, for a model `STEM.safetensors`.
pub struct Files {
    /// The model itself.
    pub model: PathBuf,
    /// All that is needed to go on.
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
        let beside = |end: &str| model.with_file_name(format!("{stem}.{end}"));
        Ok(Files {
            model: model.to_path_buf(),
            checkpoint: beside("checkpoint.safetensors"),
            metrics: beside("metrics"),
            report: beside("report.html"),
            previews: beside("previews"),
            stem,
        })
    }

    /// The latest picture of the preview called `name`.
    pub fn preview(&self, name: &str) -> PathBuf {
        self.model
            .with_file_name(format!("{}.preview-{name}.png", self.stem))
    }
}
