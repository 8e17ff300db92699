//! The start of a pipeline: decoded video from a file, an address or a device.

use super::pipeline::Pipeline;
use super::{make, pad};
use anyhow::Result;
use gst::prelude::*;
use std::path::Path;

/// Streams beside video and sound, which are not decoded.
const OTHERS: &[&str] = &[
    "text/",
    "subpicture/",
    "closedcaption/",
    "application/x-ass",
    "application/x-ssa",
];

/// Leads the video of a file into `head`, and the sound into `sound`.
///
/// # Errors
/// An element is missing.
pub fn file(
    pipeline: &Pipeline,
    path: &Path,
    head: &gst::Element,
    sound: Option<&gst::Element>,
) -> Result<()> {
    let source = make("filesrc")?;
    source.set_property("location", path);
    let decoder = make("decodebin")?;
    pipeline.chain(&[source, decoder.clone()])?;
    link(&decoder, head, sound)
}

/// Leads the video that the element `source` delivers, encoded or not, into `head`.
///
/// # Errors
/// An element is missing.
pub fn element(pipeline: &Pipeline, source: gst::Element, head: &gst::Element) -> Result<()> {
    let decoder = make("decodebin")?;
    pipeline.chain(&[source, decoder.clone()])?;
    link(&decoder, head, None)
}

/// Leads the video at an address into `head`, and the sound into `sound`.
///
/// # Errors
/// An element is missing.
pub fn address(
    pipeline: &Pipeline,
    uri: &str,
    head: &gst::Element,
    sound: Option<&gst::Element>,
) -> Result<()> {
    let decoder = make("uridecodebin")?;
    decoder.set_property("uri", uri);
    pipeline.chain(std::slice::from_ref(&decoder))?;
    link(&decoder, head, sound)
}

/// Links the first stream of frames to `head`, and the first of sound to `sound`, when they
/// are there.
fn link(decoder: &gst::Element, head: &gst::Element, sound: Option<&gst::Element>) -> Result<()> {
    let deaf = sound.is_none();
    decoder.connect("autoplug-continue", false, move |values| {
        let caps = values.get(2)?.get::<gst::Caps>().ok();
        let name = caps.and_then(|caps| Some(caps.structure(0)?.name().to_string()));
        let other = name.is_some_and(|name| {
            OTHERS.iter().any(|other| name.starts_with(other))
                || (deaf && name.starts_with("audio/"))
        });
        Some((!other).to_value())
    });
    let frames = pad(head, "sink")?;
    let sound = sound.map(|sound| pad(sound, "sink")).transpose()?;
    decoder.connect_pad_added(move |decoder, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).map(|caps| caps.name().to_string());
        let sink = match name.as_deref() {
            Some("video/x-raw") => Some(&frames),
            Some("audio/x-raw") => sound.as_ref(),
            _ => None,
        };
        if let Some(sink) = sink.filter(|sink| !sink.is_linked())
            && let Err(error) = pad.link(sink)
        {
            gst::element_error!(decoder, gst::CoreError::Pad, ("{error}"));
        }
    });
    Ok(())
}
