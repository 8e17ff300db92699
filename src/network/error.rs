//! What can be wrong with a model file.

use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a model file could not be read or written. Every message names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is missing, unreadable or cannot be written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },

    /// The file is larger than any model.
    #[error("{}: {bytes} bytes are more than any model has ({limit})", path.display())]
    TooLarge {
        path: PathBuf,
        bytes: u64,
        limit: u64,
    },

    /// The file ends before the data that its header announces.
    #[error("{}: truncated: {reason}", path.display())]
    Truncated { path: PathBuf, reason: String },

    /// The file is something else altogether.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    NotSafetensors { path: PathBuf, reason: String },

    /// A safetensors file, but not one of ours.
    #[error("{}: a safetensors file, but not a faststyle model (no metadata `format` = `faststyle`)", path.display())]
    Foreign { path: PathBuf },

    /// Written by a later version of faststyle.
    #[error("{}: model format {found}, but this version reads up to {supported}; update faststyle", path.display())]
    FutureVersion {
        path: PathBuf,
        found: u64,
        supported: u64,
    },

    /// The metadata cannot be understood.
    #[error("{}: metadata `{key}`: {reason}", path.display())]
    Metadata {
        path: PathBuf,
        key: &'static str,
        reason: String,
    },

    /// The architecture has sizes that no network has.
    #[error("{}: architecture: {reason}", path.display())]
    Architecture { path: PathBuf, reason: String },

    /// A tensor that the architecture needs is not there.
    #[error("{}: tensor `{tensor}` is missing", path.display())]
    MissingTensor { path: PathBuf, tensor: String },

    /// A tensor that the architecture does not know.
    #[error("{}: unexpected tensor `{tensor}`", path.display())]
    ExtraTensor { path: PathBuf, tensor: String },

    /// A tensor of another shape than the architecture's.
    #[error("{}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", path.display())]
    WrongShape {
        path: PathBuf,
        tensor: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },

    /// A tensor of numbers other than `F32` or `F16`.
    #[error("{}: tensor `{tensor}` is of type {found}, expected F32 or F16", path.display())]
    WrongType {
        path: PathBuf,
        tensor: String,
        found: String,
    },

    /// A weight that is NaN or infinite.
    #[error("{}: tensor `{tensor}` holds a number that is not finite", path.display())]
    NotFinite { path: PathBuf, tensor: String },

    /// Candle could not make or read a tensor.
    #[error("{}: {source}", path.display())]
    Tensor {
        path: PathBuf,
        source: candle_core::Error,
    },
}
