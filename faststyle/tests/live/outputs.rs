//! Where live video goes.

use crate::common::*;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

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
    let program = Live::start(command.arg("--record").arg(&file));
    let part = path(".ended.mp4.part");
    let from = Instant::now();
    while fs::metadata(&part).map_or(0, |file| file.len()) < 1000 {
        assert!(from.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
    let output = program.end();
    assert!(output.status.success(), "{}", said(&output));
    assert!(count_frames(&format!("filesrc location={}", file.display()), 10_000) > 0);
}

#[test]
fn a_web_servers_folder_gets_a_playlist() {
    let folder = path("hls");
    let mut command = live();
    let program = Live::start(command.arg("--hls").arg(&folder));
    let from = Instant::now();
    while !folder.join("stream.m3u8").exists() {
        assert!(from.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
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
    let inputs: [(&[&str], &str); 3] = [
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
