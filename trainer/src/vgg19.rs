//! VGG-19 up to its first convolution of block 5, as a measure of pictures.

use crate::vgg_weights::VggWeights;
use candle_core::{Device, Result, Tensor, bail};
use gstfaststyle::ops::{FrozenConv2d, Path, plain};

/// The mean of its training pictures, as B, G, R, which it expects taken off.
const MEAN_BGR: [f32; 3] = [103.939, 116.779, 123.68];

/// The convolutions before which the picture is halved: conv2_1, 3_1, 4_1, 5_1.
const POOLED: [usize; 4] = [2, 4, 8, 12];

/// The convolutions that style is measured at: conv1_1, 2_1, 3_1, 4_1, 5_1.
const STYLE: [usize; 5] = [0, 2, 4, 8, 12];

/// The convolution that content is measured at: conv4_2.
const CONTENT: usize = 9;

/// VGG-19's first 13 convolutions, of fixed weights.
pub struct Vgg19 {
    layers: Vec<FrozenConv2d>,
    mean: Tensor,
}

/// What VGG-19 sees in pictures, after ReLU.
pub struct Features {
    /// At conv1_1, conv2_1, conv3_1, conv4_1 and conv5_1: `[n, h, w, c]` with
    /// 64, 128, 256, 512, 512 channels at 1, 1/2, 1/4, 1/8, 1/16 of the size.
    pub style: Vec<Tensor>,
    /// At conv4_2: `[n, h / 8, w / 8, 512]`.
    pub content: Tensor,
}

impl Vgg19 {
    /// With the given weights, on `device`.
    pub fn new(weights: &VggWeights, device: &Device) -> Result<Self> {
        let mut layers = Vec::with_capacity(weights.layers.len());
        for (index, (weight, bias)) in weights.layers.iter().enumerate() {
            let mut weight = weight.to_device(device)?;
            if index == 0 {
                // It reads B, G, R and we give R, G, B.
                let order = Tensor::new(&[2u32, 1, 0], device)?;
                weight = weight.index_select(&order, 1)?;
            }
            layers.push(FrozenConv2d::new(&weight, &bias.to_device(device)?)?);
        }
        if layers.len() != 13 {
            bail!(
                "VGG-19 up to conv5_1 has 13 convolutions, not {}",
                layers.len()
            );
        }
        let [blue, green, red] = MEAN_BGR;
        Ok(Vgg19 {
            layers,
            mean: Tensor::new(&[red, green, blue], device)?,
        })
    }

    /// What it sees in `image`, RGB `[n, 3, h, w]` in 0..255, with sides of at
    /// least 16.
    pub fn features(&self, image: &Tensor) -> Result<Features> {
        let mut seen = self.walk(image, 12)?;
        let mut style = Vec::with_capacity(STYLE.len());
        let mut content = None;
        for (index, features) in seen.drain(..) {
            match index == CONTENT {
                true => content = Some(features),
                false => style.push(features),
            }
        }
        match content {
            Some(content) => Ok(Features { style, content }),
            None => bail!("VGG-19 ends before conv4_2"),
        }
    }

    /// [`Features::content`] of `image` alone, without a gradient.
    pub fn content(&self, image: &Tensor) -> Result<Tensor> {
        match self.walk(&image.detach(), CONTENT)?.pop() {
            Some((CONTENT, features)) => Ok(features),
            _ => bail!("VGG-19 ends before conv4_2"),
        }
    }

    /// The outputs of the convolutions that are measured, with their numbers,
    /// up to convolution `last`.
    fn walk(&self, image: &Tensor, last: usize) -> Result<Vec<(usize, Tensor)>> {
        let mut x = plain::channels_last(image)?.broadcast_sub(&self.mean)?;
        let mut seen = Vec::new();
        for (index, layer) in self.layers.iter().enumerate().take(last + 1) {
            if POOLED.contains(&index) {
                x = Path::Fast.max_pool2x2(&x)?;
            }
            x = layer.forward(&x)?;
            if index == CONTENT || STYLE.contains(&index) {
                seen.push((index, x.clone()));
            }
        }
        Ok(seen)
    }
}
