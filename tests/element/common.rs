//! A tiny model, elements that use it, and what they should make of a frame.

#[path = "../common/mod.rs"]
pub mod shared;

/// How long a test waits before it takes something for hanging: long, for
/// machines with other work.
pub const PATIENCE: Duration = Duration::from_secs(600);

use gst::prelude::*;
use gst_video::{VideoColorRange, VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta};
use gstfaststyle::ColorRange;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::{Architecture, Model};
use gstfaststyle::{Blend, DeviceChoice, Engine, Image};
use gstfaststyle::{Colorimetry, Format, Frame, FrameInfo, FrameMut, Plane, PlaneMut};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Once};
use std::time::Duration;
use tempfile::TempDir;

/// All that tests write; there until the process ends.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let architecture = Architecture {
        width: 2,
        residual_blocks: 1,
        ..Default::default()
    };
    Model::random(architecture, 7).unwrap()
});

static MODEL_PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = path("good.safetensors");
    MODEL.save(&path).unwrap();
    path
});

pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstfaststyle::plugin_register_static().unwrap();
    });
}

/// A path in the tests' folder.
pub fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

/// The path of a model that works.
pub fn model() -> &'static Path {
    &MODEL_PATH
}

/// The element with a model that works, on the CPU, at the frames' own size:
/// a harness is a live source, and so the first frames would be small. It paints
/// each frame by itself.
pub fn element() -> gst::Element {
    init();
    gst::ElementFactory::make("faststyle")
        .property("model", model().to_str().unwrap())
        .property("device", "cpu")
        .property("scale", 1.0)
        .property("smoothing", 0.0)
        .build()
        .unwrap()
}

/// The element's statistics.
pub fn stats(element: &gst::Element) -> gst::Structure {
    element.property("stats")
}

/// A process in which this test runs and no other.
pub fn this_test_alone(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]);
    command
}

/// A harness around the element with these caps on either side.
pub fn harness(
    element: &gst::Element,
    input: &VideoInfo,
    output: &VideoInfo,
) -> gst_check::Harness {
    let mut harness = gst_check::Harness::with_element(element, Some("sink"), Some("src"));
    harness.set_caps(input.to_caps().unwrap(), output.to_caps().unwrap());
    harness
}

/// An element that is shown one frame after the other.
pub struct Player {
    pub element: gst::Element,
    info: VideoInfo,
    harness: gst_check::Harness,
}

impl Player {
    /// For frames of this kind, after `set` has set properties.
    pub fn new(info: &VideoInfo, set: impl FnOnce(&gst::Element)) -> Self {
        let element = element();
        set(&element);
        Player {
            harness: harness(&element, info, info),
            info: info.clone(),
            element,
        }
    }

    /// Shows a frame of these bytes at `ms`; gives the styled ones.
    pub fn show(&mut self, bytes: Vec<u8>, ms: u64) -> Vec<u8> {
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let pts = gst::ClockTime::from_mseconds(ms);
        buffer.get_mut().unwrap().set_pts(pts);
        let styled = self.harness.push_and_pull(buffer).unwrap();
        buffer_rows(&self.info, &styled).concat()
    }
}

pub fn formats() -> impl Iterator<Item = VideoFormat> {
    init();
    Format::ALL
        .iter()
        .map(|format| VideoFormat::from_string(format.name()))
}

/// Whether GStreamer leaves room for the last pixel's chroma in rows of an odd
/// number of pixels.
pub fn has_odd_widths(format: VideoFormat) -> bool {
    let lack = [
        VideoFormat::Uyvp,
        VideoFormat::Nv1210le32,
        VideoFormat::Nv1610le32,
    ];
    !lack.contains(&format)
}

pub fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    init();
    let builder = VideoInfo::builder(format, width, height);
    builder.fps((25, 1)).build().unwrap()
}

/// `VideoInfo` in the pixel code's words, for standard definition.
pub fn frame_info(info: &VideoInfo) -> FrameInfo {
    let range = match info.colorimetry().range() {
        VideoColorRange::Range0_255 => ColorRange::Full,
        _ => ColorRange::Limited,
    };
    FrameInfo {
        format: Format::from_name(info.format().to_str()).unwrap(),
        width: info.width() as usize,
        height: info.height() as usize,
        colorimetry: Colorimetry {
            range,
            ..Colorimetry::BT601
        },
    }
}

/// A buffer with the picture `bytes`, whose planes are tight, but with `gap` bytes
/// between rows and some before the first. It ends with the last pixel, as after
/// cropping.
pub fn with_gaps(info: &VideoInfo, bytes: &[u8], gap: usize) -> gst::Buffer {
    const GAP: u8 = 0x55;
    let frame = frame_info(info);
    let mut rows = rows(info, bytes).into_iter();
    let mut wide = vec![GAP; 11];
    let (mut offsets, mut strides) = (Vec::new(), Vec::new());
    for plane in 0..frame.format.plane_count() {
        offsets.push(wide.len());
        strides.push((frame.format.row_bytes(plane, frame.width) + gap) as i32);
        for _ in 0..frame.format.plane_rows(plane, frame.height) {
            wide.extend(rows.next().unwrap());
            wide.extend(std::iter::repeat_n(GAP, gap));
        }
    }
    wide.truncate(wide.len() - gap);
    let mut buffer = gst::Buffer::from_mut_slice(wide);
    VideoMeta::add_full(
        buffer.get_mut().unwrap(),
        VideoFrameFlags::empty(),
        info.format(),
        info.width(),
        info.height(),
        &offsets,
        &strides,
    )
    .unwrap();
    buffer
}

/// Asserts that `element` leaves pictures as they are but for their format.
pub fn assert_only_converts(element: &gst::Element) {
    let (input, output) = (
        info(VideoFormat::Argb, 16, 8),
        info(VideoFormat::Bgra, 16, 8),
    );
    let mut harness = harness(element, &input, &output);
    let buffer = noise(&input, 2);
    let bytes = buffer.map_readable().unwrap().to_vec();
    let converted = harness.push_and_pull(buffer).unwrap();
    let converted = converted.map_readable().unwrap();
    for (argb, bgra) in bytes.chunks(4).zip(converted.chunks(4)) {
        assert_eq!([argb[3], argb[2], argb[1], argb[0]], bgra);
    }
}

/// A buffer of random bytes.
pub fn noise(info: &VideoInfo, seed: u64) -> gst::Buffer {
    let mut bytes = vec![0; info.size()];
    ChaCha8Rng::seed_from_u64(seed).fill(&mut bytes[..]);
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    buffer
}

/// Offsets and strides of the planes in use.
fn layout(info: &VideoInfo) -> Vec<(usize, usize)> {
    let planes = info.n_planes() as usize;
    let offsets = info.offset().iter().take(planes);
    let strides = info.stride().iter().map(|&stride| stride as usize);
    offsets.copied().zip(strides).collect()
}

pub fn frame<'a>(info: &VideoInfo, bytes: &'a [u8]) -> Frame<'a> {
    let planes = layout(info).into_iter().map(|(offset, stride)| Plane {
        data: &bytes[offset..],
        stride,
    });
    Frame::new(frame_info(info), planes).unwrap()
}

pub fn read(info: &VideoInfo, bytes: &[u8]) -> Image {
    let mut image = Image::default();
    pixels::read(&frame(info, bytes), &mut image);
    image
}

/// The rows of a frame, without what lies between them.
pub fn rows(info: &VideoInfo, bytes: &[u8]) -> Vec<Vec<u8>> {
    let frame = frame_info(info);
    let planes = layout(info).into_iter().enumerate();
    planes
        .flat_map(|(plane, (offset, stride))| {
            let count = frame.format.plane_rows(plane, frame.height);
            let length = frame.format.row_bytes(plane, frame.width);
            (0..count).map(move |row| bytes[offset + row * stride..][..length].to_vec())
        })
        .collect()
}

/// What the engine makes of an input frame, in the output's format.
pub fn expected(
    input: &VideoInfo,
    bytes: &[u8],
    output: &VideoInfo,
    strength: f32,
) -> Vec<Vec<u8>> {
    let original = read(input, bytes);
    let mut styled = Image::default();
    let mut engine = Engine::new(&MODEL, DeviceChoice::Cpu).unwrap();
    engine.stylize(&original, &mut styled).unwrap();
    let mut result = vec![0; output.size()];
    with_frame_mut(output, &mut result, |mut frame| {
        let blend = Blend {
            strength,
            ..Blend::OPAQUE
        };
        let original = Some((&original, blend));
        let alpha = self::frame(input, bytes);
        pixels::write(&styled, original, Some(&alpha), &mut frame).unwrap();
    });
    rows(output, &result)
}

/// Lets `write` write a frame of these bytes.
pub fn with_frame_mut(info: &VideoInfo, bytes: &mut [u8], write: impl FnOnce(FrameMut<'_>)) {
    let planes = layout(info);
    // In the order of memory, which is not that of the planes everywhere.
    let mut order: Vec<usize> = (0..planes.len()).collect();
    order.sort_by_key(|&i| planes[i].0);
    let mut slices: Vec<Option<&mut [u8]>> = planes.iter().map(|_| None).collect();
    let mut rest = bytes;
    for &i in order.iter().rev() {
        let (head, tail) = rest.split_at_mut(planes[i].0);
        slices[i] = Some(tail);
        rest = head;
    }
    let planes = slices.into_iter().zip(planes);
    let planes = planes.map(|(data, (_, stride))| PlaneMut {
        data: data.unwrap(),
        stride,
    });
    write(FrameMut::new(frame_info(info), planes).unwrap());
}

/// The rows of a buffer that came out of the element.
pub fn buffer_rows(info: &VideoInfo, buffer: &gst::Buffer) -> Vec<Vec<u8>> {
    rows(info, &buffer.map_readable().unwrap())
}

/// Runs a pipeline until it ends.
pub fn run(line: &str) -> Result<gst::Pipeline, String> {
    init();
    let pipeline = gst::parse::launch(line).map_err(|error| error.to_string())?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let started = pipeline.set_state(gst::State::Playing);
    let message = pipeline.bus().unwrap().timed_pop_filtered(
        gst::ClockTime::from_seconds(60),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    let result = match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => started.map(|_| ()).map_err(|e| e.to_string()),
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
        _ => Err("nothing happened".into()),
    };
    if result.is_err() {
        pipeline.set_state(gst::State::Null).unwrap();
    }
    result.map(|()| pipeline)
}
