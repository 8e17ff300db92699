//! What writes video files.

use crate::common::*;
use std::path::Path;
use std::time::Duration;

/// The sound of a file that has some, and the number of its pictures.
fn sound_and_frames(file: &Path) -> (String, Vec<Vec<u8>>, usize) {
    let mut sound = streams(file);
    let video: Vec<_> = sound
        .extract_if(.., |kind, _| kind.starts_with("video/"))
        .collect();
    assert_eq!((video.len(), sound.len()), (1, 1));
    let (kind, bytes) = sound.pop_first().unwrap();
    (kind, bytes, video[0].1.len())
}

#[test]
fn file_repaints_all_frames_and_keeps_the_sound() {
    let output = path("file.mp4");
    let assert = example("file")
        .args([&*CLIP, &output])
        .arg("--model")
        .arg(model("one"))
        .assert()
        .success();
    let said = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(said.contains("30 frames in"), "{said}");
    let (kind, sound, frames) = sound_and_frames(&output);
    assert_eq!((kind.as_str(), frames), ("audio/mpeg", FRAMES));
    assert!(sound == sound_and_frames(&CLIP).1, "the sound is another");
    let change = difference(&pictures(&CLIP)[7], &pictures(&output)[7], 0..66);
    assert!(change > 20.0, "{change}");
}

#[test]
fn file_encodes_sound_that_the_container_does_not_take() {
    let output = path("file.webm");
    let mut file = example("file");
    file.args([&*CLIP, &output])
        .args(["--strength", "0.5", "--keep-color"]);
    file.arg("--model").arg(model("one")).assert().success();
    let (kind, _, frames) = sound_and_frames(&output);
    assert_eq!((kind.as_str(), frames), ("audio/x-opus", FRAMES));
}

#[test]
fn file_takes_a_clip_without_sound() {
    let clip = path("silent.mp4");
    let line = "videotestsrc num-buffers=8 ! video/x-raw,width=66,height=50 ! x264enc ! mp4mux ! filesink name=file";
    play(line, &clip, |_| ());
    let output = path("from silent.mkv");
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
    let output = path("interrupted.mp4");
    let split_screen = example("split_screen");
    let mut command = std::process::Command::new(split_screen.get_program());
    command.args(["--input", "test", "--size", "64x48", "--output"]);
    command.arg(&output).arg("--model").arg(model("one"));
    let mut running = Running(command.spawn().unwrap());
    std::thread::sleep(Duration::from_secs(1));
    running.signal("INT");
    running.ends_well();
    assert!(!pictures(&output).is_empty());
}
