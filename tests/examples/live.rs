//! The live players, with keys from a pipe.

use crate::common::*;
use assert_cmd::Command;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Types at a live player and reads what it prints.
struct Typist {
    running: Running,
    said: Receiver<String>,
}

impl Typist {
    fn at(command: &Command) -> Self {
        let mut player = std::process::Command::new(command.get_program());
        player.args(command.get_args()).envs(environment());
        player
            .arg(&*MODELS)
            .args(["--input", "test", "--size", "64x48", "--headless"]);
        player
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running(player.spawn().unwrap());
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
    let [one, two, several] = ["one", "two", "several"].map(model);
    let mut typist = Typist::at(player);
    typist.expects(&format!("style: {}", one.display()));
    typist.expects("next style");
    for (key, answer) in [
        ("n", format!("style: {}", several.display())),
        ("", "styles: style-0, style-1".into()),
        ("n", "style: style-1".into()),
        ("p", "style: style-0".into()),
        ("f", "fade: 4000 ms".into()),
        ("n", "style: style-1".into()),
        ("n", format!("style: {}", two.display())),
        ("n", format!("style: {}", one.display())),
        ("p", format!("style: {}", two.display())),
        ("-", "strength: 0.9".into()),
        ("+", "strength: 1.0".into()),
        ("k", "own colours: ".into()),
        ("o", "original".into()),
        ("-", "original".into()),
        ("o", "strength: 0.9".into()),
        ("s", "statistics: ".into()),
    ] {
        typist.types(key);
        typist.expects(&answer);
    }
    // Until the second model is loaded, and some frames are painted with it.
    std::thread::sleep(Duration::from_secs(1));
    typist.types("q");
    typist.expects("two");
    typist.expects("network 64x48");
    typist.expects(" painted");
    typist.running.ends_well();
}

#[test]
fn live_plays_as_typed() {
    plays_as_typed(&example("live"));
}

#[test]
fn live_in_python_plays_as_typed() {
    let test = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
    let has_gstreamer = |python: &&&str| {
        let mut python = Command::new(python);
        python
            .args(["-c", test])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    // Debian's own first: its packages are for no other.
    let Some(python) = ["/usr/bin/python3", "python3"].iter().find(has_gstreamer) else {
        eprintln!("Skipped: no Python with PyGObject and GStreamer (`make install-deps`)");
        return;
    };
    let mut live = Command::new(python);
    live.arg("examples/live.py");
    plays_as_typed(&live);
}
