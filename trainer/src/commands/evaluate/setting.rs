//! The settings of an evaluation: the loss of the model's own training, unless
//! the command line overrides it.

use crate::cli::EvaluateArgs;
use crate::objective::LossWeights;
use crate::objective::painting::Painting;
use crate::training::recipe;
use anyhow::{Context, Result};
use gstfaststyle::Model;
use serde::Serialize;

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
        let recipe = recipe::of_style(model, 0);
        let known = recipe::published_weights(&recipe);
        let (weights, style_size) = known.with_context(|| damaged(args))?;
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
    let recipe = recipe::of_style(model, 0);
    let paintings = recipe::published_paintings(&recipe).with_context(|| damaged(args))?;
    Ok(paintings.unwrap_or_default())
}

fn damaged(args: &EvaluateArgs) -> String {
    format!("{}: its recipe is damaged", args.model.display())
}
