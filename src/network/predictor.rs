//! A style predicted from a picture of a painting that was never trained.
//!
//! A small network looks at the painting once and gives the numbers that a style has
//! to itself: the scales and shifts of the norms, and the biases (Ghiasi et al.,
//! "Exploring the structure of a real-time, arbitrary neural artistic stylization
//! network", 2017, section 3). It judges by the mean and the deviation of each
//! channel after each of its convolutions, which is what tells styles apart (Huang
//! and Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance
//! Normalization", 2017, section 5). Painting costs what it costs in any other style.

use super::{Architecture, Model, Style, StyleMix};
use crate::ops::{Backend, Padding};
use candle_core::{D, DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use std::collections::HashMap;

/// What the shorter side of a painting should measure, in pixels.
pub const PAINTING_SIDE: usize = 256;

/// Added to variances: the root's slope has a limit then.
const EPS: f64 = 1e-5;

/// A layer's weight and bias.
struct Layer {
    weight: Tensor,
    bias: Tensor,
}

/// Predicts the numbers of a style from a picture.
pub struct StylePredictor {
    convolutions: Vec<Layer>,
    hidden: Layer,
    output: Layer,
    /// The tensors of a style, and how long they are.
    slots: Vec<(String, usize)>,
}

impl StylePredictor {
    /// Builds the predictor from the tensors that `vb` holds under the names of
    /// [`Architecture::parameters`].
    ///
    /// # Errors
    /// A network without a predictor; a tensor that is missing or has another shape.
    pub fn new(architecture: &Architecture, vb: &VarBuilder) -> Result<Self> {
        let Some(shape) = &architecture.predictor else {
            bail!("the model paints in its own styles only, not in that of any picture");
        };
        let slots = architecture.style_slots();
        let shapes = shape.parameters(slots.iter().map(|(_, len)| len).sum());
        let shapes: HashMap<_, _> = shapes.into_iter().collect();
        let layer = |layer: &str| {
            let get = |name: String| vb.get(shapes[&name].as_slice(), &name);
            Ok(Layer {
                weight: get(format!("predictor.{layer}.weight"))?,
                bias: get(format!("predictor.{layer}.bias"))?,
            })
        };
        Ok(StylePredictor {
            convolutions: (0..shape.channels().len())
                .map(|i| layer(&format!("{i}.conv")))
                .collect::<Result<_>>()?,
            hidden: layer("hidden")?,
            output: layer("output")?,
            slots,
        })
    }

    /// The predictor of a model, on `device`.
    ///
    /// # Errors
    /// As [`StylePredictor::new`].
    pub fn from_model(model: &Model, device: &Device) -> Result<Self> {
        let vb = VarBuilder::from_tensors(model.weights.clone(), DType::F32, device);
        StylePredictor::new(&model.architecture, &vb)
    }

    /// The tensors `[outputs]` of the style of `painting`, by their names. The painting
    /// is RGB in 0..255, `[1, h, w, 3]`; its shorter side should measure
    /// [`PAINTING_SIDE`] pixels.
    pub fn predict(&self, painting: &Tensor) -> Result<HashMap<String, Tensor>> {
        let mut x = painting.affine(1.0 / 127.5, -1.0)?;
        let mut seen = Vec::with_capacity(2 * self.convolutions.len());
        for Layer { weight, bias } in &self.convolutions {
            let y = Backend::Fast.conv2d(&x, weight, Padding::Reflect, 2)?;
            x = y.broadcast_add(bias)?.relu()?;
            seen.extend(moments(&x)?);
        }
        let seen = Tensor::cat(&seen, D::Minus1)?;
        let hidden = linear(&self.hidden, &seen)?.relu()?;
        let row = linear(&self.output, &hidden)?.squeeze(0)?;
        let mut start = 0;
        let tensors = self.slots.iter().map(|(name, len)| {
            let tensor = row.narrow(0, start, *len)?;
            start += len;
            Ok((name.clone(), tensor))
        });
        tensors.collect()
    }
}

/// Mean and deviation of each channel of `x`, `[1, h, w, c]`: two times `[1, c]`.
fn moments(x: &Tensor) -> Result<[Tensor; 2]> {
    let x = x.flatten(1, 2)?;
    let mean = x.mean_keepdim(1)?;
    let variance = x.broadcast_sub(&mean)?.sqr()?.mean(1)?;
    Ok([mean.squeeze(1)?, (variance + EPS)?.sqrt()?])
}

/// `x`, `[1, inputs]`, times the weight `[outputs, inputs]`, plus the bias.
fn linear(layer: &Layer, x: &Tensor) -> Result<Tensor> {
    x.matmul(&layer.weight.t()?)?.broadcast_add(&layer.bias)
}

impl Model {
    /// Whether it paints in the style of any picture.
    pub fn predicts(&self) -> bool {
        self.architecture.predictor.is_some()
    }

    /// The same network with nothing but the style of `painting`, as [`StylePredictor`]
    /// sees it, under the name `name`. The painting is RGB in 0..255, `[1, h, w, 3]`;
    /// its shorter side should measure [`PAINTING_SIDE`] pixels.
    ///
    /// # Errors
    /// A model that does not predict styles.
    pub fn with_style_of(&self, painting: &Tensor, name: &str) -> Result<Model> {
        let with = self.with_styles_of(&[(name, painting.clone())])?;
        with.with_mix(&StyleMix::single(self.architecture.styles))
    }

    /// The same network with more styles after its own: those of `paintings`, each with
    /// a name. It predicts no others.
    ///
    /// # Errors
    /// A model that does not predict styles.
    pub fn with_styles_of(&self, paintings: &[(&str, Tensor)]) -> Result<Model> {
        let predictor = StylePredictor::from_model(self, &Device::Cpu)?;
        let predicted = paintings.iter();
        let predicted = predicted.map(|(_, painting)| predictor.predict(painting));
        let predicted = predicted.collect::<Result<Vec<_>>>()?;
        let (own, all) = (
            self.architecture.styles,
            self.architecture.styles + paintings.len(),
        );
        let mut model = self.clone();
        model
            .weights
            .retain(|name, _| !name.starts_with("predictor."));
        for (name, len) in self.architecture.style_slots() {
            let mut rows = vec![self.tensor(&name)?.reshape((own, len))?];
            for tensors in &predicted {
                rows.push(tensors[&name].unsqueeze(0)?);
            }
            let rows = Tensor::cat(&rows, 0)?;
            // Networks of one style have no dimension for it.
            let rows = if all == 1 { rows.squeeze(0)? } else { rows };
            model.weights.insert(name, rows);
        }
        model.styles.resize(own, Style::default());
        model.styles.extend(paintings.iter().map(|(name, _)| Style {
            name: (*name).into(),
            ..Style::default()
        }));
        model.architecture = Architecture {
            styles: all,
            predictor: None,
            ..self.architecture.clone()
        };
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Network, PredictorShape};

    /// Of three styles, whose predictor says something.
    fn model() -> Result<Model> {
        let architecture = Architecture {
            styles: 3,
            residual_blocks: 1,
            output_norm: false,
            predictor: Some(PredictorShape {
                width: 2,
                hidden: 5,
            }),
            ..Architecture::with_width(3)
        };
        Model::random(architecture, 7)
    }

    fn painting(value: f32) -> Result<Tensor> {
        let picture = Tensor::rand(0f32, 255.0, (1, 33, 47, 3), &Device::Cpu)?;
        picture.affine(0.1, f64::from(value))
    }

    #[test]
    fn a_style_is_complete_and_depends_on_the_picture() -> Result<()> {
        let model = model()?;
        let one = model.with_style_of(&painting(0.0)?, "one")?;
        let other = model.with_style_of(&painting(200.0)?, "other")?;
        assert_eq!(one.architecture.styles, 1);
        assert!(!one.predicts());
        assert_eq!(one.weights.len(), one.architecture.parameters().len());
        let mut differ = 0;
        for (name, shape) in one.architecture.parameters() {
            assert_eq!(one.tensor(&name)?.dims(), shape, "{name}");
            differ += usize::from(one.values(&name)? != other.values(&name)?);
        }
        assert_eq!(differ, model.architecture.style_slots().len());
        let photo = Tensor::rand(0f32, 255.0, (1, 3, 16, 20), &Device::Cpu)?;
        let painted = Network::from_model(&one, &Device::Cpu)?.forward(&photo)?;
        assert_eq!(painted.dims(), photo.dims());
        Ok(())
    }

    #[test]
    fn untrained_ones_begin_near_the_identity() -> Result<()> {
        let one = model()?.with_style_of(&painting(90.0)?, "one")?;
        for scale in one.values("residual.0.1.norm.weight")? {
            assert!((scale - 1.0).abs() < 0.5, "{scale}");
        }
        for shift in one.values("residual.0.1.norm.bias")? {
            assert!(shift.abs() < 0.5, "{shift}");
        }
        Ok(())
    }

    #[test]
    fn own_styles_stay_before_those_of_pictures() -> Result<()> {
        let model = model()?;
        let paintings = [("p", painting(30.0)?), ("q", painting(120.0)?)];
        let with = model.with_styles_of(&paintings)?;
        assert_eq!(with.architecture.styles, 5);
        assert_eq!(with.styles[4].name, "q");
        let name = "down.2.norm.weight";
        let rows = with.tensor(name)?.to_vec2::<f32>()?;
        assert_eq!(rows[..3], model.tensor(name)?.to_vec2::<f32>()?);
        let alone = model.with_style_of(&paintings[1].1, "q")?;
        assert_eq!(rows[4], alone.values(name)?);
        Ok(())
    }

    #[test]
    fn models_without_a_predictor_say_so() -> Result<()> {
        let model = Model::random(Architecture::with_width(2), 1)?;
        let error = model.with_style_of(&painting(9.0)?, "x").err();
        let error = error.expect("an error").to_string();
        assert!(error.contains("its own styles only"), "{error}");
        Ok(())
    }

    #[test]
    fn single_pixels_are_a_painting() -> Result<()> {
        let pixel = Tensor::full(99f32, (1, 1, 1, 3), &Device::Cpu)?;
        let one = model()?.with_style_of(&pixel, "pixel")?;
        assert!(
            one.values("output.conv.bias")?
                .iter()
                .all(|v| v.is_finite())
        );
        Ok(())
    }

    #[test]
    fn a_file_keeps_it_and_mixes_do_not() -> anyhow::Result<()> {
        let model = Model {
            styles: ["a", "b", "c"]
                .map(|name| Style {
                    name: name.into(),
                    ..Style::default()
                })
                .into(),
            ..model()?
        };
        let file = tempfile::NamedTempFile::new()?;
        model.save(file.path())?;
        let read = Model::load(file.path())?;
        assert_eq!(read.architecture, model.architecture);
        let painting = painting(50.0)?;
        let [a, b] = [&read, &model].map(|model| model.with_style_of(&painting, "p"));
        let name = "up.0.norm.bias";
        assert_eq!(a?.values(name)?, b?.values(name)?);
        assert!(!model.with_mix(&StyleMix::single(1))?.predicts());
        Ok(())
    }
}
