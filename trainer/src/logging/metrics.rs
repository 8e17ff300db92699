//! The losses of every step or iteration, as a file with a row for each.

use crate::io::input;
use crate::objective::loss_values::Losses;
use anyhow::Context;
use clap::ValueEnum;
use gstfaststyle::internals::network::write_atomically;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// More than a row has, for each of the steps that a training can have in practice.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// How metrics are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsFormat {
    /// Comma-separated values, with a header
    #[default]
    Csv,
    /// JSON lines: an object a row
    Jsonl,
    /// Not at all
    None,
}

impl MetricsFormat {
    /// What the names of metrics may end in.
    pub fn extensions() -> Vec<&'static str> {
        let formats = Self::value_variants().iter();
        formats.filter_map(|format| format.extension()).collect()
    }

    /// What file names end with; none if nothing is written.
    pub fn extension(self) -> Option<&'static str> {
        match self {
            MetricsFormat::Csv => Some("csv"),
            MetricsFormat::Jsonl => Some("jsonl"),
            MetricsFormat::None => None,
        }
    }

    /// The line before all rows.
    fn header(self, names: &[&str]) -> String {
        match self {
            MetricsFormat::Csv => format!("{}\n", names.join(",")),
            MetricsFormat::Jsonl | MetricsFormat::None => String::new(),
        }
    }

    /// The line of a row.
    fn line(self, fields: &[Field]) -> String {
        match self {
            MetricsFormat::Csv => {
                let values: Vec<&str> = fields.iter().map(|(_, value)| value.as_str()).collect();
                format!("{}\n", values.join(","))
            }
            MetricsFormat::Jsonl => {
                let pairs = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}\n", pairs.collect::<Vec<_>>().join(","))
            }
            MetricsFormat::None => String::new(),
        }
    }

    /// The rows of a file. The last may have been cut off: it does not count
    /// without the end of its line.
    fn rows(self, text: &str) -> Vec<Row> {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut lines = whole.lines();
        let names: Vec<&str> = match self {
            MetricsFormat::Csv => lines.next().unwrap_or_default().split(',').collect(),
            MetricsFormat::Jsonl | MetricsFormat::None => Vec::new(),
        };
        let csv = |line: &str| {
            let values = line.split(',').map(|value| value.parse().ok());
            let values = values.collect::<Option<Vec<f64>>>()?;
            let pairs = names.iter().map(|name| name.to_string()).zip(values);
            Some(pairs.collect::<HashMap<_, _>>())
        };
        let rows = lines.filter_map(|line| match self {
            MetricsFormat::Csv => csv(line),
            MetricsFormat::Jsonl => serde_json::from_str(line).ok(),
            MetricsFormat::None => None,
        });
        rows.filter_map(|fields| Row::read(&fields)).collect()
    }
}

/// The name of a value and the value, a number in words that CSV and JSON share.
type Field = (&'static str, String);

/// What is kept of a training's step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// Its number, from 1.
    pub step: u64,
    /// What it found.
    pub losses: Losses,
    /// Its learning rate.
    pub lr: f64,
    /// Seconds that all steps up to it took.
    pub seconds: f64,
    /// Seconds that it waited for its photos.
    pub waited: f64,
}

impl Row {
    fn fields(&self) -> Vec<Field> {
        let losses = self.losses.named();
        let losses = losses.map(|(name, loss)| (name, loss.to_string()));
        let mut fields = vec![("step", self.step.to_string())];
        fields.extend(losses);
        fields.push(("lr", self.lr.to_string()));
        fields.push(("seconds", format!("{:.2}", self.seconds)));
        fields.push(("waited", format!("{:.4}", self.waited)));
        fields
    }

    /// From its fields; what an older version did not write is 0.
    fn read(fields: &HashMap<String, f64>) -> Option<Self> {
        let get = |name: &str| fields.get(name).copied().unwrap_or_default();
        Some(Row {
            step: fields.get("step").filter(|step| **step >= 1.0).copied()? as u64,
            losses: Losses::from_slice(&Losses::NAMES.map(|name| get(name) as f32)),
            lr: get("lr"),
            seconds: get("seconds"),
            waited: get("waited"),
        })
    }
}

/// A file that grows by rows.
struct Rows {
    path: PathBuf,
    file: File,
}

impl Rows {
    /// A file of which `text` is all, for now.
    fn create(path: &Path, text: &str) -> anyhow::Result<Self> {
        write_atomically(path, text.as_bytes())
            .and_then(|()| OpenOptions::new().append(true).open(path))
            .map(|file| Rows {
                path: path.to_path_buf(),
                file,
            })
            .with_context(|| format!("cannot write the metrics {}", path.display()))
    }

    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("cannot write the metrics {}", self.path.display()))
    }
}

/// The file of a training, one row a step.
pub struct Metrics {
    format: MetricsFormat,
    /// None if nothing is to be written.
    rows: Option<Rows>,
}

impl Metrics {
    /// Opens the file for the steps after `step`, and tells the rows up to it.
    /// Rows of later steps, from a training that stopped after its last
    /// checkpoint, are dropped. `path` is without the format's extension.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path, format: MetricsFormat, step: u64) -> anyhow::Result<(Self, Vec<Row>)> {
        let Some(extension) = format.extension() else {
            return Ok((Metrics { format, rows: None }, Vec::new()));
        };
        let mut path = path.as_os_str().to_owned();
        path.push(format!(".{extension}"));
        let path = Path::new(&path);
        let old = match step > 0 && path.exists() {
            true => input::read(path, MAX_FILE_BYTES)
                .with_context(|| format!("cannot read the metrics {}", path.display()))?,
            false => Vec::new(),
        };
        // Lines that have been spoilt count no more than those that were cut off.
        let old = String::from_utf8_lossy(&old);
        let mut kept = format.rows(&old);
        kept.retain(|row| row.step <= step);
        let names = Row::default().fields();
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let mut text = format.header(&names);
        text.extend(kept.iter().map(|row| format.line(&row.fields())));
        let rows = Some(Rows::create(path, &text)?);
        Ok((Metrics { format, rows }, kept))
    }

    /// Removes the file. A failure does no harm.
    pub fn discard(self) {
        if let Some(rows) = self.rows {
            let _ = std::fs::remove_file(rows.path);
        }
    }

    /// Adds the row of a step.
    pub fn add(&mut self, row: &Row) -> anyhow::Result<()> {
        match &mut self.rows {
            Some(rows) => rows.add(&self.format.line(&row.fields())),
            None => Ok(()),
        }
    }
}

/// The CSV file of the slow method, one row an iteration.
pub struct SearchMetrics(Rows);

impl SearchMetrics {
    /// A picture by itself has no stability loss, which is the last.
    const LOSSES: usize = Losses::NAMES.len() - 1;

    /// A new file, in the place of an old one.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let losses = &Losses::NAMES[..SearchMetrics::LOSSES];
        let names = [&["iteration"], losses, &["seconds"]].concat();
        let header = MetricsFormat::Csv.header(&names);
        Ok(SearchMetrics(Rows::create(path, &header)?))
    }

    /// Adds the row of iteration number `iteration`, 0 for the first picture.
    pub fn add(&mut self, iteration: u64, losses: &Losses, seconds: f64) -> anyhow::Result<()> {
        let losses = &losses.as_array()[..SearchMetrics::LOSSES];
        let losses: Vec<String> = losses.iter().map(f32::to_string).collect();
        let losses = losses.join(",");
        self.0.add(&format!("{iteration},{losses},{seconds:.2}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64) -> Row {
        Row {
            step,
            losses: Losses::from_slice(&[6.0, 1.0, 2e-7, 3e9, 0.5]),
            lr: 1e-3,
            seconds: step as f64,
            waited: 0.25,
        }
    }

    #[test]
    fn rows_beyond_the_step_are_dropped() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("m.v1");
        for (format, header, fourth) in [
            (
                MetricsFormat::Csv,
                "step,total,content,style,tv,stability,lr,seconds,waited\n",
                "4,6,1,0.0000002,3000000000,0.5,0.001,4.00,0.2500",
            ),
            (
                MetricsFormat::Jsonl,
                "",
                "{\"step\":4,\"total\":6,\"content\":1,\"style\":0.0000002,\"tv\":3000000000,\"stability\":0.5,\
                 \"lr\":0.001,\"seconds\":4.00,\"waited\":0.2500}",
            ),
        ] {
            let file = format!("m.v1.{}", format.extension().unwrap_or_default());
            let text = || std::fs::read_to_string(folder.path().join(&file));
            let (mut metrics, kept) = Metrics::open(&path, format, 0)?;
            assert_eq!(kept, []);
            for step in 1..=5 {
                metrics.add(&row(step))?;
            }
            let whole = text()?;
            assert!(whole.starts_with(header), "{whole}");
            let (mut metrics, kept) = Metrics::open(&path, format, 3)?;
            assert_eq!(kept, [row(1), row(2), row(3)]);
            metrics.add(&row(4))?;
            let four = text()?;
            assert_eq!(four.lines().last(), Some(fourth));
            metrics.add(&row(5))?;
            // The last row was cut off.
            std::fs::write(folder.path().join(&file), &whole[..whole.len() - 2])?;
            let (mut metrics, kept) = Metrics::open(&path, format, 5)?;
            assert_eq!(kept.len(), 4);
            assert_eq!(text()?, four);
            metrics.add(&row(5))?;
            assert_eq!(text()?, whole);
            Metrics::open(&path, format, 0)?;
            assert_eq!(text()?, header);
        }
        let (mut metrics, _) = Metrics::open(&path, MetricsFormat::None, 0)?;
        metrics.add(&row(1))?;
        assert_eq!(folder.path().read_dir()?.count(), 2);
        Ok(())
    }

    #[test]
    fn columns_are_found_by_name() {
        let old = "step,total,style,lr,seconds\n1,6,4,0.5,2.00\nx,1\n";
        let expected = Row {
            step: 1,
            losses: Losses {
                total: 6.0,
                style: 4.0,
                ..Losses::default()
            },
            lr: 0.5,
            seconds: 2.0,
            waited: 0.0,
        };
        assert_eq!(MetricsFormat::Csv.rows(old), [expected]);
    }
}
