//! The size at which the network runs: `scale`, `max-height`, `stroke-scale`,
//! `target-fps`; and `keep-color`.

use crate::common::*;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstfaststyle::{Blend, Options, Painter, Prepared, Size, Threads};
use gstfaststyle::{FrameMut, PlaneMut};
use std::time::{Duration, Instant};

/// Width and height at which the network ran last.
fn network_size(element: &gst::Element) -> (u32, u32) {
    let stats = stats(element);
    let get = |name| stats.get::<u32>(name).unwrap();
    (get("network-width"), get("network-height"))
}

/// The network's size for a frame of `width` x `height`.
fn size_with(set: impl Fn(&gst::Element), width: u32, height: u32) -> (u32, u32) {
    let info = info(VideoFormat::I420, width, height);
    let element = element();
    set(&element);
    let mut harness = harness(&element, &info, &info);
    harness.push_and_pull(noise(&info, 1)).unwrap();
    network_size(&element)
}

#[test]
fn scale_and_max_height_set_the_size() {
    assert_eq!(size_with(|_| {}, 97, 65), (97, 65));
    assert_eq!(
        size_with(|e| e.set_property("scale", 0.5), 96, 64),
        (48, 32)
    );
    assert_eq!(
        size_with(|e| e.set_property("scale", 1.0), 97, 65),
        (97, 65)
    );
    let low = |e: &gst::Element| {
        e.set_property("scale", 0.0);
        e.set_property("max-height", 32u32);
    };
    assert_eq!(size_with(low, 96, 64), (48, 32));
    // As many rows for twice as large strokes.
    let strokes = |e: &gst::Element| {
        e.set_property("scale", 0.0);
        e.set_property("stroke-scale", 10.0);
    };
    assert_eq!(size_with(strokes, 128, 96), (64, 48));
    assert_eq!(size_with(strokes, 256, 192), (64, 48));
}

#[test]
fn sizes_change_while_playing() {
    let info = info(VideoFormat::Rgb, 64, 48);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    for (scale, size) in [(0.5, (32, 24)), (0.0, (64, 48)), (0.25, (16, 12))] {
        element.set_property("scale", scale);
        harness.push_and_pull(noise(&info, 1)).unwrap();
        assert_eq!(network_size(&element), size);
    }
}

/// What a painter makes of RGB, without gaps between rows.
fn painted(info: &VideoInfo, bytes: &[u8], size: Size, blend: Blend) -> Vec<u8> {
    let prepared = Prepared::load(model(), Options::default()).unwrap();
    let mut painter = Painter::new(Threads::new(0).unwrap());
    painter.set_model(Some(prepared));
    let mut result = vec![0; bytes.len()];
    let stride = info.stride()[0] as usize;
    let plane = PlaneMut {
        data: &mut result,
        stride,
    };
    let mut output = FrameMut::new(frame_info(info), [plane]).unwrap();
    painter
        .paint(&frame(info, bytes), &mut output, size, blend)
        .unwrap();
    result
}

#[test]
fn the_picture_is_the_painters() {
    let info = info(VideoFormat::Rgb, 64, 48);
    let buffer = noise(&info, 4);
    let bytes = buffer.map_readable().unwrap().to_vec();
    for (scale, keep_color, (width, height)) in [
        (0.5, false, (32, 24)),
        (0.5, true, (32, 24)),
        (1.0, true, (64, 48)),
    ] {
        let element = element();
        element.set_property("scale", scale);
        element.set_property("keep-color", keep_color);
        let mut harness = harness(&element, &info, &info);
        let styled = harness.push_and_pull(buffer.copy_deep().unwrap()).unwrap();
        let size = Size::new(width, height);
        let blend = Blend {
            strength: 1.0,
            keep_color,
        };
        assert_eq!(
            buffer_rows(&info, &styled),
            rows(&info, &painted(&info, &bytes, size, blend)),
            "{size}, {blend:?}"
        );
    }
}

/// Luma is painted, chroma is the frame's.
#[test]
fn keep_color_keeps_chroma() {
    let info = info(VideoFormat::Rgb, 32, 24);
    let element = element();
    element.set_property("keep-color", true);
    // A grey frame stays grey.
    let grey = (0..32 * 24).flat_map(|i| [(i * 37 % 200) as u8 + 20; 3]);
    let grey = gst::Buffer::from_slice(Vec::from_iter(grey));
    let before = buffer_rows(&info, &grey).concat();
    let mut harness = harness(&element, &info, &info);
    let styled = harness.push_and_pull(grey).unwrap();
    let after = buffer_rows(&info, &styled).concat();
    assert_ne!(before, after);
    for pixel in after.chunks(3) {
        let spread = pixel.iter().max().unwrap() - pixel.iter().min().unwrap();
        assert!(spread <= 1, "{pixel:?}");
    }
}

/// No machine paints that many, so the size goes down.
#[test]
fn too_many_frames_a_second_lower_it() {
    let info = info(VideoFormat::I420, 640, 480);
    let element = element();
    element.set_property("scale", 0.0);
    element.set_property("target-fps", 1000.0);
    let mut harness = harness(&element, &info, &info);
    for seed in 0..20 {
        harness.push_and_pull(noise(&info, seed)).unwrap();
    }
    let (width, height) = network_size(&element);
    assert!(width < 320 && height < 240, "{width}x{height}");
    // A fixed size is a fixed size.
    element.set_property("scale", 0.5);
    harness.push_and_pull(noise(&info, 1)).unwrap();
    assert_eq!(network_size(&element), (320, 240));
}

/// Where nothing waits for frames, they are painted as well as can be.
#[test]
fn without_real_time_the_size_is_not_lowered() {
    for sink in [
        "fakesink",
        "fakesink qos=true sync=false",
        "tee ! queue ! clocksync sync=false ! fakesink",
    ] {
        let line = format!(
            "videotestsrc num-buffers=30 ! video/x-raw,width=322,height=242,framerate=1000/1 \
             ! faststyle name=style model={} device=cpu ! {sink}",
            model().display()
        );
        let pipeline = run(&line).unwrap();
        let element = pipeline.by_name("style").unwrap();
        assert_eq!(network_size(&element), (322, 242), "{sink}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// A sink that was synchronized before the last stop does not count after it.
#[test]
fn real_time_ends_with_a_stop() {
    let info = info(VideoFormat::I420, 322, 242);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    harness.push_and_pull(noise(&info, 1)).unwrap();
    let time = gst::ClockTime::ZERO;
    harness.push_upstream_event(gst::event::Qos::new(gst::QOSType::Overflow, 0.5, -1, time));
    element.set_state(gst::State::Ready).unwrap();
    harness.play();
    harness.push_and_pull(noise(&info, 2)).unwrap();
    assert_eq!(network_size(&element), (322, 242));
}

/// The longest that a frame may take is long enough for all, and no panic.
#[test]
fn hardly_any_frames_a_second() {
    let info = info(VideoFormat::I420, 64, 48);
    let element = element();
    element.set_property("target-fps", 1e-300);
    let mut harness = harness(&element, &info, &info);
    for seed in 0..8 {
        harness.push_and_pull(noise(&info, seed)).unwrap();
    }
    assert_eq!(network_size(&element), (64, 48));
}

/// Plays until all events have happened, in this order.
fn playing(line: &str, events: &[&dyn Fn(&gst::Element) -> bool]) {
    init();
    let pipeline = gst::parse::launch(line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    play(&pipeline, line, events);
}

fn play(pipeline: &gst::Pipeline, line: &str, events: &[&dyn Fn(&gst::Element) -> bool]) {
    let element = pipeline.by_name("style").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let begin = Instant::now();
    for event in events {
        while !event(&element) {
            std::thread::sleep(Duration::from_millis(5));
            assert!(begin.elapsed() < PATIENCE, "{line}");
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// Live, the first frames are small, so that they are in time on any machine,
/// and soon they are as large as there is time for.
#[test]
fn a_live_source_or_a_synchronized_sink_is_real_time() {
    let model = model().display();
    let style = format!("faststyle name=style model={model} device=cpu");
    let caps = "video/x-raw,width=320,height=240,framerate=10/1";
    let small = |element: &gst::Element| (1..240).contains(&network_size(element).1);
    let full = |element: &gst::Element| network_size(element).1 == 240;
    let live = format!("videotestsrc is-live=true ! {caps} ! {style} ! fakesink");
    playing(&live, &[&small, &full]);
    // Too many frames for any machine.
    let caps = "video/x-raw,width=320,height=240,framerate=1000/1";
    let timed = format!("videotestsrc ! {caps} ! {style} ! fakesink sync=true qos=true");
    playing(&timed, &[&small]);
}

/// Most that keep time send no QoS events, and a `queue` would keep them back.
#[test]
fn what_keeps_time_downstream_is_found() {
    // Too many frames for any machine.
    let caps = "video/x-raw,width=320,height=240,framerate=1000/1";
    let style = format!(
        "faststyle name=style model={} device=cpu",
        model().display()
    );
    let small = |element: &gst::Element| (1..240).contains(&network_size(element).1);
    for sink in [
        "queue ! fakesink sync=true",
        "appsink drop=true max-buffers=1",
        "tee name=t ! queue ! fakesink t. ! queue ! fakesink sync=true",
        "clocksync ! fakesink",
    ] {
        playing(
            &format!("videotestsrc ! {caps} ! {style} ! {sink}"),
            &[&small],
        );
    }
    // In a bin.
    let line = format!("videotestsrc ! {caps} ! {style}");
    let pipeline = gst::parse::launch(&line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = "queue ! identity ! fakesink sync=true";
    let sink = gst::parse::bin_from_description(sink, true).unwrap();
    pipeline.add(&sink).unwrap();
    pipeline.by_name("style").unwrap().link(&sink).unwrap();
    play(&pipeline, "a bin", &[&small]);
}
