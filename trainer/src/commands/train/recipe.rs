//! Makes a recipe from the command line.

use crate::cli::TrainArgs;
use crate::commands::train::styles;
use crate::commands::{about, style};
use crate::data;
use crate::objective::LossWeights;
use crate::objective::painting::{self, Crop, Painting};
use crate::training::recipe::{Learn, Recipe, StyleRecipe, stability_at_rest};
use anyhow::{Context, bail, ensure};
use gstfaststyle::{Architecture, Model, Style};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// The recipe of a new training: `args`, and defaults for the rest.
///
/// # Errors
/// Files that are missing or unreadable; flags that the model of `--init`
/// contradicts.
pub fn new(args: &TrainArgs) -> anyhow::Result<Recipe> {
    let styles = match &args.styles {
        Some(path) => styles::read(path)?,
        None => vec![one_style(args)?],
    };
    of_styles(args, styles)
}

/// The recipe that `args` describe, of these styles.
///
/// # Errors
/// What is missing, or does not go together.
pub fn of_styles(args: &TrainArgs, styles: Vec<StyleRecipe>) -> anyhow::Result<Recipe> {
    let photos = args.photos.as_deref().context("--photos is missing")?;
    let init = args.init.as_deref().map(style::find).transpose()?;
    let init = init.map(|found| found.path);
    let size = args.size.unwrap_or(256);
    let weights = args.loss.weights(LossWeights::default());
    let mut recipe = Recipe {
        architecture: Architecture {
            styles: styles.len(),
            ..architecture(args, init.as_deref())?
        },
        styles,
        learn: Learn::All,
        any: None,
        photos: absolute(photos)?,
        vgg: args.loss.vgg.as_deref().map(absolute).transpose()?,
        init: init.as_deref().map(absolute).transpose()?,
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
    set_length(&mut recipe, args)?;
    recipe.check()?;
    Ok(recipe)
}

/// The `recipe` of a checkpoint with the changes in `args`.
///
/// # Errors
/// A change of something fixed: the network, the painting, the batches.
pub fn resumed(mut recipe: Recipe, args: &TrainArgs) -> anyhow::Result<Recipe> {
    let network = &recipe.architecture;
    same("--width", args.width, network.width as u64)?;
    same(
        "--residual-blocks",
        args.residual_blocks,
        network.residual_blocks as u64,
    )?;
    same("--output-norm", args.output_norm, network.output_norm)?;
    same("--batch", args.batch, recipe.batch)?;
    same("--size", args.size, recipe.size)?;
    same("--style-size", args.loss.style_size, recipe.style_size)?;
    same("--seed", args.seed, recipe.seed)?;
    same("--optimizer", args.optimizer, recipe.optimizer)?;

    same(
        "--content-layers",
        args.loss.content_layers.as_ref(),
        &recipe.content_layers,
    )?;
    same(
        "--style-layers",
        args.loss.style_layers.as_ref(),
        &recipe.style_layers,
    )?;
    if recipe.any.is_none() {
        recipe.styles = resumed_styles(args, recipe.styles)?;
    }
    if let Some(photos) = &args.photos {
        recipe.photos = absolute(photos)?;
    }
    if let Some(vgg) = &args.loss.vgg {
        recipe.vgg = Some(absolute(vgg)?);
    }
    if !args.preview.is_empty() {
        recipe.preview = absolutes(&args.preview)?;
    }
    let change = |knob: &mut f64, given: Option<f64>| *knob = given.unwrap_or(*knob);
    change(&mut recipe.lr, args.lr);
    change(&mut recipe.lr_final, args.lr_final);
    change(&mut recipe.content_weight, args.loss.content_weight);
    change(&mut recipe.style_weight, args.loss.style_weight);
    change(&mut recipe.tv_weight, args.loss.tv_weight);
    change(&mut recipe.stability, args.stability);
    change(&mut recipe.stability_at_rest, args.stability_at_rest);
    recipe.lr_schedule = args.lr_schedule.unwrap_or(recipe.lr_schedule);
    recipe.warmup = args.warmup.unwrap_or(recipe.warmup);
    set_length(&mut recipe, args)?;
    recipe.checkpoint_every = args.checkpoint_every.unwrap_or(recipe.checkpoint_every);
    recipe.metrics = args.metrics.unwrap_or(recipe.metrics);
    if let Some(folder) = &args.tensorboard {
        recipe.tensorboard = Some(absolute(folder)?);
    }
    recipe.check()?;
    Ok(recipe)
}

/// The style of the paintings in `args`.
fn one_style(args: &TrainArgs) -> anyhow::Result<StyleRecipe> {
    ensure!(!args.style.is_empty(), "--style is missing");
    let about = about::style(&args.about, &args.output, Style::default())?;
    let loss = &args.loss;
    let paintings = painting::choose(&args.style, &loss.style_blend, &loss.style_crop, &[])?;
    Ok(StyleRecipe::new(about, paintings))
}

/// Sets the number of steps, if `args` have one.
fn set_length(recipe: &mut Recipe, args: &TrainArgs) -> anyhow::Result<()> {
    if let Some(epochs) = args.epochs {
        let (photos, _) = data::list(&recipe.photos)?;
        let taken = (photos.len() as u64).saturating_mul(epochs);
        (recipe.steps, recipe.epochs) = (taken.div_ceil(recipe.batch), Some(epochs));
    } else if let Some(steps) = args.steps {
        (recipe.steps, recipe.epochs) = (steps, None);
    }
    Ok(())
}

/// The network: new, or that of the model of `--init`, perhaps wider.
fn architecture(args: &TrainArgs, init: Option<&Path>) -> anyhow::Result<Architecture> {
    let Some(init) = init else {
        let default = Architecture::default();
        let blocks = args.residual_blocks.map(|n| n as usize);
        return Ok(Architecture {
            width: args.width.unwrap_or(16) as usize,
            residual_blocks: blocks.unwrap_or(default.residual_blocks),
            output_norm: args.output_norm.unwrap_or(default.output_norm),
            ..default
        });
    };
    let network = Architecture {
        styles: 1,
        predictor: None,
        ..Model::load(init)?.architecture
    };
    let width = args.width.map_or(network.width, |width| width as usize);
    ensure!(
        width.is_multiple_of(network.width),
        "{} has --width {has}, and {width} is not a multiple of it: give {has} or {}, or start \
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

/// The styles of a resumed training.
fn resumed_styles(args: &TrainArgs, known: Vec<StyleRecipe>) -> anyhow::Result<Vec<StyleRecipe>> {
    if let [style] = &known[..] {
        ensure!(
            args.styles.is_none(),
            "the checkpoint was trained with --style: leave out --styles, or start a new \
             training without --resume"
        );
        return Ok(vec![StyleRecipe {
            paintings: resumed_paintings(args, &style.paintings)?,
            about: about::style(&args.about, &args.output, style.about.clone())?,
            ..style.clone()
        }]);
    }
    ensure!(
        args.style.is_empty(),
        "the checkpoint was trained with --styles: leave out --style, or start a new training \
         without --resume"
    );
    let Some(path) = &args.styles else {
        return Ok(known);
    };
    let now = styles::read(path)?;
    let fixed = |styles: &[StyleRecipe]| -> Vec<(String, Vec<String>)> {
        let fixed = |style: &StyleRecipe| {
            let prints = style.paintings.iter().map(|p| p.fingerprint.clone());
            (style.about.name.clone(), prints.collect())
        };
        styles.iter().map(fixed).collect()
    };
    ensure!(
        fixed(&now) == fixed(&known),
        "the checkpoint was trained with other styles than {} lists: start a new training with \
         --init instead of --resume",
        path.display()
    );
    Ok(now)
}

/// The paintings of a resumed training.
fn resumed_paintings(args: &TrainArgs, known: &[Painting]) -> anyhow::Result<Vec<Painting>> {
    let files = match args.style.is_empty() {
        true => known.iter().map(|painting| painting.file.clone()).collect(),
        false => args.style.clone(),
    };
    let now = painting::choose(&files, &args.loss.style_blend, &args.loss.style_crop, known)?;
    let fingerprints = |paintings: &[Painting]| -> Vec<String> {
        paintings.iter().map(|p| p.fingerprint.clone()).collect()
    };
    ensure!(
        fingerprints(&now) == fingerprints(known),
        "the checkpoint was trained with another painting than {} ({}): start a new training \
         without --resume",
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

fn same<T: PartialEq + Display>(flag: &str, given: Option<T>, known: T) -> anyhow::Result<()> {
    same_as("the checkpoint", "--resume", flag, given, known)
}

/// Checks that `flag` is left out or equals `known`, the value in `other`, which
/// the flag `by` reads.
fn same_as<T: PartialEq + Display>(
    other: &str,
    by: &str,
    flag: &str,
    given: Option<T>,
    known: T,
) -> anyhow::Result<()> {
    match given {
        Some(given) if given != known => bail!(
            "{other} was trained with {flag} {known}, not {given}, which cannot be changed: leave \
             out {flag}, or start a new training without {by}"
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
