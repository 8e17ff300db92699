//! Looks up model files.

use gst::glib;
use std::env;
use std::path::{Path, PathBuf};

/// The environment variable that lists folders with models, as PATH does for
/// programs.
const VARIABLE: &str = "GST_FASTSTYLE_MODEL_PATH";

/// The extension of model files.
const EXTENSION: &str = "safetensors";

/// The file that `model` means: a path is a path, and a bare name such as
/// `scream` is looked up in the folders of `GST_FASTSTYLE_MODEL_PATH`, the
/// user's data folder, the system's, and beside the plugin.
///
/// # Errors
/// The places where there is no file of that name.
pub fn find(model: &str, plugin: Option<&Path>) -> Result<PathBuf, String> {
    let path = Path::new(model);
    let bare = path.file_name().is_some_and(|name| name == model)
        && path.extension().is_none_or(|end| end != EXTENSION);
    if !bare {
        return Ok(path.into());
    }
    let folders = folders(plugin);
    let file = format!("{model}.{EXTENSION}");
    let found = folders.iter().map(|folder| folder.join(&file));
    found
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let folders = folders.iter().map(|folder| folder.display().to_string());
            let folders = folders.collect::<Vec<_>>().join(", ");
            format!("{file} was not found in {folders} (for a file elsewhere, set its path)")
        })
}

/// The folders to look in, in this order.
fn folders(plugin: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(paths) = env::var_os(VARIABLE) {
        folders.extend(env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()));
    }
    let data = [glib::user_data_dir()]
        .into_iter()
        .chain(glib::system_data_dirs());
    folders.extend(data.map(|folder| folder.join("faststyle").join("models")));
    if let Some(folder) = plugin.and_then(Path::parent) {
        folders.extend([folder.to_path_buf(), folder.join("models")]);
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_path_is_a_path() {
        for path in [
            "a.safetensors",
            "./scream",
            "styles/scream",
            "/scream",
            "scream/",
            "..",
        ] {
            assert_eq!(find(path, None), Ok(path.into()));
        }
    }

    #[test]
    fn names_are_found_beside_the_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("libgstfaststyle.so");
        let models = folder.path().join("models");
        fs::create_dir(&models).unwrap();
        for file in [
            models.join("a.safetensors"),
            folder.path().join("b.safetensors"),
        ] {
            fs::write(&file, "").unwrap();
            let name = file.file_stem().unwrap().to_str().unwrap();
            assert_eq!(find(name, Some(&plugin)), Ok(file));
        }
        let error = find("none", Some(&plugin)).unwrap_err();
        assert!(error.contains("none.safetensors"), "{error}");
        assert!(error.contains(models.to_str().unwrap()), "{error}");
    }
}
