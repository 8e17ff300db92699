//! The training: a painting and a folder of photos in, a model file out.

use crate::checkpoint::Checkpoint;
use crate::cli::TrainArgs;
use crate::dataset::Batches;
use crate::files::Files;
use crate::log::Log;
use crate::loss_scale::{self, LossScale};
use crate::metrics::{Losses, Row};
use crate::objective::Objective;
use crate::optimizer::Optimizer;
use crate::output;
use crate::part::Part;
use crate::recipe::Recipe;
use crate::report::State;
use crate::say::say;
use crate::stability::View;
use crate::widen::widen;
use anyhow::{Context, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use gstfaststyle::engine::DeviceChoice;
use gstfaststyle::network::{Architecture, Model, Network};
use gstfaststyle::ops::Products;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Steps whose mean losses a model file tells.
const RECENT: usize = 100;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With its last step.
    Finished,
    /// Before, because it was asked to; everything is saved.
    Interrupted,
}

/// Runs the command `train`, until its last step or until `stop` is set.
///
/// # Errors
/// Whatever keeps it from going on. The last checkpoint then is as it was.
pub fn run(args: &TrainArgs, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    if let Some(preset) = args.preset {
        say(format_args!("{preset}, unless something else is asked for"));
    }
    let files = Files::beside(&args.output)?;
    let device = args.device.open()?;
    let mut trainer = if args.resume {
        let mut checkpoint = Checkpoint::load(&files.checkpoint)?;
        checkpoint.recipe = checkpoint.recipe.resumed(args)?;
        Trainer::resume(checkpoint, &device)?
    } else {
        check_output(args, &files)?;
        let trainer = Trainer::new(Recipe::new(args)?, &device)?;
        if files.checkpoint.exists() {
            // The one there goes before what belongs to it does.
            trainer.checkpoint()?.save(&files.checkpoint)?;
        }
        trainer
    };
    let steps = trainer.recipe.steps;
    let first = trainer.step_count();
    let mut log = Log::open(&trainer, &files)?;
    say(format_args!(
        "{} photos, {} weights, step {first} of {steps}, on {}",
        trainer.photos(),
        trainer.weights(),
        if device.is_cpu() { "the CPU" } else { "CUDA" },
    ));
    if first >= steps {
        say(format_args!(
            "all {steps} steps are done already: --steps with a larger number adds some"
        ));
    }

    let mut saved = first;
    let mut result = improve(&mut trainer, &mut log, &files, &mut saved, stop);
    // A training that is resumed may have a new recipe to keep.
    if result.is_ok() && (trainer.step_count() > saved || args.resume) {
        result = save(&trainer, &files, &mut log, &mut saved);
    }
    if let Err(error) = result {
        log.finish();
        log.report(&trainer, State::Failed(format!("{error:#}")));
        return Err(match saved {
            0 => error,
            _ => error.context(format!(
                "{} still holds the training as it was after step {saved}",
                files.checkpoint.display()
            )),
        });
    }
    log.finish();

    let step = trainer.step_count();
    if step < steps {
        log.report(&trainer, State::Stopped);
        say(format_args!("stopped after step {step} of {steps}"));
        match files.checkpoint.exists() {
            true => say(format_args!("To go on:\n  {}", command_to_go_on(args))),
            false => say("nothing is saved yet"),
        }
        return Ok(Outcome::Interrupted);
    }
    log.report(&trainer, State::Finished);
    say(format_args!(
        "{} is ready: {}",
        files.model.display(),
        trainer.mean_losses()
    ));
    Ok(Outcome::Finished)
}

/// Whether nothing is lost that the user may want to keep.
fn check_output(args: &TrainArgs, files: &Files) -> anyhow::Result<()> {
    let given = args.style.iter().chain(&args.preview).chain(&args.loss.vgg);
    let given: Vec<&Path> = given.map(PathBuf::as_path).collect();
    output::spare("--output", &files.model, &given)?;
    ensure!(
        args.overwrite || !files.checkpoint.exists(),
        "there is a training already, {}: --resume goes on with it, --overwrite starts anew",
        files.checkpoint.display()
    );
    ensure!(
        args.overwrite || !files.model.exists(),
        "there is a model already, {}: --overwrite writes over it",
        files.model.display()
    );
    Ok(())
}

/// Takes steps, and saves now and then. `saved` is the step of the last
/// checkpoint.
fn improve(
    trainer: &mut Trainer,
    log: &mut Log,
    files: &Files,
    saved: &mut u64,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let steps = trainer.recipe.steps;
    while trainer.step_count() < steps && !stop.load(Ordering::SeqCst) {
        let started = Instant::now();
        let lr = trainer.recipe.rate(trainer.step_count());
        let losses = trainer.step()?;
        let row = Row {
            step: trainer.step_count(),
            losses,
            lr,
            seconds: trainer.seconds,
            waited: trainer.waited,
        };
        if let Err(error) = log.step(&row, started.elapsed().as_secs_f64()) {
            // The step itself is good.
            let _ = save(trainer, files, log, saved);
            return Err(error);
        }
        log.left_out(trainer.batches.skipped());
        if row.step.is_multiple_of(trainer.recipe.checkpoint_every) && row.step < steps {
            save(trainer, files, log, saved)?;
            log.report(trainer, State::Running);
        }
    }
    Ok(())
}

/// Writes the checkpoint, the model, and the previews.
fn save(trainer: &Trainer, files: &Files, log: &mut Log, saved: &mut u64) -> anyhow::Result<()> {
    let step = trainer.step_count();
    trainer.checkpoint()?.save(&files.checkpoint)?;
    *saved = step;
    let model = trainer.model()?;
    model.save(&files.model).context("cannot write the model")?;
    log.paint(&model, step, &trainer.device)
}

/// A training in memory.
pub struct Trainer {
    recipe: Recipe,
    device: Device,
    names: Vec<String>,
    parameters: Vec<Var>,
    network: Network,
    objective: Objective,
    optimizer: Optimizer,
    /// Where gradients have 16 bits.
    loss_scale: Option<LossScale>,
    batches: Batches,
    recent: VecDeque<Losses>,
    /// Seconds spent on all steps, and in the last one on waiting for photos.
    seconds: f64,
    waited: f64,
}

impl Trainer {
    /// A new training, before its first step.
    pub fn new(recipe: Recipe, device: &Device) -> anyhow::Result<Self> {
        let architecture = &recipe.architecture;
        let mut weights = match &recipe.init {
            Some(init) => widen(&Model::load(init)?, architecture, recipe.seed)?,
            None => architecture.random_weights(recipe.seed, &Device::Cpu)?,
        };
        let weights = architecture
            .parameters()
            .into_iter()
            .map(|(name, _)| match weights.remove(&name) {
                Some(weight) => Ok((name, weight)),
                None => bail!("the network has no tensor {name}"),
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let optimizer = Optimizer::new(recipe.optimizer, &shapes(architecture), device)?;
        Trainer::assemble(recipe, weights, optimizer, device)
    }

    /// The training that `checkpoint` holds.
    pub fn resume(checkpoint: Checkpoint, device: &Device) -> anyhow::Result<Self> {
        let recipe = checkpoint.recipe;
        let optimizer = Optimizer::restore(
            recipe.optimizer,
            &shapes(&recipe.architecture),
            checkpoint.optimizer,
            checkpoint.step,
            device,
        )?;
        let mut trainer = Trainer::assemble(recipe, checkpoint.weights, optimizer, device)?;
        if trainer.loss_scale.is_some() {
            trainer.loss_scale = checkpoint.loss_scale.or(trainer.loss_scale);
        }
        let photos = checkpoint.photos;
        if photos.is_some_and(|photos| photos != trainer.batches.fingerprint()) {
            let folder = trainer.recipe.photos.display();
            say(format_args!(
                "the photos in {folder} are not those of the steps so far: others follow than would have"
            ));
        }
        trainer.recent = checkpoint.recent.into();
        trainer.seconds = checkpoint.seconds;
        Ok(trainer)
    }

    fn assemble(
        recipe: Recipe,
        weights: Vec<(String, Tensor)>,
        optimizer: Optimizer,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let batches = Batches::open(
            &recipe.photos,
            recipe.batch as usize,
            recipe.size as usize,
            recipe.seed,
            optimizer.steps(),
        )?;
        let objective = Objective::open(
            &recipe.paintings,
            recipe.style_size as usize,
            recipe.vgg.as_deref(),
            recipe.loss_weights(),
            Products::Fast,
            device,
        )?;
        let mut names = Vec::with_capacity(weights.len());
        let mut parameters = Vec::with_capacity(weights.len());
        for (name, weight) in weights {
            parameters.push(Var::from_tensor(&weight.to_device(device)?)?);
            names.push(name);
        }
        let tensors = names.iter().cloned();
        let tensors = tensors.zip(parameters.iter().map(|p| p.as_tensor().clone()));
        let vb = VarBuilder::from_tensors(tensors.collect(), DType::F32, device);
        let network = Network::new(&recipe.architecture, vb)?;
        Ok(Trainer {
            recipe,
            device: device.clone(),
            names,
            parameters,
            network,
            objective,
            optimizer,
            loss_scale: LossScale::on(device),
            batches,
            recent: VecDeque::with_capacity(RECENT),
            seconds: 0.0,
            waited: 0.0,
        })
    }

    /// Takes one step: the losses it found before moving the weights.
    ///
    /// # Errors
    /// A loss that is not finite, among others. The weights are then as
    /// before the step.
    pub fn step(&mut self) -> anyhow::Result<Losses> {
        let started = Instant::now();
        let recipe = &self.recipe;
        let photos = self.batches.next(&self.device)?;
        self.waited = started.elapsed().as_secs_f64();
        let part = Part::random(recipe.size as usize, recipe.seed, self.optimizer.steps());
        let content = self.objective.content(&part.of(&photos)?)?;
        let painted = self.network.forward(&photos)?;
        let (mut total, mut losses) = self.objective.measure(&part.of(&painted)?, &content)?;
        if recipe.stability > 0.0 {
            let unstable = self.instability(&photos, &painted)?;
            losses = losses.with_stability(unstable.to_scalar()?);
            total = (total + unstable)?;
        }
        ensure!(
            losses.are_finite(),
            "the loss of step {} is not finite: {losses}; a smaller --lr may help",
            self.optimizer.steps() + 1
        );
        let rate = recipe.rate(self.optimizer.steps());
        let gradient = loss_scale::gradient(&mut self.loss_scale, &total, &self.parameters)
            .with_context(|| format!("step {}", self.optimizer.steps() + 1))?;
        self.optimizer.step(&self.parameters, &gradient, rate)?;

        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(losses);
        self.seconds += started.elapsed().as_secs_f64();
        Ok(losses)
    }

    /// What is being trained, and how.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// How many photos there are; some may not be usable.
    pub fn photos(&self) -> usize {
        self.batches.photos()
    }

    /// Seconds spent on all steps.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// How differently the network paints `photos`, of which it has made
    /// `painted`, and another view of them; weighted.
    fn instability(&self, photos: &Tensor, painted: &Tensor) -> candle_core::Result<Tensor> {
        let recipe = &self.recipe;
        let step = self.optimizer.steps();
        let mut view = View::random(recipe.size as usize, recipe.seed, step, &self.device)?;
        let again = self.network.forward(&view.of(photos)?)?;
        let weight = recipe.stability * view.weight(recipe.stability_at_rest);
        view.difference(painted, &again)? * weight
    }

    /// Steps done.
    pub fn step_count(&self) -> u64 {
        self.optimizer.steps()
    }

    /// How many numbers are learned.
    pub fn weights(&self) -> usize {
        self.parameters.iter().map(|p| p.elem_count()).sum()
    }

    /// The mean losses of the last steps, at most 100.
    pub fn mean_losses(&self) -> Losses {
        Losses::mean(self.recent.iter())
    }

    /// The training as it is now.
    pub fn checkpoint(&self) -> anyhow::Result<Checkpoint> {
        Ok(Checkpoint {
            recipe: self.recipe.clone(),
            step: self.optimizer.steps(),
            seconds: self.seconds,
            weights: self.named_weights().collect::<anyhow::Result<_>>()?,
            optimizer: self.optimizer.state()?,
            loss_scale: self.loss_scale,
            photos: Some(self.batches.fingerprint()),
            recent: self.recent.iter().copied().collect(),
        })
    }

    /// The network as it is now.
    pub fn model(&self) -> anyhow::Result<Model> {
        Ok(Model {
            architecture: self.recipe.architecture.clone(),
            styles: vec![self.recipe.about.clone()],
            training: json!({
                "recipe": self.recipe.published(self.batches.photos()),
                "steps": self.optimizer.steps(),
                "losses": self.mean_losses(),
                "seconds": self.seconds.round(),
                "software": concat!("faststyle-train ", env!("CARGO_PKG_VERSION")),
            }),
            weights: self
                .named_weights()
                .collect::<anyhow::Result<HashMap<_, _>>>()?,
        })
    }

    /// Copies of the weights, on the CPU.
    fn named_weights(&self) -> impl Iterator<Item = anyhow::Result<(String, Tensor)>> {
        self.names.iter().zip(&self.parameters).map(|(name, var)| {
            let weight = var.as_detached_tensor().copy()?.to_device(&Device::Cpu)?;
            Ok((name.clone(), weight))
        })
    }
}

/// The shape of every tensor that is learned.
fn shapes(architecture: &Architecture) -> Vec<Vec<usize>> {
    let parameters = architecture.parameters().into_iter();
    parameters.map(|(_, shape)| shape).collect()
}

/// What to type to go on with the training.
fn command_to_go_on(args: &TrainArgs) -> String {
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "faststyle-train".into());
    let output = args.output.to_string_lossy().into_owned();
    let mut words = vec![program, "train".into(), "--resume".into()];
    words.extend(["--output".into(), output]);
    if args.device != DeviceChoice::Auto {
        words.extend(["--device".into(), args.device.to_string()]);
    }
    let quoted: Vec<String> = words.iter().map(|word| shell_quoted(word)).collect();
    quoted.join(" ")
}

fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=+,@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(
            shell_quoted("out/scream.safetensors"),
            "out/scream.safetensors"
        );
        assert_eq!(shell_quoted("the scream"), "'the scream'");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
    }
}
