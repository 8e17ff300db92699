//! What can go wrong while repainting.

use super::frame::FrameError;
use crate::network::{ModelError, PaintingError};
use crate::ops::Size;
use std::error::Error as StdError;
use std::iter;
use thiserror::Error;

/// Why a picture could not be repainted. A message leaves out the causes that are
/// the error's sources.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The device that was asked for is not there or not usable.
    #[error("device {device}: {reason}")]
    Device {
        /// The device that was requested.
        device: String,
        /// What the system reported.
        reason: String,
    },

    /// There is no model to run.
    #[error(transparent)]
    Model(#[from] ModelError),

    /// There is no painting in a file.
    #[error(transparent)]
    Painting(#[from] PaintingError),

    /// A model that is to paint in the style of a picture has not learned that.
    #[error("the model paints in its own styles only, not in that of any picture")]
    OwnStylesOnly,

    /// The picture is empty, or its data does not have the size it claims.
    #[error("a picture of {size} with {numbers} numbers")]
    Picture {
        /// The size it claims.
        size: Size,
        /// Numbers it has.
        numbers: usize,
    },

    /// There is not enough memory for a picture of this size.
    #[error(
        "out of memory: {needed_mib} MiB needed for a picture of this size, {available_mib} available"
    )]
    OutOfMemory {
        /// MiB that the work needs.
        needed_mib: usize,
        /// MiB that are free.
        available_mib: usize,
    },

    /// Frames do not match.
    #[error(transparent)]
    Frame(#[from] FrameError),

    /// Not even in the smallest tiles can a picture be painted within the limit.
    #[error(
        "{limit_mib} MiB of memory are too little: the smallest part of a picture needs {needed_mib}"
    )]
    MemoryLimit {
        /// MiB that were allowed.
        limit_mib: usize,
        /// MiB that the work needs.
        needed_mib: usize,
    },

    /// A picture cannot be painted within the limit, and not in tiles either.
    #[error(
        "{limit_mib} MiB of memory are too little: the picture needs {needed_mib}, and networks with \
         zeros at borders or transposed convolutions paint it in one piece"
    )]
    NoTiles {
        /// MiB that were allowed.
        limit_mib: usize,
        /// MiB that the work needs.
        needed_mib: usize,
    },

    /// A part of a picture cannot be painted before the whole is known.
    #[error("the statistics of the whole picture are not complete")]
    Statistics,

    /// A mix of styles with one that the model lacks.
    #[error("there is no style {style} in a model of {styles}, which count from 0")]
    NoStyle {
        /// The style's place in the list.
        style: usize,
        /// How many styles the model has.
        styles: usize,
    },

    /// The system has no threads left.
    #[error("starting {count} threads: {reason}")]
    Threads {
        /// Number of threads requested.
        count: usize,
        /// What the system reported.
        reason: String,
    },

    /// The network failed on the device, for want of memory for example.
    #[error("running the network failed")]
    Candle(#[from] candle_core::Error),
}

/// The message of `error` followed by those of its causes.
pub fn error_chain(error: &dyn StdError) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_chain_names_each_cause_once() {
        let error = EngineError::from(ModelError::Read {
            path: "some/file".into(),
            source: io::Error::other("the disk is gone"),
        });
        assert_eq!(error.to_string(), "some/file: cannot be read");
        let chain = "some/file: cannot be read: the disk is gone";
        assert_eq!(error_chain(&error), chain);
        let error = EngineError::from(candle_core::Error::Msg("no memory".into()));
        assert_eq!(error_chain(&error), "running the network failed: no memory");
    }
}
