//! Safetensors files with torchvision's names for the tensors of VGG-19.

use super::convention::check_convention;
use super::convolutions::{CONVOLUTIONS, check_finite};
use crate::io::safetensors_file::Safetensors;
use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::Dtype;

/// Weights and bias of each convolution.
pub fn parse(file: &Safetensors) -> Result<Vec<(Vec<f32>, Vec<f32>)>> {
    // For other files a message about channel orders would be misleading.
    file.tensor("features.0.weight", &CONVOLUTIONS[0].shape())
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

fn values(file: &Safetensors, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let view = file.tensor(name, shape)?;
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
