//! The checkpoint: all that is needed to resume training, in one safetensors file.
//!
//! | tensor | shape | content |
//! | --- | --- | --- |
//! | the network's | as in the model file | the weights |
//! | `adam.mean`, `adam.variance` | `[count]` | the optimiser's moments |
//! | `soap.statistics`, `soap.bases` | `[numbers]` | its basis, if it is SOAP |
//! | `recent` | `[steps, 6]` | total, content, style, tv, stability and style number of the last steps |
//!
//! Metadata: `format` = `faststyle-checkpoint`, `format_version`, `recipe`
//! (JSON of [`Recipe`]), `step` (steps done), `seconds` (spent on them), `photos`
//! ([`Batches::fingerprint`]), and `loss_scale` (JSON of [`LossScale`]) of a training
//! on a CUDA device.
//!
//! [`Batches::fingerprint`]: crate::data::Batches::fingerprint

use crate::io::input;
use crate::objective::loss_scale::LossScale;
use crate::objective::loss_values::Losses;
use crate::training::optimizer::{EigenbasisState, OptimizerMethod, State};
use crate::training::recipe::{self, Recipe};
use anyhow::{Context, anyhow, bail, ensure};
use candle_core::{Device, Tensor};
use gstfaststyle::internals::network::write_atomically;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::Path;

const FORMAT: &str = "faststyle-checkpoint";
const VERSION: u64 = 1;

/// More than weights, moments and basis of the largest network have.
const MAX_FILE_BYTES: u64 = 16 << 30;

/// Names of the optimiser's tensors.
const MEAN: &str = "adam.mean";
const VARIANCE: &str = "adam.variance";
const STATISTICS: &str = "soap.statistics";
const BASES: &str = "soap.bases";

/// Where the rows of `recent` have the number of the style; older ones have none.
const STYLE: usize = Losses::NAMES.len();

/// A training between two steps.
pub struct Checkpoint {
    /// What is being trained, and how.
    pub recipe: Recipe,
    /// Steps done.
    pub step: u64,
    /// Seconds spent on them.
    pub seconds: f64,
    /// The weights, on the CPU, in the order of the architecture's parameters.
    pub weights: Vec<(String, Tensor)>,
    /// The optimiser's memory, on the CPU.
    pub optimizer: State,
    /// Where gradients had 16 bits.
    pub loss_scale: Option<LossScale>,
    /// Fingerprint of the photos; older checkpoints have none.
    pub photos: Option<String>,
    /// The last steps' styles, by their numbers, and losses, oldest first.
    pub recent: Vec<(usize, Losses)>,
}

impl Checkpoint {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Weights that are not finite; a file that cannot be written. What was
    /// there before stays.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let unchanged =
            |error: anyhow::Error| anyhow!("{error:#}; {} has not changed", path.display());
        let file = self.to_bytes().map_err(unchanged)?;
        write_atomically(path, &file)
            .with_context(|| format!("cannot write the checkpoint {}", path.display()))
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// Weights that are not finite.
    pub fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let state = &self.optimizer;
        let mut all: Vec<(&str, &Tensor)> = Vec::with_capacity(self.weights.len() + 5);
        all.extend(self.weights.iter().map(|(name, w)| (name.as_str(), w)));
        all.extend([(MEAN, &state.mean), (VARIANCE, &state.variance)]);
        if let Some(basis) = &state.basis {
            all.extend([(STATISTICS, &basis.statistics), (BASES, &basis.bases)]);
        }
        let mut tensors = Vec::with_capacity(all.len() + 1);
        for (name, tensor) in all {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            ensure!(
                values.iter().all(|v| v.is_finite()),
                "after step {} the tensor {name} holds numbers that are not finite",
                self.step
            );
            tensors.push((name, tensor.dims().to_vec(), bytes(&values)));
        }
        let row = |(style, losses): &(usize, Losses)| {
            let losses = losses.as_array().into_iter();
            losses.chain([*style as f32])
        };
        let recent: Vec<f32> = self.recent.iter().flat_map(row).collect();
        let parts = STYLE + 1;
        tensors.push(("recent", vec![self.recent.len(), parts], bytes(&recent)));

        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| {
                Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let metadata = [
            ("format", FORMAT.to_string()),
            ("format_version", VERSION.to_string()),
            ("recipe", serde_json::to_string(&self.recipe)?),
            ("step", self.step.to_string()),
            ("seconds", self.seconds.to_string()),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_string(), value));
        let mut metadata = HashMap::from(metadata);
        if let Some(scale) = self.loss_scale {
            metadata.insert("loss_scale".into(), serde_json::to_string(&scale)?);
        }
        if let Some(photos) = &self.photos {
            metadata.insert("photos".into(), photos.clone());
        }
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A file that is missing, damaged or something else.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        ensure!(
            path.symlink_metadata().is_ok(),
            "there is no checkpoint {}: leave out --resume to start a new training",
            path.display()
        );
        let file = input::read(path, MAX_FILE_BYTES)
            .with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
        Checkpoint::from_bytes(&file)
            .with_context(|| format!("cannot use the checkpoint {}", path.display()))
    }

    /// From the bytes of the file.
    ///
    /// # Errors
    /// They are damaged or something else.
    pub fn from_bytes(file: &[u8]) -> anyhow::Result<Self> {
        parse(file)
    }
}

fn parse(file: &[u8]) -> anyhow::Result<Checkpoint> {
    let (_, header) = SafeTensors::read_metadata(file)?;
    let tensors = SafeTensors::deserialize(file)?;
    let strings = header.metadata().clone().unwrap_or_default();
    ensure!(
        strings.get("format").map(String::as_str) == Some(FORMAT),
        "it is a safetensors file, but not a checkpoint"
    );
    let version: u64 = value(&strings, "format_version")?;
    ensure!(
        version == VERSION,
        "it has format {version}, but this version of faststyle-train reads format {VERSION}"
    );
    let mut recipe = value(&strings, "recipe")?;
    recipe::upgrade(&mut recipe);
    let recipe: Recipe = serde_json::from_value(recipe).context("its metadata `recipe`")?;
    let step = value(&strings, "step")?;
    let seconds = value(&strings, "seconds")?;
    let loss_scale = match strings.contains_key("loss_scale") {
        true => Some(value(&strings, "loss_scale")?),
        false => None,
    };
    if let Err(reason) = recipe.architecture.check() {
        bail!("its architecture: {reason}");
    }
    let (found, expected) = (recipe.styles.len(), recipe.architecture.styles);
    ensure!(
        found == expected,
        "its recipe has {found} styles, its architecture {expected}"
    );
    let parameters = recipe.architecture.parameters();
    let learned = recipe.learned().into_iter();
    let count = learned.map(|(_, shape)| shape.iter().product::<usize>());
    let count = count.sum();
    let (shape, recent) = read(&tensors, "recent")?;
    // An older version knew fewer losses.
    let parts = shape.last().copied().unwrap_or_default().max(1);
    let recent = recent.chunks_exact(parts).map(|row| {
        let style = row.get(STYLE).copied().unwrap_or_default();
        (style as usize, Losses::from_slice(row))
    });
    let recent = recent.collect();
    Ok(Checkpoint {
        step,
        seconds,
        loss_scale,
        photos: strings.get("photos").cloned(),
        optimizer: State {
            mean: tensor(&tensors, MEAN, &[count])?,
            variance: tensor(&tensors, VARIANCE, &[count])?,
            basis: match recipe.optimizer {
                OptimizerMethod::Adam => None,
                OptimizerMethod::Soap => Some(EigenbasisState {
                    statistics: vector(&tensors, STATISTICS)?,
                    bases: vector(&tensors, BASES)?,
                }),
            },
        },
        weights: parameters
            .into_iter()
            .map(|(name, shape)| {
                let weight = tensor(&tensors, &name, &shape)?;
                Ok((name, weight))
            })
            .collect::<anyhow::Result<_>>()?,
        recipe,
        recent,
    })
}

fn value<T: DeserializeOwned>(strings: &HashMap<String, String>, key: &str) -> anyhow::Result<T> {
    let text = strings
        .get(key)
        .with_context(|| format!("its metadata has no `{key}`"))?;
    serde_json::from_str(text).with_context(|| format!("its metadata `{key}`"))
}

/// A tensor of the given shape.
fn tensor(tensors: &SafeTensors, name: &str, shape: &[usize]) -> anyhow::Result<Tensor> {
    let (found, values) = finite(tensors, name)?;
    ensure!(
        found == shape,
        "its tensor {name} has shape {found:?}, expected {shape:?}"
    );
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// A tensor with one dimension, of any size.
fn vector(tensors: &SafeTensors, name: &str) -> anyhow::Result<Tensor> {
    let (_, values) = finite(tensors, name)?;
    let count = values.len();
    Ok(Tensor::from_vec(values, count, &Device::Cpu)?)
}

fn finite(tensors: &SafeTensors, name: &str) -> anyhow::Result<(Vec<usize>, Vec<f32>)> {
    let (shape, values) = read(tensors, name)?;
    ensure!(
        values.iter().all(|v| v.is_finite()),
        "its tensor {name} holds numbers that are not finite"
    );
    Ok((shape, values))
}

fn read(tensors: &SafeTensors, name: &str) -> anyhow::Result<(Vec<usize>, Vec<f32>)> {
    let view = tensors
        .tensor(name)
        .with_context(|| format!("its tensor {name} is missing"))?;
    ensure!(
        view.dtype() == Dtype::F32,
        "its tensor {name} is of type {:?}, expected F32",
        view.dtype()
    );
    let (values, _) = view.data().as_chunks();
    let values = values.iter().map(|v| f32::from_le_bytes(*v)).collect();
    Ok((view.shape().to_vec(), values))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
