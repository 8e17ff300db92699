//! Joins files of packets into a film file.

use super::chapters;
use super::codec::Codec;
use super::container::{Container, Kind};
use super::packets::{self, Packet, Reader, Record, Summary};
use super::tracks::Tracks;
use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{make, pad};
use crate::stop;
use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst::{ClockTime, PadProbeReturn, PadProbeType};
use gst_app::AppSrc;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// What is added to all times: some are before the film's beginning, and GStreamer
/// has no negative ones.
const EARLIER: ClockTime = ClockTime::from_seconds(3600);

/// So many bytes of a stream wait for the muxer.
const WAITING: u64 = 8 << 20;

/// Writes the film `output`: the segments of `video`, in order, and the tracks in
/// `folder`. Returns whether it was finished before a request to end.
///
/// # Errors
/// Those of the system and of elements; no frames.
pub fn write(
    output: &Path,
    container: Container,
    codec: Codec,
    video: &[Summary],
    tracks: &Tracks,
    folder: &Path,
) -> Result<bool> {
    let pipeline = Pipeline::new();
    let (muxer, sink) = (container.muxer()?, make("filesink")?);
    sink.set_property("location", output);
    pipeline.chain(&[muxer.clone(), sink])?;
    if let Some(setter) = muxer.dynamic_cast_ref::<gst::TagSetter>() {
        let tags = packets::tags(&tracks.tags)?;
        setter.merge_tags(&tags, gst::TagMergeMode::Replace);
    }
    if let Some(setter) = muxer.dynamic_cast_ref::<gst::TocSetter>() {
        setter.set_toc(chapters::toc(&tracks.chapters).as_ref());
    }
    let mut streams = vec![Stream::video(video)?];
    for track in &tracks.tracks {
        // One without a packet has no caps to tell the muxer.
        streams.extend(Stream::track(track.kind, &folder.join(&track.file))?);
    }
    let mut feeders = Vec::new();
    for stream in streams {
        let parser = (stream.kind == Kind::Video)
            .then(|| codec.parser())
            .flatten();
        let source = stream.connect(&pipeline, &muxer, parser)?;
        feeders.push((stream, source));
    }
    let described = feeders.iter().map(|(stream, source)| {
        let pad = pad(source, "src")?;
        Ok((pad, stream.tags.clone()))
    });
    begin_together(&described.collect::<Result<Vec<_>>>()?);
    pipeline.play()?;
    let feeders: Vec<_> = feeders
        .into_iter()
        .map(|(stream, source)| stream.feed(source))
        .collect();
    let waited = pipeline.wait(|| match stop::requested() {
        true => bail!("interrupted"),
        false => Ok(()),
    });
    // Ends the feeders, too.
    drop(pipeline);
    let fed = feeders.into_iter().map(|feeder| feeder.join());
    let fed = fed.map(|fed| fed.unwrap_or_else(|_| bail!("a thread has failed")));
    let fed = fed.collect::<Result<Vec<_>>>();
    if stop::requested() {
        return Ok(false);
    }
    waited?;
    fed?;
    Ok(true)
}

/// A stream of the output.
struct Stream {
    kind: Kind,
    files: Vec<PathBuf>,
    caps: gst::Caps,
    tags: Option<gst::TagList>,
    /// When packets are decoded, where that is not when they are shown.
    decoding: Option<Decoding>,
}

impl Stream {
    fn video(segments: &[Summary]) -> Result<Self> {
        let times = segments.iter().flat_map(|part| part.times.iter().copied());
        let times: Vec<_> = times.collect();
        let end = segments.iter().map(|part| part.end).max();
        let caps = segments.iter().find_map(|part| part.caps.clone());
        Ok(Stream {
            kind: Kind::Video,
            files: segments.iter().map(|part| part.path.clone()).collect(),
            caps: for_muxer(caps.context("there is no frame in this part of the film")?),
            tags: None,
            decoding: Some(Decoding::new(&times, end.unwrap_or_default())),
        })
    }

    fn track(kind: Kind, file: &Path) -> Result<Option<Self>> {
        let summary = packets::summary(file)?;
        Ok(summary.caps.map(|caps| Stream {
            kind,
            files: vec![file.to_path_buf()],
            caps,
            tags: summary.tags,
            decoding: None,
        }))
    }

    fn connect(
        &self,
        pipeline: &Pipeline,
        muxer: &gst::Element,
        parser: Option<&str>,
    ) -> Result<AppSrc> {
        let source = AppSrc::builder()
            .caps(&self.caps)
            .format(gst::Format::Time)
            .handle_segment_change(true)
            .block(true)
            .max_bytes(WAITING)
            .build();
        let mut chain = vec![source.clone().upcast()];
        if let Some(parser) = parser {
            chain.push(make(parser)?);
        }
        pipeline.chain(&chain)?;
        let last = &chain[chain.len() - 1];
        let input = muxer.request_pad_simple(self.kind.template());
        let input = input.context("the container takes no more streams")?;
        let last = pad(last, "src")?;
        if let Some(decoding) = &self.decoding {
            decoding.set_last_duration(&last);
        }
        last.link(&input)?;
        Ok(source)
    }

    /// Gives the packets to the muxer, in a thread.
    fn feed(self, source: AppSrc) -> JoinHandle<Result<()>> {
        thread::spawn(move || self.feed_all(&source))
    }

    fn feed_all(mut self, source: &AppSrc) -> Result<()> {
        let mut segment = gst::FormattedSegment::<ClockTime>::new();
        segment.set_start(EARLIER);
        let mut caps = self.caps.clone();
        for file in &self.files {
            let mut reader = Reader::open(file)?;
            loop {
                match reader.next()? {
                    Record::Caps(now) => caps = for_muxer(now),
                    Record::Tags(_) => (),
                    Record::End { .. } => break,
                    Record::Packet(packet) => {
                        let buffer = buffer(packet, self.decoding.as_mut());
                        let sample = gst::Sample::builder()
                            .buffer(&buffer)
                            .caps(&caps)
                            .segment(&segment)
                            .build();
                        if source.push_sample(&sample).is_err() {
                            // The pipeline says why.
                            return Ok(());
                        }
                    }
                }
            }
        }
        let _ = source.end_of_stream();
        Ok(())
    }
}

/// The caps as muxers call them: Matroska's asks for FFV1 by another field than the
/// encoder sets.
fn for_muxer(mut caps: gst::Caps) -> gst::Caps {
    let caps_mut = caps.make_mut();
    if let Some(structure) = caps_mut.structure_mut(0)
        && structure.name() == "video/x-ffv"
    {
        structure.set("ffversion", 1);
    }
    caps
}

/// A buffer with the packet's data.
fn buffer(packet: Packet, decoding: Option<&mut Decoding>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(packet.data);
    let new = buffer.make_mut();
    let shown = packet.time.map(|time| time + EARLIER);
    new.set_pts(shown);
    new.set_dts(match decoding {
        Some(decoding) => decoding.times.next(),
        None => shown,
    });
    new.set_duration(packet.duration);
    new.set_flags(packet.flags);
    buffer
}

/// Holds each stream's first packet until the tags of all have been sent: a muxer writes
/// its header with the first packets, and does not wait for all subtitles.
fn begin_together(streams: &[(gst::Pad, Option<gst::TagList>)]) {
    let held = Arc::new(Mutex::new(Vec::new()));
    let all = streams.len();
    for (pad, tags) in streams {
        let (held, tags) = (held.clone(), tags.clone());
        pad.add_probe(
            PadProbeType::BLOCK | PadProbeType::BUFFER,
            move |pad, info| {
                send_tags(pad, tags.as_ref());
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                held.extend(info.id.take().map(|id| (pad.clone(), id)));
                if held.len() == all {
                    held.drain(..).for_each(|(pad, id)| pad.remove_probe(id));
                }
                PadProbeReturn::Ok
            },
        );
    }
}

fn send_tags(pad: &gst::Pad, tags: Option<&gst::TagList>) {
    if let Some(tags) = tags.filter(|tags| tags.n_tags() > 0) {
        let mut tags = tags.clone();
        tags.make_mut().set_scope(gst::TagScope::Stream);
        pad.push_event(gst::event::Tag::new(tags));
    }
}

/// When packets are decoded: in their order, never after they are shown, and at the
/// pace of the film. The encoders' own times begin anew with each segment.
struct Decoding {
    times: std::vec::IntoIter<ClockTime>,
    /// How long the last packet takes, so that all of them together take as long as
    /// the film is shown.
    last: ClockTime,
}

impl Decoding {
    /// For packets shown at `shown`, in the order of decoding, up to `end`.
    fn new(shown: &[ClockTime], end: ClockTime) -> Self {
        let mut sorted: Vec<usize> = (0..shown.len()).collect();
        sorted.sort_by_key(|&packet| shown[packet]);
        // The most places that a packet is decoded after its turn in being shown.
        let places = sorted.iter().enumerate();
        let late = places.map(|(place, &packet)| packet.saturating_sub(place));
        let late = late.max().unwrap_or(0);
        let sorted: Vec<ClockTime> = sorted.iter().map(|&packet| shown[packet]).collect();
        let steps = sorted.windows(2).map(|pair| pair[1] - pair[0]);
        let step = steps
            .filter(|step| !step.is_zero())
            .min()
            .unwrap_or_default();
        let first = sorted.first().copied().unwrap_or_default();
        let begin = (first + EARLIER).saturating_sub(step * late as u64);
        let early = (0..late as u64).map(|steps| begin + step * steps);
        let rest = sorted.iter().map(|&time| time + EARLIER);
        let times: Vec<ClockTime> = early.chain(rest).take(shown.len()).collect();
        let taken = times
            .last()
            .copied()
            .unwrap_or_default()
            .saturating_sub(begin);
        Decoding {
            times: times.into_iter(),
            last: end.saturating_sub(first).saturating_sub(taken),
        }
    }

    /// Sets how long the last packet takes, where it passes `pad`: parsers set what
    /// they take for it.
    fn set_last_duration(&self, pad: &gst::Pad) {
        let left = AtomicUsize::new(self.times.len());
        let last = self.last;
        pad.add_probe(PadProbeType::BUFFER, move |_, info| {
            if left.fetch_sub(1, Ordering::Relaxed) == 1
                && !last.is_zero()
                && let Some(buffer) = info.buffer_mut()
            {
                buffer.make_mut().set_duration(last);
            }
            PadProbeReturn::Ok
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of decoding, and how long the last packet takes, in milliseconds.
    fn decoded(shown: &[u64], end: u64) -> (Vec<i64>, u64) {
        let times: Vec<_> = shown.iter().map(|&s| ClockTime::from_mseconds(s)).collect();
        let mut decoding = Decoding::new(&times, ClockTime::from_mseconds(end));
        let earlier = EARLIER.mseconds() as i64;
        let times = shown.iter().map(|_| decoding.times.next().unwrap());
        let times = times.map(|time| time.mseconds() as i64 - earlier).collect();
        (times, decoding.last.mseconds())
    }

    #[test]
    fn packets_are_decoded_in_order_and_before_they_are_shown() {
        assert_eq!(decoded(&[0, 40, 80], 120), (vec![0, 40, 80], 40));
        assert_eq!(decoded(&[0], 40), (vec![0], 40));
        assert_eq!(decoded(&[], 0), (vec![], 0));
        // Two levels of frames that refer to later ones, in two segments.
        let shown = [0, 160, 80, 40, 120, 200, 360, 280, 240, 320];
        let (times, last) = decoded(&shown, 400);
        assert_eq!(times, [-80, -40, 0, 40, 80, 120, 160, 200, 240, 280]);
        assert!(times.iter().zip(shown).all(|(&d, s)| d <= s as i64));
        assert_eq!(last, 40);
    }

    #[test]
    fn all_of_a_variable_rate_is_shown() {
        let (times, last) = decoded(&[100, 500, 200, 1500], 1600);
        assert_eq!(times, [0, 100, 200, 500]);
        // 1500 ms are shown.
        assert_eq!(last, 1000);
    }
}
