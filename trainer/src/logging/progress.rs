//! Progress on standard error: a bar on a terminal, otherwise a line now and
//! then.

use crate::logging::say::say;
use crate::objective::loss_values::Losses;
use gstfaststyle::internals::network::printable;
use indicatif::{FormattedDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Steps over which speed is smoothed, and the losses of a training.
const SPAN: f64 = 30.0;

/// Time between two plain lines.
const PAUSE: Duration = Duration::from_secs(30);

/// A bar, or lines where there is no terminal.
struct Display {
    bar: Option<ProgressBar>,
    /// What one step is called.
    unit: &'static str,
    steps: u64,
    last_line: Option<Instant>,
}

impl Display {
    /// Of `steps` steps, of which `done` are done.
    fn new(unit: &'static str, done: u64, steps: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps).with_position(done);
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Display {
            bar,
            unit,
            steps,
            last_line: None,
        }
    }

    fn show(&mut self, step: u64, message: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(message);
                bar.set_position(step);
            }
            None if self.last_line.is_none_or(|last| last.elapsed() >= PAUSE) => {
                say(format_args!(
                    "{} {step}/{}  {message}",
                    self.unit, self.steps
                ));
                self.last_line = Some(Instant::now());
            }
            None => (),
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(printable(text).to_string()),
            None => say(text),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    /// How fast it goes, and how long it will take from `step` on, with so many
    /// seconds a step.
    fn speed(&self, step: f64, seconds: f64) -> String {
        format!(
            "{:.2} {}s/s  {} left",
            1.0 / seconds.max(1e-9),
            self.unit,
            FormattedDuration(self.time_left(step, seconds))
        )
    }

    fn time_left(&self, step: f64, seconds: f64) -> Duration {
        let left = seconds * (self.steps as f64 - step).max(0.0);
        Duration::try_from_secs_f64(left.round()).unwrap_or(Duration::MAX)
    }
}

/// The progress of a training or of the slow method.
pub struct Progress {
    display: Display,
    losses: [Smooth; Losses::NAMES.len()],
    seconds: Smooth,
}

impl Progress {
    /// The progress of a training of `steps` steps, of which `done` are done.
    pub fn new(done: u64, steps: u64) -> Self {
        Progress::start("step", done, steps, SPAN)
    }

    /// The progress of the slow method, of at most `iterations` iterations. Losses
    /// are shown as they are, since they only fall.
    pub fn of_search(iterations: u64) -> Self {
        Progress::start("iteration", 0, iterations, 1.0)
    }

    fn start(unit: &'static str, done: u64, steps: u64, span: f64) -> Self {
        Progress {
            display: Display::new(unit, done, steps),
            losses: [Smooth::over(span); Losses::NAMES.len()],
            seconds: Smooth::over(SPAN),
        }
    }

    /// Shows that `step` steps are done, the last with `losses` in `seconds`.
    pub fn step(&mut self, step: u64, losses: &Losses, seconds: f64) {
        for (smooth, value) in self.losses.iter_mut().zip(losses.as_array()) {
            smooth.add(value.into());
        }
        self.seconds.add(seconds);
        let losses = self.losses.each_ref().map(|loss| loss.value() as f32);
        let losses = Losses::from_slice(&losses);
        let speed = self.display.speed(step as f64, self.seconds.value());
        self.display.show(step, format!("{losses}  {speed}"));
    }

    /// How long the steps after `step` will take, at the speed of the last ones.
    pub fn time_left(&self, step: u64) -> Duration {
        self.display.time_left(step as f64, self.seconds.value())
    }

    /// Says something in between.
    pub fn say(&self, text: &str) {
        self.display.say(text);
    }

    /// Leaves what was last shown.
    pub fn finish(&self) {
        self.display.finish();
    }
}

/// The progress through a number of pictures.
pub struct PictureProgress {
    display: Display,
    done: u64,
    started: Instant,
}

impl PictureProgress {
    /// Of `pictures` pictures, of which none is done.
    pub fn new(pictures: u64) -> Self {
        let started = Instant::now();
        let mut display = Display::new("picture", 0, pictures);
        // What is done before the first line is due needs none.
        display.last_line = Some(started);
        PictureProgress {
            display,
            done: 0,
            started,
        }
    }

    /// Shows that the part `share` of the next picture is done.
    pub fn part(&mut self, share: f64) {
        let done = self.done as f64 + share;
        if done > 0.0 {
            let seconds = self.started.elapsed().as_secs_f64() / done;
            let mut message = self.display.speed(done, seconds);
            if share > 0.0 {
                message += &format!("  {:.0} % of the next", 100.0 * share);
            }
            self.display.show(self.done, message);
        }
    }

    /// Counts one more as done.
    pub fn step(&mut self) {
        self.done += 1;
        self.part(0.0);
    }

    /// Says something in between.
    pub fn say(&self, text: &str) {
        self.display.say(text);
    }

    /// Leaves what was last shown.
    pub fn finish(&self) {
        self.display.finish();
    }
}

/// A running mean that weighs late values more.
#[derive(Clone, Copy)]
pub(crate) struct Smooth {
    keep: f64,
    sum: f64,
    weight: f64,
}

impl Smooth {
    pub fn over(span: f64) -> Self {
        Smooth {
            keep: 1.0 - 1.0 / span,
            sum: 0.0,
            weight: 0.0,
        }
    }

    pub fn add(&mut self, value: f64) {
        self.sum = self.sum * self.keep + value;
        self.weight = self.weight * self.keep + 1.0;
    }

    pub fn value(&self) -> f64 {
        self.sum / self.weight.max(1e-9)
    }
}
