//! The engine's errors as Python's exceptions.

use gstfaststyle::internals::engine::error_chain;
use gstfaststyle::{EngineError, ModelError};
use pyo3::PyErr;
use pyo3::exceptions::{
    PyFileNotFoundError, PyMemoryError, PyOSError, PyRuntimeError, PyValueError,
};
use std::io::ErrorKind;

/// The exception for an error, with the messages of its causes.
pub fn exception(error: EngineError) -> PyErr {
    let text = error_chain(&error);
    match error {
        EngineError::Model(ModelError::Read { source, .. }) => match source.kind() {
            ErrorKind::NotFound => PyFileNotFoundError::new_err(text),
            _ => PyOSError::new_err(text),
        },
        EngineError::Model(_) | EngineError::NoStyle { .. } | EngineError::Frame(_) => {
            PyValueError::new_err(text)
        }
        EngineError::OutOfMemory { .. } => PyMemoryError::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}
