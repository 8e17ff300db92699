//! Plays live video, controlled by keys in the terminal. `faststyle live` has more of
//! them, a page to click, and outputs; this is how to change the element while it plays.
//!
//! ```sh
//! cargo run --release --example live -- --mirror                  # the first camera
//! cargo run --release --example live -- --input test scream atelier my.safetensors
//! ```

mod common;

use anyhow::Result;
use clap::Parser;
use gst::prelude::*;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use termion::input::TermRead;
use termion::raw::IntoRawMode;

const HELP: &str = "n next style, + - more or less of it, o original, s statistics, q quit";

#[derive(Parser)]
#[command(about = "Repaints live video, controlled by keys", after_help = HELP)]
struct Args {
    /// Model files, or names of installed models
    #[arg(default_values = ["scream", "udnie", "atelier"])]
    models: Vec<String>,
    /// Camera, a video file that is repeated, or `test` for the shipped clip
    #[arg(long, default_value = "/dev/video0")]
    input: String,
    /// Mirror the picture, as cameras are used to
    #[arg(long)]
    mirror: bool,
    /// Do not open a window
    #[arg(long)]
    headless: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    common::init()?;
    let input = match args.input.as_str() {
        "test" => common::CLIP,
        input => input,
    };
    let pipeline = common::pipeline(&format!(
        "{} ! videoflip method={} ! faststyle name=style style-fade=1000 ! queue ! videoconvert ! {}",
        common::source(input)?,
        if args.mirror {
            "horizontal-flip"
        } else {
            "none"
        },
        if args.headless {
            "fakesink sync=true"
        } else {
            "autovideosink"
        },
    ))?;
    let mut player = Player {
        style: common::element(&pipeline, "style")?,
        models: args.models,
        model: 0,
        strength: 1.0,
        original: false,
    };
    player.choose(0);
    // Dropping the second restores the terminal.
    let (keys, _raw) = keyboard()?;
    say(HELP);
    common::run(&pipeline, !common::is_camera(input), |_| {
        while let Ok(key) = keys.try_recv() {
            match key {
                'n' => player.next(),
                '+' => player.set_strength(player.strength + 0.1),
                '-' => player.set_strength(player.strength - 0.1),
                'o' => {
                    player.original = !player.original;
                    player.set_strength(player.strength);
                }
                's' => say(&player.style.property::<gst::Structure>("stats").to_string()),
                'q' => return Ok(ControlFlow::Break(())),
                _ => (),
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

struct Player {
    style: gst::Element,
    models: Vec<String>,
    /// The place of the model in use.
    model: usize,
    /// The strength to return to when the original is hidden again.
    strength: f64,
    original: bool,
}

impl Player {
    /// Goes to the next style: of this model, into which it fades, else of the next
    /// model.
    fn next(&mut self) {
        let styles = self.style.property::<Vec<String>>("styles");
        let current = self.style.property::<Option<String>>("style");
        let place = current.map_or(Some(0), |style| styles.iter().position(|s| *s == style));
        match place.and_then(|place| styles.get(place + 1)) {
            Some(style) => {
                self.style.set_property("style", style);
                say(&format!("style: {style}"));
            }
            None => self.choose(self.model + 1),
        }
    }

    /// Changes the model while the video plays. If it cannot be read, the element
    /// warns and keeps the previous one.
    fn choose(&mut self, number: usize) {
        self.model = number % self.models.len();
        let model = &self.models[self.model];
        self.style.set_property("style", None::<&str>);
        self.style.set_property("model", model);
        say(&format!("model: {model}"));
    }

    fn set_strength(&mut self, strength: f64) {
        self.strength = strength.clamp(0.0, 1.0);
        let shown = if self.original { 0.0 } else { self.strength };
        self.style.set_property("strength", shown);
        say(&format!("strength: {shown:.1}"));
    }
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
                termion::event::Key::Char(key) => key,
                // A raw terminal sends no signal.
                termion::event::Key::Ctrl('c') => 'q',
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
