//! The example programs do what they say, on tiny pictures and without windows.
#![cfg(feature = "gst")]

mod common;
mod live;
mod others;
mod recordings;
