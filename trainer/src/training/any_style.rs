//! Learning to predict styles: each turn draws a painting, paints a photo in the style
//! that the predictor sees in it, and holds the result to that painting.

use crate::data::paintings::Paintings;
use crate::io::picture;
use crate::objective::Objective;
use crate::objective::style_objective::StyleObjective;
use crate::objective::vgg19::Vgg19;
use crate::training::recipe::{AnyRecipe, Learn, Recipe};
use crate::training::style_rows::{mean, stack};
use anyhow::Context;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use gstfaststyle::internals::network::{PAINTING_SIDE, PredictorShape, StylePredictor};
use gstfaststyle::{Architecture, Model, Network};
use image::RgbImage;
use std::collections::HashMap;
use std::sync::Arc;

/// Where the network itself learns too, one turn in so many is one of its own styles.
const OWN_STYLES_EVERY: u64 = 8;

/// Paintings in whose styles previews are shown.
const SHOWN: usize = 6;

/// What a predictor learns from.
pub struct AnyStyle {
    predictor: StylePredictor,
    paintings: Paintings,
    shown: Vec<(String, RgbImage)>,
    vgg: Arc<Vgg19>,
    /// The network in one style.
    architecture: Architecture,
    own_styles: bool,
}

/// A photo's turn: the network in the style that was predicted, and what its picture is
/// held to.
pub struct Turn {
    /// Of one style.
    pub network: Network,
    /// That of the painting.
    pub objective: StyleObjective,
}

impl AnyStyle {
    /// For the predictor whose tensors are in `vb`.
    ///
    /// # Errors
    /// A folder without pictures; a network without a predictor.
    pub fn new(
        any: &AnyRecipe,
        recipe: &Recipe,
        vb: &VarBuilder,
        vgg: Arc<Vgg19>,
    ) -> anyhow::Result<Self> {
        let paintings = Paintings::open(&any.paintings, &recipe.photos, recipe.seed)?;
        let side = PAINTING_SIDE as u32;
        Ok(AnyStyle {
            predictor: StylePredictor::new(&recipe.architecture, vb)?,
            shown: paintings.first(SHOWN, side, side),
            paintings,
            vgg,
            architecture: Architecture {
                styles: 1,
                predictor: None,
                ..recipe.architecture.clone()
            },
            own_styles: recipe.learn == Learn::All,
        })
    }

    /// Whether `turn` is one of a painting, not of the network's own styles.
    pub fn has(&self, turn: u64) -> bool {
        !self.own_styles || turn % OWN_STYLES_EVERY != OWN_STYLES_EVERY - 1
    }

    /// The turn's style. `weights` are the network's, as they are now.
    ///
    /// # Errors
    /// The paintings cannot be read.
    pub fn turn(
        &self,
        turn: u64,
        recipe: &Recipe,
        weights: &[(String, Tensor)],
        device: &Device,
    ) -> anyhow::Result<Turn> {
        let side = recipe.style_size as u32;
        let painting = self.paintings.draw(turn, side.max(PAINTING_SIDE as u32))?;
        let seen = picture::scaled(&painting, PAINTING_SIDE, device)?;
        let wanted = picture::scaled(&painting, recipe.style_size as usize, device)?;
        let mut tensors: HashMap<_, _> = weights.iter().cloned().collect();
        tensors.extend(self.predictor.predict(&seen)?);
        let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
        let objective = Objective::new(
            self.vgg.clone(),
            &[(1.0, wanted)],
            recipe.usual_loss_weights(),
        )?;
        Ok(Turn {
            network: Network::new(&self.architecture, vb)?,
            objective: StyleObjective::Paintings(objective),
        })
    }

    /// The paintings of the styles of [`AnyStyle::model_shown`], with their names.
    pub fn shown(&self) -> &[(String, RgbImage)] {
        &self.shown
    }

    /// `model` with the styles of some paintings in place of its own.
    ///
    /// # Errors
    /// No painting can be read.
    pub fn model_shown(&self, model: &Model) -> anyhow::Result<Model> {
        let styles = self.shown.iter().map(|(name, painting)| {
            let painting = picture::tensor(painting, &Device::Cpu)?;
            Ok(model.with_style_of(&painting, name)?)
        });
        stack(&styles.collect::<anyhow::Result<Vec<_>>>()?)
    }
}

/// The weights of `base`, and of a new predictor that at first gives the mean of its
/// styles for every painting.
///
/// # Errors
/// A model without all of its tensors.
pub fn with_predictor(
    base: &Model,
    shape: PredictorShape,
    seed: u64,
) -> anyhow::Result<HashMap<String, Tensor>> {
    let architecture = Architecture {
        predictor: Some(shape),
        ..base.architecture.clone()
    };
    let mut weights = architecture.random_weights(seed, &Device::Cpu)?;
    weights.extend(base.weights.clone());
    let mean = base.with_mix(&mean(base)?)?;
    let rows = architecture.style_slots().into_iter();
    let rows = rows.map(|(name, _)| mean.tensor(&name).cloned());
    let row = Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)
        .context("the styles' numbers")?;
    weights.insert("predictor.output.bias".into(), row);
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_predictor_gives_about_the_mean_style() -> anyhow::Result<()> {
        let architecture = Architecture {
            styles: 2,
            residual_blocks: 1,
            ..Architecture::with_width(2)
        };
        let mut base = Model::random(architecture, 4)?;
        let name = "down.1.norm.bias";
        let rows = Tensor::new(&[[1f32, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]], &Device::Cpu)?;
        base.weights.insert(name.into(), rows);
        let shape = PredictorShape::default();
        let any = Model {
            weights: with_predictor(&base, shape.clone(), 1)?,
            architecture: Architecture {
                predictor: Some(shape),
                ..base.architecture.clone()
            },
            ..base.clone()
        };
        let painting = Tensor::rand(0f32, 255.0, (1, 64, 64, 3), &Device::Cpu)?;
        let predicted = any.with_style_of(&painting, "x")?.values(name)?;
        for (predicted, mean) in predicted.into_iter().zip([2f32, 3.0, 4.0, 5.0]) {
            assert!((predicted - mean).abs() < 0.6, "{predicted} for {mean}");
        }
        let kept = any
            .tensor("down.1.conv.weight")?
            .flatten_all()?
            .to_vec1::<f32>()?;
        assert_eq!(kept, base.values("down.1.conv.weight")?);
        Ok(())
    }
}
