//! The settings of an evaluation: the loss of the model's own training, unless
//! the command line overrides it.

use crate::cli::EvaluateArgs;
use crate::objective::LossWeights;
use crate::objective::painting::Painting;
use crate::training::recipe;
use anyhow::{Context, Result, bail};
use gstfaststyle::Model;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What decides the figures, beside model, paintings and photos.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Side of the photos, in pixels.
    pub size: u64,
    /// Shorter side of the painting, in pixels.
    pub style_size: u64,
    /// Weights of the losses.
    pub weights: LossWeights,
    /// Iterations of the slow method at most.
    pub max_iterations: u64,
}

impl Setting {
    /// What `args` say and, where they do not, the recipe in the model file.
    ///
    /// # Errors
    /// A value in the recipe that no training can have had.
    pub fn new(args: &EvaluateArgs, model: &Model) -> Result<Self> {
        let recipe = &model.training["recipe"];
        let weight = |key| number(recipe, key, Value::as_f64, |w| *w >= 0.0 && w.is_finite());
        let size = |key| number(recipe, key, Value::as_u64, |px| (16..=8192).contains(px));
        let known = || -> Result<_> {
            let usual = LossWeights::default();
            let weights = LossWeights {
                content: weight("content_weight")?.unwrap_or(usual.content),
                style: weight("style_weight")?.unwrap_or(usual.style),
                tv: weight("tv_weight")?.unwrap_or(usual.tv),
                content_layers: read(recipe, "content_layers")?.unwrap_or(usual.content_layers),
                style_layers: read(recipe, "style_layers")?.unwrap_or(usual.style_layers),
            };
            Ok((weights, size("style_size")?))
        };
        let (weights, style_size) = known().with_context(|| damaged(args))?;
        Ok(Setting {
            size: args.size,
            style_size: args.loss.style_size.or(style_size).unwrap_or(args.size),
            weights: args.loss.weights(weights),
            max_iterations: args.max_iterations,
        })
    }
}

/// The paintings that the model learned from, as far as its file tells.
///
/// # Errors
/// A recipe that no training can have had.
pub fn learned(args: &EvaluateArgs, model: &Model) -> Result<Vec<Painting>> {
    let mut recipe = model.training["recipe"].clone();
    recipe::upgrade(&mut recipe);
    let paintings = read(&recipe, "paintings").with_context(|| damaged(args))?;
    Ok(paintings.unwrap_or_default())
}

fn damaged(args: &EvaluateArgs) -> String {
    format!("{}: its recipe is damaged", args.model.display())
}

/// What the recipe says of `key`, if it does.
fn read<T: DeserializeOwned>(recipe: &Value, key: &str) -> Result<Option<T>> {
    let value = recipe.get(key).cloned().unwrap_or_default();
    serde_json::from_value(value).context(key.to_string())
}

/// The number `key` of the recipe, if it has one.
fn number<T>(
    recipe: &Value,
    key: &str,
    read: fn(&Value) -> Option<T>,
    fits: impl Fn(&T) -> bool,
) -> Result<Option<T>> {
    match recipe.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match read(value).filter(fits) {
            Some(number) => Ok(Some(number)),
            None => bail!("{key} is {value}"),
        },
    }
}
