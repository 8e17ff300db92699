//! The losses of every step or iteration, as a CSV file.

use anyhow::Context;
use gstfaststyle::network::write_atomically;
use serde::Serialize;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const HEADER: &str = "step,total,content,style,tv,stability,lr,seconds";

const SEARCH_HEADER: &str = "iteration,total,content,style,tv,seconds";

/// The losses of a step, weighted: `total` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Losses {
    /// What the training makes small.
    pub total: f32,
    /// How far VGG-19 sees another content than the photo's.
    pub content: f32,
    /// How far it sees another style than the painting's.
    pub style: f32,
    /// How restless the picture is.
    pub tv: f32,
    /// How differently two views of a scene are painted; 0 where only one is.
    #[serde(skip_serializing_if = "is_zero")]
    pub stability: f32,
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl Losses {
    /// Total, content, style, tv, stability.
    pub fn as_array(&self) -> [f32; 5] {
        [
            self.total,
            self.content,
            self.style,
            self.tv,
            self.stability,
        ]
    }

    /// These, and a stability loss with them.
    pub fn with_stability(self, stability: f32) -> Self {
        Losses {
            total: self.total + stability,
            stability,
            ..self
        }
    }

    /// Whether none of them is infinite or not a number.
    pub fn are_finite(&self) -> bool {
        self.as_array().iter().all(|v| v.is_finite())
    }

    /// From total, content, style, tv, stability; 0 for what `values` lack.
    pub fn from_slice(values: &[f32]) -> Self {
        let get = |i: usize| values.get(i).copied().unwrap_or_default();
        Losses {
            total: get(0),
            content: get(1),
            style: get(2),
            tv: get(3),
            stability: get(4),
        }
    }

    /// The mean of each, 0 of none.
    pub fn mean<'a>(losses: impl Iterator<Item = &'a Losses>) -> Self {
        let mut sums = [0f64; 5];
        let mut count = 0;
        for step in losses {
            for (sum, value) in sums.iter_mut().zip(step.as_array()) {
                *sum += f64::from(value);
            }
            count += 1;
        }
        Losses::from_slice(&sums.map(|sum| (sum / f64::from(count.max(1))) as f32))
    }
}

impl From<Losses> for f64 {
    /// The total.
    fn from(losses: Losses) -> f64 {
        losses.total.into()
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [total, content, style, tv, stability] = self.as_array();
        write!(
            f,
            "loss {total:.3e} (content {content:.2e}, style {style:.2e}, tv {tv:.2e}"
        )?;
        match is_zero(&stability) {
            true => write!(f, ")"),
            false => write!(f, ", stability {stability:.2e})"),
        }
    }
}

/// A file that grows by rows.
struct Csv {
    path: PathBuf,
    file: File,
}

impl Csv {
    /// A file of which `text` is all, for now.
    fn create(path: &Path, text: &str) -> anyhow::Result<Self> {
        write_atomically(path, text.as_bytes())
            .and_then(|()| OpenOptions::new().append(true).open(path))
            .map(|file| Csv {
                path: path.to_path_buf(),
                file,
            })
            .with_context(|| format!("cannot write the metrics {}", path.display()))
    }

    fn add(&mut self, row: &str) -> anyhow::Result<()> {
        self.file
            .write_all(format!("{row}\n").as_bytes())
            .with_context(|| format!("cannot write the metrics {}", self.path.display()))
    }
}

/// The CSV file of a training, one row a step.
pub struct Metrics(Csv);

impl Metrics {
    /// Opens the file for the steps after `step`: rows of later steps, from a
    /// training that stopped after its last checkpoint, are dropped.
    pub fn open(path: &Path, step: u64) -> anyhow::Result<Self> {
        let old = match std::fs::read_to_string(path) {
            Ok(text) if step > 0 => text,
            Ok(_) => String::new(),
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the metrics {}", path.display()));
            }
        };
        let mut text = format!("{HEADER}\n");
        for row in old.lines() {
            let number = row.split(',').next().and_then(|n| n.parse::<u64>().ok());
            if number.is_some_and(|number| number <= step) {
                text.push_str(row);
                text.push('\n');
            }
        }
        Ok(Metrics(Csv::create(path, &text)?))
    }

    /// Adds the row of step number `step`, counted from 1.
    pub fn add(&mut self, step: u64, losses: &Losses, lr: f64, seconds: f64) -> anyhow::Result<()> {
        let [total, content, style, tv, stability] = losses.as_array();
        self.0.add(&format!(
            "{step},{total},{content},{style},{tv},{stability},{lr},{seconds:.2}"
        ))
    }
}

/// The CSV file of the slow method, one row an iteration.
pub struct SearchMetrics(Csv);

impl SearchMetrics {
    /// A new file, in the place of an old one.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(SearchMetrics(Csv::create(
            path,
            &format!("{SEARCH_HEADER}\n"),
        )?))
    }

    /// Adds the row of iteration number `iteration`, 0 for the first picture.
    pub fn add(&mut self, iteration: u64, losses: &Losses, seconds: f64) -> anyhow::Result<()> {
        let [total, content, style, tv, _] = losses.as_array();
        self.0.add(&format!(
            "{iteration},{total},{content},{style},{tv},{seconds:.2}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_step_are_dropped() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("m.csv");
        let losses = Losses::from_slice(&[6.0, 1.0, 2.0, 3.0, 0.5]);
        let mut metrics = Metrics::open(&path, 0)?;
        for step in 1..=5 {
            metrics.add(step, &losses, 1e-3, step as f64)?;
        }
        let mut metrics = Metrics::open(&path, 3)?;
        metrics.add(4, &losses, 5e-4, 9.0)?;
        let text = std::fs::read_to_string(&path)?;
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 5);
        assert_eq!(rows[0], HEADER);
        assert_eq!(rows[3], "3,6,1,2,3,0.5,0.001,3.00");
        assert_eq!(rows[4], "4,6,1,2,3,0.5,0.0005,9.00");
        Metrics::open(&path, 0)?;
        assert_eq!(std::fs::read_to_string(&path)?.trim(), HEADER);
        Ok(())
    }
}
