//! Faults, and the messages that report them to the application.

use crate::common::*;
use gst::glib;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoFrameFlags, VideoMeta};
use std::fs;

/// Starts the element alone and returns the error that it posts.
pub fn start_error(element: &gst::Element) -> glib::Error {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    let message = message.expect("an error message");
    element.set_state(gst::State::Null).unwrap();
    match message.view() {
        gst::MessageView::Error(error) => error.error(),
        _ => unreachable!(),
    }
}

#[test]
fn missing_model() {
    let element = element();
    element.set_property("model", "/nowhere/scream.safetensors");
    let error = start_error(&element);
    assert!(error.matches(gst::ResourceError::NotFound));
    let expected = "/nowhere/scream.safetensors: cannot be read: No such file or directory";
    assert!(error.message().starts_with(expected), "{error}");
    assert_eq!(
        error.message().matches("No such file").count(),
        1,
        "{error}"
    );
}

#[test]
fn bad_models() {
    let good = fs::read(model()).unwrap();
    let mut nan = good.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    for (name, bytes, fault) in [
        ("cut", &good[..good.len() / 2], "truncated"),
        (
            "text",
            b"this is not a model file".as_slice(),
            "safetensors",
        ),
        ("empty", b"", "truncated"),
        ("nan", &nan, "not finite"),
    ] {
        let path = path(name);
        fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        let element = element();
        element.set_property("model", path);
        let error = start_error(&element);
        assert!(error.matches(gst::ResourceError::OpenRead), "{error}");
        assert!(error.message().contains(path), "{error}");
        assert!(error.message().contains(fault), "{error}");
    }
    let element = element();
    let folder = path("").to_str().unwrap().to_owned();
    element.set_property("model", &folder);
    let error = start_error(&element);
    assert!(error.message().contains(&folder), "{error}");
}

#[test]
fn bad_devices() {
    let element = element();
    for device in ["gpu", "cuda:", "cuda:x", "cuda:-1", "", "CPU"] {
        element.set_property("device", device);
        let error = start_error(&element);
        assert!(error.matches(gst::ResourceError::Settings), "{error}");
        assert!(error.message().contains("`device`"), "{error}");
        assert!(error.message().contains(&format!("`{device}`")), "{error}");
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_in_a_build_without() {
    let element = element();
    for device in ["cuda", "cuda:3"] {
        element.set_property("device", device);
        let error = start_error(&element);
        assert!(error.matches(gst::ResourceError::NotFound), "{error}");
        assert!(error.message().contains(device), "{error}");
        assert!(error.message().contains("no CUDA support"), "{error}");
    }
}

#[test]
fn every_good_device_starts() {
    let element = element();
    for device in [Some("auto"), Some("cpu"), None] {
        element.set_property("device", device);
        element.set_state(gst::State::Paused).unwrap();
        element.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_good_model_after_a_bad_one() {
    let info = info(VideoFormat::Rgb, 8, 8);
    let element = element();
    element.set_property("model", "/nowhere");
    start_error(&element);
    element.set_property("model", model().to_str().unwrap());
    element.set_bus(None);
    let mut harness = harness(&element, &info, &info);
    let buffer = noise(&info, 1);
    let bytes = buffer.map_readable().unwrap().to_vec();
    let styled = harness.push_and_pull(buffer).unwrap();
    assert_eq!(
        buffer_rows(&info, &styled),
        expected(&info, &bytes, &info, 1.0)
    );
}

#[test]
fn the_error_reaches_a_pipelines_bus() {
    let error = run("videotestsrc num-buffers=1 ! video/x-raw,width=8,height=8 \
         ! faststyle model=/nowhere/at/all.safetensors ! fakesink")
    .unwrap_err();
    assert!(error.contains("/nowhere/at/all.safetensors"), "{error}");
}

/// Pushes a buffer that is no frame and returns the error that is posted.
fn stream_error(format: VideoFormat, buffer: gst::Buffer) -> glib::Error {
    let info = info(format, 8, 8);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert_eq!(harness.push(buffer), Err(gst::FlowError::Error));
    assert!(harness.try_pull().is_none());
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    match message.expect("an error message").view() {
        gst::MessageView::Error(error) => error.error(),
        _ => unreachable!(),
    }
}

#[test]
fn short_buffers() {
    for bytes in [1, 8 * 8 * 4 - 1] {
        let buffer = gst::Buffer::from_slice(vec![0; bytes]);
        let error = stream_error(VideoFormat::Rgba, buffer);
        assert!(error.matches(gst::StreamError::Format), "{error}");
        assert!(
            error.message().contains(&format!("{bytes} bytes")),
            "{error}"
        );
    }
}

/// A meta whose planes do not lie in the buffer, or are of something else.
#[test]
fn wrong_video_metas_are_refused() {
    let with_meta = |format, width, offset: usize, stride: i32| {
        let mut buffer = gst::Buffer::from_mut_slice(vec![0; 8 * 8 * 4]);
        let flags = VideoFrameFlags::empty();
        let buffer_mut = buffer.get_mut().unwrap();
        VideoMeta::add_full(buffer_mut, flags, format, width, 8, &[offset], &[stride]).unwrap();
        // The buffer shrinks after the meta was found to fit it.
        buffer_mut.set_size(8 * 8 * 4 - 16);
        buffer
    };
    for buffer in [
        with_meta(VideoFormat::Rgba, 8, 0, 32),
        with_meta(VideoFormat::Bgra, 8, 0, 28),
        with_meta(VideoFormat::Rgba, 7, 0, 28),
    ] {
        let error = stream_error(VideoFormat::Rgba, buffer);
        assert!(error.matches(gst::StreamError::Format), "{error}");
    }
}

#[test]
fn a_thousand_starts_and_stops() {
    let model = model().display();
    init();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc ! video/x-raw,format=YUY2,width=16,height=8 \
         ! faststyle model={model} device=cpu ! video/x-raw,format=BGRx ! fakesink"
    ))
    .unwrap();
    for cycle in 0..1000 {
        pipeline.set_state(gst::State::Playing).unwrap();
        if cycle % 3 > 0 {
            let (result, state, _) = pipeline.state(gst::ClockTime::from_seconds(60));
            result.unwrap();
            assert_eq!(state, gst::State::Playing);
        }
        if cycle % 2 > 0 {
            pipeline.set_state(gst::State::Ready).unwrap();
        } else {
            pipeline.set_state(gst::State::Null).unwrap();
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
}
