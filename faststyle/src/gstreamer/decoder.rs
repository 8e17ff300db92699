//! The start of a pipeline: decoded video from a file, an address or a device.

use super::pipeline::Pipeline;
use super::{make, pad};
use anyhow::Result;
use gst::prelude::*;
use std::path::Path;

/// Streams beside video, which are not decoded.
const OTHERS: &[&str] = &[
    "audio/",
    "text/",
    "subpicture/",
    "closedcaption/",
    "application/x-ass",
    "application/x-ssa",
];

/// Leads the video of a file into `head`.
///
/// # Errors
/// An element is missing.
pub fn file(pipeline: &Pipeline, path: &Path, head: &gst::Element) -> Result<()> {
    let source = make("filesrc")?;
    source.set_property("location", path);
    element(pipeline, source, head)
}

/// Leads the video that the element `source` delivers, encoded or not, into `head`.
///
/// # Errors
/// An element is missing.
pub fn element(pipeline: &Pipeline, source: gst::Element, head: &gst::Element) -> Result<()> {
    let decoder = make("decodebin")?;
    pipeline.chain(&[source, decoder.clone()])?;
    link_video(&decoder, head)
}

/// Leads the video at an address into `head`.
///
/// # Errors
/// An element is missing.
pub fn address(pipeline: &Pipeline, uri: &str, head: &gst::Element) -> Result<()> {
    let decoder = make("uridecodebin")?;
    decoder.set_property("uri", uri);
    pipeline.chain(std::slice::from_ref(&decoder))?;
    link_video(&decoder, head)
}

/// Links the first stream of frames to `head`, when it is there.
fn link_video(decoder: &gst::Element, head: &gst::Element) -> Result<()> {
    decoder.connect("autoplug-continue", false, |values| {
        let caps = values.get(2)?.get::<gst::Caps>().ok();
        let name = caps.and_then(|caps| Some(caps.structure(0)?.name().to_string()));
        let other = name.is_some_and(|name| OTHERS.iter().any(|other| name.starts_with(other)));
        Some((!other).to_value())
    });
    let sink = pad(head, "sink")?;
    decoder.connect_pad_added(move |decoder, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).map(|caps| caps.name().to_string());
        if name.as_deref() != Some("video/x-raw") || sink.is_linked() {
            return;
        }
        if let Err(error) = pad.link(&sink) {
            gst::element_error!(decoder, gst::CoreError::Pad, ("{error}"));
        }
    });
    Ok(())
}
