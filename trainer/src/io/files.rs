//! The files of a training, all in the folder of its model.

use crate::io::output;
use anyhow::{Context, ensure};
use gstfaststyle::internals::network::is_stream;
use std::ffi::{OsStr, OsString};
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
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let folder = name.strip_suffix(PREVIEWS.as_bytes());
    let latest = || {
        let name = name.strip_suffix(b".png")?;
        let mut places = name.windows(PREVIEW.len());
        name.get(..places.position(|place| place == PREVIEW.as_bytes())?)
    };
    let Some(stem) = folder.or_else(latest) else {
        return false;
    };
    // SAFETY: these are bytes of a file's name, up to a text that is UTF-8.
    let stem = unsafe { OsStr::from_encoded_bytes_unchecked(stem) };
    let exists = |end: &str| path.with_file_name(with_end(stem, end)).exists();
    exists(".safetensors") || exists(CHECKPOINT)
}

/// The file's name `stem`, whatever its bytes are, followed by `end`.
fn with_end(stem: &OsStr, end: &str) -> OsString {
    let mut name = stem.to_os_string();
    name.push(end);
    name
}

/// The file's name without folder and extension; what is not Unicode in it becomes
/// U+FFFD.
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
    pub stem: OsString,
}

impl Files {
    /// The files beside `model`.
    ///
    /// # Errors
    /// `model` is no file's name.
    pub fn beside(model: &Path) -> anyhow::Result<Self> {
        let stem = model.file_stem();
        let stem = stem.with_context(|| format!("{}: not a file name", model.display()))?;
        ensure!(
            !is_stream(model),
            "--output {}: several files are written beside a model; name a file",
            model.display()
        );
        let beside = |end: &str| model.with_file_name(with_end(stem, end));
        Ok(Files {
            model: model.to_path_buf(),
            checkpoint: beside(CHECKPOINT),
            metrics: beside(".metrics"),
            report: beside(".report.html"),
            previews: beside(PREVIEWS),
            stem: stem.to_os_string(),
        })
    }

    /// Whether there is no training yet, or `overwrite` allows to replace it; its metrics
    /// may have any of these extensions.
    ///
    /// # Errors
    /// There is one; the error names the flags that help.
    pub fn check_training(&self, metrics: &[&str], overwrite: bool) -> anyhow::Result<()> {
        ensure!(
            overwrite || !self.checkpoint.exists(),
            "there is already a training {}: --resume continues it, --overwrite starts a new one",
            self.checkpoint.display()
        );
        for extension in metrics {
            let mut metrics = self.metrics.clone().into_os_string();
            metrics.push(format!(".{extension}"));
            output::absent(Path::new(&metrics), overwrite)?;
        }
        output::absent(&self.model, overwrite)?;
        output::absent(&self.report, overwrite)
    }

    /// The latest picture of the preview called `name`.
    pub fn preview(&self, name: &str) -> PathBuf {
        let end = format!("{PREVIEW}{name}.png");
        self.model.with_file_name(with_end(&self.stem, &end))
    }
}
