//! The element `faststyle` with `device=cuda`.

use crate::stand_in::alone;
use common::{element, expected, harness, info, init, model, noise, rows, stats};
use gst::prelude::*;
use gst_video::VideoFormat;

#[path = "../element/common.rs"]
#[allow(dead_code)]
pub mod common;

/// The mean difference of all bytes.
#[track_caller]
fn assert_near(found: &[Vec<u8>], expected: &[Vec<u8>]) {
    let (found, expected) = (found.concat(), expected.concat());
    assert_eq!(found.len(), expected.len());
    let difference = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b));
    let sum: u64 = found.iter().zip(&expected).map(difference).sum();
    assert!(
        sum < found.len() as u64,
        "off by {sum} in {} bytes",
        found.len()
    );
}

#[test]
fn frames_are_as_on_the_cpu() {
    let element = element();
    element.set_property("device", "cuda");
    let input = info(VideoFormat::Nv12, 40, 22);
    for (format, width) in [(VideoFormat::Rgba, 40), (VideoFormat::I420, 24)] {
        let input = info(VideoFormat::Nv12, width, input.height());
        let output = info(format, width, input.height());
        let mut harness = harness(&element, &input, &output);
        for seed in 0..2 {
            let buffer = noise(&input, seed);
            harness.push(buffer.clone()).unwrap();
            let painted = harness.pull().unwrap();
            let painted = rows(&output, &painted.map_readable().unwrap());
            let expected = expected(&input, &buffer.map_readable().unwrap(), &output, 1.0);
            assert_near(&painted, &expected);
        }
        assert_eq!(stats(&element).get("device"), Ok("cuda"));
    }
}

fn start_error(device: &str) -> String {
    let element = element();
    element.set_property("device", device);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    element.set_state(gst::State::Null).unwrap();
    match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => unreachable!(),
    }
}

#[test]
fn a_pipeline_without_a_device() {
    let variables = [("FASTSTYLE_STAND_IN", "none")];
    alone("element::a_pipeline_without_a_device", &variables, || {
        let error = start_error("cuda");
        assert!(error.contains("device cuda"), "{error}");
        assert!(error.contains("CUDA_ERROR_NO_DEVICE"), "{error}");

        let line = format!(
            "videotestsrc num-buffers=3 ! video/x-raw,width=32,height=16 ! \
             faststyle name=f model={} ! fakesink",
            model().display()
        );
        let pipeline = common::run(&line).unwrap();
        let stats = stats(&pipeline.by_name("f").unwrap());
        assert_eq!(stats.get("device"), Ok("cpu"));
        assert_eq!(stats.get("styled"), Ok(3_u64));
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

#[test]
fn a_frame_too_large_for_the_device() {
    let variables = [("FASTSTYLE_STAND_IN_MIB", "2")];
    alone(
        "element::a_frame_too_large_for_the_device",
        &variables,
        || {
            init();
            let line = format!(
                "videotestsrc num-buffers=1 ! video/x-raw,width=640,height=480 ! \
             faststyle device=cuda model={} ! fakesink",
                model().display()
            );
            let error = common::run(&line).unwrap_err();
            assert!(error.contains("out of memory"), "{error}");
            assert!(error.contains("MiB needed"), "{error}");
        },
    );
}
