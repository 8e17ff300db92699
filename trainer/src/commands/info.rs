//! The command `info`: what a model file contains and how it was trained.

use crate::cli::InfoArgs;
use crate::commands::list::about;
use crate::commands::style;
use crate::logging::say::say;
use crate::objective::loss_values::Losses;
use crate::training::recipe;
use anyhow::{Context, ensure};
use gstfaststyle::internals::network::{acts, printable_lines};
use gstfaststyle::{Architecture, Model, OutputMap, Padding, Upsampling};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// Writes about each model to standard output.
///
/// # Errors
/// Some files are not models. Each is reported, and the others are still shown.
pub fn run(args: &InfoArgs) -> anyhow::Result<()> {
    let mut failed = 0;
    let mut out = std::io::stdout().lock();
    for (i, path) in args.models.iter().enumerate() {
        let text = match Card::read(path, args.style.as_deref()) {
            Ok(card) if args.json => format!("{}\n", printable_json(&card.json())),
            Ok(card) if i > 0 => format!("\n{}", card.text()),
            Ok(card) => card.text(),
            Err(error) if args.models.len() == 1 => return Err(error),
            Err(error) => {
                failed += 1;
                say(format_args!("{error:#}"));
                continue;
            }
        };
        out.write_all(text.as_bytes())
            .context("writing to standard output")?;
    }
    let all = args.models.len();
    ensure!(failed == 0, "{failed} of {all} files are not models");
    Ok(())
}

/// JSON with every character escaped that would act on a terminal.
fn printable_json(value: &Value) -> String {
    let escaped = |c: char| acts(c) && c != '\n';
    let mut text = String::new();
    for c in format!("{value:#}").chars() {
        match escaped(c) {
            true => text += &format!("\\u{:04x}", u32::from(c)),
            false => text.push(c),
        }
    }
    text
}

/// The information about a model.
struct Card {
    file: String,
    bytes: u64,
    model: Model,
}

impl Card {
    fn read(path: &Path, style: Option<&str>) -> anyhow::Result<Self> {
        let found = style::open(path)?;
        let model = match found.meant(style) {
            Some(_) => found.in_style(style)?,
            None => found.model.clone(),
        };
        let path = found.path;
        let info = path
            .metadata()
            .with_context(|| path.display().to_string())?;
        Ok(Card {
            file: path.display().to_string(),
            bytes: info.len(),
            model,
        })
    }

    /// How many numbers were learned.
    fn weights(&self) -> usize {
        self.model.weights.values().map(|w| w.elem_count()).sum()
    }

    fn json(&self) -> Value {
        json!({
            "file": self.file,
            "bytes": self.bytes,
            "styles": self.model.styles,
            "architecture": self.model.architecture,
            "weights": self.weights(),
            "training": self.model.training,
        })
    }

    fn text(&self) -> String {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut add = |what: &str, text: String| lines.push((what.into(), text));
        for style in &self.model.styles {
            add("style", about(style));
            let losses = Facts::new(&style.training).take("losses");
            if let Some(losses) = losses.filter(|_| self.model.styles.len() > 1) {
                add("", format!("at the end {}", loss_text(&losses)));
            }
        }
        add("network", network(&self.model.architecture));
        let (weights, bytes) = (HumanCount(self.weights() as u64), HumanBytes(self.bytes));
        add("weights", format!("{weights}, file of {bytes}"));
        let mut training = Facts::new(&self.model.training);
        training.take("recipe");
        let mut recipe = match self.model.styles.len() {
            0 | 1 => recipe::of_style(&self.model, 0),
            // Each style has its own paintings.
            _ => recipe::of_model(&self.model),
        };
        if let Some(recipe) = recipe.as_object_mut() {
            recipe.retain(|_, value| !value.is_null());
        }
        recipe_lines(&mut Facts::new(&recipe), &mut add);
        training_lines(&mut training, &mut add);
        let mut text = format!("{}\n", self.file.replace('\n', " "));
        for (what, line) in lines {
            // Writing to a string cannot fail.
            let line = line.replace('\n', " ");
            let _ = writeln!(text, "  {what:<17} {line}");
        }
        printable_lines(&text)
    }
}

/// The fields of a JSON object that have not been shown yet.
struct Facts(Map<String, Value>);

impl Facts {
    fn new(value: &Value) -> Self {
        Facts(value.as_object().cloned().unwrap_or_default())
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key).filter(|value| !value.is_null())
    }

    /// As one would write it.
    fn word(&mut self, key: &str) -> Option<String> {
        self.take(key).map(|value| word(&value))
    }

    /// Adds what nobody has taken.
    fn tell_rest(&mut self, add: &mut impl FnMut(&str, String)) {
        for (key, value) in std::mem::take(&mut self.0) {
            if !value.is_null() {
                add(&key.replace('_', " "), word(&value));
            }
        }
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn network(architecture: &Architecture) -> String {
    let Architecture {
        width,
        residual_blocks: blocks,
        outer_kernel: outer,
        inner_kernel: inner,
        ..
    } = architecture;
    let map = match architecture.output_map {
        OutputMap::Tanh => "tanh",
        OutputMap::Tanh150 => "tanh * 150",
        OutputMap::Clamp => "clamp",
    };
    let norm = match architecture.output_norm {
        true => "with",
        false => "without",
    };
    let padding = match architecture.padding {
        Padding::Reflect => "",
        Padding::Same => ", zeros beyond borders",
    };
    let upsampling = match architecture.upsampling {
        Upsampling::Nearest => "",
        Upsampling::Transposed => ", transposed convolutions",
    };
    format!(
        "width {width}, {blocks} residual blocks, kernels {outer}x{outer} and {inner}x{inner}\
         {padding}{upsampling}, output {map} {norm} normalisation"
    )
}

/// A painting as the recipe tells it: its file, the part of it, its weight.
fn painting(painting: &Value) -> String {
    let mut text = word(&painting["file"]);
    if let Some(crop) = painting["crop"].as_str() {
        text += &format!(" [{crop}]");
    }
    match painting["weight"].as_f64() {
        Some(weight) if weight != 1.0 => format!("{:.0} % {text}", 100.0 * weight),
        _ => text,
    }
}

fn recipe_lines(recipe: &mut Facts, add: &mut impl FnMut(&str, String)) {
    if let Some(Value::Array(paintings)) = recipe.take("paintings") {
        let all: Vec<String> = paintings.iter().map(painting).collect();
        let size = recipe.word("style_size");
        let size = size.map_or(String::new(), |size| format!(", {size} pixels"));
        add("painting", all.join(" + ") + &size);
    }
    if let Some(photos) = recipe.word("photos") {
        let count = recipe.word("photos_count");
        let count = count.map_or(String::new(), |count| format!(", {count} pictures"));
        add("photos", photos + &count);
    }
    if let (Some(batch), Some(size)) = (recipe.word("batch"), recipe.word("size")) {
        add("batch", format!("{batch} of {size}x{size} pixels"));
    }
    if let Some(rate) = recipe.word("lr") {
        let last = recipe.take("lr_final").and_then(|last| last.as_f64());
        let fall = last.filter(|last| *last != 1.0);
        let fall = fall.map_or(String::new(), |last| format!(", falling to {last} of it"));
        add("learning rate", rate + &fall);
    }
    let weights = ["content", "style", "tv"].into_iter().filter_map(|name| {
        let weight = recipe.word(&format!("{name}_weight"))?;
        Some(format!("{name} {weight}"))
    });
    let weights: Vec<String> = weights.collect();
    if !weights.is_empty() {
        add("loss weights", weights.join(", "));
    }
    let steps = recipe.word("steps");
    if let Some(steps) = steps {
        add("steps", format!("{steps} planned"));
    }
    recipe.tell_rest(add);
}

fn training_lines(training: &mut Facts, add: &mut impl FnMut(&str, String)) {
    if let Some(steps) = training.word("steps") {
        add("steps done", steps);
    }
    if let Some(losses) = training.take("losses") {
        add("at the end", loss_text(&losses));
    }
    if let Some(seconds) = training.take("seconds") {
        let time = seconds
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|time| HumanDuration(time).to_string());
        add("time", time.unwrap_or_else(|| seconds.to_string()));
    }
    training.tell_rest(add);
}

fn loss_text(losses: &Value) -> String {
    let loss = |name| losses[name].as_f64().map(|loss| loss as f32);
    match loss("total") {
        Some(_) => {
            let all = Losses::NAMES.map(|name| loss(name).unwrap_or_default());
            Losses::from_slice(&all).to_string()
        }
        None => losses.to_string(),
    }
}
