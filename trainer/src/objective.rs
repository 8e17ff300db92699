//! What is made small, in training and by the slow method: the weighted sum of
//! content loss, style loss and total variation.

use crate::metrics::Losses;
use crate::vgg_weights::VggWeights;
use crate::vgg19::Vgg19;
use crate::{loss, picture};
use anyhow::Context;
use candle_core::{DType, Device, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How much each loss counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    /// Weight of [`loss::content`] at conv4_2.
    pub content: f64,
    /// Weight of [`loss::style`], summed over conv1_1 to conv5_1.
    pub style: f64,
    /// Weight of [`loss::total_variation`].
    pub tv: f64,
}

impl Default for LossWeights {
    /// Those of Johnson et al. 2016 in the authors' code.
    fn default() -> Self {
        LossWeights {
            content: 10.0,
            style: 100.0,
            tv: 0.004,
        }
    }
}

/// How far pictures are from one painting's style and from given contents.
pub struct Objective {
    vgg: Vgg19,
    /// The painting's Gram matrix at each layer.
    painting: Vec<Tensor>,
    weights: LossWeights,
}

impl Objective {
    /// For the style of `painting`, RGB `[1, 3, h, w]` in 0..255 with sides of
    /// at least 16.
    pub fn new(vgg: Vgg19, painting: &Tensor, weights: LossWeights) -> Result<Self> {
        let features = vgg.features(painting)?;
        Ok(Objective {
            painting: features
                .style
                .iter()
                .map(loss::gram)
                .collect::<Result<_>>()?,
            vgg,
            weights,
        })
    }

    /// For the painting in the file `style`, its shorter side scaled to
    /// `style_size` pixels, with the weights of VGG-19 in the file `vgg`, or
    /// the built-in ones.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(
        style: &Path,
        style_size: usize,
        vgg: Option<&Path>,
        weights: LossWeights,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let painting = picture::load_scaled(style, style_size, device)?;
        let vgg = match vgg {
            Some(path) => VggWeights::load(path, device)?,
            None => VggWeights::builtin(device)?,
        };
        Objective::new(Vgg19::new(&vgg, device)?, &painting, weights)
            .context("cannot measure the painting's style")
    }

    /// The content of `photos`, RGB `[n, 3, h, w]` in 0..255, as
    /// [`Objective::measure`] wants it.
    pub fn content(&self, photos: &Tensor) -> Result<Tensor> {
        self.vgg.content(photos)
    }

    /// The total loss of `pictures`, RGB `[n, 3, h, w]` in 0..255, that should
    /// have the given content: once as a scalar with a gradient, once as
    /// numbers with its parts. Each is the mean over the pictures.
    pub fn measure(&self, pictures: &Tensor, content: &Tensor) -> Result<(Tensor, Losses)> {
        let seen = self.vgg.features(pictures)?;
        let content = (loss::content(&seen.content, content)? * self.weights.content)?;
        let tv = (loss::total_variation(pictures)? * self.weights.tv)?;
        let mut style = Tensor::zeros((), DType::F32, pictures.device())?;
        for (features, painting) in seen.style.iter().zip(&self.painting) {
            style = (style + loss::style(features, painting)?)?;
        }
        let style = (style * self.weights.style)?;
        let total = ((&content + &style)? + &tv)?;
        let losses = Tensor::stack(&[&total, &content, &style, &tv], 0)?.to_vec1()?;
        Ok((total, Losses::from_slice(&losses)))
    }
}
