//! What a person sees while the training runs: on standard error, a bar that
//! moves, or a line now and then where nothing can move.

use crate::metrics::Losses;
use indicatif::{FormattedDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Steps over which losses and speed are smoothed.
const SPAN: f64 = 30.0;

/// Time between two plain lines.
const PAUSE: Duration = Duration::from_secs(30);

/// The progress of a training.
pub struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    losses: [Smooth; 4],
    seconds: Smooth,
    last_line: Option<Instant>,
}

impl Progress {
    /// Of a training of `steps` steps, of which `done` are done.
    pub fn new(done: u64, steps: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps).with_position(done);
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Progress {
            bar,
            steps,
            losses: Default::default(),
            seconds: Smooth::default(),
            last_line: None,
        }
    }

    /// Shows that `step` steps are done, the last with `losses` in `seconds`.
    pub fn step(&mut self, step: u64, losses: &Losses, seconds: f64) {
        for (smooth, value) in self.losses.iter_mut().zip(losses.as_array()) {
            smooth.add(value.into());
        }
        self.seconds.add(seconds);
        let message = self.message(step);
        match &self.bar {
            Some(bar) => {
                bar.set_message(message);
                bar.set_position(step);
            }
            None if self.last_line.is_none_or(|last| last.elapsed() >= PAUSE) => {
                eprintln!("step {step}/{}  {message}", self.steps);
                self.last_line = Some(Instant::now());
            }
            None => (),
        }
    }

    /// Says something in between.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Leaves what was last shown.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    fn message(&self, step: u64) -> String {
        let [total, content, style, tv] = self.losses.each_ref().map(Smooth::value);
        let seconds = self.seconds.value();
        let left = seconds * self.steps.saturating_sub(step) as f64;
        let left = Duration::try_from_secs_f64(left.round()).unwrap_or(Duration::MAX);
        format!(
            "loss {total:.3e} (content {content:.2e}, style {style:.2e}, tv {tv:.2e})  \
             {:.2} steps/s  {} left",
            1.0 / seconds.max(1e-9),
            FormattedDuration(left)
        )
    }
}

/// A running mean that weighs late values more.
#[derive(Clone, Copy, Default)]
struct Smooth {
    sum: f64,
    weight: f64,
}

impl Smooth {
    fn add(&mut self, value: f64) {
        let keep = 1.0 - 1.0 / SPAN;
        self.sum = self.sum * keep + value;
        self.weight = self.weight * keep + 1.0;
    }

    fn value(&self) -> f64 {
        self.sum / self.weight.max(1e-9)
    }
}
