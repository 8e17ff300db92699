//! Looks up model files.

use crate::network::Model;
use gst::glib;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The environment variable that lists folders with models, as PATH does for
/// programs.
const VARIABLE: &str = "GST_FASTSTYLE_MODEL_PATH";

/// So many files in a folder are searched for a style.
const MOST_FILES: usize = 1000;

/// The extension of model files.
const EXTENSION: &str = "safetensors";

/// What a model's name means.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// The style in it that the name is, if that is not the file's name.
    pub style: Option<String>,
}

/// The file that `model` means: a path is a path, and a bare name such as
/// `scream` is looked up in the folders of `GST_FASTSTYLE_MODEL_PATH`, the
/// user's data folder, the system's, and beside the plugin: first as the name of
/// a file, then as that of a style in a file of several.
///
/// # Errors
/// The places where there is neither.
pub fn find(model: &str, plugin: Option<&Path>) -> Result<Found, String> {
    let path = Path::new(model);
    let bare = path.file_name().is_some_and(|name| name == model)
        && path.extension().is_none_or(|end| end != EXTENSION);
    if !bare {
        let path = path.into();
        return Ok(Found { path, style: None });
    }
    let folders = folders(plugin);
    let file = format!("{model}.{EXTENSION}");
    let mut files = folders.iter().map(|folder| folder.join(&file));
    if let Some(path) = files.find(|path| path.is_file()) {
        return Ok(Found { path, style: None });
    }
    find_style(model, &folders).map_err(|searched| {
        format!("{file} was not found in {searched} (for a file elsewhere, set its path)")
    })
}

/// The first file of several styles with one called `name`.
///
/// # Errors
/// The folders, and what the files in them hold.
fn find_style(name: &str, folders: &[PathBuf]) -> Result<Found, String> {
    let mut searched = Vec::new();
    for path in folders.iter().flat_map(|folder| model_files(folder)) {
        match Model::styles_in(&path) {
            Ok(styles) if styles.iter().any(|style| style.name == name) => {
                let style = Some(name.into());
                return Ok(Found { path, style });
            }
            Ok(styles) if styles.is_empty() => (),
            Ok(styles) => {
                let names: Vec<&str> = styles.iter().map(|style| style.name.as_str()).collect();
                searched.push(format!("{} with {}", path.display(), names.join(", ")));
            }
            // Some other file.
            Err(_) => (),
        }
    }
    let folders = folders.iter().map(|folder| folder.display().to_string());
    let folders = folders.collect::<Vec<_>>().join(", ");
    Err(match searched.is_empty() {
        true => folders,
        false => format!("{folders}, nor a style `{name}` in {}", searched.join("; ")),
    })
}

/// The model files in a folder, by name, as many as are looked into.
fn model_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let models = paths.filter(|path| path.extension().is_some_and(|end| end == EXTENSION));
    let mut models: Vec<PathBuf> = models.take(MOST_FILES).collect();
    models.sort();
    models
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
    use crate::network::{Architecture, Style};

    fn file(path: PathBuf) -> Found {
        Found { path, style: None }
    }

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
            assert_eq!(find(path, None), Ok(file(path.into())));
        }
    }

    #[test]
    fn names_are_found_beside_the_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("libgstfaststyle.so");
        let models = folder.path().join("models");
        fs::create_dir(&models).unwrap();
        for path in [
            models.join("a.safetensors"),
            folder.path().join("b.safetensors"),
        ] {
            fs::write(&path, "").unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert_eq!(find(name, Some(&plugin)), Ok(file(path.clone())));
        }
        let error = find("none", Some(&plugin)).unwrap_err();
        assert!(error.contains("none.safetensors"), "{error}");
        assert!(error.contains(models.to_str().unwrap()), "{error}");
    }

    /// A file of two styles.
    fn save(path: &Path, names: [&str; 2]) {
        let architecture = Architecture {
            styles: 2,
            residual_blocks: 0,
            ..Architecture::with_width(1)
        };
        let mut model = Model::random(architecture, 1).unwrap();
        model.styles = names
            .map(|name| Style {
                name: name.into(),
                ..Style::default()
            })
            .into();
        model.save(path).unwrap();
    }

    #[test]
    fn names_of_styles_are_found_in_files_of_several() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("libgstfaststyle.so");
        let [atelier, other, broken, empty] = ["atelier", "z", "broken", "empty"]
            .map(|name| folder.path().join(format!("{name}.safetensors")));
        save(&atelier, ["scream", "none"]);
        save(&other, ["scream", "wave"]);
        let bytes = fs::read(&atelier).unwrap();
        fs::write(&broken, &bytes[..200]).unwrap();
        fs::write(&empty, "").unwrap();
        // The header is enough.
        fs::write(&atelier, &bytes[..bytes.len() - 1]).unwrap();

        for (name, path) in [("scream", &atelier), ("none", &atelier), ("wave", &other)] {
            let found = find(name, Some(&plugin)).unwrap();
            let style = Some(name.into());
            assert_eq!(
                found,
                Found {
                    path: path.clone(),
                    style
                }
            );
        }
        let error = find("scraem", Some(&plugin)).unwrap_err();
        for part in [
            "scraem.safetensors",
            "atelier.safetensors with scream, none",
            "z.safetensors with scream, wave",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("broken"), "{error}");
        // A file of that name comes first.
        let scream = folder.path().join("scream.safetensors");
        fs::write(&scream, "").unwrap();
        assert_eq!(find("scream", Some(&plugin)), Ok(file(scream)));
    }
}
