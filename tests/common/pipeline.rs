//! Pipelines that make what tests need.

use gst::prelude::*;
use std::path::Path;
use std::time::Duration;

/// Longer than anything in a test takes.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Runs a pipeline with the element `file` to its end.
pub fn play(line: &str, file: &Path, prepare: impl FnOnce(&gst::Pipeline)) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let element = pipeline.by_name("file").unwrap();
    element.set_property("location", file);
    prepare(&pipeline);
    run(&pipeline);
}

/// Runs a pipeline to its end.
pub fn run(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = pipeline.bus().unwrap().timed_pop_filtered(
        gst::ClockTime::try_from(PATIENCE).unwrap(),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    pipeline.set_state(gst::State::Null).unwrap();
    let message = message.unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
}
