//! Safetensors files with torchvision's names for the tensors of VGG-19.

use super::{CONVOLUTIONS, MEANS_BGR, check_finite};
use crate::io::safetensors_file::Safetensors;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};

/// The Oxford convention, as the metadata `input` states it.
pub const INPUT: &str = "BGR, 0..255, minus mean (103.939,116.779,123.68)";

/// Refuses a file that does not state, or states otherwise, how its input is
/// to be made.
///
/// Either `channel_order` is `BGR`, or `input` is [`INPUT`]; means, if given
/// (`means` or `mean`), are [`MEANS_BGR`]; a standard deviation (`std`), if
/// given, is 1.
pub fn check_convention(file: &Safetensors) -> Result<()> {
    let order = file.text("channel_order").map(squeezed);
    let input = file.text("input").map(squeezed);
    match (order.as_deref(), input.as_deref()) {
        (Some("bgr"), _) => {}
        (Some(other), _) => bail!("the channel order is `{other}`; {EXPECTED}"),
        (None, Some(input)) if input == squeezed(INPUT) => {}
        (None, _) => bail!("the metadata does not state the channel order; {EXPECTED}"),
    }
    // `BGR` with another range or other means is another convention still.
    if let Some(input) = &input {
        ensure!(
            *input == squeezed(INPUT),
            "the input is `{input}`; {EXPECTED}"
        );
    }
    for key in ["means", "mean"] {
        if let Some(text) = file.text(key) {
            let close = numbers(text).is_some_and(|means| {
                means
                    .iter()
                    .zip(MEANS_BGR)
                    .all(|(a, b)| (a - b).abs() < 0.01)
            });
            ensure!(close, "metadata `{key}` is `{text}`; {EXPECTED}");
        }
    }
    if let Some(text) = file.text("std") {
        let one = numbers(text).is_some_and(|std| std == [1.0; 3]);
        ensure!(one, "metadata `std` is `{text}`; {EXPECTED}");
    }
    Ok(())
}

const EXPECTED: &str = "expected are the original Oxford weights, not torchvision's: metadata \
    `channel_order` = `BGR`, for an input of 0..255 less the means 103.939, 116.779, 123.68, \
    not divided by a standard deviation";

/// `B, G, R` and `bgr` are one.
fn squeezed(text: &str) -> String {
    let text: String = text.split_whitespace().collect();
    let text = text.to_lowercase();
    match text.as_str() {
        "b,g,r" => "bgr".into(),
        _ => text,
    }
}

/// Three numbers, in brackets or not.
fn numbers(text: &str) -> Option<[f64; 3]> {
    let inner = text.trim().trim_matches(['[', ']', '(', ')']);
    let numbers: Result<Vec<f64>, _> = inner.split(',').map(|n| n.trim().parse()).collect();
    numbers.ok()?.try_into().ok()
}

/// Weights and bias of each convolution.
pub fn parse(file: &Safetensors) -> Result<Vec<(Vec<f32>, Vec<f32>)>> {
    // What is no VGG-19 at all should not be told about channel orders.
    view(file, "features.0.weight", &CONVOLUTIONS[0].shape())
        .context("not the weights of VGG-19")?;
    check_convention(file)?;
    CONVOLUTIONS
        .iter()
        .map(|convolution| {
            let name = |kind| format!("features.{}.{kind}", convolution.feature);
            Ok((
                values(file, &name("weight"), &convolution.shape())?,
                values(file, &name("bias"), &[convolution.outputs])?,
            ))
        })
        .collect()
}

/// A tensor that has to have this shape.
pub fn view<'a>(file: &'a Safetensors, name: &str, shape: &[usize]) -> Result<TensorView<'a>> {
    let view = file
        .tensors
        .tensor(name)
        .ok()
        .with_context(|| format!("tensor `{name}` is missing"))?;
    ensure!(
        view.shape() == shape,
        "tensor `{name}` has shape {:?}, expected {shape:?}",
        view.shape()
    );
    Ok(view)
}

fn values(file: &Safetensors, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let view = view(file, name, shape)?;
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        other => bail!("tensor `{name}` is of type {other:?}, expected F32 or F16"),
    };
    let values = Tensor::from_raw_buffer(view.data(), dtype, shape, &Device::Cpu)?
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1()?;
    check_finite(name, &values)?;
    Ok(values)
}
