//! Stand-in: reads VGG-19's weights from a safetensors file.

use anyhow::{Context, bail};
use candle_core::{DType, Device, Tensor};
use std::path::Path;

/// VGG-19's 13 convolutions conv1_1..conv5_1 in order.
pub struct VggWeights {
    /// Weight `[cout, cin, 3, 3]` and bias `[cout]`, `f32`; input channels B, G, R.
    pub layers: Vec<(Tensor, Tensor)>,
}

impl VggWeights {
    /// The weights that come with the program.
    pub fn builtin(device: &Device) -> anyhow::Result<Self> {
        Self::load(Path::new("/work/shared/data/vgg/vgg19.safetensors"), device)
    }

    /// The weights in a file.
    pub fn load(path: &Path, device: &Device) -> anyhow::Result<Self> {
        let name = || format!("cannot read VGG-19's weights from {}", path.display());
        let tensors = candle_core::safetensors::load(path, device).with_context(name)?;
        let layers = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]
            .iter()
            .map(|n| {
                let get = |kind: &str| {
                    tensors
                        .get(&format!("features.{n}.{kind}"))
                        .context("a layer is missing")?
                        .to_dtype(DType::F32)
                        .context("wrong type")
                };
                Ok((get("weight")?, get("bias")?))
            })
            .collect::<anyhow::Result<_>>()
            .with_context(name)?;
        Ok(VggWeights { layers })
    }
}

/// Makes a compact weights file of another program's.
pub fn import(_input: &Path, _output: &Path) -> anyhow::Result<()> {
    bail!("not there yet")
}
