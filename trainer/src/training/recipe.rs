//! The recipe: everything that determines the result of a training.

use crate::io::any_path;
use crate::logging::metrics::MetricsFormat;
use crate::objective::layers::LayerWeights;
use crate::objective::painting::Painting;
use crate::objective::vgg19::Vgg19;
use crate::objective::{LossWeights, Objective};
use crate::training::optimizer::OptimizerMethod;
use crate::training::schedule::Schedule;
use anyhow::{Context, bail, ensure};
use candle_core::Device;
use gstfaststyle::{Architecture, Model, Style};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A style to learn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StyleRecipe {
    /// What the model file says about the painting.
    pub about: Style,
    /// The paintings to learn from, and how they are blended. None for a style
    /// that shows the photo as it is.
    pub paintings: Vec<Painting>,
    /// [`Recipe::style_size`], if this style has its own.
    #[serde(default)]
    pub style_size: Option<u64>,
    /// [`Recipe::content_weight`], if this style has its own.
    #[serde(default)]
    pub content_weight: Option<f64>,
    /// [`Recipe::style_weight`], if this style has its own.
    #[serde(default)]
    pub style_weight: Option<f64>,
}

impl StyleRecipe {
    /// A style with nothing of its own but its paintings.
    pub fn new(about: Style, paintings: Vec<Painting>) -> Self {
        StyleRecipe {
            about,
            paintings,
            style_size: None,
            content_weight: None,
            style_weight: None,
        }
    }
}

/// Which weights a training changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Learn {
    /// All of them.
    #[default]
    All,
    /// Those that each style has to itself: the scales and shifts of norms, and
    /// the last bias. The convolutions stay as they are.
    Style,
    /// Those of the predictor of styles. All styles that the network has stay as they
    /// are.
    Predictor,
}

/// What a predictor of styles learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnyRecipe {
    /// The folder of paintings.
    #[serde(with = "any_path")]
    pub paintings: PathBuf,
}

/// All settings of a training. Two trainings of the same recipe on the same
/// kind of machine give the same weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The network.
    pub architecture: Architecture,
    /// What is learned: one for each of the architecture's styles.
    pub styles: Vec<StyleRecipe>,
    /// Which weights are learned.
    #[serde(default)]
    pub learn: Learn,
    /// The paintings of a predictor of styles, if it is what learns.
    #[serde(default)]
    pub any: Option<AnyRecipe>,
    /// The folder of photos.
    #[serde(with = "any_path")]
    pub photos: PathBuf,
    /// VGG-19's weights, if not the built-in ones.
    #[serde(with = "any_path::optional", default)]
    pub vgg: Option<PathBuf>,
    /// The model whose weights were the first, if they were not random.
    #[serde(with = "any_path::optional", default)]
    pub init: Option<PathBuf>,
    /// Photos to repaint at every checkpoint.
    #[serde(with = "any_path::list")]
    pub preview: Vec<PathBuf>,
    /// Steps in total.
    pub steps: u64,
    /// How often each photo is taken, if that is what decides the steps.
    pub epochs: Option<u64>,
    /// Photos in a batch.
    pub batch: u64,
    /// Side of the squares cut from the photos, in pixels.
    pub size: u64,
    /// Shorter side of the painting, in pixels.
    pub style_size: u64,
    /// How the weights are moved.
    #[serde(default)]
    pub optimizer: OptimizerMethod,
    /// Learning rate, before it falls.
    pub lr: f64,
    /// How it falls.
    #[serde(default)]
    pub lr_schedule: Schedule,
    /// What fraction of it the last step has.
    pub lr_final: f64,
    /// Steps during which it rises to its full value.
    #[serde(default)]
    pub warmup: u64,
    /// Where content is measured.
    #[serde(default = "LayerWeights::content")]
    pub content_layers: LayerWeights,
    /// Where style is measured.
    #[serde(default = "LayerWeights::style")]
    pub style_layers: LayerWeights,
    /// Weight of the content loss.
    pub content_weight: f64,
    /// Weight of the style loss.
    pub style_weight: f64,
    /// Weight of the total variation.
    pub tv_weight: f64,
    /// Weight of the difference between two views of a scene; 0 shows only one.
    #[serde(default)]
    pub stability: f64,
    /// How much more it counts where the scene is at rest than where it moves.
    #[serde(default = "stability_at_rest")]
    pub stability_at_rest: f64,
    /// Seed of the first weights and of the photos' order.
    pub seed: u64,
    /// A checkpoint every so many steps.
    pub checkpoint_every: u64,
    /// How the losses of every step are written.
    #[serde(default)]
    pub metrics: MetricsFormat,
    /// The folder for TensorBoard.
    #[serde(with = "any_path::optional", default)]
    pub tensorboard: Option<PathBuf>,
}

impl Recipe {
    /// Whether its knobs go together.
    ///
    /// # Errors
    /// They do not; the flags to change are named.
    pub fn check(&self) -> anyhow::Result<()> {
        let last = self.lr_final;
        ensure!(
            self.lr_schedule != Schedule::Constant || last == 1.0,
            "--lr-schedule constant does not go with --lr-final {last}: cosine, linear and \
             exponential let the learning rate fall, --lr-final 1 does not"
        );
        ensure!(
            self.lr_schedule != Schedule::Exponential || last > 0.0,
            "--lr-schedule exponential never reaches --lr-final 0: give a fraction above 0"
        );
        ensure!(
            self.warmup < self.steps,
            "--warmup {} leaves none of the {} steps",
            self.warmup,
            self.steps
        );
        Ok(())
    }

    /// How much each loss counts for styles that say nothing of it.
    pub fn usual_loss_weights(&self) -> LossWeights {
        LossWeights {
            content: self.content_weight,
            style: self.style_weight,
            tv: self.tv_weight,
            content_layers: self.content_layers.clone(),
            style_layers: self.style_layers.clone(),
        }
    }

    /// How much each loss counts for `style`.
    fn loss_weights(&self, style: &StyleRecipe) -> LossWeights {
        let usual = self.usual_loss_weights();
        LossWeights {
            content: style.content_weight.unwrap_or(usual.content),
            style: style.style_weight.unwrap_or(usual.style),
            ..usual
        }
    }

    /// What the paintings of `style` are held to.
    ///
    /// # Errors
    /// As [`Objective::of`].
    pub fn objective(
        &self,
        style: &StyleRecipe,
        vgg: Arc<Vgg19>,
        device: &Device,
    ) -> anyhow::Result<Objective> {
        let size = style.style_size.unwrap_or(self.style_size) as usize;
        let weights = self.loss_weights(style);
        Objective::of(vgg, &style.paintings, size, weights, device)
    }

    /// Name and shape of each tensor that is learned.
    pub fn learned(&self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = self.architecture.parameters();
        let slots = self.architecture.style_slots();
        let is_own = |name: &String| slots.iter().any(|(own, _)| own == name);
        match self.learn {
            Learn::All => (),
            Learn::Style => parameters.retain(|(name, _)| is_own(name)),
            Learn::Predictor => parameters.retain(|(name, _)| name.starts_with("predictor.")),
        }
        parameters
    }

    /// The learning rate of the step after `step` others.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.lr * (step + 1) as f64 / self.warmup as f64;
        }
        let falling = self.steps.saturating_sub(self.warmup).max(1);
        let progress = (step - self.warmup) as f64 / falling as f64;
        self.lr * self.lr_schedule.factor(progress.min(1.0), self.lr_final)
    }

    /// Every setting, as the report lists them: those of the network and those
    /// that are published.
    pub fn settings(&self, photos: usize) -> [Value; 2] {
        [json!(self.architecture), self.published(photos)]
    }

    /// The recipe as a model file tells it: files by their names alone, since
    /// their folders are nobody else's business, and without what the model
    /// file tells elsewhere. The paintings of several styles are in
    /// [`Recipe::published_style`].
    pub fn published(&self, photos: usize) -> Value {
        let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
        let mut published = json!({
            "photos": name(&self.photos),
            "photos_count": photos,
            "vgg": self.vgg.as_deref().and_then(name),
            "init": self.init.as_deref().and_then(name),
            "steps": self.steps,
            "epochs": self.epochs,
            "batch": self.batch,
            "size": self.size,
            "style_size": self.style_size,
            "optimizer": self.optimizer,
            "lr": self.lr,
            "lr_schedule": self.lr_schedule,
            "lr_final": self.lr_final,
            "warmup": self.warmup,
            "content_layers": self.content_layers,
            "style_layers": self.style_layers,
            "content_weight": self.content_weight,
            "style_weight": self.style_weight,
            "tv_weight": self.tv_weight,
            "stability": self.stability,
            "stability_at_rest": self.stability_at_rest,
            "seed": self.seed,
        });
        if self.learn != Learn::All {
            published["learn"] = json!(self.learn);
        }
        if let Some(any) = &self.any {
            published["paintings_folder"] = json!(name(&any.paintings));
        }
        if let [style] = &self.styles[..] {
            merge(&mut published, self.published_style(style));
        }
        published
    }

    /// What is special about `style`, for a model file: its paintings and the
    /// settings that differ from the rest.
    pub fn published_style(&self, style: &StyleRecipe) -> Value {
        let paintings = style.paintings.iter().map(|painting| Painting {
            file: painting.name().into(),
            ..painting.clone()
        });
        let mut published = json!({ "paintings": paintings.collect::<Vec<_>>() });
        if let Some(size) = style.style_size {
            published["style_size"] = json!(size);
        }
        if let Some(weight) = style.content_weight {
            published["content_weight"] = json!(weight);
        }
        if let Some(weight) = style.style_weight {
            published["style_weight"] = json!(weight);
        }
        published
    }
}

/// The published recipe of `model`, as one of today. The paintings of several
/// styles are in [`of_style`].
pub fn of_model(model: &Model) -> Value {
    let mut recipe = model.training["recipe"].clone();
    upgrade(&mut recipe);
    recipe
}

/// The same for the style at `index`.
pub fn of_style(model: &Model, index: usize) -> Value {
    let mut recipe = of_model(model);
    if let Some(style) = model.styles.get(index) {
        merge(&mut recipe, style.training["recipe"].clone());
    }
    recipe
}

/// The loss weights of a published recipe, and its `style_size`; the usual ones
/// where it has none.
///
/// # Errors
/// A value that no training can have had.
pub fn published_weights(recipe: &Value) -> anyhow::Result<(LossWeights, Option<u64>)> {
    let weight = |key| number(recipe, key, Value::as_f64, |w| *w >= 0.0 && w.is_finite());
    let size = |key| number(recipe, key, Value::as_u64, |px| (16..=8192).contains(px));
    let usual = LossWeights::default();
    let weights = LossWeights {
        content: weight("content_weight")?.unwrap_or(usual.content),
        style: weight("style_weight")?.unwrap_or(usual.style),
        tv: weight("tv_weight")?.unwrap_or(usual.tv),
        content_layers: read(recipe, "content_layers")?.unwrap_or(usual.content_layers),
        style_layers: read(recipe, "style_layers")?.unwrap_or(usual.style_layers),
    };
    Ok((weights, size("style_size")?))
}

/// The paintings of a published recipe, as far as it tells.
///
/// # Errors
/// Paintings that no training can have had.
pub fn published_paintings(recipe: &Value) -> anyhow::Result<Option<Vec<Painting>>> {
    read(recipe, "paintings")
}

/// What the recipe says of `key`, if it does.
fn read<T: DeserializeOwned>(recipe: &Value, key: &str) -> anyhow::Result<Option<T>> {
    let value = recipe.get(key).cloned().unwrap_or_default();
    serde_json::from_value(value).context(key.to_string())
}

/// The number `key` of the recipe, if it has one.
fn number<T>(
    recipe: &Value,
    key: &str,
    read: fn(&Value) -> Option<T>,
    fits: impl Fn(&T) -> bool,
) -> anyhow::Result<Option<T>> {
    match recipe.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match read(value).filter(fits) {
            Some(number) => Ok(Some(number)),
            None => bail!("{key} is {value}"),
        },
    }
}

/// Puts the fields of the object `more` into `object`.
pub fn merge(object: &mut Value, more: Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => object.extend(more),
        (object @ Value::Null, more) => *object = more,
        _ => {}
    }
}

/// The usual [`Recipe::stability_at_rest`].
pub fn stability_at_rest() -> f64 {
    8.0
}

/// Brings a recipe, of a checkpoint or a model file, into today's form: there
/// was a time of one painting only, named by `style` and `style_fingerprint`.
pub fn upgrade(recipe: &mut Value) {
    let Some(recipe) = recipe.as_object_mut() else {
        return;
    };
    if let Some(fingerprint) = recipe.remove("style_fingerprint") {
        let file = recipe.remove("style").unwrap_or(json!("unknown"));
        let painting =
            json!({ "file": file, "fingerprint": fingerprint, "weight": 1.0, "crop": null });
        recipe.entry("paintings").or_insert(json!([painting]));
    }
    // The recipe of a checkpoint had room for one style.
    if let Some(about) = recipe.remove("about") {
        let paintings = recipe.remove("paintings").unwrap_or(json!([]));
        let style = json!({ "about": about, "paintings": paintings });
        recipe.entry("styles").or_insert(json!([style]));
    }
}
