//! Against what a model is evaluated: the loss of its own training, unless the
//! command line says otherwise.

use crate::cli::EvaluateArgs;
use crate::objective::LossWeights;
use anyhow::{Result, bail};
use gstfaststyle::network::Model;
use serde::Serialize;
use serde_json::Value;

/// What decides the figures, beside model, painting and photos.
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
        let model = args.model.display();
        let weight = |key| number(recipe, key, Value::as_f64, |w| *w >= 0.0 && w.is_finite());
        let size = |key| number(recipe, key, Value::as_u64, |px| (16..=8192).contains(px));
        let known = || -> Result<_> {
            let usual = LossWeights::default();
            let weights = LossWeights {
                content: weight("content_weight")?.unwrap_or(usual.content),
                style: weight("style_weight")?.unwrap_or(usual.style),
                tv: weight("tv_weight")?.unwrap_or(usual.tv),
            };
            Ok((weights, size("style_size")?))
        };
        let (weights, style_size) =
            known().map_err(|error| error.context(format!("{model}: its recipe is damaged")))?;
        Ok(Setting {
            size: args.size,
            style_size: args.loss.style_size.or(style_size).unwrap_or(args.size),
            weights: args.loss.weights(weights),
            max_iterations: args.max_iterations,
        })
    }
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
