//! The program, running.

#[path = "../../../tests/common/pipeline.rs"]
mod pipeline;
#[path = "../../../tests/common/running.rs"]
mod running;

pub use pipeline::{PATIENCE, play, run};

use assert_cmd::Command;
use gst::prelude::*;
use gstfaststyle::{Architecture, Model};
use running::Running;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// All that tests write.
pub static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());

/// A folder of two tiny networks.
pub static MODELS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = path("models");
    std::fs::create_dir(&folder).unwrap();
    for (name, seed) in [("one", 1), ("two", 2)] {
        let architecture = Architecture {
            residual_blocks: 1,
            ..Architecture::with_width(4)
        };
        let model = Model::random(architecture, seed).unwrap();
        model
            .save(folder.join(name).with_extension("safetensors"))
            .unwrap();
    }
    folder
});

/// A clip of one second.
pub static CLIP: LazyLock<PathBuf> = LazyLock::new(|| {
    let clip = path("a 'clip'.mp4");
    let line = "videotestsrc num-buffers=25 pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1 \
                ! x264enc ! mp4mux ! filesink name=file";
    play(line, &clip, |_| ());
    clip
});

pub fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

/// The program with its models.
pub fn faststyle(command: &str) -> Command {
    let mut program = Command::new(assert_cmd::cargo::cargo_bin!("faststyle"));
    program.arg(command);
    program.env("GST_FASTSTYLE_MODEL_PATH", &*MODELS);
    program.env("GST_REGISTRY", path("registry.bin"));
    program.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    program.timeout(PATIENCE);
    program
}

/// `faststyle live` of the clip.
pub fn live() -> Command {
    let mut command = faststyle("live");
    command.args(["--model", "one", "--input"]).arg(&*CLIP);
    command
}

/// The program, running.
pub struct Live(pub Running);

impl Live {
    pub fn start(command: &Command) -> Self {
        let mut program = std::process::Command::new(command.get_program());
        program.args(command.get_args()).stdin(Stdio::null());
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => program.env(name, value),
                None => program.env_remove(name),
            };
        }
        Live(Running::start(&mut program))
    }

    /// The lines that it writes to standard error from now on.
    pub fn lines(&mut self) -> Receiver<String> {
        let lines = BufReader::new(self.0.0.stderr.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            // They are read even if no one listens: a full pipe would hold it up.
            lines
                .map_while(Result::ok)
                .for_each(|line| drop(sender.send(line)));
        });
        receiver
    }

    /// Waits until that is so.
    pub fn until(&mut self, so: impl Fn() -> bool) {
        let from = Instant::now();
        while !so() {
            if let Some(status) = self.0.0.try_wait().unwrap() {
                let mut said = String::new();
                if let Some(stderr) = &mut self.0.0.stderr {
                    stderr.read_to_string(&mut said).unwrap();
                }
                panic!("it has ended ({status}): {said}");
            }
            assert!(from.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end, as Ctrl-C does, and waits for that.
    pub fn end(self) -> Output {
        self.0.interrupt();
        self.0.output()
    }
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for a line with this in it.
pub fn wait_for(lines: &Receiver<String>, text: &str) -> String {
    loop {
        let line = lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("no `{text}`"));
        if line.contains(text) {
            return line;
        }
    }
}

/// A port that no one listens at.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Decodes a file, or what comes from an address, for so many frames; returns how
/// many came.
pub fn count_frames(source: &str, frames: u32) -> usize {
    gst::init().unwrap();
    let line = format!(
        "{source} ! decodebin ! video/x-raw ! identity eos-after={frames} ! fakesink name=sink sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let pad = pipeline
        .by_name("sink")
        .unwrap()
        .static_pad("sink")
        .unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    run(&pipeline);
    count.load(std::sync::atomic::Ordering::Relaxed)
}
