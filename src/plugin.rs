//! What GStreamer looks for in a plugin's library: its description and entry point.

// The macro's functions carry no documentation.
#![allow(missing_docs)]

use crate::element::register as plugin_init;

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
