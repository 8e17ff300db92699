//! That interrupted work goes on, and ends in the same film.

use crate::common::*;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

/// A clip of 6 s with frames that refer to later ones across its keyframes.
static LONG: LazyLock<PathBuf> = LazyLock::new(|| {
    let clip = path("long.mp4");
    let line = format!(
        "{} ! x264enc key-int-max=40 b-adapt=false bframes=3 ! mux. \
         audiotestsrc num-buffers=259 ! audio/x-raw,rate=44100 ! avenc_aac ! mux. \
         mp4mux name=mux ! filesink name=file",
        video(150, "width=322,height=242,framerate=25/1")
    );
    play(&line, &clip, |_| ());
    clip
});

fn command(input: &Path, output: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("faststyle"));
    command.args(["film", "--segment", "1", "--model"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/scream.safetensors"));
    command.arg(input).arg("--output").arg(output);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("GST_REGISTRY", path("registry.bin"));
    command
}

/// Waits until the file is there, which the program makes on its way.
fn wait_for(file: &Path, program: &mut Child) {
    let from = Instant::now();
    while !file.exists() {
        assert!(
            from.elapsed() < PATIENCE,
            "{} does not come",
            file.display()
        );
        assert!(
            program.try_wait().unwrap().is_none(),
            "ended without {}",
            file.display()
        );
        thread::sleep(Duration::from_millis(2));
    }
}

fn finish(input: &Path, output: &Path) -> String {
    let out = command(input, output).output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{told}");
    told
}

/// The name of a file of unfinished work.
fn unfinished(output: &Path, file: &str) -> PathBuf {
    let name = output.file_name().unwrap().to_str().unwrap();
    output
        .with_file_name(format!(".{name}.faststyle"))
        .join(file)
}

fn resumed_is_the_same(input: &Path, extension: &str, kills: &[&str]) {
    let stem = input.file_stem().unwrap().to_str().unwrap();
    let whole = path(&format!("{stem}.whole.{extension}"));
    finish(input, &whole);
    let output = path(&format!("{stem}.resumed.{extension}"));
    for file in kills {
        let mut program = command(input, &output).spawn().unwrap();
        wait_for(&unfinished(&output, file), &mut program);
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(!output.exists());
    }
    let told = finish(input, &output);
    assert!(told.contains("Resumes at"), "{told}");
    assert!(!unfinished(&output, "").exists());
    let (caps, frames_of_whole) = frames(&whole);
    assert_eq!(frames_of_whole.len(), times(input).len());
    assert_eq!((caps, frames_of_whole), frames(&output));
    assert!(other_streams(&whole) == other_streams(&output));
}

#[test]
fn killed_work_goes_on_to_the_same_film() {
    let kills = [
        "settings.json",
        "tracks.json",
        "segment-00000.part",
        "segment-00001.packets",
        "segment-00002.part",
        "segment-00004.packets",
    ];
    resumed_is_the_same(&LONG, "mkv", &kills);
}

#[test]
fn a_film_in_a_transport_stream_resumes() {
    let clip = path("stream.ts");
    let line = format!(
        "{} ! x264enc key-int-max=40 ! mpegtsmux ! filesink name=file",
        video(100, "width=322,height=242,framerate=25/1")
    );
    play(&line, &clip, |_| ());
    resumed_is_the_same(
        &clip,
        "mp4",
        &["segment-00001.packets", "segment-00002.part"],
    );
}

#[test]
fn ctrl_c_says_how_to_go_on() {
    let output = path("interrupted.mkv");
    let mut program = command(&LONG, &output).spawn().unwrap();
    wait_for(&unfinished(&output, "segment-00001.packets"), &mut program);
    let killed = Command::new("kill")
        .args(["-INT", &program.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let out = program.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(130), "{told}");
    assert!(told.contains("The same command goes on"), "{told}");
    assert!(!output.exists());

    let mut other = command(&LONG, &output);
    let out = other.args(["--strength", "0.5"]).output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{told}");
    assert!(told.contains("strength: 1.0, now 0.5"), "{told}");
    assert!(told.contains("--restart"), "{told}");

    let told = finish(&LONG, &output);
    assert!(told.contains("Resumes at 0:0"), "{told}");
    assert_eq!(times(&LONG), times(&output));
}
