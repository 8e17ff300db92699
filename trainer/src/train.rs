//! The training: a painting and a folder of photos in, a model file out.

use crate::adam::Adam;
use crate::checkpoint::Checkpoint;
use crate::cli::TrainArgs;
use crate::dataset::Batches;
use crate::metrics::{Losses, Metrics};
use crate::objective::Objective;
use crate::progress::Progress;
use crate::recipe::{Recipe, stem};
use crate::stability::View;
use crate::widen::widen;
use crate::{output, picture};
use anyhow::{Context, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use gstfaststyle::engine::DeviceChoice;
use gstfaststyle::network::{Model, Network};
use serde_json::json;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Steps whose mean losses a model file tells.
const RECENT: usize = 100;

/// Longer side of the previews, in pixels.
const PREVIEW: usize = 640;

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
        eprintln!("{preset}, unless something else is asked for");
    }
    let files = Files::beside(&args.output)?;
    let device = args.device.open()?;
    let mut trainer = if args.resume {
        let mut checkpoint = Checkpoint::load(&files.checkpoint)?;
        checkpoint.recipe = checkpoint.recipe.resumed(args)?;
        Trainer::resume(checkpoint, &device)?
    } else {
        ensure!(
            args.overwrite || !files.checkpoint.exists(),
            "there is a training already, {}: --resume goes on with it, --overwrite starts anew",
            files.checkpoint.display()
        );
        Trainer::new(Recipe::new(args)?, &device)?
    };
    let previews = files.previews(&trainer.recipe.preview)?;
    let steps = trainer.recipe.steps;
    let first = trainer.step_count();
    eprintln!(
        "{} photos, {} weights, step {first} of {steps}, on {}",
        trainer.batches.photos(),
        trainer.weights(),
        if device.is_cpu() { "the CPU" } else { "CUDA" },
    );
    if first >= steps {
        eprintln!("all {steps} steps are done already: --steps with a larger number adds some");
    }

    let mut metrics = Metrics::open(&files.metrics, first)?;
    let mut progress = Progress::new(first, steps);
    let mut saved = first;
    let mut left_out = HashSet::new();
    while trainer.step_count() < steps && !stop.load(Ordering::SeqCst) {
        let started = Instant::now();
        let lr = trainer.recipe.rate(trainer.step_count());
        let losses = trainer.step().map_err(|error| {
            progress.finish();
            match saved {
                0 => error,
                _ => error.context(format!(
                    "{} still holds the training as it was after step {saved}",
                    files.checkpoint.display()
                )),
            }
        })?;
        let step = trainer.step_count();
        metrics.add(step, &losses, lr, trainer.seconds)?;
        progress.step(step, &losses, started.elapsed().as_secs_f64());
        for (path, reason) in trainer.batches.skipped() {
            if left_out.insert(path.clone()) {
                progress.say(&format!("left out {}: {reason}", path.display()));
            }
        }
        if step.is_multiple_of(trainer.recipe.checkpoint_every) && step < steps {
            save(&trainer, &files, &previews, &progress)?;
            saved = step;
        }
    }
    progress.finish();
    if trainer.step_count() > saved || args.resume {
        save(&trainer, &files, &previews, &progress)?;
    }

    let step = trainer.step_count();
    if step < steps {
        eprintln!("stopped after step {step} of {steps}. To go on:");
        eprintln!("  {}", command_to_go_on(args));
        return Ok(Outcome::Interrupted);
    }
    eprintln!(
        "{} is ready: {}",
        files.model.display(),
        trainer.mean_losses()
    );
    Ok(Outcome::Finished)
}

/// A training in memory.
pub struct Trainer {
    recipe: Recipe,
    device: Device,
    names: Vec<String>,
    parameters: Vec<Var>,
    network: Network,
    objective: Objective,
    adam: Adam,
    batches: Batches,
    recent: VecDeque<Losses>,
    seconds: f64,
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
        let count = weights.iter().map(|(_, w)| w.elem_count()).sum();
        let adam = Adam::new(count, device)?;
        Trainer::assemble(recipe, weights, adam, device)
    }

    /// The training that `checkpoint` holds.
    pub fn resume(checkpoint: Checkpoint, device: &Device) -> anyhow::Result<Self> {
        let adam = Adam::restore(
            checkpoint.mean.to_device(device)?,
            checkpoint.variance.to_device(device)?,
            checkpoint.step,
        );
        let mut trainer = Trainer::assemble(checkpoint.recipe, checkpoint.weights, adam, device)?;
        trainer.recent = checkpoint.recent.into();
        trainer.seconds = checkpoint.seconds;
        Ok(trainer)
    }

    fn assemble(
        recipe: Recipe,
        weights: Vec<(String, Tensor)>,
        adam: Adam,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let batches = Batches::open(
            &recipe.photos,
            recipe.batch as usize,
            recipe.size as usize,
            recipe.seed,
            adam.steps(),
        )?;
        let objective = Objective::open(
            &recipe.paintings,
            recipe.style_size as usize,
            recipe.vgg.as_deref(),
            recipe.loss_weights(),
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
            adam,
            batches,
            recent: VecDeque::with_capacity(RECENT),
            seconds: 0.0,
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
        let content = self.objective.content(&inside(&photos)?)?;
        let painted = self.network.forward(&photos)?;
        let (mut total, mut losses) = self.objective.measure(&inside(&painted)?, &content)?;
        if recipe.stability > 0.0 {
            let unstable = self.instability(&photos, &painted)?;
            losses = losses.with_stability(unstable.to_scalar()?);
            total = (total + unstable)?;
        }
        ensure!(
            losses.are_finite(),
            "the loss of step {} is not finite: {losses}; a smaller --lr may help",
            self.adam.steps() + 1
        );
        let rate = recipe.rate(self.adam.steps());
        self.adam.step(&self.parameters, &total.backward()?, rate)?;

        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(losses);
        self.seconds += started.elapsed().as_secs_f64();
        Ok(losses)
    }

    /// How differently the network paints `photos`, of which it has made
    /// `painted`, and another view of them; weighted.
    fn instability(&self, photos: &Tensor, painted: &Tensor) -> candle_core::Result<Tensor> {
        let recipe = &self.recipe;
        let step = self.adam.steps();
        let mut view = View::random(recipe.size as usize, recipe.seed, step, &self.device)?;
        let again = self.network.forward(&view.of(photos)?)?;
        view.difference(painted, &again)? * recipe.stability
    }

    /// Steps done.
    pub fn step_count(&self) -> u64 {
        self.adam.steps()
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
        let (mean, variance) = self.adam.moments();
        Ok(Checkpoint {
            recipe: self.recipe.clone(),
            step: self.adam.steps(),
            seconds: self.seconds,
            weights: self.named_weights().collect::<anyhow::Result<_>>()?,
            mean: mean.to_device(&Device::Cpu)?,
            variance: variance.to_device(&Device::Cpu)?,
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
                "steps": self.adam.steps(),
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

/// `pictures` `[n, 3, h, w]` without a sixteenth of their size at each border.
///
/// VGG-19 sees a black frame around pictures, its padding. A network whose own
/// border lies there learns to answer with a frame of garish stripes.
fn inside(pictures: &Tensor) -> candle_core::Result<Tensor> {
    let (_, _, h, w) = pictures.dims4()?;
    pictures
        .narrow(2, h / 16, h - 2 * (h / 16))?
        .narrow(3, w / 16, w - 2 * (w / 16))
}

/// The files of a training, all in one folder.
struct Files {
    model: PathBuf,
    checkpoint: PathBuf,
    metrics: PathBuf,
    stem: String,
}

impl Files {
    fn beside(model: &Path) -> anyhow::Result<Self> {
        let stem = stem(model)?;
        output::check("--output", model)?;
        Ok(Files {
            model: model.to_path_buf(),
            checkpoint: model.with_file_name(format!("{stem}.checkpoint.safetensors")),
            metrics: model.with_file_name(format!("{stem}.metrics.csv")),
            stem,
        })
    }

    /// Each photo, as a picture to repaint, with the file to write.
    fn previews(&self, photos: &[PathBuf]) -> anyhow::Result<Vec<(Tensor, PathBuf)>> {
        let mut previews: Vec<(Tensor, PathBuf)> = Vec::with_capacity(photos.len());
        for photo in photos {
            let name = format!("{}.preview-{}", self.stem, stem(photo)?);
            let mut path = self.model.with_file_name(format!("{name}.png"));
            let mut number = 2;
            while previews.iter().any(|(_, other)| *other == path) {
                path = self.model.with_file_name(format!("{name}-{number}.png"));
                number += 1;
            }
            let picture = picture::load_bounded(photo, PREVIEW, &Device::Cpu)?;
            previews.push((picture, path));
        }
        Ok(previews)
    }
}

/// Writes the checkpoint, the model, and the previews. That a preview cannot
/// be made is said, but is no reason to stop.
fn save(
    trainer: &Trainer,
    files: &Files,
    previews: &[(Tensor, PathBuf)],
    progress: &Progress,
) -> anyhow::Result<()> {
    trainer.checkpoint()?.save(&files.checkpoint)?;
    let model = trainer.model()?;
    model.save(&files.model).context("cannot write the model")?;
    if previews.is_empty() {
        return Ok(());
    }
    let network = Network::from_model(&model, &trainer.device)?;
    for (photo, path) in previews {
        if let Err(error) = preview(&network, photo, path, &trainer.device) {
            let error = error.context(format!("cannot make the preview {}", path.display()));
            progress.say(&format!("{error:#}"));
        }
    }
    Ok(())
}

fn preview(network: &Network, photo: &Tensor, path: &Path, device: &Device) -> anyhow::Result<()> {
    let painted = network.forward(&photo.to_device(device)?)?;
    picture::save(path, &picture::rgb(&painted)?)
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
