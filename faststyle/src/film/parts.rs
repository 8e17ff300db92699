//! Segments painted elsewhere: what there is to paint, and one segment into one file.
//!
//! Whoever has all segments puts them where [`list`] says, and paints the film: nothing
//! is left but to join them.

use super::codec::Encoder;
use super::encode::SegmentEncoder;
use super::job::Job;
use super::packets::Writer;
use super::reader::{Next, Reader};
use super::segment::Plan;
use super::source::Source;
use crate::look::Look;
use crate::messages::print;
use crate::outcome::Outcome;
use anyhow::{Result, ensure};
use gst::ClockTime;
use serde_json::json;
use std::path::PathBuf;

/// Prints the film's segments as JSON: number, begin and end in nanoseconds, the file it
/// belongs into, and whether that is there.
///
/// # Errors
/// Those of the film and of the system; a length that is not known.
pub fn list(source: &Source, plan: Plan, job: &Job) -> Result<Outcome> {
    let length = source.duration;
    ensure!(
        length > ClockTime::ZERO,
        "{}: its length is not known",
        source.path.display()
    );
    let end = plan.to.map_or(length, |to| to.min(length));
    let count = plan.index(end.saturating_sub(ClockTime::NSECOND)) as usize + 1;
    let segments = (0..count).map(|index| {
        let segment = plan.segment(index);
        json!({
            "index": index,
            "start": segment.start.nseconds(),
            "end": segment.end.min(end).nseconds(),
            "file": job.segment(index),
            "done": job.has(index),
        })
    });
    print(json!({ "segments": segments.collect::<Vec<_>>() }));
    Ok(Outcome::Finished)
}

/// Paints the segment number `index` into `file`, and prints as JSON how many frames it has,
/// and the times in nanoseconds of its last frame and of the one before its first: they tell
/// whether neighbours fit.
///
/// # Errors
/// Those of the film, of elements and of the system.
pub fn paint(
    source: &Source,
    look: &Look,
    frames: &gst::Caps,
    encoder: &Encoder,
    plan: Plan,
    (index, file): &(usize, PathBuf),
) -> Result<Outcome> {
    let segment = plan.segment(*index);
    let reader = Reader::open(source, look, frames, plan, segment, &[])?;
    let (mut painted, mut count, mut end) = (None, 0, None);
    let last = loop {
        let frame = match reader.next()? {
            Next::Interrupted => return Ok(Outcome::Interrupted),
            Next::End => break true,
            Next::Frame(frame) => frame,
        };
        if plan.is_over(frame.time) || frame.time >= segment.end {
            break plan.is_over(frame.time);
        }
        (count, end) = (count + 1, end.max(Some(frame.time)));
        let painted = match &mut painted {
            Some(painted) => painted,
            None => painted.insert(SegmentEncoder::start(encoder, plan.from, file.into())?),
        };
        painted.push(frame)?;
    };
    match painted {
        Some(painted) => painted.finish(last)?,
        None => Writer::create(file.into())?.finish(last)?,
    }
    let before = reader.last_skipped();
    print(json!({
        "frames": count,
        "before": before.map(ClockTime::nseconds),
        "end": end.map(ClockTime::nseconds),
    }));
    Ok(Outcome::Finished)
}
