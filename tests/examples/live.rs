//! The live players, with keys from a pipe.

use crate::common::*;
use assert_cmd::Command;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Types at a live player and reads what it prints.
struct Typist {
    running: Running,
    said: Receiver<String>,
}

impl Typist {
    fn at(command: &Command) -> Self {
        let mut player = std::process::Command::new(command.get_program());
        player.args(command.get_args()).envs(environment());
        player.args(["one", "several", "two"].map(model));
        player.args(["--input", "test", "--mirror", "--headless"]);
        player
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running::start(&mut player);
        let (sender, said) = mpsc::channel();
        let (output, errors) = (running.0.stdout.take(), running.0.stderr.take());
        let send = move |lines: &mut dyn BufRead| {
            for line in lines.lines() {
                let _ = sender.send(line.unwrap());
            }
        };
        let other = send.clone();
        std::thread::spawn(move || send(&mut BufReader::new(output.unwrap())));
        std::thread::spawn(move || other(&mut BufReader::new(errors.unwrap())));
        Typist { running, said }
    }

    fn types(&mut self, keys: &str) {
        let mut input = self.running.0.stdin.as_ref().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
    }

    /// Asks for statistics until they have this in them.
    fn waits_for(&mut self, text: &str) {
        let from = Instant::now();
        loop {
            self.types("s");
            let line = self.said.recv_timeout(PATIENCE).unwrap();
            if line.contains("frames-in") && line.contains(text) {
                return;
            }
            assert!(from.elapsed() < PATIENCE, "no `{text}`");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a line with this in it.
    fn expects(&self, text: &str) {
        let mut lines = Vec::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => lines.push(line),
                Err(_) => panic!("no `{text}` in {lines:#?}"),
            }
        }
    }
}

fn plays_as_typed(player: &Command) {
    let [one, several, two] =
        ["one", "several", "two"].map(|name| model(name).display().to_string());
    let mut typist = Typist::at(player);
    typist.expects(&format!("model: {one}"));
    typist.expects("next style");
    typist.waits_for("one.safetensors");
    for (key, answer) in [
        ("-", "strength: 0.9"),
        ("o", "strength: 0.0"),
        ("-", "strength: 0.0"),
        ("o", "strength: 0.8"),
        ("+", "strength: 0.9"),
        ("n", &format!("model: {several}")),
    ] {
        typist.types(key);
        typist.expects(answer);
    }
    // The styles are known when it has been read.
    typist.waits_for("several.safetensors");
    for (key, answer) in [("n", "style: style-1"), ("n", &format!("model: {two}"))] {
        typist.types(key);
        typist.expects(answer);
    }
    typist.waits_for("two.safetensors");
    typist.types("q");
    assert!(typist.running.wait().success());
}

#[test]
fn live_plays_as_typed() {
    plays_as_typed(&example("live"));
}

/// Debian's own first: its packages are for no other.
const PYTHONS: [&str; 2] = ["/usr/bin/python3", "python3"];

#[test]
fn live_in_python_plays_as_typed() {
    let test = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
    let has_gstreamer = |python: &&&str| {
        let mut python = Command::new(python);
        python.args(["-c", test]).timeout(PATIENCE);
        python.output().is_ok_and(|output| output.status.success())
    };
    let Some(python) = PYTHONS.iter().find(has_gstreamer) else {
        eprintln!("Skipped: no Python with PyGObject and GStreamer (`make install-deps`)");
        return;
    };
    let mut live = Command::new(python);
    live.arg("examples/live.py");
    plays_as_typed(&live);
}

#[test]
fn what_python_lacks_is_named() {
    let runs = |python: &&&str| {
        Command::new(python)
            .arg("--version")
            .timeout(PATIENCE)
            .ok()
            .is_ok()
    };
    let Some(python) = PYTHONS.iter().find(runs) else {
        eprintln!("Skipped: no Python");
        return;
    };
    // Without the packages that are installed.
    let mut live = command(python.as_ref());
    let assert = live
        .args(["-I", "-S", "examples/live.py"])
        .assert()
        .failure();
    let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(said.contains("python3-gi"), "{said}");
    assert!(!said.contains("Traceback"), "{said}");
}
