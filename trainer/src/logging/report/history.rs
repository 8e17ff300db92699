//! The course of a training, in a bounded number of values however long it is.

use crate::logging::metrics::Row;
use crate::logging::progress::Smooth;
use crate::objective::loss_values::Losses;

/// Bins are joined two by two when there are this many.
const BINS: usize = 1024;

/// The course of a training: all its steps in bins of as many each.
pub struct History {
    bins: Vec<Bin>,
    /// Steps of a bin; the last may have fewer.
    span: u64,
    /// Seconds spent on all steps so far.
    seconds: f64,
}

/// Some steps in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// The last of them.
    step: u64,
    count: u64,
    /// Sums over them.
    losses: [f64; Losses::NAMES.len()],
    lr: f64,
    seconds: f64,
}

/// A value of some steps in a row: the number of the last of them, their mean.
pub type Point = (f64, f64);

impl Bin {
    /// Of one step that took `seconds`.
    fn of(row: &Row, seconds: f64) -> Self {
        Bin {
            step: row.step,
            count: 1,
            losses: row.losses.as_array().map(f64::from),
            lr: row.lr,
            seconds,
        }
    }

    /// With the steps of `next`, which come after.
    fn join(&mut self, next: &Bin) {
        self.step = next.step;
        self.count += next.count;
        for (sum, more) in self.losses.iter_mut().zip(next.losses) {
            *sum += more;
        }
        self.lr += next.lr;
        self.seconds += next.seconds;
    }
}

impl History {
    /// The history of the steps in `rows`.
    pub fn new(rows: &[Row]) -> Self {
        let mut history = History {
            bins: Vec::new(),
            span: 1,
            seconds: 0.0,
        };
        for row in rows {
            history.add(row);
        }
        history
    }

    /// Adds a step.
    pub fn add(&mut self, row: &Row) {
        // How long the first step took is not known if others came before.
        let seconds = match self.bins.is_empty() && row.step > 1 {
            true => 0.0,
            false => row.seconds - self.seconds,
        };
        self.seconds = row.seconds;
        let new = Bin::of(row, seconds);
        match self.bins.last_mut() {
            Some(last) if last.count < self.span => last.join(&new),
            _ => self.bins.push(new),
        }
        if self.bins.len() == BINS {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let joined = self.bins.chunks(2).map(|pair| {
            let mut bin = pair[0];
            pair[1..].iter().for_each(|next| bin.join(next));
            bin
        });
        self.bins = joined.collect();
        self.span *= 2;
    }

    /// The losses, in the order of [`Losses::NAMES`].
    pub fn losses(&self) -> [Vec<Point>; Losses::NAMES.len()] {
        std::array::from_fn(|i| self.points(|bin| bin.losses[i] / bin.count as f64))
    }

    /// The learning rate.
    pub fn rates(&self) -> Vec<Point> {
        self.points(|bin| bin.lr / bin.count as f64)
    }

    /// Steps a second.
    pub fn speeds(&self) -> Vec<Point> {
        let mut points = self.points(|bin| bin.count as f64 / bin.seconds);
        points.retain(|(_, speed)| speed.is_finite() && *speed > 0.0);
        points
    }

    fn points(&self, value: impl Fn(&Bin) -> f64) -> Vec<Point> {
        let points = self.bins.iter().map(|bin| (bin.step as f64, value(bin)));
        points.collect()
    }
}

/// `points` without their noise: each a running mean over a 30th of all.
pub fn smooth(points: &[Point]) -> Vec<Point> {
    let mut mean = Smooth::over((points.len() as f64 / 30.0).max(1.0));
    let smoothed = points.iter().map(|(step, value)| {
        mean.add(*value);
        (*step, mean.value())
    });
    smoothed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64) -> Row {
        Row {
            step,
            losses: Losses::from_slice(&[step as f32, 1.0, 2.0, 3.0]),
            lr: 0.5,
            seconds: 0.25 * step as f64,
            waited: 0.0,
        }
    }

    #[test]
    fn a_long_history_is_thinned_out() {
        let mut history = History::new(&[]);
        for step in 1..=100_001 {
            history.add(&row(step));
            assert!(history.bins.len() < BINS);
        }
        assert_eq!(history.span, 128);
        let losses = history.losses();
        assert_eq!(losses[0].len(), 782);
        // The mean of the steps 1 to 128, and the last steps.
        assert_eq!(losses[0][0], (128.0, 64.5));
        assert_eq!(losses[0][781], (100_001.0, (99_969.0 + 100_001.0) / 2.0));
        assert!(losses[2].iter().all(|(_, loss)| *loss == 2.0));
        assert!(history.rates().iter().all(|(_, rate)| *rate == 0.5));
        assert!(history.speeds().iter().all(|(_, speed)| *speed == 4.0));
    }

    #[test]
    fn speed_is_unknown_without_measurements() {
        let history = History::new(&[row(5), row(6)]);
        assert_eq!(history.speeds(), [(6.0, 4.0)]);
        assert_eq!(history.losses()[0], [(5.0, 5.0), (6.0, 6.0)]);
    }

    #[test]
    fn smoothing_follows_the_values() {
        let steep: Vec<Point> = (0..300).map(|i| (i as f64, (i % 2) as f64)).collect();
        let smoothed = smooth(&steep);
        assert_eq!(smoothed.len(), 300);
        assert!(smoothed[200..].iter().all(|(_, v)| (v - 0.5).abs() < 0.06));
        assert_eq!(smooth(&steep[..3]), &steep[..3]);
    }
}
