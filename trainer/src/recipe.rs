//! What a training is made of: everything that decides its result.

use crate::cli::{AboutArgs, TrainArgs};
use crate::objective::LossWeights;
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
    /// The painting's file.
    pub style: PathBuf,
    /// A fingerprint of that file: see [`fingerprint`].
    pub style_fingerprint: String,
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
    /// Photos in a batch.
    pub batch: u64,
    /// Side of the squares cut from the photos, in pixels.
    pub size: u64,
    /// Shorter side of the painting, in pixels.
    pub style_size: u64,
    /// Learning rate of the first step.
    pub lr: f64,
    /// What fraction of it the last step has.
    pub lr_final: f64,
    /// Weight of the content loss.
    pub content_weight: f64,
    /// Weight of the style loss.
    pub style_weight: f64,
    /// Weight of the total variation.
    pub tv_weight: f64,
    /// Weight of the difference between two views of a scene; 0 shows only one.
    #[serde(default)]
    pub stability: f64,
    /// Seed of the first weights and of the photos' order.
    pub seed: u64,
    /// A checkpoint every so many steps.
    pub checkpoint_every: u64,
}

impl Recipe {
    /// What `args` ask for, with the defaults for what they do not say.
    ///
    /// # Errors
    /// Files that are missing or unreadable; flags that the model of `--init`
    /// contradicts.
    pub fn new(args: &TrainArgs) -> anyhow::Result<Self> {
        let style = args.style.as_deref().context("--style is missing")?;
        let photos = args.photos.as_deref().context("--photos is missing")?;
        let size = args.size.unwrap_or(256);
        let weights = args.loss.weights(LossWeights::default());
        Ok(Recipe {
            architecture: architecture(args)?,
            about: about(&args.about, &args.output, Style::default())?,
            style: absolute(style)?,
            style_fingerprint: fingerprint(style)?,
            photos: absolute(photos)?,
            vgg: args.loss.vgg.as_deref().map(absolute).transpose()?,
            init: args.init.as_deref().map(absolute).transpose()?,
            preview: absolutes(&args.preview)?,
            steps: args.steps.unwrap_or(40_000),
            batch: args.batch.unwrap_or(4),
            size,
            style_size: args.loss.style_size.unwrap_or(size),
            lr: args.lr.unwrap_or(1e-3),
            lr_final: args.lr_final.unwrap_or(1.0),
            content_weight: weights.content,
            style_weight: weights.style,
            tv_weight: weights.tv,
            stability: args.stability.unwrap_or(0.0),
            seed: args.seed.unwrap_or(0),
            checkpoint_every: args.checkpoint_every.unwrap_or(200),
        })
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
        ensure!(
            !(args.no_output_norm && network.output_norm),
            "the checkpoint's network has a normalisation after the last convolution: leave \
             out --no-output-norm, or start anew without --resume"
        );
        same("--batch", args.batch, self.batch)?;
        same("--size", args.size, self.size)?;
        same("--style-size", args.loss.style_size, self.style_size)?;
        same("--seed", args.seed, self.seed)?;

        let style = args.style.as_deref().unwrap_or(&self.style);
        ensure!(
            fingerprint(style)? == self.style_fingerprint,
            "the checkpoint belongs to another painting than {} (it was {}): start anew \
             without --resume",
            style.display(),
            self.style.display()
        );
        self.style = absolute(style)?;
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
        self.steps = args.steps.unwrap_or(self.steps);
        self.checkpoint_every = args.checkpoint_every.unwrap_or(self.checkpoint_every);
        Ok(self)
    }

    /// How much each loss counts.
    pub fn loss_weights(&self) -> LossWeights {
        LossWeights {
            content: self.content_weight,
            style: self.style_weight,
            tv: self.tv_weight,
        }
    }

    /// The learning rate of the step after `step` others.
    pub fn rate(&self, step: u64) -> f64 {
        if self.lr_final == 1.0 {
            return self.lr;
        }
        let part = step as f64 / self.steps as f64;
        let fallen = 0.5 * (1.0 - (std::f64::consts::PI * part.min(1.0)).cos());
        self.lr * (1.0 - (1.0 - self.lr_final) * fallen)
    }

    /// The recipe as a model file tells it: files by their names alone, since
    /// their folders are nobody else's business, and without what the model
    /// file tells elsewhere.
    pub fn published(&self, photos: usize) -> Value {
        let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
        json!({
            "style": name(&self.style),
            "style_fingerprint": self.style_fingerprint,
            "photos": name(&self.photos),
            "photos_count": photos,
            "vgg": self.vgg.as_deref().and_then(name),
            "init": self.init.as_deref().and_then(name),
            "steps": self.steps,
            "batch": self.batch,
            "size": self.size,
            "style_size": self.style_size,
            "lr": self.lr,
            "lr_final": self.lr_final,
            "content_weight": self.content_weight,
            "style_weight": self.style_weight,
            "tv_weight": self.tv_weight,
            "stability": self.stability,
            "seed": self.seed,
        })
    }
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
            output_norm: !args.no_output_norm,
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
    let blocks = network.residual_blocks;
    ensure!(
        args.residual_blocks
            .is_none_or(|given| given == blocks as u64),
        "{} has --residual-blocks {blocks}: leave that flag out or start without --init",
        init.display()
    );
    ensure!(
        !(args.no_output_norm && network.output_norm),
        "{} has a normalisation after its last convolution: leave out --no-output-norm or start \
         without --init",
        init.display()
    );
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

/// 64 bits that tell one file from another, as 16 hexadecimal digits (FNV-1a).
pub fn fingerprint(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read the painting {}", path.display()))?;
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(format!("{hash:016x}"))
}

fn same<T: PartialEq + Display>(flag: &str, given: Option<T>, known: T) -> anyhow::Result<()> {
    match given {
        Some(given) if given != known => bail!(
            "the checkpoint was made with {flag} {known}, not {given}: leave {flag} out, or \
             start anew without --resume"
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
