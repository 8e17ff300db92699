//! The command `add-style`: one more style for a model, of which only the norms
//! are learned.

use crate::cli::{AddStyleArgs, LossArgs, TrainArgs};
use crate::commands::train::{self, recipe};
use crate::commands::{Outcome, style};
use crate::data;
use crate::io::files::{Files, stem};
use crate::io::{output, picture};
use crate::logging::metrics::MetricsFormat;
use crate::logging::say::say;
use crate::objective::vgg19::Vgg19;
use crate::training::checkpoint::Checkpoint;
use crate::training::recipe::{Learn, Recipe, published_weights};
use crate::training::style_rows::{split, stack};
use crate::training::trainer::Trainer;
use anyhow::{Context, ensure};
use candle_core::{Device, Tensor};
use gstfaststyle::internals::ops::Products;
use gstfaststyle::{Model, Network, Style, StyleMix};
use std::ffi::OsString;
use std::sync::atomic::AtomicBool;

/// Photos that the best start is looked for with.
const SAMPLES: usize = 2;

/// Runs the command, until its last step or until `stop` is set. The model
/// changes only at the end.
///
/// # Errors
/// Whatever keeps it from going on. The last checkpoint then is as it was.
pub fn run(args: &AddStyleArgs, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    let (team, device) = train::start(args.device)?;
    if !team.leads() {
        return train::follow(&team, &device, stop);
    }
    let (begun, trainer) = train::lead(&team, begin(args, &device), &device)?;
    let Begun { args, name, files } = begun;
    let resume = resume_command(&args, &name);
    let outcome = train::to_the_end(trainer, &files, args.resume, &resume, stop)?;
    if outcome == Outcome::Finished {
        let added = Model::load(&files.model)?;
        let output = args.output.as_ref().unwrap_or(&args.model);
        // Read again: another style may have been added meanwhile.
        insert(&Model::load(&args.model)?, added)?
            .save(output)
            .context("cannot write the model")?;
        say(format_args!("style {name} is now in {}", output.display()));
    }
    Ok(outcome)
}

/// A training that has begun.
struct Begun {
    /// With the paths that are meant.
    args: AddStyleArgs,
    /// The style's name.
    name: String,
    files: Files,
}

/// The training that `args` describe.
fn begin(args: &AddStyleArgs, device: &Device) -> anyhow::Result<(Begun, Trainer)> {
    let found = style::open(&args.model)?;
    let args = AddStyleArgs {
        model: found.path,
        output: match &args.output {
            Some(output) => Some(output::model_file("--output", output)?),
            None => None,
        },
        ..args.clone()
    };
    let base = found.model;
    let name = style_name(&args)?;
    check_output(&args, &base, &name)?;
    let mut training = training_args(&args, &base, &name)?;
    let files = Files::beside(&training.output)?;
    let trainer = if args.resume {
        let mut checkpoint = Checkpoint::load(&files.checkpoint)?;
        checkpoint.recipe = recipe::resumed(checkpoint.recipe, &training)?;
        Trainer::resume(checkpoint, device)?
    } else {
        files.check_training(&MetricsFormat::extensions(), args.overwrite)?;
        training.init = Some(args.model.clone());
        let recipe = Recipe {
            learn: Learn::Style,
            ..recipe::new(&training)?
        };
        let start = best_start(&base, &recipe, device)?;
        Trainer::with_weights(recipe, start.weights, device)?
    };
    Ok((Begun { args, name, files }, trainer))
}

/// The style's name: the given one, or the painting's.
fn style_name(args: &AddStyleArgs) -> anyhow::Result<String> {
    let name = match (&args.about.name, args.style.first()) {
        (Some(name), _) => name.clone(),
        (None, Some(painting)) => stem(painting)?,
        (None, None) => anyhow::bail!("--resume needs --name, or --style, to find the checkpoint"),
    };
    ensure!(
        Style::can_be_called(&name) && !name.contains(['/', '\\', '\0']),
        "{name:?} is no name for a style: give another with --name"
    );
    Ok(name)
}

/// Whether nothing is lost that the user may want to keep.
fn check_output(args: &AddStyleArgs, base: &Model, name: &str) -> anyhow::Result<()> {
    ensure!(
        base.styles.iter().all(|style| !style.name.is_empty()) && !base.styles.is_empty(),
        "a style of {} has no name: the model has to be trained or imported with --name",
        args.model.display()
    );
    ensure!(
        args.overwrite || args.resume || base.style_index(name).is_none(),
        "{} already has a style {name}: --overwrite replaces it, --name gives another name",
        args.model.display()
    );
    if let Some(path) = &args.output {
        output::check_new("--output", path, args.overwrite || args.resume)?;
    }
    Ok(())
}

/// The training as `train` would have it, with the model's own loss weights.
fn training_args(args: &AddStyleArgs, base: &Model, name: &str) -> anyhow::Result<TrainArgs> {
    let recipe = &base.training["recipe"];
    let (weights, style_size) = published_weights(recipe)
        .with_context(|| format!("{}: its recipe is damaged", args.model.display()))?;
    let weights = args.loss.weights(weights);
    let loss = match args.resume {
        true => args.loss.clone(),
        false => LossArgs {
            style_size: args.loss.style_size.or(style_size),
            content_layers: Some(weights.content_layers),
            style_layers: Some(weights.style_layers),
            content_weight: Some(weights.content),
            style_weight: Some(weights.style),
            tv_weight: Some(weights.tv),
            ..args.loss.clone()
        },
    };
    let fresh = |value: f64| (!args.resume).then_some(value);
    let mut file = args.model.file_stem().unwrap_or_default().to_os_string();
    file.push(format!(".{name}.safetensors"));
    let mut about = args.about.clone();
    about.name = Some(name.into());
    Ok(TrainArgs {
        style: args.style.clone(),
        photos: args.photos.clone(),
        output: args.model.with_file_name(file),
        resume: args.resume,
        steps: args.steps.or((!args.resume).then_some(600)),
        batch: args.batch.or((!args.resume).then_some(1)),
        size: args.size,
        lr: args.lr.or(fresh(0.01)),
        lr_final: fresh(0.1),
        stability: args
            .stability
            .or(recipe["stability"].as_f64().and_then(fresh)),
        seed: args.seed,
        loss,
        device: args.device,
        preview: args.preview.clone(),
        about,
        ..TrainArgs::default()
    })
}

/// The mix of the model's styles whose pictures are closest to the new style: the
/// best one, and each other that makes it better.
fn best_start(base: &Model, recipe: &Recipe, device: &Device) -> anyhow::Result<Model> {
    let style = &recipe.styles[0];
    let vgg = Vgg19::open(recipe.vgg.as_deref(), Products::Fast, device)?;
    let objective = recipe.objective(style, vgg.into(), device)?;
    let network = Network::from_model(base, device)?;
    let photos = samples(recipe, device)?;
    let loss = |mix: &StyleMix| -> anyhow::Result<f32> {
        let mut sum = 0.0;
        for photo in &photos {
            let painted = network.forward_channels_last(photo, mix)?;
            let (_, losses) = objective.measure(&painted, &objective.content(photo)?)?;
            sum += losses.total;
        }
        Ok(sum)
    };
    let mut single = (0..base.architecture.styles)
        .map(|index| Ok((loss(&StyleMix::single(index))?, index)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    single.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut best, first) = *single.first().context("the model has no style")?;
    let mut parts = vec![(first, 1.0f32)];
    for &(_, index) in single.iter().skip(1) {
        let sum: f32 = parts.iter().map(|(_, weight)| weight).sum();
        let more = parts
            .iter()
            .copied()
            .chain([(index, sum / 2.0)])
            .collect::<Vec<_>>();
        let with = loss(&StyleMix::new(&more)?)?;
        if with < best {
            (best, parts) = (with, more);
        }
    }
    let mix = StyleMix::new(&parts)?;
    let words = mix.parts().iter().map(|(index, weight)| {
        let name = &base.styles[*index].name;
        format!("{:.0} % {name}", 100.0 * weight)
    });
    say(format_args!(
        "starts from {}",
        words.collect::<Vec<_>>().join(" + ")
    ));
    Ok(base.with_mix(&mix)?)
}

/// Some of the training photos, as squares.
fn samples(recipe: &Recipe, device: &Device) -> anyhow::Result<Vec<Tensor>> {
    let (photos, _) = data::list(&recipe.photos)?;
    let side = recipe.size as u32;
    let mut samples = Vec::with_capacity(SAMPLES);
    for photo in &photos {
        // Those that cannot be read are reported by the training.
        let Ok(photo) = picture::read(photo) else {
            continue;
        };
        samples.push(picture::tensor(
            &picture::cover(&photo, side, side),
            device,
        )?);
        if samples.len() == SAMPLES {
            break;
        }
    }
    ensure!(
        !samples.is_empty(),
        "no photo in {} can be read",
        recipe.photos.display()
    );
    Ok(samples)
}

/// `base` with the style of `added`, in the place of the one of its name if there
/// is one.
fn insert(base: &Model, added: Model) -> anyhow::Result<Model> {
    let mut styles = split(base)?;
    let name = &added.styles.first().context("a style has no name")?.name;
    match base.style_index(name) {
        Some(index) => styles[index] = added,
        None => styles.push(added),
    }
    stack(&styles)
}

/// The command that resumes the training.
fn resume_command(args: &AddStyleArgs, name: &str) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["add-style".into(), "--resume".into()];
    words.extend(["--model".into(), args.model.clone().into()]);
    words.extend(["--name".into(), name.into()]);
    if let Some(output) = &args.output {
        words.extend(["--output".into(), output.clone().into()]);
    }
    words.extend(train::device_words(args.device));
    words
}
