//! The library of models: where model files and styles are found by their names.

use super::printable::{printable, printable_path};
use super::{Contents, Model, ModelError};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The environment variable that lists folders with models, as PATH does for
/// programs.
const VARIABLE: &str = "GST_FASTSTYLE_MODEL_PATH";

/// Where models are in a data folder such as `/usr/share`.
const IN_DATA_FOLDER: &str = "faststyle/models";

/// At most this many files of a folder are examined.
const MOST_FILES: usize = 1000;

/// The extension of model files.
const EXTENSION: &str = "safetensors";

/// The folders in which model files are looked up.
///
/// The element and the programs look in the same ones, in this order:
///
/// 1. those of the environment variable `GST_FASTSTYLE_MODEL_PATH`,
/// 2. `faststyle/models` in the user's data folder and in the system's,
/// 3. the folder of the program or plugin itself, and `models` in it,
/// 4. `share/faststyle/models` under any folder above it, where it is installed,
/// 5. `models` of the repository above it, where it has only been built.
///
/// A program takes its argument `--model NAME` through it:
///
/// ```ignore
/// let found = Library::of_executable().find(name)?;
/// let model = Model::load(&found.path)?;
/// // What to paint in where no style is asked for.
/// let style = found.style;
/// ```
#[derive(Clone, Debug)]
pub struct Library {
    folders: Vec<PathBuf>,
}

/// What a model's name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// The style in it that the name is, if that is not the file's name.
    pub style: Option<String>,
}

/// No file and no style has the name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NotFound(String);

/// A file of the library.
#[derive(Debug)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// What its header says, or what is wrong with it.
    pub contents: Result<Contents, ModelError>,
}

impl Library {
    /// The library of the running program.
    pub fn of_executable() -> Self {
        Library::beside(env::current_exe().ok().as_deref())
    }

    /// The library of a program or plugin whose own file is `file`.
    pub fn beside(file: Option<&Path>) -> Self {
        let mut all = listed_folders();
        all.extend(data_folders());
        if let Some(file) = file {
            all.extend(folders_beside(file));
        }
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in all {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        Library { folders }
    }

    /// The folders, in the order in which they are looked in.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The file that `model` means. What contains a folder or ends in
    /// `.safetensors` is a path. Any other value is a name such as `scream`, looked
    /// up in the folders: first as the name of a file, then as that of a style in a
    /// file of several. A name that is neither, but a file's as it stands, is that
    /// file.
    ///
    /// # Errors
    /// The places where there is nothing of that name, and what is there.
    pub fn find(&self, model: impl AsRef<OsStr>) -> Result<Found, NotFound> {
        let model = model.as_ref();
        let path = Path::new(model);
        let bare = path.file_name().is_some_and(|name| name == model)
            && path.extension().is_none_or(|end| end != EXTENSION);
        let as_it_stands = || Found {
            path: path.into(),
            style: None,
        };
        if !bare {
            return Ok(as_it_stands());
        }
        let mut file = OsString::from(model);
        file.push(".");
        file.push(EXTENSION);
        let mut files = self.folders.iter().map(|folder| folder.join(&file));
        if let Some(path) = files.find(|path| path.is_file()) {
            return Ok(Found { path, style: None });
        }
        match self.find_style(model) {
            Ok(found) => Ok(found),
            Err(_) if path.exists() && !path.is_dir() => Ok(as_it_stands()),
            Err(searched) => {
                let file = Path::new(&file);
                let name = printable_path(file);
                let hint = match file.is_file() {
                    true => format!("for the one in the current folder, set ./{name}"),
                    false => "for a file elsewhere, set its path".into(),
                };
                Err(NotFound(format!(
                    "{name} was not found in {searched} ({hint})"
                )))
            }
        }
    }

    /// The first file of several styles with one called `name`.
    ///
    /// # Errors
    /// The folders, and what the files in them hold.
    fn find_style(&self, name: &OsStr) -> Result<Found, String> {
        let mut searched = Vec::new();
        for path in self.folders.iter().flat_map(|folder| model_files(folder)) {
            // Anything else is some other file.
            let Ok(Contents { styles, .. }) = Model::contents(&path) else {
                continue;
            };
            if styles.len() < 2 {
                continue;
            }
            if let Some(style) = styles.iter().find(|style| OsStr::new(&style.name) == name) {
                let style = Some(style.name.clone());
                return Ok(Found { path, style });
            }
            let names: Vec<&str> = styles.iter().map(|style| style.name.as_str()).collect();
            let names = names.join(", ");
            searched.push(format!(
                "{} with {}",
                printable_path(&path),
                printable(names)
            ));
        }
        let folders = self.folders.iter();
        let folders = folders.map(|folder| printable_path(folder).to_string());
        let folders = folders.collect::<Vec<_>>().join(", ");
        Err(match searched.is_empty() {
            true => folders,
            false => {
                let name = printable(name.display());
                format!("{folders}, nor a style `{name}` in {}", searched.join("; "))
            }
        })
    }

    /// All model files, as they are found: those of a name that an earlier folder
    /// has are left out, and so are safetensors files that are no models.
    pub fn list(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for path in self.folders.iter().flat_map(|folder| model_files(folder)) {
            let is_known = |entry: &Entry| entry.path.file_name() == path.file_name();
            if entries.iter().any(is_known) {
                continue;
            }
            let contents = Model::contents(&path);
            if !matches!(contents, Err(ModelError::Foreign { .. })) {
                entries.push(Entry { path, contents });
            }
        }
        entries
    }
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

/// Those of the environment variable.
fn listed_folders() -> Vec<PathBuf> {
    let paths = env::var_os(VARIABLE).unwrap_or_default();
    let folders = env::split_paths(&paths);
    folders
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

/// Those in the user's and the system's data folders, by the XDG base directory
/// specification, which has relative paths ignored.
fn data_folders() -> Vec<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let home = || env::home_dir().map(|home| home.join(".local/share"));
    let user = variable("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    let system = variable("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    let folders = user.into_iter().chain(env::split_paths(&system));
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(IN_DATA_FOLDER))
        .collect()
}

/// Those that belong to the program or plugin in `file`.
fn folders_beside(file: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(folder) = file.parent() {
        folders.extend([folder.to_path_buf(), folder.join("models")]);
    }
    // A plugin may be a link to where it has been built.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.into());
    let above: Vec<&Path> = file.ancestors().skip(1).collect();
    let installed = above
        .iter()
        .map(|folder| folder.join("share").join(IN_DATA_FOLDER));
    folders.extend(installed.filter(|folder| folder.is_dir()));
    let repository = above
        .iter()
        .filter(|folder| folder.join("Cargo.toml").is_file());
    let models = repository.map(|folder| folder.join("models"));
    folders.extend(models.filter(|folder| folder.is_dir()));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Architecture, Style};

    fn file(path: PathBuf) -> Found {
        Found { path, style: None }
    }

    /// What a name means to a program or plugin in this file.
    fn find(name: &str, program: &Path) -> Result<Found, String> {
        let library = Library::beside(Some(program));
        library.find(name).map_err(|error| error.to_string())
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
            assert_eq!(Library::beside(None).find(path), Ok(file(path.into())));
        }
    }

    #[test]
    fn names_are_found_beside_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("libgstfaststyle.so");
        let models = folder.path().join("models");
        fs::create_dir(&models).unwrap();
        for path in [
            models.join("a.safetensors"),
            folder.path().join("b.safetensors"),
        ] {
            fs::write(&path, "").unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert_eq!(find(name, &program), Ok(file(path.clone())));
        }
        let error = find("none", &program).unwrap_err();
        assert!(error.contains("none.safetensors"), "{error}");
        assert!(error.contains(models.to_str().unwrap()), "{error}");
    }

    /// Built, but not installed; or installed where the system does not look.
    #[test]
    fn names_are_found_above_the_program() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for (program, models) in [
            ("built/target/release/libgstfaststyle.so", "built/models"),
            ("built/target/x86/release/examples/live", "built/models"),
            ("opt/bin/faststyle-train", "opt/share/faststyle/models"),
            (
                "opt/lib/gstreamer-1.0/libgstfaststyle.so",
                "opt/share/faststyle/models",
            ),
        ] {
            let (program, models) = (root.join(program), root.join(models));
            for folder in [program.parent().unwrap(), &models] {
                fs::create_dir_all(folder).unwrap();
            }
            fs::write(root.join("built/Cargo.toml"), "").unwrap();
            let path = models.join("waves.safetensors");
            fs::write(&path, "").unwrap();
            fs::write(&program, "").unwrap();
            assert_eq!(find("waves", &program), Ok(file(path)));
        }
        // A folder of models that belongs to something else.
        fs::create_dir_all(root.join("home/models")).unwrap();
        fs::write(root.join("home/models/waves.safetensors"), "").unwrap();
        assert!(find("waves", &root.join("home/bin/live")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_plugin_may_be_a_link_to_what_was_built() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for folder in ["plugins", "built/models", "built/target/release"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let waves = root.join("built/models/waves.safetensors");
        for path in [
            &root.join("built/Cargo.toml"),
            &root.join("built/target/release/plugin.so"),
            &waves,
        ] {
            fs::write(path, "").unwrap();
        }
        let link = root.join("plugins/plugin.so");
        std::os::unix::fs::symlink("../built/target/release/plugin.so", &link).unwrap();
        assert_eq!(find("waves", &link), Ok(file(waves)));
    }

    /// Saves a file of these styles.
    fn save(path: &Path, names: &[&str]) {
        let architecture = Architecture {
            styles: names.len(),
            residual_blocks: 0,
            ..Architecture::with_width(1)
        };
        let mut model = Model::random(architecture, 1).unwrap();
        let style = |name: &&str| Style {
            name: (*name).into(),
            ..Style::default()
        };
        model.styles = names.iter().map(style).collect();
        model.save(path).unwrap();
    }

    #[test]
    fn names_of_styles_are_found_in_files_of_several() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("libgstfaststyle.so");
        let [atelier, other, broken, empty] = ["atelier", "z", "broken", "empty"]
            .map(|name| folder.path().join(format!("{name}.safetensors")));
        save(&atelier, &["clouds", "none"]);
        save(&other, &["clouds", "wave"]);
        let bytes = fs::read(&atelier).unwrap();
        fs::write(&broken, &bytes[..200]).unwrap();
        fs::write(&empty, "").unwrap();
        // The header is enough.
        fs::write(&atelier, &bytes[..bytes.len() - 1]).unwrap();

        for (name, path) in [("clouds", &atelier), ("none", &atelier), ("wave", &other)] {
            let found = find(name, &program).unwrap();
            let path = path.clone();
            let style = Some(name.into());
            assert_eq!(found, Found { path, style });
        }
        let error = find("cluods", &program).unwrap_err();
        for part in [
            "cluods.safetensors",
            "atelier.safetensors with clouds, none",
            "z.safetensors with clouds, wave",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("broken"), "{error}");
        // A file of that name comes first.
        let clouds = folder.path().join("clouds.safetensors");
        fs::write(&clouds, "").unwrap();
        assert_eq!(find("clouds", &program), Ok(file(clouds)));
    }

    #[test]
    fn the_list_has_what_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("models")).unwrap();
        save(&path("models/a.safetensors"), &["clouds"]);
        save(&path("b.safetensors"), &["dusk", "dawn"]);
        save(&path("models/b.safetensors"), &["hidden"]);
        fs::write(path("c.safetensors"), "").unwrap();
        let tensors = std::iter::empty::<(&str, safetensors::tensor::TensorView)>();
        let foreign = safetensors::serialize(tensors, None).unwrap();
        fs::write(path("d.safetensors"), foreign).unwrap();

        let library = Library {
            folders: vec![folder.path().into(), path("models")],
        };
        let list: Vec<_> = library
            .list()
            .into_iter()
            .map(|Entry { path, contents }| {
                let styles = contents.map(|contents| contents.styles);
                let names = styles.map(|styles| styles.into_iter().map(|s| s.name).collect());
                let names: Option<Vec<String>> = names.ok();
                (path, names)
            })
            .collect();
        let names = |names: &[&str]| Some(names.iter().map(|name| name.to_string()).collect());
        assert_eq!(
            list,
            [
                (path("b.safetensors"), names(&["dusk", "dawn"])),
                (path("c.safetensors"), None),
                (path("models/a.safetensors"), names(&["clouds"])),
            ]
        );
    }

    /// A picture or a checkpoint: the reader says what is wrong with it.
    #[test]
    fn a_file_that_is_no_model_is_that_file() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library {
            folders: vec![folder.path().into()],
        };
        // The tests run in the package's folder.
        assert_eq!(library.find("Cargo.toml"), Ok(file("Cargo.toml".into())));
        assert!(library.find("src").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn names_are_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"caf\xe9\x1b");
        let library = Library {
            folders: vec![folder.path().into()],
        };
        let error = library.find(name).unwrap_err().to_string();
        assert!(error.contains("caf\u{fffd}\\u{1b}.safetensors"), "{error}");
        let mut path = folder.path().join(name).into_os_string();
        path.push(".safetensors");
        fs::write(&path, "").unwrap();
        assert_eq!(library.find(name), Ok(file(path.into())));
    }
}
