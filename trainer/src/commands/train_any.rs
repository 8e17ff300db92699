//! The command `train-any`: a network that paints in the style of any picture.

use crate::cli::{TrainAnyArgs, TrainArgs};
use crate::commands::train::{self, recipe};
use crate::commands::{Outcome, style};
use crate::io::files::Files;
use crate::io::output;
use crate::logging::metrics::MetricsFormat;
use crate::training::any_style::with_predictor;
use crate::training::checkpoint::Checkpoint;
use crate::training::recipe::{AnyRecipe, Learn, Recipe, StyleRecipe};
use crate::training::schedule::Schedule;
use crate::training::style_rows::with_styles;
use crate::training::trainer::Trainer;
use anyhow::{Context, ensure};
use candle_core::Device;
use gstfaststyle::internals::network::PredictorShape;
use gstfaststyle::{Architecture, Model, Style};
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The network's own style where it is not kept: the photo as it is.
const NONE: &str = "none";

/// How many steps a training takes, and over how many of them the learning rate rises.
const STEPS: u64 = 40_000;
const WARMUP: u64 = 100;

/// Runs the command, until its last step or until `stop` is set.
///
/// # Errors
/// Whatever keeps it from going on. The last checkpoint then is as it was.
pub fn run(args: &TrainAnyArgs, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    let (team, device) = train::start(args.device)?;
    if !team.leads() {
        return train::follow(&team, &device, stop);
    }
    let ((args, files), trainer) = train::lead(&team, begin(args, &device), &device)?;
    let words = ["train-any", "--resume", "--output"].map(OsString::from);
    let mut resume: Vec<OsString> = words.into();
    resume.push(args.output.clone().into());
    resume.extend(train::device_words(args.device));
    train::to_the_end(trainer, &files, args.resume, &resume, stop)
}

/// The training that `args` describe, with the paths that are meant.
fn begin(args: &TrainAnyArgs, device: &Device) -> anyhow::Result<((TrainAnyArgs, Files), Trainer)> {
    let output = output::model_file("--output", &args.output)?;
    let args = TrainAnyArgs {
        output,
        ..args.clone()
    };
    let files = Files::beside(&args.output)?;
    let training = training_args(&args);
    let trainer = if args.resume {
        let mut checkpoint = Checkpoint::load(&files.checkpoint)?;
        ensure!(
            checkpoint.recipe.any.is_some(),
            "{} is of a training by `train`, which resumes it",
            files.checkpoint.display()
        );
        checkpoint.recipe = recipe::resumed(checkpoint.recipe, &training)?;
        Trainer::resume(checkpoint, device)?
    } else {
        check_output(&args, &files)?;
        let base = base(&args)?;
        let recipe = new_recipe(&args, &training, &base)?;
        let weights = with_predictor(&base, PredictorShape::default(), recipe.seed)?;
        Trainer::with_weights(recipe, weights, device)?
    };
    Ok(((args, files), trainer))
}

/// The network to begin with: the model's, with its styles if those are kept.
fn base(args: &TrainAnyArgs) -> anyhow::Result<Model> {
    let model = args.model.as_deref().context("--model is missing")?;
    let model = style::open(model)?.model;
    if args.keep {
        let named = model.styles.iter().all(|style| !style.name.is_empty());
        ensure!(
            named && !model.styles.is_empty(),
            "--keep: a style of the model has no name; train or import it with --name"
        );
        return Ok(model);
    }
    let none = Style {
        name: NONE.into(),
        ..Style::default()
    };
    with_styles(&model, [none].iter())
}

/// The recipe of a new training.
fn new_recipe(args: &TrainAnyArgs, training: &TrainArgs, base: &Model) -> anyhow::Result<Recipe> {
    let paintings = args.paintings.as_deref();
    let paintings = paintings.context("--paintings is missing")?;
    let styles = base.styles.iter().cloned();
    let styles = styles.map(|style| StyleRecipe::new(style, Vec::new()));
    let recipe = recipe::of_styles(training, styles.collect())?;
    Ok(Recipe {
        architecture: Architecture {
            predictor: Some(PredictorShape::default()),
            ..base.architecture.clone()
        },
        learn: match args.keep {
            true => Learn::Predictor,
            false => Learn::All,
        },
        any: Some(AnyRecipe {
            paintings: std::path::absolute(paintings)
                .with_context(|| format!("--paintings {}", paintings.display()))?,
        }),
        ..recipe
    })
}

/// Whether nothing is lost that the user may want to keep.
fn check_output(args: &TrainAnyArgs, files: &Files) -> anyhow::Result<()> {
    let given: Vec<&Path> = args.preview.iter().map(AsRef::as_ref).collect();
    output::spare("--output", &files.model, &given)?;
    files.check_training(&MetricsFormat::extensions(), args.overwrite)
}

/// The training as `train` would have it.
fn training_args(args: &TrainAnyArgs) -> TrainArgs {
    let fresh = |count: u64| (!args.resume).then_some(count);
    TrainArgs {
        init: (!args.resume).then(|| args.model.clone()).flatten(),
        photos: args.photos.clone(),
        output: args.output.clone(),
        resume: args.resume,
        overwrite: args.overwrite,
        steps: args.steps.or(fresh(STEPS)),
        batch: args.batch.or(fresh(2)),
        size: args.size,
        lr: args.lr.or((!args.resume).then_some(1e-3)),
        lr_schedule: (!args.resume).then_some(Schedule::Cosine),
        lr_final: args.lr_final.or((!args.resume).then_some(0.03)),
        warmup: fresh(WARMUP.min(args.steps.unwrap_or(STEPS) - 1)),
        stability: args.stability,
        checkpoint_every: args.checkpoint_every,
        seed: args.seed,
        loss: args.loss.clone(),
        device: args.device,
        preview: args.preview.clone(),
        ..TrainArgs::default()
    }
}
