//! What can be wrong with a model file.

use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a model file could not be read or written. Every message names the file;
/// what the system or Candle reported is the error's source, not in the message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is missing or unreadable.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },

    /// The file cannot be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },

    /// The file is larger than any model.
    #[error("{}: {bytes} bytes are more than any model has ({limit})", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most bytes that a model file may have.
        limit: u64,
    },

    /// The file ends before the data that its header announces.
    #[error("{}: truncated: {reason}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What is cut off.
        reason: String,
    },

    /// The file is something else altogether.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What the reader found instead.
        reason: String,
    },

    /// A safetensors file, but not one of ours.
    #[error("{}: a safetensors file, but not a faststyle model (no metadata `format` = `faststyle`)", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },

    /// Written by a later version of faststyle.
    #[error("{}: model format {found}, but this version reads up to {supported}; update faststyle", path.display())]
    FutureVersion {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u64,
        /// The latest version that this build reads.
        supported: u64,
    },

    /// The metadata cannot be understood.
    #[error("{}: metadata `{key}`: {reason}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key in the metadata.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },

    /// The architecture has sizes that no network has.
    #[error("{}: architecture: {reason}", path.display())]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// A tensor that the architecture needs is not there.
    #[error("{}: tensor `{tensor}` is missing", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// A tensor that the architecture does not know.
    #[error("{}: unexpected tensor `{tensor}`", path.display())]
    ExtraTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// A tensor of another shape than the architecture's.
    #[error("{}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", path.display())]
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
    #[error("{}: tensor `{tensor}` is of type {found}, expected F32 or F16", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The tensor's type.
        found: String,
    },

    /// A weight that is NaN or infinite.
    #[error("{}: tensor `{tensor}` holds a number that is not finite", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// Candle could not make or read a tensor.
    #[error("{}: Candle cannot make or read a tensor", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// What Candle reported.
        source: candle_core::Error,
    },
}
