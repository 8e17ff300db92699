//! Fast neural style transfer for video.
//!
//! A [`Model`] holds a trained style network, [`Prepared`] its weights packed for a
//! device. A [`Painter`] paints video [`Frame`]s with it, in any [`Format`] and
//! without GStreamer:
//!
//! ```
//! use gstfaststyle::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::load("models/scream.safetensors")?;
//! let mut painter = Painter::new(Threads::new(0)?);
//! painter.set_model(Some(Prepared::new(&model, Options::default())?.into()));
//!
//! let (format, colorimetry) = (Format::Rgb, Colorimetry::SRGB);
//! let (width, height, stride) = (64, 48, 64 * 3);
//! let info = FrameInfo { format, width, height, colorimetry };
//! let photo: Vec<u8> = (0..height * stride).map(|i| i as u8).collect();
//! let mut painting = vec![0; photo.len()];
//! let input = Frame::new(info, [Plane { data: &photo, stride }])?;
//! let mut output = FrameMut::new(info, [PlaneMut { data: &mut painting, stride }])?;
//! painter.paint(&input, &mut output, info.size(), Blend::default())?;
//! # assert!(painting != photo);
//! # Ok(()) }
//! ```
//!
//! An [`Engine`] paints planar RGB [`Image`]s instead, in tiles where a picture is
//! large. [`Network`] is the same network in plain, differentiable Candle
//! operations. With feature `gst`, on by default, the crate is also the GStreamer
//! plugin: an application that links it registers the element by
//! [`plugin_register_static`].
//!
//! Inside, the crate is built in layers, each knowing only those below it:
//! `element` -> `engine` -> `network` -> `ops`.

#![deny(missing_docs)]

#[cfg(feature = "gst")]
mod element;
mod engine;
mod network;
mod ops;
#[cfg(feature = "gst")]
mod plugin;

pub use engine::frame::{
    ColorFamily, ColorRange, Colorimetry, Format, Frame, FrameError, FrameInfo, FrameMut, Plane,
    PlaneMut,
};
pub use engine::{
    Area, Blend, Canvas, DeviceChoice, Engine, EngineError, FrameTimings, Image, Options, Painter,
    Precision, Prepared, Threads,
};
pub use network::{
    Architecture, Model, ModelError, Network, OutputMap, Padding, Style, StyleMix, Upsampling,
};
pub use ops::Size;
#[cfg(feature = "gst")]
pub use plugin::plugin_register_static;

/// The layers themselves, for this workspace's trainer, tests and benchmarks.
///
/// Nothing here is part of the crate's interface: any release may change it.
#[doc(hidden)]
pub mod internals {
    #[cfg(feature = "gst")]
    pub mod element {
        pub use crate::element::*;
    }
    pub mod engine {
        pub use crate::engine::*;
    }
    pub mod network {
        pub use crate::network::*;
    }
    pub mod ops {
        pub use crate::ops::*;
    }
}
