//! Copies a film's sound and subtitles, as they are, into files of packets.

use super::chapters::{self, Chapter};
use super::container::{Container, Kind};
use super::packets::{Packet, Writer};
use super::segment::Plan;
use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{make, pad, stream_time};
use crate::stop;
use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst::{PadProbeReturn, PadProbeType};
use gst_app::{AppSink, AppSinkCallbacks};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A copied track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    pub kind: Kind,
    /// The name of its file of packets.
    pub file: String,
}

/// What of a film goes into the output beside the video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tracks {
    pub tracks: Vec<Track>,
    /// Tags of the whole film.
    pub tags: String,
    pub chapters: Vec<Chapter>,
    /// What the container does not take, in words.
    pub left_out: Vec<String>,
}

impl Tracks {
    /// Of pictures.
    pub fn none() -> Self {
        Tracks {
            tags: gst::TagList::new().to_string(),
            ..Tracks::default()
        }
    }
}

/// A track being copied.
struct Copy {
    track: Track,
    writer: Writer,
    tags: gst::TagList,
}

#[derive(Default)]
struct Copies {
    copies: Vec<Copy>,
    tags: gst::TagList,
    chapters: Option<gst::Toc>,
    left_out: Vec<String>,
    /// How many streams of each kind there were.
    seen: [usize; 2],
}

/// Shared with the threads of the pipeline.
type Shared = Arc<Mutex<Copies>>;

/// Copies the tracks of the film `path` that `container` takes into files in
/// `folder`, with times from the plan's beginning. `None` if interrupted.
///
/// # Errors
/// Those of the system and of elements.
pub fn copy(
    path: &Path,
    container: Container,
    plan: Plan,
    folder: &Path,
) -> Result<Option<Tracks>> {
    let pipeline = Pipeline::new();
    let (source, parser) = (make("filesrc")?, make("parsebin")?);
    source.set_property("location", path);
    pipeline.chain(&[source, parser.clone()])?;
    let copies = Shared::default();
    let taken = [
        container.caps(Kind::Sound)?,
        container.caps(Kind::Subtitles)?,
    ];
    let (here, bin, folder) = (copies.clone(), pipeline.0.downgrade(), folder.to_owned());
    parser.connect_pad_added(move |parser, pad| {
        let Some(bin) = bin.upgrade() else {
            return;
        };
        let connected = connect(&bin, pad, container, &taken, plan, &folder, &here);
        if let Err(error) = connected {
            gst::element_error!(parser, gst::CoreError::Pad, ("{error:#}"));
        }
    });
    pipeline.play()?;
    let waited = pipeline.wait(|| match stop::requested() {
        true => bail!("interrupted"),
        false => Ok(()),
    });
    if stop::requested() {
        return Ok(None);
    }
    waited?;
    drop(pipeline);
    let copies = std::mem::take(&mut *lock(&copies));
    let chapters = copies.chapters.map(|toc| chapters::of(&toc, plan));
    let mut tracks = Tracks {
        tags: copies.tags.to_string(),
        chapters: chapters.unwrap_or_default(),
        left_out: copies.left_out,
        ..Tracks::default()
    };
    if !tracks.chapters.is_empty() && !container.takes_chapters() {
        tracks
            .left_out
            .push(left_out("the film's chapters", container));
    }
    for mut copy in copies.copies {
        copy.writer.tags(&copy.tags)?;
        copy.writer.finish(true)?;
        tracks.tracks.push(copy.track);
    }
    Ok(Some(tracks))
}

/// Leads a stream of the film into a file, or nowhere.
fn connect(
    bin: &gst::Pipeline,
    stream: &gst::Pad,
    container: Container,
    taken: &[gst::Caps; 2],
    plan: Plan,
    folder: &Path,
    copies: &Shared,
) -> Result<()> {
    let caps = stream
        .current_caps()
        .unwrap_or_else(|| stream.query_caps(None));
    let name = caps.structure(0).map(|caps| caps.name().to_string());
    let name = name.context("a stream without a type")?;
    let kind = kind_of(&name);
    let aac = gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4)
        .build();
    let (mut chain, mut packed) = (Vec::new(), caps.clone());
    if caps.can_intersect(&aac) {
        // It changes the packing to what the muxer takes.
        (chain, packed) = (vec![make("aacparse")?], aac);
    }
    let strip = caps.can_intersect(&text("pango-markup"))
        && !taken[place(Kind::Subtitles)].can_intersect(&caps);
    if strip {
        packed = text("utf8");
    }
    let fits = kind.is_some_and(|kind| taken[place(kind)].can_intersect(&packed));
    let mut here = lock(copies);
    let number = kind.map_or(0, |kind| {
        here.seen[place(kind)] += 1;
        here.seen[place(kind)]
    });
    match kind.filter(|_| fits) {
        Some(kind) => {
            let sink = AppSink::builder().sync(false).async_(false).build();
            if !strip {
                sink.set_caps(Some(&taken[place(kind)]));
            }
            let track = Track {
                kind,
                file: format!("track-{}.packets", here.copies.len()),
            };
            let writer = Writer::create(folder.join(&track.file))?;
            here.copies.push(Copy {
                track,
                writer,
                tags: gst::TagList::new(),
            });
            let index = here.copies.len() - 1;
            write_packets(&sink, copies, index, plan, strip);
            collect_tags(&pad(&sink, "sink")?, copies, Some(index));
            chain.push(sink.upcast());
        }
        None => {
            if let Some(kind) = kind {
                let what = match kind {
                    Kind::Subtitles => "subtitles",
                    _ => "sound track",
                };
                let codec = gst_pbutils::pb_utils_get_codec_description(&caps);
                let what = format!("{what} {number} ({codec})");
                here.left_out.push(left_out(&what, container));
            }
            // Nothing of it is kept but the film's tags.
            let nowhere = make("fakesink")?;
            nowhere.set_property("async", false);
            collect_tags(&pad(&nowhere, "sink")?, copies, None);
            chain = vec![nowhere];
        }
    }
    drop(here);
    bin.add_many(&chain)?;
    gst::Element::link_many(&chain)?;
    for element in &chain {
        element.sync_state_with_parent()?;
    }
    stream.link(&pad(&chain[0], "sink")?)?;
    Ok(())
}

fn kind_of(name: &str) -> Option<Kind> {
    let subtitles = [
        "text/",
        "subpicture/",
        "application/x-ass",
        "application/x-ssa",
        "application/x-usf",
    ];
    if name.starts_with("audio/") {
        Some(Kind::Sound)
    } else {
        let found = subtitles.iter().any(|kind| name.starts_with(kind));
        found.then_some(Kind::Subtitles)
    }
}

/// The place of a kind in lists of those that are copied.
fn place(kind: Kind) -> usize {
    (kind == Kind::Subtitles).into()
}

fn left_out(what: &str, container: Container) -> String {
    let name = container.name();
    let advice = match container {
        Container::Mkv | Container::Pictures => "",
        _ => "; a name that ends in .mkv takes more",
    };
    format!("{what} cannot be copied into {name}: left out{advice}")
}

fn write_packets(sink: &AppSink, copies: &Shared, index: usize, plan: Plan, strip: bool) {
    let copies = copies.clone();
    let write = move |sink: &AppSink| -> Result<()> {
        let sample = sink.pull_sample()?;
        let buffer = sample.buffer().context("no data")?;
        let caps = sample.caps().context("no caps")?;
        let time = sample
            .segment()
            .and_then(|segment| stream_time(segment, buffer.pts()));
        if time.is_some_and(|time| time < plan.from || plan.is_over(time)) {
            return Ok(());
        }
        let mut packet = Packet::new(buffer, time.map(|time| time - plan.from))?;
        let mut caps = caps.to_owned();
        if strip {
            packet.data = without_markup(&packet.data);
            caps = text("utf8");
        }
        lock(&copies).copies[index].writer.packet(&caps, &packet)
    };
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        write(sink).map(|()| gst::FlowSuccess::Ok).map_err(|error| {
            gst::element_error!(sink, gst::ResourceError::Write, ("{error:#}"));
            gst::FlowError::Error
        })
    });
    sink.set_callbacks(callbacks.build());
}

/// The caps of subtitles in this format.
fn text(format: &str) -> gst::Caps {
    let caps = gst::Caps::builder("text/x-raw");
    caps.field("format", format).build()
}

/// The text without tags such as `<i>`, and with `&amp;` as `&`.
fn without_markup(markup: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    let mut tag = false;
    for c in String::from_utf8_lossy(markup).chars() {
        match c {
            '<' => tag = true,
            '>' if tag => tag = false,
            _ if tag => (),
            c => text.push(c),
        }
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    let replaced = entities
        .iter()
        .fold(text, |text, (entity, c)| text.replace(entity, c));
    replaced.into_bytes()
}

/// Collects a stream's tags, and the film's with its chapters.
fn collect_tags(pad: &gst::Pad, copies: &Shared, index: Option<usize>) {
    let copies = copies.clone();
    pad.add_probe(PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        match info.event().map(|event| event.view()) {
            Some(gst::EventView::Tag(event)) => {
                let tags = event.tag();
                let mut copies = lock(&copies);
                match (tags.scope(), index) {
                    (gst::TagScope::Global, _) => keep(tags, &mut copies.tags, GLOBAL),
                    (_, Some(index)) => keep(tags, &mut copies.copies[index].tags, OF_STREAM),
                    _ => (),
                }
            }
            Some(gst::EventView::Toc(event)) => {
                lock(&copies).chapters = Some(event.toc().0.to_owned());
            }
            _ => (),
        }
        PadProbeReturn::Ok
    });
}

/// What a track is called, and its language.
const OF_STREAM: &[&str] = &["title", "language-code", "language-name"];

/// What holds for the painted film, too.
const GLOBAL: &[&str] = &[
    "title",
    "artist",
    "album",
    "album-artist",
    "composer",
    "copyright",
    "license",
    "comment",
    "description",
    "genre",
    "keywords",
    "date",
    "datetime",
    "location-name",
    "show-name",
    "show-season-number",
    "show-episode-number",
    "geo-location-latitude",
    "geo-location-longitude",
    "geo-location-elevation",
    "geo-location-name",
    "performer",
    "publisher",
];

fn keep(from: &gst::TagListRef, to: &mut gst::TagList, names: &[&str]) {
    let to = to.make_mut();
    for (name, value) in from
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
    {
        // Types fit, for the names are the same.
        let _ = to.add_value(name, &value, gst::TagMergeMode::Replace);
    }
}

fn lock(copies: &Shared) -> MutexGuard<'_, Copies> {
    copies.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        let plain = |markup: &str| String::from_utf8(without_markup(markup.as_bytes())).unwrap();
        assert_eq!(plain("<i>Tom</i> &amp; Jerry &lt;3"), "Tom & Jerry <3");
        assert_eq!(plain("&amp;lt; über"), "&lt; über");
        assert_eq!(plain("1 > 0 <b"), "1 > 0 ");
    }
}
