//! The property `strength`.

use crate::common::*;
use gst::prelude::*;
use gst_controller::prelude::*;
use gst_video::VideoFormat;

#[test]
fn strength_zero_passes_the_same_buffer() {
    let info = info(VideoFormat::Uyvy, 16, 8);
    let element = element();
    element.set_property("strength", 0.0);
    let mut harness = harness(&element, &info, &info);
    let buffer = noise(&info, 1);
    let pointer = buffer.as_ptr();
    assert_eq!(harness.push_and_pull(buffer).unwrap().as_ptr(), pointer);
}

#[test]
fn strength_zero_only_converts_between_formats() {
    let element = element();
    element.set_property("strength", 0.0);
    assert_only_converts(&element);
}

#[test]
fn strength_half_lies_between() {
    let info = info(VideoFormat::Rgb, 16, 8);
    let at = |strength: f64| {
        let element = element();
        element.set_property("strength", strength);
        let mut harness = harness(&element, &info, &info);
        let styled = harness.push_and_pull(noise(&info, 3)).unwrap();
        buffer_rows(&info, &styled).concat()
    };
    let (none, half, full) = (at(0.0), at(0.5), at(1.0));
    assert_ne!(none, full);
    for ((none, half), full) in none.into_iter().zip(half).zip(full) {
        let middle = (f32::from(none) + f32::from(full)) / 2.0;
        assert!((f32::from(half) - middle).abs() <= 1.0);
    }
}

/// In and out of passing buffers through, at any frame.
#[test]
fn strength_changes_while_playing() {
    let info = info(VideoFormat::I420, 16, 8);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    for (seed, strength) in [1.0, 0.0, 0.25, 0.0, 0.0, 1.0, 0.75]
        .into_iter()
        .enumerate()
    {
        element.set_property("strength", strength);
        let buffer = noise(&info, seed as u64);
        let bytes = buffer.map_readable().unwrap().to_vec();
        let pointer = buffer.as_ptr();
        let styled = harness.push_and_pull(buffer).unwrap();
        if strength == 0.0 {
            assert_eq!(styled.as_ptr(), pointer);
        } else {
            assert_eq!(
                buffer_rows(&info, &styled),
                expected(&info, &bytes, &info, strength as f32),
                "{strength}"
            );
        }
    }
}

/// Where downstream does not know of gaps between rows, none pass through once
/// frames have been painted, for which upstream may send them.
#[test]
fn gaps_between_rows_do_not_slip_through() {
    let info = info(VideoFormat::Rgb, 16, 8);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    harness.push_and_pull(noise(&info, 1)).unwrap();
    element.set_property("strength", 0.0);

    let tight = noise(&info, 2);
    let bytes = tight.map_readable().unwrap().to_vec();
    let passed = harness.push_and_pull(with_gaps(&info, &bytes, 12)).unwrap();
    assert_eq!(passed.map_readable().unwrap().as_slice(), bytes);
    // Without gaps the buffer itself passes.
    let pointer = tight.as_ptr();
    assert_eq!(harness.push_and_pull(tight).unwrap().as_ptr(), pointer);
}

#[test]
fn a_controller_fades_it() {
    let info = info(VideoFormat::Rgb, 8, 8);
    let element = element();
    let curve = gst_controller::InterpolationControlSource::new();
    curve.set_mode(gst_controller::InterpolationMode::Linear);
    assert!(curve.set(gst::ClockTime::ZERO, 0.0));
    assert!(curve.set(gst::ClockTime::from_seconds(4), 1.0));
    let binding = gst_controller::DirectControlBinding::new(&element, "strength", &curve);
    element.add_control_binding(&binding).unwrap();
    let mut harness = harness(&element, &info, &info);
    for second in 0..=4 {
        let mut buffer = noise(&info, second);
        let pts = gst::ClockTime::from_seconds(second);
        buffer.get_mut().unwrap().set_pts(pts);
        let bytes = buffer.map_readable().unwrap().to_vec();
        let styled = harness.push_and_pull(buffer).unwrap();
        let strength = second as f32 / 4.0;
        assert_eq!(element.property::<f64>("strength") as f32, strength);
        assert_eq!(
            buffer_rows(&info, &styled),
            expected(&info, &bytes, &info, strength),
            "{strength}"
        );
    }
}
