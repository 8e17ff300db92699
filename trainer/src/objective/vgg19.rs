//! VGG-19 up to its first convolution of block 5, as a measure of pictures.

use crate::objective::layers::VggLayer;
use crate::objective::vgg_weights::{MEANS_BGR, VggWeights};
use candle_core::{DType, Device, Result, Tensor, bail};
use gstfaststyle::internals::ops::{Backend, FrozenConv2d, Products};
use std::path::Path;

/// What pictures and biases are multiplied by where activations have 16 bits, a
/// power of 2: all that comes of it is as much smaller. Without, paintings reach
/// 16000 in block 3 and a chessboard 26000, not far enough from 65504.
const SCALE: f64 = 1.0 / 16.0;

/// VGG-19's first 13 convolutions, of fixed weights.
pub struct Vgg19 {
    layers: Vec<FrozenConv2d>,
    mean: Tensor,
    /// [`SCALE`], if it is needed.
    scale: Option<f64>,
}

impl Vgg19 {
    /// With the given weights, on `device`.
    pub fn new(weights: &VggWeights, products: Products, device: &Device) -> Result<Self> {
        let scale = (!device.is_cpu()).then_some(SCALE);
        let mut layers = Vec::with_capacity(weights.layers.len());
        for (index, (weight, bias)) in weights.layers.iter().enumerate() {
            let mut weight = weight.to_device(device)?;
            if index == 0 {
                // It reads B, G, R and we give R, G, B.
                let order = Tensor::new(&[2u32, 1, 0], device)?;
                weight = weight.index_select(&order, 1)?;
            }
            let mut bias = bias.to_device(device)?;
            if let Some(scale) = scale {
                bias = (bias * scale)?;
            }
            layers.push(FrozenConv2d::new(&weight, &bias, products)?);
        }
        let count = VggLayer::all().count();
        if layers.len() != count {
            bail!(
                "VGG-19 up to conv5_1 has {count} convolutions, not {}",
                layers.len()
            );
        }
        let [blue, green, red] = MEANS_BGR;
        Ok(Vgg19 {
            layers,
            mean: Tensor::new(&[red, green, blue], device)?,
            scale,
        })
    }

    /// With the weights in the file `path`, or the built-in ones, multiplied by
    /// `products`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(path: Option<&Path>, products: Products, device: &Device) -> anyhow::Result<Self> {
        let weights = match path {
            Some(path) => VggWeights::load(path, device)?,
            None => VggWeights::builtin(device)?,
        };
        Ok(Vgg19::new(&weights, products, device)?)
    }

    /// What it sees at each of `layers`, after ReLU, in `image`, RGB
    /// `[n, h, w, 3]` in 0..255, with sides of at least 16: `[n, h, w, c]`
    /// with 64, 128, 256, 512, 512 channels at 1, 1/2, 1/4, 1/8, 1/16 of the
    /// size in blocks 1 to 5. It looks no further than the last of them.
    pub fn features(&self, image: &Tensor, layers: &[VggLayer]) -> Result<Vec<Tensor>> {
        let mut x = image.broadcast_sub(&self.mean)?;
        if let Some(scale) = self.scale {
            x = (x * scale)?;
        }
        let mut seen = vec![None; layers.len()];
        let last = layers.iter().max();
        let convolutions = VggLayer::all().zip(&self.layers);
        for (layer, convolution) in convolutions.take_while(|(layer, _)| Some(layer) <= last) {
            if layer.is_halved() {
                x = Backend::Fast.max_pool2x2(&x)?;
            }
            x = convolution.forward(&x)?;
            for (wanted, seen) in layers.iter().zip(&mut seen) {
                if *wanted == layer {
                    *seen = Some(self.unscaled(&x)?);
                }
            }
        }
        seen.into_iter()
            .zip(layers)
            .map(|(seen, layer)| match seen {
                Some(features) => Ok(features),
                None => bail!("VGG-19 ends before {layer}"),
            })
            .collect()
    }

    /// Activations as they are without [`SCALE`], in 32 bits.
    fn unscaled(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?;
        match self.scale {
            Some(scale) => x / scale,
            None => Ok(x),
        }
    }
}
