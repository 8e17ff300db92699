//! The element `faststyle` in harnesses and pipelines.
#![cfg(feature = "gst")]

mod arithmetic;
mod common;
mod crop;
mod errors;
mod frames;
mod key_frames;
mod layout;
mod negotiation;
mod robust;
mod scale;
mod smoothing;
mod statistics;
mod strength;
mod style_image;
mod styles;
mod swap;
mod texts;
