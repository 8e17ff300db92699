//! The training report: one self-contained HTML page.

pub mod history;
mod plot;

use crate::io::input;
use crate::logging::previews::Preview;
use crate::objective::loss_values::Losses;
use anyhow::Context;
use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gstfaststyle::Style;
use gstfaststyle::internals::network::write_atomically;
use history::History;
use indicatif::FormattedDuration;
use plot::{Curve, Plot, Scale};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Small pictures of a preview, at most.
const SMALL: usize = 12;

/// Photos that are named with the reason why they were left out, at most.
const LEFT_OUT: usize = 200;

/// Seconds after which a browser reads the page of a running training again.
const REFRESH: u32 = 20;

/// More than a small picture of a preview has.
const MAX_PICTURE_BYTES: u64 = 16 << 20;

/// What a training is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Running.
    Running,
    /// Finished the last step.
    Finished,
    /// Interrupted.
    Stopped,
    /// Ended by an error.
    Failed(String),
}

/// What is reported.
pub struct Report<'a> {
    /// What the model file says about the painting.
    pub about: &'a Style,
    /// The settings: objects with a field for each.
    pub settings: &'a [Value],
    /// The folder of photos.
    pub folder: &'a Path,
    /// Steps in total.
    pub steps: u64,
    /// How many photos there are.
    pub photos: usize,
    /// Photos that were left out, and why.
    pub left_out: &'a BTreeMap<PathBuf, String>,
    /// The paintings, as JPEG files.
    pub paintings: &'a [Vec<u8>],
    /// What the training is doing.
    pub state: State,
    /// Steps done.
    pub step: u64,
    /// The losses of the last steps.
    pub losses: Losses,
    /// The same for each style, where there are several.
    pub styles: Vec<(String, Losses)>,
    /// Time spent on all steps.
    pub spent: Duration,
    /// Time that the others will take.
    pub left: Duration,
    /// What part of the time it waited for photos.
    pub waited: f64,
    /// The course of the training.
    pub history: &'a History,
    /// The photos repainted.
    pub previews: &'a [Preview],
}

impl Report<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// The page cannot be made or written; the error names its path.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let page = self.page().and_then(|page| Ok(page.render()?));
        page.and_then(|page| Ok(write_atomically(path, page.as_bytes())?))
            .with_context(|| format!("cannot write the report {}", path.display()))
    }

    fn page(&self) -> anyhow::Result<Page> {
        let about = self.about;
        let left_out = self.left_out.iter().take(LEFT_OUT).map(|(path, reason)| {
            let path = path.strip_prefix(self.folder).unwrap_or(path);
            (path.display().to_string(), reason.clone())
        });
        let left_out: Vec<_> = left_out.collect();
        Ok(Page {
            title: about.title.clone().unwrap_or_else(|| about.name.clone()),
            by: [&about.artist, &about.year]
                .into_iter()
                .flatten()
                .cloned()
                .collect::<Vec<_>>()
                .join(", "),
            paintings: self.paintings.iter().map(|file| data_url(file)).collect(),
            state: match &self.state {
                State::Running => "in training",
                State::Finished => "finished",
                State::Stopped => "stopped",
                State::Failed(_) => "failed",
            },
            refresh: (self.state == State::Running).then_some(REFRESH),
            error: match &self.state {
                State::Failed(error) => Some(error.clone()),
                _ => None,
            },
            percent: 100.0 * self.step as f64 / self.steps as f64,
            facts: self.facts(),
            plots: self.plots()?,
            previews: self
                .previews
                .iter()
                .map(Pictures::of)
                .collect::<anyhow::Result<_>>()?,
            recipe: listed(self.settings),
            not_named: self.left_out.len() - left_out.len(),
            left_out,
        })
    }

    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![
            ("step", format!("{} of {}", self.step, self.steps)),
            ("time spent", FormattedDuration(self.spent).to_string()),
        ];
        if self.state == State::Running {
            facts.push(("time left", FormattedDuration(self.left).to_string()));
        }
        let waited = format!("{:.1} % of the time", 100.0 * self.waited);
        facts.push(("waited for photos", waited));
        facts.push(("photos left out", self.left_out.len().to_string()));
        facts.push(("mean of the last steps", self.losses.to_string()));
        let facts = facts.into_iter().map(|(name, value)| (name.into(), value));
        let styles = self.styles.iter();
        let styles = styles.map(|(name, losses)| (name.clone(), losses.to_string()));
        facts.chain(styles).collect()
    }

    fn plots(&self) -> anyhow::Result<Vec<Plot>> {
        let curve = |(name, points)| Curve { name, points };
        let losses = Losses::NAMES.into_iter().zip(self.history.losses());
        let alone = |name, points| vec![curve((name, points))];
        let (rates, speeds) = (self.history.rates(), self.history.speeds());
        let plots = [
            Plot::new("losses", Scale::Logarithmic, losses.map(curve).collect())?,
            Plot::new("learning rate", Scale::Linear, alone("rate", rates))?,
            Plot::new("steps a second", Scale::Linear, alone("speed", speeds))?,
        ];
        Ok(plots.into_iter().flatten().collect())
    }
}

/// What the page's template shows. All texts are escaped there.
#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    by: String,
    paintings: Vec<String>,
    state: &'static str,
    /// Seconds until the page is to be read again, while it changes.
    refresh: Option<u32>,
    error: Option<String>,
    percent: f64,
    facts: Vec<(String, String)>,
    plots: Vec<Plot>,
    previews: Vec<Pictures>,
    recipe: Vec<(String, String)>,
    left_out: Vec<(String, String)>,
    not_named: usize,
}

/// A preview, its pictures as URLs.
struct Pictures {
    name: String,
    photo: String,
    latest: Option<(u64, String)>,
    small: Vec<(u64, String)>,
}

impl Pictures {
    fn of(preview: &Preview) -> anyhow::Result<Self> {
        let history: Vec<(u64, PathBuf)> = preview.history()?.into_iter().collect();
        let small = evenly(&history, SMALL).map(|(step, path)| {
            let file = input::read(path, MAX_PICTURE_BYTES)
                .with_context(|| format!("cannot read the picture {}", path.display()))?;
            Ok((*step, data_url(&file)))
        });
        let latest = preview.latest.as_ref();
        Ok(Pictures {
            name: preview.name.clone(),
            photo: data_url(&preview.photo),
            latest: latest.map(|painted| (painted.step, data_url(&painted.jpeg))),
            small: small.collect::<anyhow::Result<_>>()?,
        })
    }
}

/// A JPEG file, within its own address.
fn data_url(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg))
}

/// At most `count`, from the first to the last, of `items`.
fn evenly<T>(items: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(items.len());
    let last = items.len().saturating_sub(1);
    (0..count).map(move |i| &items[i * last / (count - 1).max(1)])
}

/// The name and value of each setting that has one.
fn listed(settings: &[Value]) -> Vec<(String, String)> {
    let fields = settings.iter().filter_map(Value::as_object).flatten();
    let fields = fields.filter(|(_, value)| !value.is_null());
    let fields = fields.map(|(name, value)| (name.replace('_', " "), words(value)));
    fields.collect()
}

/// A value as a person writes it.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            let fields = fields.map(|(name, value)| format!("{name} {}", words(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_readable() {
        let value = serde_json::json!([{"file": "a.jpg", "crop": null, "weight": 0.5}, [1, true]]);
        assert_eq!(words(&value), "file a.jpg, weight 0.5, 1, true");
    }

    #[test]
    fn thinning_keeps_the_first_and_the_last() {
        let numbers: Vec<usize> = (0..100).collect();
        let few = |count, of: usize| evenly(&numbers[..of], count).copied().collect::<Vec<_>>();
        assert_eq!(few(12, 3), [0, 1, 2]);
        assert_eq!(few(12, 0), [0; 0]);
        assert_eq!(few(1, 5), [0]);
        assert_eq!(few(4, 100), [0, 33, 66, 99]);
        assert_eq!(few(12, 13).len(), 12);
        assert_eq!(few(12, 13).last(), Some(&12));
    }
}
