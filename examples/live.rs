//! Plays live video, controlled by keys in the terminal:
//!
//! ```sh
//! cargo run --release --example live                       # the first camera
//! cargo run --release --example live -- --input test scream my-styles/ other.safetensors
//! ```

mod common;

use anyhow::{Context, Result, bail};
use clap::Parser;
use common::Size;
use gst::prelude::*;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use termion::event::Key;
use termion::input::TermRead;
use termion::raw::IntoRawMode;

const HELP: &str = "\
n, Right   next style           + , Up     more of the style
p, Left    previous style       - , Down   less of it
k          the video's colours  o          the original
f          time of a fade       s          statistics
q, Ctrl-C  quit";

/// Times of a fade from style to style, in milliseconds.
const FADES: [u32; 3] = [1000, 4000, 0];

/// The styles in the repository.
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models");

#[derive(Parser)]
#[command(about = "Repaints live video, controlled by keys", after_help = HELP)]
struct Args {
    /// Model files, names of installed models, or folders of model files
    #[arg(default_value = MODELS)]
    models: Vec<String>,
    /// Camera (`camera` or /dev/video…), video file, or `test`
    #[arg(long, default_value = "camera")]
    input: String,
    /// Video size of a camera or test
    #[arg(long, default_value = "640x480")]
    size: Size,
    /// Do not open a window
    #[arg(long)]
    headless: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    common::init()?;
    let sink = if args.headless {
        "fakesink sync=true"
    } else {
        "autovideosink"
    };
    let pipeline = common::pipeline(&format!(
        "{} ! faststyle name=style stats-interval=500000000 \
         ! textoverlay name=text silent=true valignment=top halignment=left font-desc=Monospace,10 \
         ! queue ! videoconvert ! {sink}",
        common::source(&args.input, args.size)?,
    ))?;
    let mut player = Player {
        style: common::element(&pipeline, "style")?,
        text: common::element(&pipeline, "text")?,
        models: models(&args.models)?,
        chosen: 0,
        fade: 0,
        strength: 1.0,
        original: false,
    };
    player.choose(0);
    (player.style).connect_notify(Some("styles"), |element, _| {
        let styles = element.property::<Vec<String>>("styles");
        if styles.len() > 1 {
            say(&format!("styles: {}", styles.join(", ")));
        }
    });
    // Dropping the second restores the terminal.
    let (keys, _raw) = keyboard()?;
    say(HELP);
    common::run(&pipeline, |message| {
        if let Some(stats) = message.and_then(|message| message.structure())
            && stats.name() == "faststyle-stats"
        {
            player.text.set_property("text", summary(stats));
        }
        while let Ok(key) = keys.try_recv() {
            if key == 'q' {
                return Ok(ControlFlow::Break(()));
            }
            player.press(key);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    say(&summary(&player.style.property::<gst::Structure>("stats")));
    Ok(())
}

/// The given model files, with folders replaced by the models in them.
fn models(given: &[String]) -> Result<Vec<String>> {
    let mut models = Vec::new();
    for model in given {
        if !Path::new(model).is_dir() {
            models.push(model.clone());
            continue;
        }
        let before = models.len();
        for entry in std::fs::read_dir(model).with_context(|| model.clone())? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|ending| ending == "safetensors")
            {
                models.push(path.display().to_string());
            }
        }
        models[before..].sort();
    }
    if models.is_empty() {
        bail!("No model files (*.safetensors) in {}", given.join(", "));
    }
    Ok(models)
}

struct Player {
    style: gst::Element,
    /// Shows the statistics on top of the video.
    text: gst::Element,
    models: Vec<String>,
    /// The model in use.
    chosen: usize,
    /// The time of a fade.
    fade: usize,
    /// The strength to return to when the original is hidden again.
    strength: f64,
    original: bool,
}

impl Player {
    fn press(&mut self, key: char) {
        match key {
            'n' => self.step(true),
            'p' => self.step(false),
            '+' => self.set_strength(self.strength + 0.1),
            '-' => self.set_strength(self.strength - 0.1),
            'k' => say(&format!(
                "own colours: {}",
                toggle(&self.style, "keep-color")
            )),
            'o' => {
                self.original = !self.original;
                self.set_strength(self.strength);
            }
            'f' => {
                self.fade = (self.fade + 1) % FADES.len();
                self.style.set_property("style-fade", FADES[self.fade]);
                say(&format!("fade: {} ms", FADES[self.fade]));
            }
            's' => say(&format!("statistics: {}", !toggle(&self.text, "silent"))),
            _ => (),
        }
    }

    /// Goes to the next style or the previous: one of this model, else another
    /// model's.
    fn step(&mut self, forwards: bool) {
        let count = self.models.len();
        match (self.neighbour(forwards), forwards) {
            (Some(style), _) => {
                self.style.set_property("style", &style);
                say(&format!("style: {style}"));
            }
            (None, true) => self.choose(self.chosen + 1),
            (None, false) => self.choose(self.chosen + count - 1),
        }
    }

    /// The style beside that in use, in the same model.
    fn neighbour(&self, forwards: bool) -> Option<String> {
        let stats = self.style.property::<gst::Structure>("stats");
        // Not while another model is being loaded.
        if stats.get::<&str>("model").ok()? != self.models[self.chosen] {
            return None;
        }
        let styles = self.style.property::<Vec<String>>("styles");
        let set = self.style.property::<Option<String>>("style");
        let current = set.or_else(|| stats.get("style").ok())?;
        let current = styles.iter().position(|style| *style == current)?;
        let next = match forwards {
            true => current + 1,
            false => current.checked_sub(1)?,
        };
        styles.get(next).cloned()
    }

    /// Changes the model while the video plays. If it cannot be read, the
    /// element warns and keeps the previous one.
    fn choose(&mut self, number: usize) {
        self.chosen = number % self.models.len();
        let model = &self.models[self.chosen];
        self.style.set_property("style", None::<&str>);
        self.style.set_property("model", model);
        say(&format!("style: {model}"));
    }

    fn set_strength(&mut self, strength: f64) {
        self.strength = strength.clamp(0.0, 1.0);
        let shown = if self.original { 0.0 } else { self.strength };
        self.style.set_property("strength", shown);
        match self.original {
            true => say("original"),
            false => say(&format!("strength: {:.1}", self.strength)),
        }
    }
}

/// The element's statistics as text.
fn summary(stats: &gst::StructureRef) -> String {
    let count = |name| stats.get::<u64>(name).unwrap_or_default();
    let ms = |name| stats.get::<f64>(name).unwrap_or_default();
    let size = |name| stats.get::<u32>(name).unwrap_or_default();
    format!(
        "{} {}\nnetwork {}x{}, {:.1} ms (95 %: {:.1})\n{} painted, {} dropped, {} as they were",
        stats.get::<&str>("model").unwrap_or_default(),
        stats.get::<&str>("style").unwrap_or_default(),
        size("network-width"),
        size("network-height"),
        ms("network-mean-ms"),
        ms("network-p95-ms"),
        count("styled"),
        count("dropped"),
        count("passed-through"),
    )
}

/// Toggles a property; returns its new value.
fn toggle(element: &gst::Element, property: &str) -> bool {
    let now = !element.property::<bool>(property);
    element.set_property(property, now);
    now
}

/// Keys from a terminal, which sends them as they are typed, or from a pipe.
fn keyboard() -> Result<(Receiver<char>, Option<impl Drop>)> {
    let stdin = std::io::stdin();
    let raw = match stdin.is_terminal() {
        true => Some(termion::get_tty()?.into_raw_mode()?),
        false => None,
    };
    let (sender, keys) = mpsc::channel();
    thread::spawn(move || {
        for key in stdin.keys().map_while(Result::ok) {
            let key = match key {
                Key::Right => 'n',
                Key::Left => 'p',
                Key::Up => '+',
                Key::Down => '-',
                // A raw terminal sends no signal.
                Key::Ctrl('c') => 'q',
                Key::Char(key) => key,
                _ => continue,
            };
            if sender.send(key).is_err() {
                break; // The receiver is gone.
            }
        }
    });
    Ok((keys, raw))
}

/// Prints lines with a carriage return, which a raw terminal needs.
fn say(text: &str) {
    print!("{}\r\n", text.replace('\n', "\r\n"));
}
