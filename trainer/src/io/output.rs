//! Checks of output files before long work begins.

use anyhow::ensure;
use gstfaststyle::internals::network::is_stream;
use std::path::{Path, PathBuf};

/// The extension of model files.
const MODEL: &str = "safetensors";

/// Whether `path`, given by `flag`, can be a file to write.
///
/// # Errors
/// Its folder is not there, or it is a folder itself.
pub fn check(flag: &str, path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    ensure!(
        folder.is_dir(),
        "{flag} {}: there is no folder {}",
        path.display(),
        folder.display()
    );
    ensure!(
        !path.is_dir(),
        "{flag} {}: this is a folder; name a file",
        path.display()
    );
    Ok(())
}

/// Whether `path`, given by `flag`, can be a file to write, and is not there yet
/// unless `overwrite` allows to replace it.
///
/// # Errors
/// The errors of [`check`]; a file that is there.
pub fn check_new(flag: &str, path: &Path, overwrite: bool) -> anyhow::Result<()> {
    check(flag, path)?;
    absent(path, overwrite)
}

/// Whether nothing is lost by writing to `path`: see [`is_there`].
///
/// # Errors
/// It would be.
pub fn absent(path: &Path, overwrite: bool) -> anyhow::Result<()> {
    ensure!(!is_there(path, overwrite), "{}", already(path));
    Ok(())
}

/// Whether a file is at `path` that `overwrite` does not allow to replace. What takes all
/// that is written, a device or a pipe, does not count.
pub fn is_there(path: &Path, overwrite: bool) -> bool {
    let info = path.symlink_metadata();
    !overwrite && info.is_ok_and(|info| !info.is_dir()) && !is_stream(path)
}

/// What is said of a file that is there.
pub fn already(path: &Path) -> String {
    format!(
        "there is already a file {}: --overwrite replaces it",
        path.display()
    )
}

/// The model file to write that `path`, given by `flag`, means: without an extension, it
/// gets that of models, by which the element finds it.
///
/// # Errors
/// The errors of [`check`]; another extension.
pub fn model_file(flag: &str, path: &Path) -> anyhow::Result<PathBuf> {
    let mut whole = path.as_os_str().to_owned();
    whole.push(".");
    whole.push(MODEL);
    let whole = PathBuf::from(whole);
    let path = match path.extension() {
        _ if is_stream(path) => path.to_path_buf(),
        None if path.file_name().is_some() && !path.is_dir() => whole,
        None => path.to_path_buf(),
        Some(extension) => {
            ensure!(
                extension == MODEL,
                "{flag} {}: the name of a model file ends in .{MODEL}, for example {}",
                path.display(),
                whole.display()
            );
            path.to_path_buf()
        }
    };
    check(flag, &path)?;
    Ok(path)
}

/// Whether `path`, given by `flag`, can be a picture to write, and is not there yet
/// unless `overwrite` allows to replace it.
///
/// # Errors
/// The errors of [`check_new`]; a name that is not that of a PNG file; a file among
/// `inputs`, which would be lost.
pub fn check_png(flag: &str, path: &Path, inputs: &[&Path], overwrite: bool) -> anyhow::Result<()> {
    check(flag, path)?;
    ensure!(
        is_stream(path)
            || path
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("png")),
        "{flag} {}: pictures are written as PNG; give it a name that ends in .png",
        path.display()
    );
    spare(flag, path, inputs)?;
    check_new(flag, path, overwrite)
}

/// Whether `path`, given by `flag`, is none of the files `inputs`.
///
/// # Errors
/// It is, and the file would be lost.
pub fn spare(flag: &str, path: &Path, inputs: &[&Path]) -> anyhow::Result<()> {
    let same = |input: &&Path| match (path.canonicalize(), input.canonicalize()) {
        (Ok(output), Ok(input)) => output == input,
        _ => false,
    };
    ensure!(
        !inputs.iter().any(same),
        "{flag} {}: this is one of the files to read; it would be lost",
        path.display()
    );
    Ok(())
}
