//! The commands `extract-style` and `remove-style`: the styles of a model, taken
//! apart.

use crate::cli::{ExtractStyleArgs, RemoveStyleArgs};
use crate::commands::style;
use crate::io::output;
use crate::logging::say::say;
use crate::training::recipe;
use crate::training::style_rows::{split, stack};
use anyhow::{Context, ensure};
use gstfaststyle::Model;
use serde_json::Value;
use std::path::Path;

/// Writes one style, or a mix of styles, as a model of its own.
///
/// # Errors
/// A model that cannot be read, a style that it lacks, a file that is there
/// already or cannot be written.
pub fn extract(args: &ExtractStyleArgs) -> anyhow::Result<()> {
    let found = style::open(&args.model)?;
    let model = found.in_style(Some(&args.style))?;
    let names = style::names(&model).join("+");
    let output = match &args.output {
        Some(output) => output::model_file("--output", output)?,
        None => found.beside(|model| model.with_file_name(format!("{names}.safetensors"))),
    };
    save(&alone(model), &output, args.overwrite)
}

/// Writes the model without one of its styles.
///
/// # Errors
/// A model that cannot be read, a style that it lacks, its only style, a file
/// that is there already or cannot be written.
pub fn remove(args: &RemoveStyleArgs) -> anyhow::Result<()> {
    let found = style::open(&args.model)?;
    let (names, path, model) = (found.names(), &found.path, &found.model);
    let index = model.style_index(&args.style).with_context(|| {
        format!(
            "{} has no style {}, only {}",
            path.display(),
            args.style,
            names.join(", ")
        )
    })?;
    ensure!(
        names.len() > 1,
        "{} is the only style of {}",
        args.style,
        path.display()
    );
    let mut rest = split(model)?;
    rest.remove(index);
    let rest = match rest.len() {
        1 => alone(rest.remove(0)),
        _ => stack(&rest)?,
    };
    let output = match &args.output {
        Some(output) => output::model_file("--output", output)?,
        None => path.clone(),
    };
    save(&rest, &output, args.overwrite || args.output.is_none())
}

/// `model`, of one style, with that style's record as its own.
fn alone(mut model: Model) -> Model {
    if let [style] = &model.styles[..] {
        let recipe = recipe::of_style(&model, 0);
        let record = style.training.clone();
        model.styles[0].training = Value::Null;
        recipe::merge(&mut model.training, record);
        if !recipe.is_null() {
            recipe::merge(&mut model.training, serde_json::json!({ "recipe": recipe }));
        }
    }
    model
}

fn save(model: &Model, path: &Path, overwrite: bool) -> anyhow::Result<()> {
    output::check_new("--output", path, overwrite)?;
    model.save(path).context("cannot write the model")?;
    say(format_args!("{} is ready", path.display()));
    Ok(())
}
