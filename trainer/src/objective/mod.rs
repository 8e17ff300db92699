//! What is made small, in training and by the slow method: the weighted sum of
//! content loss, style loss and total variation.

pub mod gradient;
pub mod layers;
pub mod lbfgs;
pub mod loss;
pub mod loss_scale;
pub mod loss_values;
pub mod painting;
pub mod slow_method;
pub mod style_objective;
pub mod vgg19;
pub mod vgg_weights;

use anyhow::Context;
use candle_core::{Device, Error, Result, Tensor, bail};
use layers::{LayerWeights, VggLayer};
use loss_values::Losses;
use painting::Painting;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vgg19::Vgg19;

/// How much each loss counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    /// Weight of [`loss::content`], summed over `content_layers`.
    pub content: f64,
    /// Weight of [`loss::style`], summed over `style_layers`.
    pub style: f64,
    /// Weight of [`loss::total_variation`].
    pub tv: f64,
    /// Where content is measured.
    pub content_layers: LayerWeights,
    /// Where style is measured.
    pub style_layers: LayerWeights,
}

impl Default for LossWeights {
    /// The paper's weights.
    fn default() -> Self {
        LossWeights {
            content: 10.0,
            style: 100.0,
            tv: 0.004,
            content_layers: LayerWeights::content(),
            style_layers: LayerWeights::style(),
        }
    }
}

/// How far pictures are from the style of paintings and from given contents.
pub struct Objective {
    /// Shared by the objectives of several styles.
    vgg: Arc<Vgg19>,
    /// The paintings' Gram matrix at each style layer.
    style: Vec<Tensor>,
    weights: LossWeights,
}

impl Objective {
    /// For the style of `paintings`, each RGB `[1, h, w, 3]` in 0..255 with
    /// sides of at least 16, and with its part in the blend: what is wanted is
    /// the sum of their Gram matrices times these parts.
    pub fn new(
        vgg: impl Into<Arc<Vgg19>>,
        paintings: &[(f64, Tensor)],
        weights: LossWeights,
    ) -> Result<Self> {
        let vgg = vgg.into();
        let layers: Vec<VggLayer> = weights.style_layers.layers().collect();
        let mut style: Vec<Tensor> = Vec::new();
        for (part, painting) in paintings {
            let grams = vgg.features(painting, &layers)?;
            let grams = grams.iter().map(|seen| loss::gram(seen)? * *part);
            let grams = grams.collect::<Result<Vec<_>>>()?;
            style = match style.is_empty() {
                true => grams,
                false => (style.iter().zip(&grams).map(|(a, b)| a + b)).collect::<Result<_>>()?,
            };
        }
        if style.is_empty() {
            bail!("no painting");
        }
        Ok(Objective {
            vgg,
            style,
            weights,
        })
    }

    /// For paintings in files, the shorter side of each, or of its crop, scaled
    /// to `style_size` pixels.
    ///
    /// # Errors
    /// A file that cannot be read; a crop that is outside of its painting.
    pub fn of(
        vgg: impl Into<Arc<Vgg19>>,
        paintings: &[Painting],
        style_size: usize,
        weights: LossWeights,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let paintings = paintings
            .iter()
            .map(|painting| Ok((painting.weight, painting.load(style_size, device)?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Objective::new(vgg, &paintings, weights).context("cannot measure the painting's style")
    }

    /// The content of `photos`, RGB `[n, h, w, 3]` in 0..255, at each content
    /// layer, as [`Objective::measure`] wants it.
    pub fn content(&self, photos: &Tensor) -> Result<Vec<Tensor>> {
        let layers: Vec<VggLayer> = self.weights.content_layers.layers().collect();
        self.vgg.features(&photos.detach(), &layers)
    }

    /// The total loss of `pictures`, RGB `[n, h, w, 3]` in 0..255, that should
    /// have the given content: once as a scalar with a gradient, once as
    /// numbers with its parts. Each is the mean over the pictures.
    pub fn measure(&self, pictures: &Tensor, content: &[Tensor]) -> Result<(Tensor, Losses)> {
        let weights = &self.weights;
        let style_layers = weights.style_layers.layers();
        let layers: Vec<VggLayer> = style_layers
            .chain(weights.content_layers.layers())
            .collect();
        let seen = self.vgg.features(pictures, &layers)?;
        let (style_seen, content_seen) = seen.split_at(self.style.len());

        let content = layer_by_layer(
            &weights.content_layers,
            content_seen,
            content,
            loss::content,
        );
        let content = (content? * weights.content)?;
        let style = layer_by_layer(&weights.style_layers, style_seen, &self.style, loss::style);
        let style = (style? * weights.style)?;
        let tv = (loss::total_variation(pictures)? * weights.tv)?;
        let total = ((&content + &style)? + &tv)?;
        let losses = Tensor::stack(&[&total, &content, &style, &tv], 0)?.to_vec1()?;
        Ok((total, Losses::from_slice(&losses)))
    }
}

/// The sum of a loss over layers, each by its weight, of what is seen there and
/// what is wanted.
fn layer_by_layer(
    layers: &LayerWeights,
    seen: &[Tensor],
    wanted: &[Tensor],
    loss: fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for ((weight, seen), wanted) in layers.weights().zip(seen).zip(wanted) {
        let here = (loss(seen, wanted)? * weight)?;
        sum = Some(match sum {
            Some(sum) => (sum + here)?,
            None => here,
        });
    }
    sum.ok_or_else(|| Error::Msg("no layer to measure at".into()))
}
