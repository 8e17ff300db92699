//! The element's statistics and latency.

use super::painted::Painted;
use crate::engine::{FrameTimings, Prepared, Size};
use crate::network::printable;
use crate::ops::cpu::Level;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The number of frames for means and percentiles.
const WINDOW: usize = 256;

/// Frames between two measurements of the latency.
const LATENCY_FRAMES: usize = 32;

/// Counts and times of a started element.
#[derive(Default)]
pub struct Report {
    frames: Frames,
    times: VecDeque<Times>,
    size: Size,
    running: Running,
    latency: Duration,
    /// Frames until the latency is measured again.
    latency_due: usize,
    last_message: Option<Instant>,
}

/// Frame counts.
#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    input: u64,
    styled: u64,
    /// Key frames that the network has finished.
    key_frames: u64,
    /// Those of the styled frames to which the painting before was carried.
    carried: u64,
    dropped: u64,
    passed_through: u64,
}

#[derive(Clone, Copy)]
struct Times {
    timings: FrameTimings,
    total: Duration,
    key_frame: bool,
    /// The share of the frame that was repaired, if it was carried.
    repaired: Option<f32>,
}

/// What runs, and where.
#[derive(Clone, Debug, Default)]
struct Running {
    model: String,
    style: String,
    styles: Vec<String>,
    device: &'static str,
    precision: String,
}

impl Report {
    /// Counts an input frame.
    pub fn input(&mut self) {
        self.frames.input += 1;
    }

    /// Counts a frame that was late and has been dropped.
    pub fn dropped(&mut self) {
        self.frames.dropped += 1;
    }

    /// Counts a frame that passed through unchanged.
    pub fn passed_through(&mut self) {
        self.frames.passed_through += 1;
    }

    /// Counts a styled frame, with its whole time and the network's size.
    pub fn styled(&mut self, painted: &Painted, total: Duration, size: Size) {
        self.frames.styled += 1;
        self.frames.key_frames += u64::from(painted.key_frame);
        self.frames.carried += u64::from(painted.repaired.is_some());
        self.size = size;
        self.times.push_back(Times {
            timings: painted.timings,
            total,
            key_frame: painted.key_frame,
            repaired: painted.repaired,
        });
        if self.times.len() > WINDOW {
            self.times.pop_front();
        }
        self.latency_due = self.latency_due.saturating_sub(1);
    }

    /// Resets times and model for another model, or none.
    pub fn model(&mut self, prepared: Option<&Prepared>, name: &str) {
        self.times.clear();
        self.size = Size::default();
        self.running = match prepared {
            None => Running::default(),
            Some(prepared) => Running {
                model: name.into(),
                style: String::new(),
                styles: (prepared.styles().iter())
                    .map(|style| printable(&style.name).to_string())
                    .collect(),
                device: match prepared.device().is_cpu() {
                    true => "cpu",
                    false => "cuda",
                },
                precision: prepared.precision().to_string(),
            },
        };
    }

    /// Sets the style that is chosen.
    pub fn style(&mut self, style: String) {
        self.running.style = printable(style).to_string();
    }

    /// The names of the model's styles, as they can be shown.
    pub fn styles(&self) -> Vec<String> {
        self.running.styles.clone()
    }

    /// Sets the latency to report until it has been measured. Whether it has
    /// changed.
    pub fn expect_latency(&mut self, latency: Duration) -> bool {
        let news = self.latency.is_zero() && !latency.is_zero();
        if news {
            self.latency = latency;
            self.latency_due = LATENCY_FRAMES;
        }
        news
    }

    /// The latency to report.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// Measures the latency from time to time. Whether it has changed by a quarter.
    pub fn latency_changed(&mut self) -> bool {
        if self.latency_due > 0 || self.times.is_empty() {
            return false;
        }
        self.latency_due = LATENCY_FRAMES;
        // Key frames take the longest: frames in between wait for them.
        let key_frames = self.times.iter().rev().filter(|times| times.key_frame);
        let recent = key_frames.take(2 * LATENCY_FRAMES);
        let found = percentile(recent.map(|times| times.total), 0.95);
        let changed = found.abs_diff(self.latency) * 4 > self.latency;
        if changed {
            self.latency = found;
        }
        changed
    }

    /// Whether a message is due, at intervals of `interval`.
    pub fn message_due(&mut self, interval: Duration) -> bool {
        let now = Instant::now();
        let last = *self.last_message.get_or_insert(now);
        let due = !interval.is_zero() && now - last >= interval;
        if due {
            self.last_message = Some(now);
        }
        due
    }

    /// The value of property `stats`.
    pub fn structure(&self) -> gst::Structure {
        let mut structure = gst::Structure::builder("faststyle-stats")
            .field("frames-in", self.frames.input)
            .field("styled", self.frames.styled)
            .field("key-frames", self.frames.key_frames)
            .field("carried-frames", self.frames.carried)
            .field("repaired-share", self.repaired_share())
            .field("dropped", self.frames.dropped)
            .field("passed-through", self.frames.passed_through)
            .field("network-width", self.size.width as u32)
            .field("network-height", self.size.height as u32)
            .field("model", &self.running.model)
            .field("style", &self.running.style)
            .field("device", self.running.device)
            .field("precision", &self.running.precision)
            .field("cpu-level", Level::current().to_string())
            .field("latency", self.latency.as_nanos() as u64)
            .build();
        self.set_times(&mut structure, "convert", |times| times.timings.convert);
        self.set_times(&mut structure, "network", |times| times.timings.network);
        self.set_times(&mut structure, "upsample", |times| times.timings.upsample);
        self.set_times(&mut structure, "motion", |times| times.timings.motion);
        self.set_times(&mut structure, "total", |times| times.total);
        structure
    }

    /// The mean share that was repaired of recent frames that were carried.
    fn repaired_share(&self) -> f64 {
        let carried = self.times.iter().filter_map(|times| times.repaired);
        let (count, sum) = carried.fold((0, 0.0), |(count, sum), share| {
            (count + 1, sum + f64::from(share))
        });
        sum / f64::from(count.max(1))
    }

    fn set_times(&self, to: &mut gst::Structure, name: &str, part: fn(&Times) -> Duration) {
        let times = || self.times.iter().map(part);
        let mean = times().sum::<Duration>() / self.times.len().max(1) as u32;
        to.set(format!("{name}-mean-ms"), millis(mean));
        to.set(format!("{name}-p95-ms"), millis(percentile(times(), 0.95)));
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The time that a share `part` of the times does not exceed.
fn percentile(times: impl Iterator<Item = Duration>, part: f64) -> Duration {
    let mut times = Vec::from_iter(times);
    times.sort_unstable();
    let rank = (part * times.len() as f64).ceil() as usize;
    times.get(rank.max(1) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(report: &mut Report, ms: u64) {
        let total = Duration::from_millis(ms);
        let painted = Painted {
            timings: FrameTimings {
                network: total / 2,
                ..FrameTimings::default()
            },
            key_frame: true,
            ..Painted::default()
        };
        report.styled(&painted, total, Size::new(8, 6));
    }

    #[test]
    fn means_and_percentiles() {
        gst::init().unwrap();
        let mut report = Report::default();
        for ms in (1..=100).rev() {
            frame(&mut report, ms);
        }
        let structure = report.structure();
        let get = |name| structure.get::<f64>(name).unwrap();
        assert!((get("total-mean-ms") - 50.5).abs() < 1e-9);
        assert_eq!(get("total-p95-ms"), 95.0);
        assert_eq!(get("network-p95-ms"), 47.5);
        assert_eq!(structure.get::<u64>("styled"), Ok(100));
    }

    #[test]
    fn carried_frames_count_in_the_statistics_but_not_in_the_latency() {
        gst::init().unwrap();
        let mut report = Report::default();
        report.expect_latency(Duration::from_millis(33));
        for _ in 0..2 * LATENCY_FRAMES {
            frame(&mut report, 50);
            for repaired in [0.25, 0.125, 0.0] {
                let painted = Painted {
                    repaired: Some(repaired),
                    ..Painted::default()
                };
                report.styled(&painted, Duration::from_millis(4), Size::new(8, 6));
            }
        }
        assert!(report.latency_changed());
        assert_eq!(report.latency(), Duration::from_millis(50));
        let structure = report.structure();
        assert_eq!(structure.get::<u64>("key-frames"), Ok(64));
        assert_eq!(structure.get::<u64>("carried-frames"), Ok(192));
        assert_eq!(structure.get::<f64>("repaired-share"), Ok(0.125));
    }

    #[test]
    fn old_times_are_dropped() {
        gst::init().unwrap();
        let mut report = Report::default();
        frame(&mut report, 10_000);
        for _ in 0..WINDOW {
            frame(&mut report, 10);
        }
        let mean = report.structure().get::<f64>("total-mean-ms").unwrap();
        assert!((mean - 10.0).abs() < 1e-9);
    }

    #[test]
    fn the_latency_changes_by_a_quarter_or_not_at_all() {
        let mut report = Report::default();
        report.expect_latency(Duration::from_millis(20));
        let mut run = |ms| {
            for _ in 0..2 * LATENCY_FRAMES {
                frame(&mut report, ms);
                if report.latency_changed() {
                    return Some(report.latency().as_millis());
                }
            }
            None
        };
        assert_eq!(run(24), None);
        assert_eq!(run(16), None);
        assert_eq!(run(26), Some(26));
        assert_eq!(run(26), None);
        assert_eq!(run(12), Some(12));
    }
}
