//! Files to write: never over another one unasked, and never half of one.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether `path`, given by `flag`, can be a new file, or replace one if `overwrite` allows it.
///
/// # Errors
/// Its folder is not there; it is a folder, a device or a pipe; it is one of
/// `inputs`; it is there.
pub fn check(flag: &str, path: &Path, overwrite: bool, inputs: &[&Path]) -> Result<()> {
    let folder = folder_of(path);
    let shown = path.display();
    ensure!(
        folder.is_dir(),
        "{flag} {shown}: there is no folder {}; make it first",
        folder.display()
    );
    let Ok(there) = fs::metadata(path) else {
        return Ok(());
    };
    ensure!(
        !there.is_dir(),
        "{flag} {shown}: this is a folder; name a file"
    );
    ensure!(
        there.is_file(),
        "{flag} {shown}: this is no regular file; give a file's name"
    );
    let full = |path: &Path| path.canonicalize().ok();
    if inputs.iter().any(|input| full(input) == full(path)) {
        bail!("{flag} {shown}: this is a file to read, which would be lost; choose another name");
    }
    ensure!(
        overwrite,
        "{flag} {shown}: there is already such a file; --overwrite replaces it"
    );
    Ok(())
}

/// Where a file is written until it is whole: beside its name, hidden.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}

/// Gives the whole file `from` the name `to`, in the same folder or below it, after
/// its content has reached the disk.
///
/// # Errors
/// Those of the system; a file of that name, unless `overwrite`.
pub fn publish(from: &Path, to: &Path, overwrite: bool) -> Result<()> {
    let shown = || format!("{}", to.display());
    File::open(from)
        .and_then(|file| file.sync_all())
        .with_context(shown)?;
    match overwrite {
        true => fs::rename(from, to).with_context(shown)?,
        false => rename_new(from, to).with_context(shown)?,
    }
    // So that a power loss does not lose the name. Not all file systems can.
    let _ = File::open(folder_of(to)).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Renames, unless there is such a file.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // A file system without such links.
        Err(_) if !to.exists() => fs::rename(from, to),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        assert!(check("-o", &to, false, &[]).is_err());
        check("-o", &to, true, &[]).unwrap();
        assert!(check("-o", &to, true, &[&to]).is_err());
        assert!(publish(&from, &to, false).is_err());
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
        publish(&from, &to, true).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        publish(&to, &from, false).unwrap();
        assert!(from.exists() && !to.exists());
    }

    #[test]
    fn folders_and_devices_are_no_films() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path(), Path::new("/dev/null")] {
            assert!(check("-o", path, true, &[]).is_err());
        }
        let error = check("-o", &folder.path().join("no/film.mkv"), true, &[]).unwrap_err();
        assert!(error.to_string().contains("there is no folder"), "{error}");
    }
}
