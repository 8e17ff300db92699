//! A wider network that begins where a narrower one has got to.
//!
//! Every channel of the narrow network becomes several of the same content, and
//! every weight that reads it is shared out among them, so that the wide
//! network paints the same picture (Net2WiderNet: Chen, Goodfellow and Shlens
//! 2016, section 2.2). The shares are random: copies that were read alike
//! would learn alike, and stay copies.

use anyhow::ensure;
use candle_core::{Device, Tensor};
use gstfaststyle::{Architecture, Model};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// The smallest and the largest random number that a share is drawn as, before
/// all shares of a weight are scaled to 1 together.
const SHARE: std::ops::Range<f32> = 0.5..1.5;

/// The weights of `wide`, a network like that of `model` whose width is a
/// multiple of its.
///
/// # Errors
/// A width that is not; a model without all of its tensors.
pub fn widen(
    model: &Model,
    wide: &Architecture,
    seed: u64,
) -> anyhow::Result<HashMap<String, Tensor>> {
    let narrow = &model.architecture;
    ensure!(
        wide.width.is_multiple_of(narrow.width),
        "width {} is not a multiple of {}",
        wide.width,
        narrow.width
    );
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    wide.parameters()
        .into_iter()
        .map(|(name, shape)| {
            let weight = model.tensor(&name)?;
            let weight = match *shape {
                [outputs, inputs, _, _] => {
                    share_out(&repeat(weight, 0, outputs)?, inputs, &mut random)?
                }
                // One row for each style.
                [.., channels] if shape.len() == 2 => repeat(weight, 1, channels)?,
                [channels] => repeat(weight, 0, channels)?,
                _ => weight.clone(),
            };
            ensure!(
                weight.dims() == shape,
                "{name} has become {:?}",
                weight.dims()
            );
            Ok((name, weight))
        })
        .collect()
}

/// `tensor`, repeated along `dim` until that has length `len`.
fn repeat(tensor: &Tensor, dim: usize, len: usize) -> candle_core::Result<Tensor> {
    let times = len / tensor.dim(dim)?;
    Tensor::cat(&vec![tensor; times], dim)
}

/// A convolution's `weight` `[out, in, k, k]` for `inputs` channels, repeated
/// ones, that give the same sums.
fn share_out(weight: &Tensor, inputs: usize, random: &mut impl Rng) -> candle_core::Result<Tensor> {
    let (outputs, known, _, _) = weight.dims4()?;
    if inputs == known {
        return Ok(weight.clone());
    }
    let copies = inputs / known;
    let shares: Vec<f32> = (0..outputs * inputs)
        .map(|_| random.random_range(SHARE))
        .collect();
    let shares = Tensor::from_vec(shares, (outputs, copies, known), &Device::Cpu)?;
    let shares = shares
        .broadcast_div(&shares.sum_keepdim(1)?)?
        .reshape((outputs, inputs, 1, 1))?;
    repeat(weight, 1, inputs)?.broadcast_mul(&shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstfaststyle::{Network, Upsampling};

    fn random_model(architecture: Architecture) -> anyhow::Result<Model> {
        Ok(Model {
            weights: architecture.random_weights(3, &Device::Cpu)?,
            architecture,
            styles: Vec::new(),
            training: Default::default(),
        })
    }

    #[test]
    fn the_wide_network_paints_the_same() -> anyhow::Result<()> {
        let upsamplings = [Upsampling::Nearest, Upsampling::Transposed];
        for (output_norm, upsampling) in [true, false].into_iter().zip(upsamplings) {
            let narrow = Architecture {
                width: 2,
                residual_blocks: 2,
                output_norm,
                upsampling,
                ..Default::default()
            };
            let narrow = random_model(narrow)?;
            let photo = Tensor::rand(0f32, 255., (1, 3, 24, 32), &Device::Cpu)?;
            let paint = |model: &Model| -> anyhow::Result<Tensor> {
                Ok(Network::from_model(model, &Device::Cpu)?.forward(&photo)?)
            };
            let expected = paint(&narrow)?;
            for width in [2, 4, 6] {
                let architecture = Architecture {
                    width,
                    ..narrow.architecture.clone()
                };
                let wide = Model {
                    weights: widen(&narrow, &architecture, 0)?,
                    architecture,
                    ..random_model(narrow.architecture.clone())?
                };
                let apart = (paint(&wide)? - &expected)?.abs()?.max_all()?;
                let apart = apart.to_scalar::<f32>()?;
                assert!(apart < 0.05, "width {width}: {apart} of 255");
            }
        }
        Ok(())
    }

    #[test]
    fn copies_are_read_differently() -> anyhow::Result<()> {
        let narrow = random_model(Architecture::with_width(2))?;
        let wide = widen(&narrow, &Architecture::with_width(4), 0)?;
        let weight = &wide["residual.0.0.conv.weight"];
        let (first, second) = (weight.narrow(1, 0, 8)?, weight.narrow(1, 8, 8)?);
        let apart = (first - second)?.abs()?.mean_all()?.to_scalar::<f32>()?;
        assert!(apart > 1e-3, "{apart}");
        Ok(())
    }

    #[test]
    fn other_widths_are_refused() -> anyhow::Result<()> {
        let narrow = random_model(Architecture::with_width(4))?;
        for width in [2, 6] {
            let error = widen(&narrow, &Architecture::with_width(width), 0);
            let error = error.expect_err("not a multiple").to_string();
            assert!(error.contains("multiple of 4"), "{error}");
        }
        Ok(())
    }
}
