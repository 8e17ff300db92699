//! That interrupted work goes on, and ends in the same film.

use crate::common::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
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
fn wait_for(file: &Path, program: &mut Running) {
    let from = Instant::now();
    while !file.exists() {
        assert!(
            from.elapsed() < PATIENCE,
            "{} does not come",
            file.display()
        );
        assert!(
            program.0.try_wait().unwrap().is_none(),
            "ended without {}",
            file.display()
        );
        thread::sleep(Duration::from_millis(2));
    }
}

fn told(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn finish(input: &Path, output: &Path) -> String {
    let out = Running::start(&mut command(input, output)).output();
    assert!(out.status.success(), "{}", told(&out));
    told(&out)
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
        let mut program = Running::start(&mut command(input, &output));
        wait_for(&unfinished(&output, file), &mut program);
        program.0.kill().unwrap();
        program.wait();
        assert!(!output.exists());
    }
    let said = finish(input, &output);
    assert!(said.contains("Resumes at"), "{said}");
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
    let mut program = Running::start(&mut command(&LONG, &output));
    wait_for(&unfinished(&output, "segment-00001.packets"), &mut program);
    program.interrupt();
    let out = program.output();
    assert_eq!(out.status.code(), Some(130), "{}", told(&out));
    assert!(
        told(&out).contains("The same command goes on"),
        "{}",
        told(&out)
    );
    assert!(!output.exists());

    let mut other = command(&LONG, &output);
    let out = Running::start(other.args(["--strength", "0.5"])).output();
    assert_eq!(out.status.code(), Some(1), "{}", told(&out));
    assert!(
        told(&out).contains("strength: 1.0, now 0.5"),
        "{}",
        told(&out)
    );
    assert!(told(&out).contains("--restart"), "{}", told(&out));

    let said = finish(&LONG, &output);
    assert!(said.contains("Resumes at 0:0"), "{said}");
    assert_eq!(times(&LONG), times(&output));
}
