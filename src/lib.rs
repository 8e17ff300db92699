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

#[cfg(feature = "gst")]
pub mod element;
pub mod engine;
pub mod network;
pub mod ops;

#[cfg(feature = "gst")]
use element::register as plugin_init;

#[cfg(feature = "gst")]
gst::plugin_define!(
    faststyle,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MPL-2.0",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("BUILD_REL_DATE")
);
