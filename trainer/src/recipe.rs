//! What a training is made of: everything that decides its result.

use crate::cli::{AboutArgs, TrainArgs};
use crate::dataset;
use crate::layers::LayerWeights;
use crate::metrics::Format;
use crate::objective::LossWeights;
use crate::optimizer::Method;
use crate::painting::{self, Crop, Painting};
use crate::schedule::Schedule;
use anyhow::{Context, bail, ensure};
use gstfaststyle::network::{Architecture, Model, Style};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// All the knobs of a training. Two trainings of the same recipe on the same
/// kind of machine give the same weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The network.
    pub architecture: Architecture,
    /// What the model file tells of the painting.
    pub about: Style,
    /// The paintings to learn from, and how they are blended.
    pub paintings: Vec<Painting>,
    /// The folder of photos.
    pub photos: PathBuf,
    /// VGG-19's weights, if not the built-in ones.
    pub vgg: Option<PathBuf>,
    /// The model whose weights were the first, if they were not random.
    pub init: Option<PathBuf>,
    /// Photos to repaint at every checkpoint.
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
    pub optimizer: Method,
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
    pub metrics: Format,
    /// The folder for TensorBoard.
    #[serde(default)]
    pub tensorboard: Option<PathBuf>,
}

impl Recipe {
    /// What `args` ask for, with the defaults for what they do not say.
    ///
    /// # Errors
    /// Files that are missing or unreadable; flags that the model of `--init`
    /// contradicts.
    pub fn new(args: &TrainArgs) -> anyhow::Result<Self> {
        ensure!(!args.style.is_empty(), "--style is missing");
        let photos = args.photos.as_deref().context("--photos is missing")?;
        let size = args.size.unwrap_or(256);
        let weights = args.loss.weights(LossWeights::default());
        let mut recipe = Recipe {
            architecture: architecture(args)?,
            about: about(&args.about, &args.output, Style::default())?,
            paintings: painting::choose(&args.style, &args.loss, &[])?,
            photos: absolute(photos)?,
            vgg: args.loss.vgg.as_deref().map(absolute).transpose()?,
            init: args.init.as_deref().map(absolute).transpose()?,
            preview: absolutes(&args.preview)?,
            steps: 40_000,
            epochs: None,
            batch: args.batch.unwrap_or(4),
            size,
            style_size: args.loss.style_size.unwrap_or(size),
            optimizer: args.optimizer.unwrap_or_default(),
            lr: args.lr.unwrap_or(1e-3),
            lr_schedule: args.lr_schedule.unwrap_or_default(),
            lr_final: args.lr_final.unwrap_or(1.0),
            warmup: args.warmup.unwrap_or(0),
            content_layers: weights.content_layers,
            style_layers: weights.style_layers,
            content_weight: weights.content,
            style_weight: weights.style,
            tv_weight: weights.tv,
            stability: args.stability.unwrap_or(0.0),
            stability_at_rest: args.stability_at_rest.unwrap_or_else(stability_at_rest),
            seed: args.seed.unwrap_or(0),
            checkpoint_every: args.checkpoint_every.unwrap_or(200),
            metrics: args.metrics.unwrap_or_default(),
            tensorboard: args.tensorboard.as_deref().map(absolute).transpose()?,
        };
        recipe.set_length(args)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// This recipe, from a checkpoint, with what `args` change in it.
    ///
    /// # Errors
    /// A change that would make it another training: another network, another
    /// painting, other batches.
    pub fn resumed(mut self, args: &TrainArgs) -> anyhow::Result<Self> {
        let network = &self.architecture;
        same("--width", args.width, network.width as u64)?;
        same(
            "--residual-blocks",
            args.residual_blocks,
            network.residual_blocks as u64,
        )?;
        same("--output-norm", args.output_norm, network.output_norm)?;
        same("--batch", args.batch, self.batch)?;
        same("--size", args.size, self.size)?;
        same("--style-size", args.loss.style_size, self.style_size)?;
        same("--seed", args.seed, self.seed)?;
        same("--optimizer", args.optimizer, self.optimizer)?;

        same(
            "--content-layers",
            args.loss.content_layers.as_ref(),
            &self.content_layers,
        )?;
        same(
            "--style-layers",
            args.loss.style_layers.as_ref(),
            &self.style_layers,
        )?;
        self.paintings = resumed_paintings(args, &self.paintings)?;
        self.about = about(&args.about, &args.output, self.about)?;
        if let Some(photos) = &args.photos {
            self.photos = absolute(photos)?;
        }
        if let Some(vgg) = &args.loss.vgg {
            self.vgg = Some(absolute(vgg)?);
        }
        if !args.preview.is_empty() {
            self.preview = absolutes(&args.preview)?;
        }
        let change = |knob: &mut f64, given: Option<f64>| *knob = given.unwrap_or(*knob);
        change(&mut self.lr, args.lr);
        change(&mut self.lr_final, args.lr_final);
        change(&mut self.content_weight, args.loss.content_weight);
        change(&mut self.style_weight, args.loss.style_weight);
        change(&mut self.tv_weight, args.loss.tv_weight);
        change(&mut self.stability, args.stability);
        change(&mut self.stability_at_rest, args.stability_at_rest);
        self.lr_schedule = args.lr_schedule.unwrap_or(self.lr_schedule);
        self.warmup = args.warmup.unwrap_or(self.warmup);
        self.set_length(args)?;
        self.checkpoint_every = args.checkpoint_every.unwrap_or(self.checkpoint_every);
        self.metrics = args.metrics.unwrap_or(self.metrics);
        if let Some(folder) = &args.tensorboard {
            self.tensorboard = Some(absolute(folder)?);
        }
        self.check()?;
        Ok(self)
    }

    /// Makes the training as long as `args` ask for, if they do.
    fn set_length(&mut self, args: &TrainArgs) -> anyhow::Result<()> {
        if let Some(epochs) = args.epochs {
            let (photos, _) = dataset::list(&self.photos)?;
            let taken = (photos.len() as u64).saturating_mul(epochs);
            (self.steps, self.epochs) = (taken.div_ceil(self.batch), Some(epochs));
        } else if let Some(steps) = args.steps {
            (self.steps, self.epochs) = (steps, None);
        }
        Ok(())
    }

    /// Whether its knobs go together.
    fn check(&self) -> anyhow::Result<()> {
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

    /// How much each loss counts.
    pub fn loss_weights(&self) -> LossWeights {
        LossWeights {
            content: self.content_weight,
            style: self.style_weight,
            tv: self.tv_weight,
            content_layers: self.content_layers.clone(),
            style_layers: self.style_layers.clone(),
        }
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

    /// The recipe as a model file tells it: files by their names alone, since
    /// their folders are nobody else's business, and without what the model
    /// file tells elsewhere.
    pub fn published(&self, photos: usize) -> Value {
        let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
        let paintings: Vec<Painting> = self
            .paintings
            .iter()
            .map(|painting| Painting {
                file: painting.name().into(),
                ..painting.clone()
            })
            .collect();
        json!({
            "paintings": paintings,
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
        })
    }
}

/// The usual [`Recipe::stability_at_rest`].
fn stability_at_rest() -> f64 {
    8.0
}

/// The network that `args` ask for: that of the model of `--init`, if given, or
/// a wider one.
fn architecture(args: &TrainArgs) -> anyhow::Result<Architecture> {
    let Some(init) = &args.init else {
        let default = Architecture::default();
        let blocks = args.residual_blocks.map(|n| n as usize);
        return Ok(Architecture {
            width: args.width.unwrap_or(16) as usize,
            residual_blocks: blocks.unwrap_or(default.residual_blocks),
            output_norm: args.output_norm.unwrap_or(default.output_norm),
            ..default
        });
    };
    let network = Model::load(init)?.architecture;
    let width = args.width.map_or(network.width, |width| width as usize);
    ensure!(
        width.is_multiple_of(network.width),
        "{} has --width {has}, of which {width} is no multiple: give {has}, {} or so, or start \
         without --init",
        init.display(),
        2 * network.width,
        has = network.width,
    );
    let has = init.display().to_string();
    let as_known = |flag, given, known| same_as(&has, "--init", flag, given, known);
    let blocks = network.residual_blocks as u64;
    as_known("--residual-blocks", args.residual_blocks, blocks)?;
    same_as(
        &has,
        "--init",
        "--output-norm",
        args.output_norm,
        network.output_norm,
    )?;
    Ok(Architecture { width, ..network })
}

/// What the model file `output` is to tell of the painting: `known`, unless
/// `args` say otherwise.
pub fn about(args: &AboutArgs, output: &Path, known: Style) -> anyhow::Result<Style> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None if !known.name.is_empty() => known.name,
        None => stem(output)?,
    };
    Ok(Style {
        name,
        title: args.title.clone().or(known.title),
        artist: args.artist.clone().or(known.artist),
        year: args.year.clone().or(known.year),
    })
}

/// The file's name without folder and extension.
pub fn stem(path: &Path) -> anyhow::Result<String> {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .with_context(|| format!("{}: not a file name", path.display()))
}

/// The paintings of a training that goes on.
fn resumed_paintings(args: &TrainArgs, known: &[Painting]) -> anyhow::Result<Vec<Painting>> {
    let files = match args.style.is_empty() {
        true => known.iter().map(|painting| painting.file.clone()).collect(),
        false => args.style.clone(),
    };
    let now = painting::choose(&files, &args.loss, known)?;
    let fingerprints = |paintings: &[Painting]| -> Vec<String> {
        paintings.iter().map(|p| p.fingerprint.clone()).collect()
    };
    ensure!(
        fingerprints(&now) == fingerprints(known),
        "the checkpoint belongs to another painting than {} (it was {}): start anew without \
         --resume",
        painting::names(&now),
        painting::names(known)
    );
    for (now, known) in now.iter().zip(known) {
        same("--style-blend", Some(now.weight), known.weight)?;
        let part = |crop: Option<Crop>| crop.map_or("none".into(), |crop| crop.to_string());
        same("--style-crop", Some(part(now.crop)), part(known.crop))?;
    }
    Ok(now)
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
}

fn same<T: PartialEq + Display>(flag: &str, given: Option<T>, known: T) -> anyhow::Result<()> {
    same_as("the checkpoint", "--resume", flag, given, known)
}

/// Whether `flag` is left out, or as `known` to `other`, which `by` brings in.
fn same_as<T: PartialEq + Display>(
    other: &str,
    by: &str,
    flag: &str,
    given: Option<T>,
    known: T,
) -> anyhow::Result<()> {
    match given {
        Some(given) if given != known => bail!(
            "{other} was made with {flag} {known}, not {given}: this cannot be changed; leave \
             {flag} out, or start anew without {by}"
        ),
        _ => Ok(()),
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{}: not a path", path.display()))
}

fn absolutes(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    paths.iter().map(|path| absolute(path)).collect()
}
