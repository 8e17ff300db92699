//! Files that are read whole.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The bytes of the file at `path`.
///
/// # Errors
/// It cannot be read, is a folder, a pipe or the like, or has more than `most`
/// bytes. The message leaves it to the caller to name the file.
pub fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>> {
    // Before it is opened: opening a pipe would wait for its writer.
    let info = path.metadata().context("cannot be read")?;
    ensure!(info.is_file(), "not a regular file");
    ensure!(
        info.len() <= most,
        "{} bytes are more than such a file has ({most})",
        info.len()
    );
    let mut bytes = Vec::with_capacity(info.len() as usize);
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .context("cannot be read")?;
    Ok(bytes)
}
