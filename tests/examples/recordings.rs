//! What writes video files.

use crate::common::*;
use std::time::{Duration, Instant};

#[test]
fn file_repaints_all_frames_with_sound() {
    let output = path("file.mp4");
    let run = || {
        let mut file = example("file");
        file.args([&*CLIP, &output]).args(["--strength", "0.9"]);
        file.arg("--model").arg(model("one")).assert()
    };
    run().success();
    let streams = streams(&output);
    let frames = |kind| streams[kind].len();
    assert_eq!(frames("video/x-h264"), FRAMES);
    assert!(frames("audio/mpeg") > 30);
    let change = difference(&pictures(&CLIP)[7], &pictures(&output)[7], 0..66);
    assert!(change > 20.0, "{change}");
    // A film that is there is spared.
    run().failure();
    assert_eq!(pictures(&output).len(), FRAMES);
}

#[test]
fn file_takes_a_clip_without_sound() {
    let clip = path("silent.mp4");
    let line = "videotestsrc num-buffers=8 ! video/x-raw,width=66,height=50 ! x264enc ! mp4mux ! filesink name=file";
    play(line, &clip, |_| ());
    let output = path("from silent.mp4");
    let mut file = example("file");
    file.args([&clip, &output]).arg("--model").arg(model("one"));
    file.assert().success();
    let streams = streams(&output);
    assert_eq!(
        streams
            .into_values()
            .map(|frames| frames.len())
            .collect::<Vec<_>>(),
        [8]
    );
}

#[test]
fn split_screen_has_the_original_on_the_left_and_the_painting_on_the_right() {
    let output = path("split.mp4");
    let mut split_screen = example("split_screen");
    split_screen
        .arg("--input")
        .arg(&*CLIP)
        .arg("--output")
        .arg(&output);
    split_screen.args(["--period", "4"]);
    split_screen
        .arg("--model")
        .arg(model("one"))
        .assert()
        .success();
    let (originals, pictures) = (pictures(&CLIP), pictures(&output));
    assert_eq!(pictures.len(), FRAMES);
    // The border starts in the middle. After a quarter of the period it is at
    // the left, where its 5 % are three columns.
    let left = difference(&originals[0], &pictures[0], 0..30);
    let right = difference(&originals[0], &pictures[0], 36..66);
    assert!(left < 10.0 && right > 20.0, "{left}, {right}");
    let right = difference(&originals[25], &pictures[25], 6..36);
    assert!(right > 20.0, "{right}");
}

#[test]
fn an_interrupted_recording_is_complete() {
    let clip = path("long.mp4");
    let line = "videotestsrc num-buffers=3000 ! video/x-raw,width=66,height=50 \
                ! x264enc speed-preset=ultrafast ! mp4mux ! filesink name=file";
    play(line, &clip, |_| ());
    let (output, part) = (path("interrupted.mp4"), path("interrupted.mp4.part"));
    let split_screen = example("split_screen");
    let mut command = std::process::Command::new(split_screen.get_program());
    command
        .arg("--input")
        .arg(&clip)
        .arg("--output")
        .arg(&output);
    let mut running = Running::start(command.arg("--model").arg(model("one")));
    // Until a frame has come to the file.
    let from = Instant::now();
    while std::fs::metadata(&part).map_or(0, |file| file.len()) == 0 && !output.exists() {
        assert!(
            running
                .0
                .try_wait()
                .unwrap()
                .is_none_or(|status| status.success())
        );
        assert!(from.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    running.interrupt();
    assert!(running.output().status.success());
    assert!(!pictures(&output).is_empty());
}
