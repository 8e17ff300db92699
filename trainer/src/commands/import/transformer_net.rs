//! `TransformerNet` of pytorch/examples, `fast_neural_style`.
//!
//! It is our network without a normalisation after the last convolution. Its
//! entrance and its result are RGB in 0..255, the latter to be cut to that
//! range. Widths, kernels and blocks other than the original's are taken too.

use super::tensors::{Converted, Tensors, choose, numbers};
use crate::io::torch_file::SavedTensor;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use gstfaststyle::{Architecture, OutputMap, Padding, Upsampling};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a model file says about where it comes from.
pub const FAMILY: &str = "pytorch/examples fast_neural_style, TransformerNet";

/// A tensor that tells this network from others.
const SIGNATURE: &str = "deconv1.conv2d.weight";

/// The tensors of a network, by the names that they have in it.
type Network<'t, 'a> = BTreeMap<&'t str, &'t SavedTensor<'a>>;

/// The tensors of the network, if it is there: by themselves or in a
/// checkpoint, among others (`state_dict.module.conv1.conv2d.weight`).
///
/// # Errors
/// There are several, and `prefix` does not say which.
pub fn find<'t, 'a>(
    tensors: &'t Tensors<'a>,
    prefix: Option<&str>,
) -> Result<Option<Network<'t, 'a>>> {
    let prefixes: Vec<&str> = tensors
        .keys()
        .filter_map(|name| name.strip_suffix(SIGNATURE))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .collect();
    let Some(prefix) = choose(&prefixes, prefix)? else {
        return Ok(None);
    };
    // Before normalisations were PyTorch's, they had scales and shifts.
    let forerunner = tensors.contains_key(&format!("{prefix}in1.scale"));
    let network = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
    Ok((!forerunner).then(|| network.collect()))
}

/// The same network as one of ours.
///
/// # Errors
/// A tensor that is missing, of another shape, not of real numbers, or more
/// than there should be.
pub fn convert(network: &Network) -> Result<Converted> {
    let architecture = architecture(network)?;
    let mut used = BTreeSet::new();
    let mut weights = HashMap::new();
    for (ours, shape) in architecture.parameters() {
        let theirs = their_name(&ours)?;
        let tensor = network
            .get(&*theirs)
            .with_context(|| format!("tensor `{theirs}` is missing"))?;
        let values = numbers(&theirs, tensor, &shape)?;
        weights.insert(ours, Tensor::from_vec(values, shape, &Device::Cpu)?);
        used.insert(theirs);
    }
    for name in network.keys() {
        ensure!(
            used.contains(*name) || has_no_effect(name, &used),
            "unexpected tensor `{name}`"
        );
    }
    Ok(Converted {
        family: FAMILY,
        architecture,
        weights,
    })
}

/// What the tensors' shapes say of the network; [`convert`] compares them all.
fn architecture(network: &Network) -> Result<Architecture> {
    let shape = |name: &str| match network.get(name).map(|tensor| &tensor.shape[..]) {
        Some(&[outputs, _, kernel, _]) => Ok((outputs, kernel)),
        Some(shape) => bail!("tensor `{name}` has shape {shape:?}, not that of a convolution"),
        None => bail!("tensor `{name}` is missing"),
    };
    let (width, outer_kernel) = shape("conv1.conv2d.weight")?;
    let (_, inner_kernel) = shape(SIGNATURE)?;
    let has_block = |i: &usize| network.contains_key(&*format!("res{i}.conv1.conv2d.weight"));
    let architecture = Architecture {
        width,
        residual_blocks: (1..).take_while(has_block).count(),
        outer_kernel,
        inner_kernel,
        norm_eps: 1e-5,
        output_norm: false,
        output_map: OutputMap::Clamp,
        input_range: [0.0, 255.0],
        upsampling: Upsampling::Nearest,
        padding: Padding::Reflect,
        styles: 1,
        predictor: None,
    };
    match architecture.check() {
        Ok(()) => Ok(architecture),
        Err(reason) => bail!("a network that ours cannot be: {reason}"),
    }
}

/// The name that one of our parameters has in the original.
fn their_name(ours: &str) -> Result<String> {
    let add = |number: &str, more: usize| Ok::<_, anyhow::Error>(number.parse::<usize>()? + more);
    let parts: Vec<&str> = ours.split('.').collect();
    Ok(match parts[..] {
        ["down", i, "conv", kind] => format!("conv{}.conv2d.{kind}", add(i, 1)?),
        ["down", i, "norm", kind] => format!("in{}.{kind}", add(i, 1)?),
        ["residual", i, j, "conv", kind] => {
            format!("res{}.conv{}.conv2d.{kind}", add(i, 1)?, add(j, 1)?)
        }
        ["residual", i, j, "norm", kind] => format!("res{}.in{}.{kind}", add(i, 1)?, add(j, 1)?),
        ["up", i, "conv", kind] => format!("deconv{}.conv2d.{kind}", add(i, 1)?),
        ["up", i, "norm", kind] => format!("in{}.{kind}", add(i, 4)?),
        ["output", "conv", kind] => format!("deconv3.conv2d.{kind}"),
        _ => bail!("`{ours}` has no counterpart"),
    })
}

/// Whether a tensor beside those in use makes no difference: the bias of a
/// convolution, which the normalisation behind it takes away again, or the
/// running statistics that old versions of PyTorch kept. The original leaves
/// those out when it loads a network, too: its InstanceNorm does not track
/// statistics but measures each picture.
fn has_no_effect(name: &str, used: &BTreeSet<String>) -> bool {
    let idle = ["bias", "running_mean", "running_var", "num_batches_tracked"];
    name.rsplit_once('.').is_some_and(|(layer, kind)| {
        idle.contains(&kind) && used.contains(&format!("{layer}.weight"))
    })
}
