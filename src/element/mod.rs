//! The GStreamer element `faststyle`.
