//! What can go wrong while repainting.

use super::frame::FrameError;
use crate::network::ModelError;
use crate::ops::Size;
use thiserror::Error;

/// Why a picture could not be repainted.
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

    /// The system has no threads left.
    #[error("starting {count} threads: {reason}")]
    Threads {
        /// Number of threads requested.
        count: usize,
        /// What the system reported.
        reason: String,
    },

    /// The network failed on the device, for want of memory for example.
    #[error("running the network: {0}")]
    Candle(#[from] candle_core::Error),
}
