//! Checks of output files before long work begins.

use anyhow::ensure;
use std::path::Path;

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
    ensure!(
        overwrite || !path.exists(),
        "there is already a file {}: --overwrite replaces it",
        path.display()
    );
    Ok(())
}

/// Whether `path`, given by `flag`, can be a picture to write.
///
/// # Errors
/// The errors of [`check`]; a name that is not that of a PNG file; a file among
/// `inputs`, which would be lost.
pub fn check_png(flag: &str, path: &Path, inputs: &[&Path]) -> anyhow::Result<()> {
    check(flag, path)?;
    ensure!(
        path.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("png")),
        "{flag} {}: pictures are written as PNG; give it a name that ends in .png",
        path.display()
    );
    spare(flag, path, inputs)
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
