//! Flushes, seeks, many elements, large frames, and no leaks.

use crate::common::*;
use gst::prelude::*;
use gst_video::VideoFormat;
use gstfaststyle::{EngineError, Options, Painter, Prepared, Size, Threads};
use std::fs;
use std::process::Command;

#[test]
fn flushes_and_the_end() {
    let info = info(VideoFormat::I420, 16, 12);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    for seed in 0..3 {
        harness.push_and_pull(noise(&info, seed)).unwrap();
        assert!(harness.push_event(gst::event::FlushStart::new()));
        assert!(harness.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(harness.push_event(gst::event::Segment::new(&segment)));
    }
    let buffer = noise(&info, 9);
    let bytes = buffer.map_readable().unwrap().to_vec();
    let styled = harness.push_and_pull(buffer).unwrap();
    let expected = expected(&info, &bytes, &info, 1.0);
    assert_eq!(buffer_rows(&info, &styled), expected);
    assert!(harness.push_event(gst::event::Eos::new()));
    assert_eq!(harness.push(noise(&info, 1)), Err(gst::FlowError::Eos));
}

#[test]
fn seeks_while_playing() {
    init();
    let line = format!(
        "videotestsrc num-buffers=300 ! video/x-raw,width=32,height=24,framerate=30/1 \
         ! faststyle model={} device=cpu ! fakesink sync=false",
        model().display()
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    let wait = gst::ClockTime::from_seconds(60);
    for second in [5, 0, 9, 3, 1] {
        let position = gst::ClockTime::from_seconds(second);
        pipeline
            .seek_simple(gst::SeekFlags::FLUSH, position)
            .unwrap();
        let done = bus.timed_pop_filtered(
            wait,
            &[gst::MessageType::AsyncDone, gst::MessageType::Error],
        );
        assert_eq!(done.unwrap().type_(), gst::MessageType::AsyncDone);
        assert_eq!(pipeline.query_position(), Some(position));
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = bus.timed_pop_filtered(wait, &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
}

/// All at once from several threads: whatever comes between whatever, nothing hangs
/// or breaks, and the element goes on as before. The sink does not preroll: GStreamer's
/// bins can wait for ever where one loses its state time and again.
#[test]
fn a_storm_of_events_and_properties() {
    const ROUNDS: u64 = 150;
    init();
    let line = format!(
        "videotestsrc name=source num-buffers=100000 ! video/x-raw,width=32,height=24,framerate=30/1 \
         ! faststyle name=style model={} device=cpu ! fakesink sync=false async=false",
        model().display()
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let element = pipeline.by_name("style").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let sink = element.static_pad("sink").unwrap();
    std::thread::scope(|scope| {
        let (pipeline, element, sink) = (&pipeline, &element, &sink);
        scope.spawn(move || {
            for i in 0..ROUNDS {
                let position = gst::ClockTime::from_mseconds(i * 37 % 3000);
                // One that comes during a flush of another may fail.
                let _ = pipeline.seek_simple(gst::SeekFlags::FLUSH, position);
            }
        });
        scope.spawn(move || {
            for i in 0..ROUNDS {
                match i % 5 {
                    0 => pipeline.send_event(gst::event::Eos::new()),
                    1 => element.send_event(gst::event::Reconfigure::new()),
                    _ => {
                        sink.send_event(gst::event::FlushStart::new());
                        sink.send_event(gst::event::FlushStop::new(true));
                        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                        sink.send_event(gst::event::Segment::new(&segment))
                    }
                };
                std::thread::yield_now();
            }
        });
        scope.spawn(move || {
            for i in 0..ROUNDS {
                let model = [model().to_str(), None, Some("/nowhere"), Some("no\x1bname")];
                element.set_property("model", model[i as usize % 4]);
                element.set_property("style", (i % 3 == 0).then_some("none"));
                std::thread::yield_now();
            }
        });
        scope.spawn(move || {
            for i in 0..20 * ROUNDS {
                element.set_property("strength", (i % 3) as f64 / 2.0);
                element.set_property("keep-color", i % 2 == 0);
                element.set_property("scale", (i % 5) as f64 / 4.0);
                element.set_property("style-position", (i % 4) as f64 - 1.0);
                stats(element);
                std::thread::yield_now();
            }
        });
    });
    // No fault of the stream, only warnings of models that are not there.
    let bus = pipeline.bus().unwrap();
    let error = bus.pop_filtered(&[gst::MessageType::Error]);
    assert!(error.is_none(), "{error:?}");
    pipeline.set_state(gst::State::Null).unwrap();

    element.set_property("model", model().to_str());
    element.set_property("style", None::<&str>);
    element.set_property("strength", 1.0);
    let source = pipeline.by_name("source").unwrap();
    source.set_property("num-buffers", 5i32);
    bus.set_flushing(true);
    bus.set_flushing(false);
    pipeline.set_state(gst::State::Playing).unwrap();
    let wait = gst::ClockTime::from_seconds(PATIENCE.as_secs());
    let end = bus.timed_pop_filtered(wait, &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
    assert_eq!(stats(&element).get::<u64>("styled"), Ok(5));
    pipeline.set_state(gst::State::Null).unwrap();
}

/// All at once, of several sizes, on shared threads.
#[test]
fn eight_elements_in_one_process() {
    let model = model().display();
    let branches = (1..=8).map(|i| {
        format!(
            "videotestsrc num-buffers=40 ! video/x-raw,width={},height={} \
             ! faststyle name=style{i} model={model} device=cpu scale={} ! fakesink",
            30 * i,
            20 * i,
            1.0 / f64::from(i)
        )
    });
    let pipeline = run(&branches.collect::<Vec<_>>().join(" ")).unwrap();
    for i in 1..=8 {
        let element = pipeline.by_name(&format!("style{i}")).unwrap();
        assert_eq!(stats(&element).get::<u64>("styled"), Ok(40));
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn very_wide_and_very_large_frames() {
    for (width, height, scale) in [(8191, 17, 1.0), (17, 8191, 1.0), (7680, 4320, 0.02)] {
        let info = info(VideoFormat::Nv12, width, height);
        let element = element();
        element.set_property("scale", scale);
        let mut harness = harness(&element, &info, &info);
        let styled = harness.push_and_pull(noise(&info, 1)).unwrap();
        assert_eq!(styled.size(), info.size());
    }
}

/// What does not fit is an error that says how much is missing.
#[test]
fn a_frame_too_large_for_the_machine() {
    let mut painter = Painter::new(Threads::new(1).unwrap());
    painter.set_model(Some(Prepared::load(model(), Options::default()).unwrap()));
    let large = Size::new(1 << 20, 1 << 20);
    let error = painter.check_memory(large, large).unwrap_err();
    assert!(error.to_string().contains("MiB"), "{error}");
    match error {
        EngineError::OutOfMemory {
            needed_mib,
            available_mib,
        } => assert!(needed_mib > 1 << 25 && available_mib < needed_mib),
        _ => panic!("{error}"),
    }
    assert!(
        painter
            .check_memory(Size::new(640, 480), Size::new(640, 480))
            .is_ok()
    );
    assert!(
        painter
            .check_memory(Size::new(usize::MAX, 9), Size::new(1, 1))
            .is_err()
    );
}

/// Memory in use by this process, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_frames_in_the_same_memory() {
    const CHILD: &str = "FASTSTYLE_TEST_MEMORY";
    if std::env::var_os(CHILD).is_none() {
        let mut child = this_test_alone("robust::ten_thousand_frames_in_the_same_memory");
        assert!(child.env(CHILD, "1").status().unwrap().success());
        return;
    }
    let info = info(VideoFormat::I420, 32, 24);
    let element = element();
    element.set_property("scale", 0.5);
    let mut harness = harness(&element, &info, &info);
    let buffer = noise(&info, 1);
    let mut run = |frames| {
        for _ in 0..frames {
            harness.push_and_pull(buffer.copy()).unwrap();
        }
        resident()
    };
    let before = run(1000);
    let after = run(10_000);
    assert!(after < before + (2 << 20), "{before}, then {after}");
}

/// The plugin as it is loaded, with GStreamer's own checks.
#[test]
fn no_leaks_and_no_critical_warnings() {
    // Beside this test lie libraries of all kinds.
    let plugin = std::env::current_exe().unwrap();
    let plugin = plugin.with_file_name("libgstfaststyle.so");
    let folder = path("plugin");
    fs::create_dir(&folder).unwrap();
    fs::copy(plugin, folder.join("libgstfaststyle.so")).unwrap();
    let model = model().display();
    let output = Command::new("gst-launch-1.0")
        .args(["--no-position", "videotestsrc", "num-buffers=20", "!"])
        .args(["video/x-raw,format=NV12,width=64,height=48", "!"])
        .args(["faststyle", &format!("model={model}"), "scale=0.5", "!"])
        .args(["video/x-raw,format=RGBA", "!"])
        .args(["faststyle", "strength=0", "!", "fakesink"])
        .env("GST_PLUGIN_PATH", &folder)
        .env("GST_REGISTRY", path("registry.bin"))
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .env("G_DEBUG", "fatal-criticals")
        .output()
        .expect("gst-launch-1.0");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // The tracer was there: it describes what it would say.
    let mut lines = said.lines().filter(|line| line.contains("object-alive, "));
    assert!(
        lines.next().is_some_and(|line| line.contains("%s")),
        "{said}"
    );
    assert_eq!(lines.next(), None);
}
