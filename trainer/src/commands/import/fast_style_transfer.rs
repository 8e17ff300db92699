//! Networks of lengstrom/fast-style-transfer, which TensorFlow trained.
//!
//! It is our network with zeros beyond borders (`SAME`), transposed
//! convolutions and an end of its own. TensorFlow calls variables `Variable`,
//! `Variable_1` and so on in the order of their making (src/transform.py): of
//! each layer the kernels, the shift and the scale. Kernels are `[height, width,
//! in, out]`, and `[height, width, out, in]` where they are transposed. Widths,
//! kernels and blocks other than the original's are taken too.

use super::tensors::{Converted, Tensors, choose, numbers};
use crate::io::torch_file::SavedTensor;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use gstfaststyle::{Architecture, OutputMap, Padding, Upsampling};
use std::collections::BTreeMap;

/// What a model file says about where it comes from.
pub const FAMILY: &str = "lengstrom/fast-style-transfer";

/// Of each layer: kernels, shift, scale.
const VARIABLES_PER_LAYER: usize = 3;

/// Layers without the residual blocks.
const OUTER_LAYERS: usize = 6;

/// Beside the variables in a checkpoint: the state of Adam.
const STATE: [&str; 4] = ["beta1_power", "beta2_power", "Adam", "Adam_1"];

/// Variables by their numbers, with their names.
type Network<'t, 'a> = BTreeMap<usize, (&'t str, &'t SavedTensor<'a>)>;

/// The variables of the network, if it is there; their names may all begin
/// alike (`generator/Variable_1:0`).
///
/// # Errors
/// There are several networks, and `prefix` does not say which, or there is a tensor that is none of theirs.
pub fn find<'t, 'a>(
    tensors: &'t Tensors<'a>,
    prefix: Option<&str>,
) -> Result<Option<Network<'t, 'a>>> {
    let prefixes: Vec<&str> = tensors
        .keys()
        .map(|name| split(name))
        .filter(|(_, own)| *own == "Variable")
        .map(|(prefix, _)| prefix)
        .collect();
    let Some(prefix) = choose(&prefixes, prefix)? else {
        return Ok(None);
    };
    let mut network = Network::new();
    for (name, tensor) in tensors {
        if !name.starts_with(prefix) {
            continue;
        }
        let (scopes, own) = split(name);
        if let Some(number) = number(own).filter(|_| scopes == prefix) {
            let other = network.insert(number, (name, tensor));
            ensure!(other.is_none(), "tensor `{name}` is there twice");
        } else {
            ensure!(STATE.contains(&own), "unexpected tensor `{name}`");
        }
    }
    Ok(Some(network))
}

/// A tensor's name in two, what scopes say and its own:
/// `generator/Variable_1:0` is `generator/` and `Variable_1`.
fn split(name: &str) -> (&str, &str) {
    let name = name.strip_suffix(":0").unwrap_or(name);
    let scopes = name.rfind(['/', '.']).map_or(0, |last| last + 1);
    name.split_at(scopes)
}

/// The number of a variable of this name.
fn number(own: &str) -> Option<usize> {
    if own == "Variable" {
        return Some(0);
    }
    let digits = own.strip_prefix("Variable_")?;
    // As TensorFlow writes them, without zeros or signs in front.
    let number: usize = digits.parse().ok()?;
    (number > 0 && digits == number.to_string()).then_some(number)
}

/// The same network as one of ours.
///
/// # Errors
/// A variable that is missing, of another shape or not of real numbers, or
/// their count.
pub fn convert(network: &Network) -> Result<Converted> {
    let architecture = architecture(network)?;
    let weights = architecture.parameters().into_iter().enumerate();
    let weights = weights
        .map(|(i, (ours, shape))| {
            let layer = i / VARIABLES_PER_LAYER * VARIABLES_PER_LAYER;
            let tensor = match &*shape {
                &[outputs, inputs, height, width] => {
                    let transposed = ours.starts_with("up.");
                    let (shape, order) = match transposed {
                        true => ([height, width, outputs, inputs], [2, 3, 0, 1]),
                        false => ([height, width, inputs, outputs], [3, 2, 0, 1]),
                    };
                    variable(network, layer, &shape)?
                        .permute(order)?
                        .contiguous()?
                }
                _ if ours.ends_with("norm.bias") => variable(network, layer + 1, &shape)?,
                _ => variable(network, layer + 2, &shape)?,
            };
            Ok((ours, tensor))
        })
        .collect::<Result<_>>()?;
    Ok(Converted {
        family: FAMILY,
        architecture,
        weights,
    })
}

/// A variable of `shape`.
fn variable(network: &Network, number: usize, shape: &[usize]) -> Result<Tensor> {
    let (name, tensor) = network
        .get(&number)
        .with_context(|| format!("tensor `Variable_{number}` is missing"))?;
    let values = numbers(name, tensor, shape)?;
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// What the variables' count and shapes say of the network; [`convert`]
/// compares them all.
fn architecture(network: &Network) -> Result<Architecture> {
    let count = network.len();
    if let Some(missing) = (0..count).find(|number| !network.contains_key(number)) {
        bail!("tensor `Variable_{missing}` is missing");
    }
    let layers = count / VARIABLES_PER_LAYER;
    ensure!(
        count.is_multiple_of(VARIABLES_PER_LAYER)
            && layers >= OUTER_LAYERS
            && layers.is_multiple_of(2),
        "{count} variables, not {VARIABLES_PER_LAYER} for each of {OUTER_LAYERS} layers and of \
         two in every residual block"
    );
    let shape = |number| {
        let (name, tensor) = network[&number];
        match tensor.shape[..] {
            [side, _, inputs, outputs] => Ok((side, inputs, outputs)),
            _ => bail!(
                "tensor `{name}` has shape {:?}, not that of kernels",
                tensor.shape
            ),
        }
    };
    let (outer_kernel, colours, width) = shape(0)?;
    ensure!(
        colours == 3,
        "tensor `{}` has shape {:?}, not [height, width, 3, channels]",
        network[&0].0,
        network[&0].1.shape
    );
    let (inner_kernel, ..) = shape(VARIABLES_PER_LAYER)?;
    let architecture = Architecture {
        width,
        residual_blocks: (layers - OUTER_LAYERS) / 2,
        outer_kernel,
        inner_kernel,
        norm_eps: 1e-3,
        output_norm: true,
        output_map: OutputMap::Tanh150,
        input_range: [0.0, 255.0],
        upsampling: Upsampling::Transposed,
        padding: Padding::Same,
        styles: 1,
        predictor: None,
    };
    match architecture.check() {
        Ok(()) => Ok(architecture),
        Err(reason) => bail!("a network that ours cannot be: {reason}"),
    }
}
