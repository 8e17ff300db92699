//! The clip that is shown where there is no camera.

use anyhow::{Result, bail};
use gst::glib;
use std::path::PathBuf;

/// Its name in the folder `faststyle` of data folders.
const NAME: &str = "big_buck_bunny.mp4";

/// The clip, installed or in the repository.
///
/// # Errors
/// It is in neither.
pub fn find() -> Result<PathBuf> {
    let places = places();
    match places.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => {
            let places: Vec<_> = places
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            bail!(
                "no demo clip in {}: name a film with --input",
                places.join(", ")
            )
        }
    }
}

fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    // PREFIX/bin/faststyle, whatever the prefix.
    if let Ok(program) = std::env::current_exe()
        && let Some(prefix) = program.parent().and_then(|bin| bin.parent())
    {
        places.push(prefix.join("share/faststyle").join(NAME));
    }
    let data = [glib::user_data_dir()]
        .into_iter()
        .chain(glib::system_data_dirs());
    places.extend(data.map(|folder| folder.join("faststyle").join(NAME)));
    places.push(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/media/").into());
    if let Some(repository) = places.last_mut() {
        repository.push(NAME);
    }
    places
}
