//! A training in memory: the network, what it is measured by, and what moves it.

use crate::data::Batches;
use crate::logging::say::say;
use crate::objective::Objective;
use crate::objective::loss_scale::{self, LossScale};
use crate::objective::losses::Losses;
use crate::training::checkpoint::Checkpoint;
use crate::training::optimizer::Optimizer;
use crate::training::random_crop::RandomCrop;
use crate::training::recipe::Recipe;
use crate::training::stability::View;
use crate::training::widen::widen;
use anyhow::{Context, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use gstfaststyle::internals::ops::Products;
use gstfaststyle::{Architecture, Model, Network};
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Instant;

/// Steps whose mean losses a model file tells.
const RECENT: usize = 100;

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
                "the photos in {folder} have changed since the checkpoint: training continues with the new list"
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
        let crop = RandomCrop::random(recipe.size as usize, recipe.seed, self.optimizer.steps());
        let content = self.objective.content(&crop.of(&photos)?)?;
        let painted = self.network.forward_channels_last(&photos)?;
        let (mut total, mut losses) = self.objective.measure(&crop.of(&painted)?, &content)?;
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

    /// Photos left out so far, and why.
    pub fn left_out(&self) -> Vec<(PathBuf, String)> {
        self.batches.skipped()
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Seconds that the last step waited for its photos.
    pub fn waited(&self) -> f64 {
        self.waited
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
        let again = self.network.forward_channels_last(&view.of(photos)?)?;
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
