//! What the element tells: `stats`, messages, latency, dropped frames.

use crate::common::*;
use gst::prelude::*;
use gst_video::VideoFormat;
use gstfaststyle::Precision;
use gstfaststyle::internals::ops::cpu::Level;

#[test]
fn frames_are_counted() {
    let info = info(VideoFormat::I420, 64, 48);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    for (i, strength) in [1.0, 0.5, 0.0, 1.0, 0.0].into_iter().enumerate() {
        element.set_property("strength", strength);
        harness.push_and_pull(noise(&info, i as u64)).unwrap();
    }
    let stats = stats(&element);
    assert_eq!(stats.name(), "faststyle-stats");
    let count = |name| stats.get::<u64>(name).unwrap();
    assert_eq!(count("frames-in"), 5);
    assert_eq!(count("styled"), 3);
    assert_eq!(count("passed-through"), 2);
    assert_eq!(count("dropped"), 0);
    assert_eq!(stats.get::<u32>("network-width"), Ok(64));
    assert_eq!(stats.get::<u32>("network-height"), Ok(48));
    let precision = Precision::Auto.on_cpu(Level::current());
    let precision = precision.to_string();
    for (name, value) in [
        ("model", model().to_str().unwrap()),
        ("device", "cpu"),
        ("precision", precision.as_str()),
    ] {
        assert_eq!(stats.get::<&str>(name), Ok(value));
    }
    assert!(!stats.get::<&str>("cpu-level").unwrap().is_empty());
    let time = |name: String| stats.get::<f64>(name.as_str()).unwrap();
    for part in ["convert", "network", "total"] {
        assert!(time(format!("{part}-mean-ms")) > 0.0, "{part}");
        assert!(time(format!("{part}-p95-ms")) >= time(format!("{part}-mean-ms")) * 0.5);
    }
    assert_eq!(time("upsample-mean-ms".into()), 0.0);
    assert!(time("network-mean-ms".into()) < time("total-mean-ms".into()));

    element.set_property("strength", 1.0);
    element.set_property("scale", 0.5);
    harness.push_and_pull(noise(&info, 9)).unwrap();
    let stats = self::stats(&element);
    assert!(stats.get::<f64>("upsample-mean-ms").unwrap() > 0.0);
}

/// What the network has not seen is not styled, though it has been converted.
#[test]
fn converted_frames_are_not_styled_ones() {
    let input = info(VideoFormat::I420, 64, 48);
    let output = info(VideoFormat::Rgb, 64, 48);
    let element = element();
    let mut harness = harness(&element, &input, &output);
    for strength in [0.0, 1.0, 0.0] {
        element.set_property("strength", strength);
        harness.push_and_pull(noise(&input, 1)).unwrap();
    }
    let stats = stats(&element);
    assert_eq!(stats.get::<u64>("styled"), Ok(1));
    assert_eq!(stats.get::<u64>("passed-through"), Ok(2));
}

#[test]
fn statistics_start_at_zero_after_a_restart() {
    let info = info(VideoFormat::I420, 16, 12);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    harness.push_and_pull(noise(&info, 1)).unwrap();
    element.set_state(gst::State::Ready).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    assert_eq!(stats(&element).get::<u64>("styled"), Ok(0));
}

/// Late frames are dropped, with a message for each.
#[test]
fn drops_are_counted_and_posted() {
    let info = info(VideoFormat::I420, 16, 12);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let frame = |ms| {
        let mut buffer = noise(&info, 1);
        let time = gst::ClockTime::from_mseconds(ms);
        let buffer_mut = buffer.get_mut().unwrap();
        buffer_mut.set_pts(time);
        buffer_mut.set_duration(gst::ClockTime::from_mseconds(40));
        buffer
    };
    harness.push_and_pull(frame(0)).unwrap();
    // What was due at 0 came 100 ms late.
    harness.push_upstream_event(gst::event::Qos::new(
        gst::QOSType::Underflow,
        2.0,
        100_000_000,
        gst::ClockTime::ZERO,
    ));
    harness.push(frame(40)).unwrap();
    assert!(harness.try_pull().is_none());
    harness.push_and_pull(frame(4000)).unwrap();
    let counts = || {
        let stats = stats(&element);
        let names = ["frames-in", "styled", "passed-through", "dropped"];
        names.map(|name| stats.get::<u64>(name).unwrap())
    };
    assert_eq!(counts(), [3, 2, 0, 1]);
    let message = bus.pop_filtered(&[gst::MessageType::Qos]).unwrap();
    match message.view() {
        gst::MessageView::Qos(qos) => {
            let (processed, dropped) = qos.stats();
            assert_eq!(dropped.value(), 1);
            assert!(processed.value() >= 1);
        }
        _ => unreachable!(),
    }
    // One that would have passed through is counted once, too.
    element.set_property("strength", 0.0);
    harness.push_and_pull(frame(4040)).unwrap();
    harness.push_upstream_event(gst::event::Qos::new(
        gst::QOSType::Underflow,
        2.0,
        100_000_000,
        gst::ClockTime::from_mseconds(4040),
    ));
    harness.push(frame(4080)).unwrap();
    assert!(harness.try_pull().is_none());
    assert_eq!(counts(), [5, 2, 1, 2]);
}

#[test]
fn messages_come_at_intervals_or_not_at_all() {
    let info = info(VideoFormat::I420, 16, 12);
    let posted = |interval: u64| {
        let element = element();
        element.set_property("stats-interval", interval);
        let mut harness = harness(&element, &info, &info);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        for seed in 0..10 {
            harness.push_and_pull(noise(&info, seed)).unwrap();
        }
        let messages = bus.iter_filtered(&[gst::MessageType::Element]);
        let counts = messages.map(|message| {
            let stats = message.structure().unwrap().to_owned();
            assert_eq!(stats.name(), "faststyle-stats");
            stats.get::<u64>("frames-in").unwrap()
        });
        Vec::from_iter(counts)
    };
    assert!(posted(0).is_empty());
    assert!(posted(1_000_000_000_000).is_empty());
    // Before each frame but the first.
    assert_eq!(posted(1), Vec::from_iter(1..10));
}

/// The latency is a frame's time at first, and then what was measured.
#[test]
fn latency_is_measured_and_posted() {
    let info = info(VideoFormat::I420, 64, 48);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let upstream = gst::ClockTime::from_mseconds(7);
    harness.set_upstream_latency(upstream);
    let frame = gst::ClockTime::from_mseconds(40);
    assert_eq!(harness.query_latency(), Some(upstream + frame));
    for seed in 0..40 {
        harness.push_and_pull(noise(&info, seed)).unwrap();
    }
    let own = harness.query_latency().unwrap() - upstream;
    assert_ne!(own, frame);
    let stats = stats(&element);
    assert_eq!(stats.get::<u64>("latency"), Ok(own.nseconds()));
    let longest = stats.get::<f64>("total-p95-ms").unwrap();
    let ratio = own.nseconds() as f64 / 1e6 / longest;
    assert!((0.1..10.0).contains(&ratio), "{own}, {longest} ms");
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_some());
}
