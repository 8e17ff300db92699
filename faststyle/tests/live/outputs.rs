//! Where live video goes.

use crate::common::*;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI16, Ordering};

/// A file's bytes, none if it is not there.
fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

#[test]
fn the_clip_loops_into_a_recording_that_is_whole() {
    for name in ["show.mkv", "show.mp4"] {
        let file = path(name);
        // Longer than the clip.
        let output = live()
            .arg("--record")
            .arg(&file)
            .args(["--duration", "2.5"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains(name), "{printed}");
        let frames = count_frames(&format!("filesrc location={}", file.display()), 10_000);
        assert!(frames > 1, "{frames}");
        let output = live().arg("--record").arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("--overwrite"), "{}", said(&output));
    }
    assert!(!path(".show.mkv.part").exists());
}

#[test]
fn ctrl_c_ends_a_recording_well() {
    let file = path("ended.mp4");
    let mut command = live();
    let mut program = Live::start(command.arg("--record").arg(&file));
    let part = path(".ended.mp4.part");
    program.until(|| size(&part) > 1000);
    let output = program.end();
    assert!(output.status.success(), "{}", said(&output));
    assert!(count_frames(&format!("filesrc location={}", file.display()), 10_000) > 0);
}

#[test]
fn a_web_servers_folder_gets_a_playlist() {
    let folder = path("hls");
    let mut command = live();
    let mut program = Live::start(command.arg("--hls").arg(&folder));
    program.until(|| folder.join("stream.m3u8").exists());
    let output = program.end();
    assert!(output.status.success(), "{}", said(&output));
    let playlist = fs::read_to_string(folder.join("stream.m3u8")).unwrap();
    assert!(playlist.contains("part-00000.ts"), "{playlist}");
    let part = folder.join("part-00000.ts");
    assert!(count_frames(&format!("filesrc location={}", part.display()), 10_000) > 0);
}

#[test]
fn callers_of_srt_get_the_stream() {
    let port = free_port();
    let mut command = live();
    command
        .arg("--srt")
        .arg(format!("srt://:{port}?mode=listener"));
    let program = Live::start(&command);
    let source = format!("srtsrc uri=srt://127.0.0.1:{port}?mode=caller");
    assert!(count_frames(&source, 10) >= 9);
    let output = program.end();
    assert!(output.status.success(), "{}", said(&output));
}

/// The loudest sample of a file's sound, of 32767.
fn loudest(file: &Path) -> i16 {
    use gst::prelude::*;
    let loudest = Arc::new(AtomicI16::new(0));
    let line = "filesrc name=file ! decodebin ! audioconvert ! audio/x-raw,format=S16LE \
                ! fakesink name=sink sync=false";
    play(line, file, |pipeline| {
        let loudest = loudest.clone();
        let pad = pipeline
            .by_name("sink")
            .unwrap()
            .static_pad("sink")
            .unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let samples = info.buffer().unwrap().map_readable().unwrap();
            for sample in samples.chunks_exact(2) {
                let value = i16::from_le_bytes([sample[0], sample[1]]);
                loudest.fetch_max(value, Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
    });
    loudest.load(Ordering::Relaxed)
}

#[test]
fn the_sound_of_a_film_is_recorded() {
    let clip = path("with sound.mkv");
    let line = "videotestsrc num-buffers=25 ! video/x-raw,width=160,height=120,framerate=25/1 \
                ! x264enc ! mux. audiotestsrc num-buffers=43 ! avenc_aac ! mux. \
                matroskamux name=mux ! filesink name=file";
    play(line, &clip, |_| ());
    let record = |name: &str, input: &Path, args: &[&str]| {
        let file = path(name);
        let mut command = faststyle("live");
        command
            .args(["--model", "one", "--duration", "2.5"])
            .args(args);
        command.arg("--input").arg(input).arg("--record").arg(&file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(count_frames(&format!("filesrc location={}", file.display()), 10_000) > 1);
        file
    };
    assert!(loudest(&record("loud.mp4", &clip, &[])) > 5000);
    // A film without sound has a silent track.
    assert!(loudest(&record("silent.mkv", &CLIP, &[])) < 10);
    let deaf = record("deaf.mkv", &clip, &["--no-sound"]);
    let uri = gst::glib::filename_to_uri(&deaf, None).unwrap();
    let discoverer = gst_pbutils::Discoverer::new(gst::ClockTime::from_seconds(60)).unwrap();
    assert!(
        discoverer
            .discover_uri(&uri)
            .unwrap()
            .audio_streams()
            .is_empty()
    );
}

/// A camera that sends its stream to those who call.
fn camera(port: u16) -> gst::Pipeline {
    use gst::prelude::*;
    let line = format!(
        "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 \
         ! x264enc tune=zerolatency key-int-max=10 ! mpegtsmux alignment=7 \
         ! srtsink uri=srt://127.0.0.1:{port}?mode=listener wait-for-connection=false"
    );
    let camera = gst::parse::launch(&line).unwrap();
    camera.set_state(gst::State::Playing).unwrap();
    camera.downcast().unwrap()
}

#[test]
fn a_stream_that_fails_is_connected_to_again() {
    use gst::prelude::*;
    gst::init().unwrap();
    let port = free_port();
    let first = camera(port);
    let file = path("again.mkv");
    let mut command = faststyle("live");
    command.args(["--model", "one", "--input"]);
    command.arg(format!("srt://127.0.0.1:{port}?mode=caller"));
    let mut program = Live::start(command.arg("--record").arg(&file));
    let lines = program.lines();
    let part = path(".again.mkv.part");
    let grows = |program: &mut Live| {
        let before = size(&part);
        program.until(|| size(&part) > before + 10_000);
    };
    grows(&mut program);
    first.set_state(gst::State::Null).unwrap();
    wait_for(&lines, "Connecting again in 1 s");
    let second = camera(port);
    grows(&mut program);
    let output = program.end();
    assert!(output.status.success());
    second.set_state(gst::State::Null).unwrap();
    assert!(count_frames(&format!("filesrc location={}", file.display()), 10_000) > 10);
}

#[test]
fn what_is_not_there_is_named() {
    let cases: [(&[&str], &str); 5] = [
        (
            &["--virtual-camera", "/dev/video-none"],
            "modprobe v4l2loopback",
        ),
        (&["--whip", "http://127.0.0.1:1/"], "whipclientsink"),
        (&["--record", "x.webm"], ".mkv"),
        (&["--rtmp", "rtmp://127.0.0.1:1/app/key"], ""),
        (&["--page=192.0.2.1:80"], "192.0.2.1"),
    ];
    for (args, expected) in cases {
        let output = live().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
        assert!(
            said(&output).contains(expected),
            "{args:?}: {}",
            said(&output)
        );
    }
    let inputs: [(&[&str], &str); 4] = [
        (&["--input", "http://127.0.0.1:1/film.mp4"], "127.0.0.1:1"),
        (&["--input", "no.mp4"], "no such film"),
        (&["--camera", "no such camera"], "--camera no such camera"),
        (&["--screen"], "DISPLAY"),
    ];
    for (args, expected) in inputs {
        let output = faststyle("live")
            .args(args)
            .args(["--model", "one"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
        assert!(
            said(&output).contains(expected),
            "{args:?}: {}",
            said(&output)
        );
    }
}
