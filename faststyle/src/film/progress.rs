//! Progress on standard error: a bar on a terminal, otherwise a line now and then.

use super::segment::Plan;
use crate::messages::say;
use gst::ClockTime;
use gstfaststyle::internals::network::printable_lines;
use indicatif::{FormattedDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Time between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(30);

/// The progress through a film.
pub struct Progress {
    bar: Option<ProgressBar>,
    plan: Plan,
    end: ClockTime,
    started: Instant,
    last_line: Instant,
    /// Where painting began.
    first: Option<ClockTime>,
    frames: u64,
}

impl Progress {
    /// Of a film of this duration.
    pub fn new(plan: Plan, duration: ClockTime) -> Self {
        let end = plan.to.map_or(duration, |to| to.min(duration));
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(end.saturating_sub(plan.from).mseconds());
            let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let now = Instant::now();
        Progress {
            bar,
            plan,
            end,
            started: now,
            last_line: now,
            first: None,
            frames: 0,
        }
    }

    /// Shows that the frame at `time` is painted.
    pub fn frame(&mut self, time: ClockTime) {
        let first = *self.first.get_or_insert(time);
        self.frames += 1;
        if self.bar.is_none() && self.last_line.elapsed() < LINES {
            return;
        }
        let taken = self.started.elapsed().as_secs_f64();
        let text = format!(
            "{} of {}  {:.1} frames/s  {} left",
            clock(time),
            clock(self.end),
            self.frames as f64 / taken,
            FormattedDuration(left(first, time, self.end, taken)),
        );
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.set_position(time.saturating_sub(self.plan.from).mseconds());
            }
            None => {
                say(text);
                self.last_line = Instant::now();
            }
        }
    }

    /// Says something in between.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(printable_lines(text)),
            None => say(text),
        }
    }

    /// Frames painted, and how long that took.
    pub fn painted(&self) -> (u64, Duration) {
        (self.frames, self.started.elapsed())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How long the time after `now` will take, if that from `first` on took so many
/// seconds.
fn left(first: ClockTime, now: ClockTime, end: ClockTime, taken: f64) -> Duration {
    let done = now.saturating_sub(first).nseconds() as f64;
    let rest = end.saturating_sub(now).nseconds() as f64;
    let left = if done > 0.0 {
        (taken / done * rest).round()
    } else {
        0.0
    };
    Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)
}

/// A film's time, as in `1:02:03`.
pub fn clock(time: ClockTime) -> String {
    let seconds = time.seconds();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(clock(ClockTime::from_mseconds(65_900)), "1:05");
        assert_eq!(clock(ClockTime::from_seconds(3723)), "1:02:03");
    }

    #[test]
    fn the_rest_takes_as_long_as_its_part() {
        let s = ClockTime::from_seconds;
        assert_eq!(left(s(10), s(20), s(50), 5.0), Duration::from_secs(15));
        assert_eq!(left(s(10), s(10), s(50), 5.0), Duration::ZERO);
        assert_eq!(left(s(10), s(60), s(50), 5.0), Duration::ZERO);
    }
}
