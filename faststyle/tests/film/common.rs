//! Clips, the program, and what is in the films that it writes.

#[path = "../../../tests/common/pipeline.rs"]
mod pipeline;
#[path = "../../../tests/common/running.rs"]
mod running;

pub use pipeline::{PATIENCE, play};
pub use running::Running;

use assert_cmd::Command;
use gst::prelude::*;
use gst_pbutils::{Discoverer, DiscovererInfo};
use gst_video::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};
use gstfaststyle::{Architecture, Model};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use tempfile::TempDir;

/// All that tests write; removed by the last one that is done.
pub static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());

/// A tiny network.
pub static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let architecture = Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(4)
    };
    let file = path("tiny.safetensors");
    Model::random(architecture, 1).unwrap().save(&file).unwrap();
    file
});

/// A clip of 2 s with sound, whose name is awkward.
pub static CLIP: LazyLock<PathBuf> = LazyLock::new(|| {
    let clip = path("a \"clip\" of mine's, über.mp4");
    let line = format!(
        "{} ! x264enc key-int-max=20 ! mux. {} ! avenc_aac ! mux. mp4mux name=mux ! filesink name=file",
        video(50, "width=66,height=50,framerate=25/1"),
        SOUND,
    );
    play(&line, &clip, |_| ());
    clip
});

/// About two seconds of sound.
pub const SOUND: &str = "audiotestsrc num-buffers=88 ! audio/x-raw,rate=44100,channels=2";

/// Frames of these caps, each different.
pub fn video(frames: u32, caps: &str) -> String {
    let format = match caps.contains("format=") {
        true => "",
        false => ",format=I420",
    };
    format!("videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,{caps}{format}")
}

pub fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

/// The program.
pub fn faststyle() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("faststyle"));
    command.timeout(PATIENCE);
    command.env("GST_REGISTRY", path("registry.bin"));
    command.env("RUST_BACKTRACE", "0");
    command
}

/// `faststyle film` from one file to another, with the tiny network.
pub fn film(input: &Path, output: &Path) -> Command {
    let mut command = faststyle();
    command.arg("film").arg(input).arg("--output").arg(output);
    command.arg("--model").arg(&*MODEL);
    command
}

/// What a command wrote to standard error.
pub fn said(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// What GStreamer says of a film.
pub fn info(file: &Path) -> DiscovererInfo {
    gst::init().unwrap();
    let uri = gst::glib::filename_to_uri(file, None).unwrap();
    let discoverer = Discoverer::new(gst::ClockTime::from_seconds(60)).unwrap();
    discoverer.discover_uri(&uri).unwrap()
}

/// A decoded frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub ms: u64,
    /// Of the pixels.
    pub hash: u64,
}

/// The decoded frames of a film and their caps.
pub fn frames(file: &Path) -> (gst::Caps, Vec<Frame>) {
    let frames = Arc::new(Mutex::new((None, Vec::new())));
    let line = "filesrc name=file ! decodebin ! video/x-raw ! fakesink name=sink sync=false";
    play(line, file, |pipeline| {
        let pad = pipeline
            .by_name("sink")
            .unwrap()
            .static_pad("sink")
            .unwrap();
        let frames = frames.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let buffer = info.buffer().unwrap();
            let segment = pad.sticky_event::<gst::event::Segment>(0).unwrap();
            let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap();
            let time = segment.to_stream_time(buffer.pts()).unwrap();
            let mut hasher = DefaultHasher::new();
            let caps = pad.current_caps().unwrap();
            let video = VideoInfo::from_caps(&caps).unwrap();
            let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &video).unwrap();
            for component in 0..frame.n_components() {
                // Without what fills up the rows.
                let (width, stride) = (frame.comp_width(component), frame.comp_stride(component));
                let bytes = (width as i32 * frame.comp_pstride(component)) as usize;
                let rows = frame.comp_data(component).unwrap().chunks(stride as usize);
                for row in rows.take(frame.comp_height(component) as usize) {
                    row[..bytes.min(row.len())].hash(&mut hasher);
                }
            }
            let mut frames = frames.lock().unwrap();
            frames.0 = pad.current_caps();
            frames.1.push(Frame {
                // Matroska has no more.
                ms: (time.nseconds() + 500_000) / 1_000_000,
                hash: hasher.finish(),
            });
            gst::PadProbeReturn::Ok
        });
    });
    let frames = std::mem::take(&mut *frames.lock().unwrap());
    (frames.0.unwrap(), frames.1)
}

/// The times of a film's frames, in milliseconds.
pub fn times(file: &Path) -> Vec<u64> {
    frames(file).1.iter().map(|frame| frame.ms).collect()
}

/// The encoded bytes of the streams of a film: sound and subtitles.
pub fn other_streams(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let streams = Arc::new(Mutex::new(BTreeMap::<_, Vec<u8>>::new()));
    let add = streams.clone();
    each_packet(file, move |pad, stream, packet| {
        let kind = kind(pad);
        if !kind.starts_with("video/") {
            let bytes = packet.map_readable().unwrap();
            let mut streams = add.lock().unwrap();
            let stream = streams.entry(format!("{kind} {stream}")).or_default();
            stream.extend_from_slice(&bytes);
        }
    });
    std::mem::take(&mut *streams.lock().unwrap())
}

/// The languages of those of a film's streams whose type begins so, in their order.
/// GStreamer's discoverer misses some of streams with few packets on a busy machine.
pub fn languages(file: &Path, of: &'static str) -> Vec<String> {
    let languages = Arc::new(Mutex::new(BTreeMap::new()));
    let add = languages.clone();
    each_packet(file, move |pad, stream, _| {
        if kind(pad).starts_with(of) {
            let events = (0..).map_while(|i| pad.sticky_event::<gst::event::Tag>(i));
            let codes = events.filter_map(|event| {
                let code = event.tag().get::<gst::tags::LanguageCode>()?;
                Some(code.get().to_owned())
            });
            add.lock()
                .unwrap()
                .extend(codes.map(|code| (stream.to_owned(), code)));
        }
    });
    let languages = std::mem::take(&mut *languages.lock().unwrap());
    languages.into_values().collect()
}

fn kind(pad: &gst::Pad) -> String {
    let caps = pad.current_caps().unwrap();
    caps.structure(0).unwrap().name().to_string()
}

/// Shows all packets of a film, with the pad that they come to and their stream's name.
fn each_packet(
    file: &Path,
    see: impl Fn(&gst::Pad, &str, &gst::BufferRef) + Send + Sync + 'static,
) {
    let see = Arc::new(see);
    play(
        "filesrc name=file ! parsebin name=parser",
        file,
        |pipeline| {
            let bin = pipeline.downgrade();
            let parser = pipeline.by_name("parser").unwrap();
            parser.connect_pad_added(move |_, pad| {
                let sink = gst::ElementFactory::make("fakesink").property("sync", false);
                let sink = sink.property("async", false).build().unwrap();
                bin.upgrade().unwrap().add(&sink).unwrap();
                sink.sync_state_with_parent().unwrap();
                let input = sink.static_pad("sink").unwrap();
                pad.link(&input).unwrap();
                let (see, stream) = (see.clone(), pad.name());
                input.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                    see(pad, &stream, info.buffer().unwrap());
                    gst::PadProbeReturn::Ok
                });
            });
        },
    );
}

/// The files in a folder, hidden ones too.
pub fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A new folder for a test.
pub fn folder(name: &str) -> PathBuf {
    let folder = path(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}
