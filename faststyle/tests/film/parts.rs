//! Segments painted one by one, then joined.

use crate::common::{film, frames, path, play, video};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What the command prints as JSON.
fn json(command: &mut assert_cmd::Command) -> Value {
    let assert = command.assert().success();
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

fn clip() -> std::path::PathBuf {
    let clip = path("to be cut.mkv");
    let line = format!(
        "{} ! x264enc key-int-max=15 ! matroskamux ! filesink name=file",
        video(110, "width=66,height=50,framerate=25/1")
    );
    play(&line, &clip, |_| ());
    clip
}

#[test]
fn segments_painted_one_by_one_are_the_film() {
    let clip = clip();
    let (whole, joined) = (path("in one go.mkv"), path("joined.mkv"));
    let of = |output: &Path| {
        let mut command = film(&clip, output);
        command.args(["--segment", "1", "--from", "0.4"]);
        command
    };
    of(&whole).assert().success();
    let list = json(of(&joined).arg("--list-segments"));
    let segments = list["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 4);
    assert_eq!(segments[3]["start"], 3_400_000_000u64);
    // In any order, as if on other machines.
    let mut parts = Vec::new();
    for index in [2, 0, 3, 1] {
        let file = path("elsewhere.packets");
        let mut paint = film(&clip, Path::new("joined.mkv"));
        paint.args(["--segment", "1", "--from", "0.4", "--paint-segment"]);
        let part = json(paint.arg(format!("{index}:{}", file.display())));
        fs::rename(&file, segments[index]["file"].as_str().unwrap()).unwrap();
        parts.push((index, part));
    }
    parts.sort_by_key(|(index, _)| *index);
    let counts: Vec<u64> = parts
        .iter()
        .map(|(_, part)| part["frames"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [25, 25, 25, 25]);
    for pair in parts.windows(2) {
        assert_eq!(pair[0].1["end"], pair[1].1["before"], "neighbours");
    }
    let list = json(of(&joined).arg("--list-segments"));
    assert!(
        list["segments"]
            .as_array()
            .unwrap()
            .iter()
            .all(|part| part["done"] == true)
    );
    of(&joined).assert().success();
    assert_eq!(frames(&joined), frames(&whole));
}

#[test]
fn segments_are_of_one_film() {
    let folder = path("films to cut");
    fs::create_dir_all(&folder).unwrap();
    let assert = film(&folder, &path("painted"))
        .arg("--list-segments")
        .assert();
    assert.failure();
}
