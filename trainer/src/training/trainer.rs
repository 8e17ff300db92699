//! A training in memory: the network, what it is measured by, and what moves it.

use crate::data::Batches;
use crate::io::any_path;
use crate::logging::say::say;
use crate::objective::loss_scale::{self, LossScale};
use crate::objective::loss_values::Losses;
use crate::objective::style_objective::{StyleObjective, balanced};
use crate::objective::vgg19::Vgg19;
use crate::training::checkpoint::Checkpoint;
use crate::training::optimizer::Optimizer;
use crate::training::random_crop::RandomCrop;
use crate::training::recipe::{Recipe, StyleRecipe};
use crate::training::stability::View;
use crate::training::style_rows;
use crate::training::team::Team;
use crate::training::widen::widen;
use anyhow::{Context, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use gstfaststyle::internals::ops::Products;
use gstfaststyle::{Model, Network, Style, StyleMix};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Steps whose mean losses a model file tells, of each style.
const RECENT: usize = 100;

/// A training in memory.
pub struct Trainer {
    recipe: Recipe,
    device: Device,
    /// All of the network's tensors, and those of them that are learned.
    weights: Vec<(String, Tensor)>,
    parameters: Vec<Var>,
    network: Network,
    /// One for each style.
    objectives: Vec<StyleObjective>,
    optimizer: Optimizer,
    /// Where gradients have 16 bits.
    loss_scale: Option<LossScale>,
    /// The processes that train, and the places in a batch that this one measures.
    team: Team,
    share: Range<usize>,
    batches: Batches,
    /// Photos that any process has left out, and why.
    left_out: BTreeMap<PathBuf, String>,
    /// The losses of each style's last steps.
    recent: Vec<VecDeque<Losses>>,
    /// Seconds spent on all steps, and in the last one on waiting for photos.
    seconds: f64,
    waited: f64,
}

impl Trainer {
    /// A new training, before its first step.
    pub fn new(recipe: Recipe, device: &Device) -> anyhow::Result<Self> {
        let architecture = &recipe.architecture;
        let weights = match &recipe.init {
            Some(init) => {
                let styles = recipe.styles.iter().map(|style| &style.about);
                let init = style_rows::with_styles(&Model::load(init)?, styles)?;
                widen(&init, architecture, recipe.seed)?
            }
            None => architecture.random_weights(recipe.seed, &Device::Cpu)?,
        };
        Trainer::with_weights(recipe, weights, device)
    }

    /// A new training that begins with the given weights.
    ///
    /// # Errors
    /// A weight is missing.
    pub fn with_weights(
        recipe: Recipe,
        mut weights: HashMap<String, Tensor>,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let architecture = &recipe.architecture;
        let weights = architecture
            .parameters()
            .into_iter()
            .map(|(name, _)| match weights.remove(&name) {
                Some(weight) => Ok((name, weight)),
                None => bail!("the network has no tensor {name}"),
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let optimizer = Optimizer::new(recipe.optimizer, &shapes(&recipe), device)?;
        Trainer::assemble(recipe, weights, optimizer, device)
    }

    /// The training that `checkpoint` holds.
    pub fn resume(checkpoint: Checkpoint, device: &Device) -> anyhow::Result<Self> {
        let recipe = checkpoint.recipe;
        let optimizer = Optimizer::restore(
            recipe.optimizer,
            &shapes(&recipe),
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
        for (style, losses) in checkpoint.recent {
            if let Some(recent) = trainer.recent.get_mut(style) {
                recent.push_back(losses);
            }
        }
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
        let objectives = objectives(&recipe, device)?;
        let learned = recipe.learned();
        let mut parameters = Vec::with_capacity(learned.len());
        let weights = weights.into_iter().map(|(name, weight)| {
            let weight = weight.to_device(device)?;
            if !learned.iter().any(|(known, _)| *known == name) {
                return Ok((name, weight));
            }
            let parameter = Var::from_tensor(&weight)?;
            let weight = parameter.as_tensor().clone();
            parameters.push(parameter);
            Ok((name, weight))
        });
        let weights = weights.collect::<candle_core::Result<Vec<_>>>()?;
        let vb = VarBuilder::from_tensors(weights.iter().cloned().collect(), DType::F32, device);
        let network = Network::new(&recipe.architecture, vb)?;
        Ok(Trainer {
            recent: vec![VecDeque::with_capacity(RECENT); recipe.styles.len()],
            recipe,
            device: device.clone(),
            weights,
            parameters,
            network,
            objectives,
            optimizer,
            loss_scale: LossScale::on(device),
            team: Team::alone(),
            share: 0..batches.batch_size(),
            batches,
            left_out: BTreeMap::new(),
            seconds: 0.0,
            waited: 0.0,
        })
    }

    /// The training that the leader of `team` gives as `mine`; the others train the
    /// same. Collective.
    ///
    /// # Errors
    /// For all alike: whatever keeps a process from it, such as photos that are missing or
    /// not those of the leader, or a batch too small to split.
    pub fn of_team(
        team: &Team,
        mine: anyhow::Result<Option<Self>>,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let mine = mine.and_then(|mine| {
            let told = mine
                .as_ref()
                .map(|trainer| trainer.checkpoint()?.to_bytes());
            Ok((mine, told.transpose()?.unwrap_or_default()))
        });
        let (mine, told) = team.agree(mine)?;
        let told = team.of_leader(told);
        let joined = match mine {
            Some(mine) => mine.join(team),
            None => Trainer::follow(&told, device).and_then(|trainer| trainer.join(team)),
        };
        team.agree(joined)
    }

    /// The training that the leader tells.
    fn follow(told: &[u8], device: &Device) -> anyhow::Result<Self> {
        let checkpoint = Checkpoint::from_bytes(told)?;
        let photos = checkpoint.photos.clone();
        let trainer = Trainer::resume(checkpoint, device)?;
        ensure!(
            photos.is_none_or(|photos| photos == trainer.batches.fingerprint()),
            "the photos in {} are not those of process 0",
            trainer.recipe.photos.display()
        );
        Ok(trainer)
    }

    /// Measures only the share of each batch that this process has in `team`.
    fn join(mut self, team: &Team) -> anyhow::Result<Self> {
        if team.size() > 1 {
            self.share = team.share(self.batches.batch_size())?;
            self.batches = self.batches.share(self.share.clone())?;
            self.team = team.clone();
        }
        Ok(self)
    }

    /// Takes one step: the losses it found before moving the weights. Collective.
    ///
    /// # Errors
    /// A loss that is not finite, among others. The weights are then as
    /// before the step.
    pub fn step(&mut self) -> anyhow::Result<Losses> {
        let started = Instant::now();
        let (gradients, mine) = match self.measure() {
            Ok(measured) => (measured.gradients, Ok(self.told(measured.losses))),
            Err(error) => (Vec::new(), Err(error)),
        };
        let told = self.team.tell(mine)?;
        let gradient = self.team.sum(&gradients)?;
        let rate = self.recipe.rate(self.optimizer.steps());
        self.optimizer.step(&self.parameters, &gradient, rate)?;

        let mut found = Vec::with_capacity(self.recipe.batch as usize);
        for told in told {
            found.extend(told.losses);
            let left_out = told.left_out.into_iter();
            self.left_out
                .extend(left_out.map(|photo| (photo.path, photo.reason)));
        }
        let losses = Losses::mean(found.iter().map(|(_, losses)| losses));
        self.remember(found, losses);
        self.seconds += started.elapsed().as_secs_f64();
        Ok(losses)
    }

    /// What the other processes should know of a step.
    fn told(&self, losses: Vec<(usize, Losses)>) -> Told {
        let left_out = self.batches.skipped().into_iter();
        let left_out = left_out.filter(|(path, _)| !self.left_out.contains_key(path));
        let left_out = left_out.map(|(path, reason)| LeftOut { path, reason });
        Told {
            losses,
            left_out: left_out.collect(),
        }
    }

    /// Keeps what a step has `found` in each photo and its style, or `mean` if there is
    /// one style.
    fn remember(&mut self, found: Vec<(usize, Losses)>, mean: Losses) {
        let found = match self.objectives.len() {
            1 => vec![(0, mean)],
            _ => found,
        };
        for (style, losses) in found {
            let recent = &mut self.recent[style];
            if recent.len() == RECENT {
                recent.pop_front();
            }
            recent.push_back(losses);
        }
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
    pub fn left_out(&self) -> &BTreeMap<PathBuf, String> {
        &self.left_out
    }

    /// The processes that train.
    pub fn team(&self) -> &Team {
        &self.team
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

    /// Measures this process' share of the next batch.
    ///
    /// A CPU takes the photos one by one: their gradients are then the same whoever has
    /// computed them. A GPU is faster with all at once.
    fn measure(&mut self) -> anyhow::Result<Measured> {
        let started = Instant::now();
        let photos = self.batches.next(&self.device)?;
        self.waited = started.elapsed().as_secs_f64();
        let (step, styles) = (self.optimizer.steps(), self.objectives.len());
        let batch = self.batches.batch_size() as u64;
        let at_once = match self.device.is_cpu() || styles > 1 {
            true => 1,
            false => self.share.len(),
        };
        let (mut gradients, mut all) = (Vec::new(), Vec::new());
        for first in self.share.clone().step_by(at_once) {
            let turn = step * batch + first as u64;
            let style = style_of(turn, styles, self.recipe.seed);
            let part = photos.narrow(0, first - self.share.start, at_once)?;
            let (total, losses) = self.measure_style(style, &part, first)?;
            ensure!(
                losses.are_finite(),
                "the loss of step {} is not finite: {losses}; a smaller --lr may help",
                step + 1
            );
            let total = match styles {
                1 => total,
                _ => balanced(&total)?,
            };
            let total = (total * (at_once as f64 / batch as f64))?;
            let gradient = loss_scale::gradient(&mut self.loss_scale, &total, &self.parameters);
            gradients.push(gradient.with_context(|| format!("step {}", step + 1))?);
            all.extend(std::iter::repeat_n((style, losses), at_once));
        }
        Ok(Measured {
            gradients,
            losses: all,
        })
    }

    /// The loss of `photos`, the batch's from place `first` on, painted in the style of the
    /// given index.
    fn measure_style(
        &self,
        style: usize,
        photos: &Tensor,
        first: usize,
    ) -> candle_core::Result<(Tensor, Losses)> {
        let recipe = &self.recipe;
        let step = self.optimizer.steps();
        let crop = RandomCrop::random(recipe.size as usize, recipe.seed, step);
        let painted = self.paint(style, photos)?;
        let objective = &self.objectives[style];
        let (mut total, mut losses) = objective.measure(&crop.of(&painted)?, &crop.of(photos)?)?;
        if recipe.stability > 0.0 {
            let unstable = self.instability(style, photos, first, &painted)?;
            losses = losses.with_stability(unstable.to_scalar()?);
            total = (total + unstable)?;
        }
        Ok((total, losses))
    }

    fn paint(&self, style: usize, photos: &Tensor) -> candle_core::Result<Tensor> {
        let mix = StyleMix::single(style);
        self.network.forward_channels_last(photos, &mix)
    }

    /// How differently the network paints `photos`, the batch's from place `first` on, of
    /// which it has made `painted`, and another view of them; weighted.
    fn instability(
        &self,
        style: usize,
        photos: &Tensor,
        first: usize,
        painted: &Tensor,
    ) -> candle_core::Result<Tensor> {
        let recipe = &self.recipe;
        let step = self.optimizer.steps();
        let view = View::random(recipe.size as usize, recipe.seed, step, &self.device)?;
        let again = self.paint(style, &view.of(photos, first)?)?;
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

    /// The mean losses of the last steps, at most 100 of each style.
    pub fn mean_losses(&self) -> Losses {
        Losses::mean(self.recent.iter().flatten())
    }

    /// The same for each style.
    pub fn mean_losses_of_styles(&self) -> Vec<Losses> {
        let mean = |recent: &VecDeque<Losses>| Losses::mean(recent.iter());
        self.recent.iter().map(mean).collect()
    }

    /// The training as it is now.
    pub fn checkpoint(&self) -> anyhow::Result<Checkpoint> {
        let of_style = |(style, recent): (usize, &VecDeque<Losses>)| {
            let recent = recent.clone().into_iter();
            recent.map(move |losses| (style, losses))
        };
        Ok(Checkpoint {
            recipe: self.recipe.clone(),
            step: self.optimizer.steps(),
            seconds: self.seconds,
            weights: self.named_weights().collect::<anyhow::Result<_>>()?,
            optimizer: self.optimizer.state()?,
            loss_scale: self.loss_scale,
            photos: Some(self.batches.fingerprint()),
            recent: self.recent.iter().enumerate().flat_map(of_style).collect(),
        })
    }

    /// The network as it is now.
    pub fn model(&self) -> anyhow::Result<Model> {
        Ok(Model {
            architecture: self.recipe.architecture.clone(),
            styles: self.styles(),
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

    /// The styles as the model file lists them. Where there are several, each has
    /// its own record of the training.
    fn styles(&self) -> Vec<Style> {
        let recipes = self.recipe.styles.iter();
        if let [style] = &self.recipe.styles[..] {
            return vec![style.about.clone()];
        }
        let styles = recipes.zip(self.mean_losses_of_styles());
        let styles = styles.map(|(style, losses)| Style {
            training: json!({
                "recipe": self.recipe.published_style(style),
                "losses": losses,
            }),
            ..style.about.clone()
        });
        styles.collect()
    }

    /// Copies of the weights, on the CPU.
    fn named_weights(&self) -> impl Iterator<Item = anyhow::Result<(String, Tensor)>> {
        self.weights.iter().map(|(name, weight)| {
            let weight = weight.detach().copy()?.to_device(&Device::Cpu)?;
            Ok((name.clone(), weight))
        })
    }
}

/// What a process has found in its share of a batch.
struct Measured {
    /// Gradients that add up, with those of the other processes, to that of the batch.
    gradients: Vec<Tensor>,
    /// The style and the losses of each photo.
    losses: Vec<(usize, Losses)>,
}

/// What a process tells the others of its share of a step.
#[derive(Serialize, Deserialize)]
struct Told {
    /// The style and the losses of each photo.
    losses: Vec<(usize, Losses)>,
    /// Photos left out since the step before.
    left_out: Vec<LeftOut>,
}

/// A photo that is left out, and why.
#[derive(Serialize, Deserialize)]
struct LeftOut {
    #[serde(with = "any_path")]
    path: PathBuf,
    reason: String,
}

/// What each style of `recipe` is held to.
fn objectives(recipe: &Recipe, device: &Device) -> anyhow::Result<Vec<StyleObjective>> {
    let vgg = Vgg19::open(recipe.vgg.as_deref(), Products::Fast, device)?;
    let vgg = Arc::new(vgg);
    let objective = |style: &StyleRecipe| {
        if style.paintings.is_empty() {
            return Ok(StyleObjective::Photo);
        }
        let objective = recipe.objective(style, vgg.clone(), device)?;
        Ok(StyleObjective::Paintings(objective))
    };
    recipe.styles.iter().map(objective).collect()
}

/// The style of a turn: in each round of turns, every style has one, in an order
/// drawn anew.
fn style_of(turn: u64, styles: usize, seed: u64) -> usize {
    let (round, place) = (turn / styles as u64, turn % styles as u64);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(round);
    let mut order: Vec<usize> = (0..styles).collect();
    order.shuffle(&mut random);
    order[place as usize]
}

/// The shape of every tensor that is learned.
fn shapes(recipe: &Recipe) -> Vec<Vec<usize>> {
    let learned = recipe.learned().into_iter();
    learned.map(|(_, shape)| shape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_every_style_once() {
        let mut rounds = Vec::new();
        for round in 0..4 {
            let turns = 5 * round..5 * (round + 1);
            let order: Vec<usize> = turns.map(|turn| style_of(turn, 5, 1)).collect();
            let mut sorted = order.clone();
            sorted.sort();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
            rounds.push(order);
        }
        assert!(rounds.iter().any(|order| *order != rounds[0]));
    }
}
