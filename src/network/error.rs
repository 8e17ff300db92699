//! What can be wrong with a model file.

use super::printable::{printable, printable_path};
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a model file could not be read or written. Every message names the file;
/// what the system or Candle reported is the error's source, not in the message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is missing or unreadable.
    #[error("{}: cannot be read", printable_path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },

    /// The file cannot be written.
    #[error("{}: cannot be written", printable_path(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },

    /// The file is larger than any model.
    #[error(
        "{}: {bytes} bytes are more than any model has ({limit})",
        printable_path(path)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most bytes that a model file may have.
        limit: u64,
    },

    /// The file ends before the data that its header announces.
    #[error("{}: truncated: {}", printable_path(path), printable(reason))]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What is cut off.
        reason: String,
    },

    /// The file is something else altogether.
    #[error(
        "{}: not a safetensors file: {}",
        printable_path(path),
        printable(reason)
    )]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What the reader found instead.
        reason: String,
    },

    /// A safetensors file, but not one of ours.
    #[error(
        "{}: a safetensors file, but not a faststyle model (no metadata `format` = `faststyle`)",
        printable_path(path)
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },

    /// Written by a later version of faststyle.
    #[error(
        "{}: model format {found}, but this version reads up to {supported}; update faststyle",
        printable_path(path)
    )]
    FutureVersion {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u64,
        /// The latest version that this build reads.
        supported: u64,
    },

    /// The metadata cannot be understood.
    #[error("{}: metadata `{key}`: {}", printable_path(path), printable(reason))]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key in the metadata.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },

    /// The architecture has sizes that no network has.
    #[error("{}: architecture: {}", printable_path(path), printable(reason))]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// A tensor that the architecture needs is not there.
    #[error("{}: tensor `{}` is missing", printable_path(path), printable(tensor))]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// A tensor that the architecture does not know.
    #[error("{}: unexpected tensor `{}`", printable_path(path), printable(tensor))]
    ExtraTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// A tensor of another shape than the architecture's.
    #[error(
        "{}: tensor `{}` has shape {found:?}, expected {expected:?}",
        printable_path(path),
        printable(tensor)
    )]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The tensor's shape.
        found: Vec<usize>,
        /// The shape that the architecture needs.
        expected: Vec<usize>,
    },

    /// A tensor of numbers other than `F32` or `F16`.
    #[error(
        "{}: tensor `{}` is of type {found}, expected F32 or F16",
        printable_path(path),
        printable(tensor)
    )]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The tensor's type.
        found: String,
    },

    /// A weight that is NaN or infinite.
    #[error(
        "{}: tensor `{}` holds a number that is not finite",
        printable_path(path),
        printable(tensor)
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// Candle could not make or read a tensor.
    #[error("{}: Candle cannot make or read a tensor", printable_path(path))]
    Tensor {
        /// The file.
        path: PathBuf,
        /// What Candle reported.
        source: candle_core::Error,
    },
}
