//! What can go wrong while repainting.

use thiserror::Error;

/// Why a picture could not be repainted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The device that was asked for is not there or not usable.
    #[error("device {device}: {reason}")]
    Device { device: String, reason: String },

    /// The network failed on the device, for want of memory for example.
    #[error("running the network: {0}")]
    Candle(#[from] candle_core::Error),
}
