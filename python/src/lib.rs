//! Python module `faststyle._engine`: paints NumPy arrays with the engine, without
//! GStreamer. What people import is the package `faststyle` around it.

// Without it the workspace needs no PyO3.
#![cfg(feature = "extension")]

mod errors;
mod frame;
mod painter;

use gstfaststyle::internals::network::Library;
use pyo3::prelude::*;

#[pymodule]
mod _engine {
    #[pymodule_export]
    use super::{painter::Painter, styles};

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

/// Names of the installed styles, each of which `Painter` takes for a model.
#[pyfunction]
fn styles(py: Python<'_>) -> PyResult<Vec<String>> {
    let library = library(py)?;
    Ok(py.detach(|| names(&library)))
}

/// The names of all styles: those of a file's styles if it has several, else the file's.
fn names(library: &Library) -> Vec<String> {
    let entries = library.list().into_iter();
    let entries = entries.filter_map(|entry| Some((entry.path, entry.contents.ok()?)));
    let names = entries.flat_map(|(path, contents)| match contents.styles.len() {
        0 | 1 => Vec::from_iter(path.file_stem().map(|stem| stem.to_string_lossy().into())),
        _ => contents
            .styles
            .into_iter()
            .map(|style| style.name)
            .collect(),
    });
    names.collect()
}

/// The models that this module finds: those beside it are part of the wheel.
fn library(py: Python<'_>) -> PyResult<Library> {
    let file: String = py.import("faststyle._engine")?.filename()?.extract()?;
    Ok(Library::beside(Some(file.as_ref())))
}
