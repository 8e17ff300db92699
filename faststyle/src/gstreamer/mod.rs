//! GStreamer with this project's element: start, elements, pipelines, errors.

pub mod cameras;
pub mod decoder;
pub mod packages;
pub mod pipeline;

use anyhow::{Context, Result, bail};
use gst::ClockTime;
use gst::prelude::*;

/// Starts GStreamer and registers the element `faststyle` of this program, which
/// goes before an installed plugin's.
///
/// # Errors
/// GStreamer cannot be started.
pub fn init() -> Result<()> {
    gst::init().context("GStreamer does not start")?;
    gstfaststyle::plugin_register_static().context("GStreamer does not accept the element")
}

/// Whether there is an element of this kind.
pub fn have(element: &str) -> bool {
    gst::ElementFactory::find(element).is_some()
}

/// An element of the kind `name`.
///
/// # Errors
/// There is none; the message names its package.
pub fn make(name: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(name)
        .build()
        .with_context(|| packages::missing(name))
}

/// The first of the descriptions whose first element is installed.
///
/// # Errors
/// There is none; the message names the package of the last.
pub fn first(lines: &'static [&'static str]) -> Result<&'static str> {
    let names = || lines.iter().filter_map(|line| line.split(' ').next());
    match names().position(have) {
        Some(place) => Ok(lines[place]),
        None => bail!(
            "{}",
            packages::missing(names().next_back().unwrap_or_default())
        ),
    }
}

/// The elements of a description as for `gst-launch-1.0`, as one with ghost pads. Caps stand
/// between elements; first or last, they want a `capsfilter`.
///
/// # Errors
/// An element that is not there; the message names its package.
pub fn bin(line: &str) -> Result<gst::Bin> {
    for element in line.split(" ! ").filter_map(|part| part.split(' ').next()) {
        // Not a caps filter.
        if !element.contains('/') {
            make(element)?;
        }
    }
    gst::parse::bin_from_description(line, true).with_context(|| line.to_owned())
}

/// A buffer's time from the beginning of its stream.
pub fn stream_time(segment: &gst::Segment, time: Option<ClockTime>) -> Option<ClockTime> {
    let segment = segment.downcast_ref::<ClockTime>()?;
    segment.to_stream_time(time?)
}

/// The pad `name` of `element`, which always has it.
///
/// # Errors
/// It has not.
pub fn pad(element: &impl IsA<gst::Element>, name: &str) -> Result<gst::Pad> {
    element
        .static_pad(name)
        .with_context(|| format!("{} has no pad {name}", element.as_ref().name()))
}
