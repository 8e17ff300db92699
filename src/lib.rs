//! Fast neural style transfer for video.
//!
//! The crate is built in layers, each knowing only the ones below it:
//!
//! * [`element`]: the GStreamer element `faststyle` (feature `gst`),
//! * [`engine`]: video frames in, styled video frames out, on a CPU or a GPU,
//! * [`network`]: the style network and its model file,
//! * [`ops`]: the operations of the network, fast and differentiable.
//!
//! ```no_run
//! use gstfaststyle::network::{Model, Network};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::load("models/scream.safetensors")?;
//! let network = Network::from_model(&model, &candle_core::Device::Cpu)?;
//! # Ok(()) }
//! ```

#![deny(missing_docs)]

#[cfg(feature = "gst")]
pub mod element;
pub mod engine;
pub mod network;
pub mod ops;

#[cfg(feature = "gst")]
mod plugin;
#[cfg(feature = "gst")]
pub use plugin::plugin_register_static;
