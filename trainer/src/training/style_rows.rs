//! Models of several styles as models of one style each, and back.
//!
//! All share their convolutions; what each style has to itself is a row of the
//! tensors of [`LayerSpec::style_parameters`].
//!
//! [`LayerSpec::style_parameters`]: gstfaststyle::internals::network::LayerSpec::style_parameters

use anyhow::{Context, ensure};
use candle_core::Tensor;
use gstfaststyle::{Architecture, Model, Style, StyleMix};
use serde_json::Value;

/// Each style of `model` as a model of its own.
pub fn split(model: &Model) -> candle_core::Result<Vec<Model>> {
    let styles = 0..model.architecture.styles;
    styles
        .map(|index| model.with_mix(&StyleMix::single(index)))
        .collect()
}

/// One model of the styles of `models`, each of one style, with the convolutions
/// of the first.
///
/// # Errors
/// No model; one of another architecture, or without a style's name.
pub fn stack(models: &[Model]) -> anyhow::Result<Model> {
    let first = models.first().context("no style is left")?;
    let mut stacked = Model {
        architecture: Architecture {
            styles: models.len(),
            ..first.architecture.clone()
        },
        styles: Vec::with_capacity(models.len()),
        ..first.clone()
    };
    for model in models {
        ensure!(
            model.architecture == first.architecture,
            "the styles belong to different networks"
        );
        let style = model.styles.first().context("a style has no name")?;
        let own = match &style.training {
            Value::Null if model.training != first.training => model.training.clone(),
            own => own.clone(),
        };
        stacked.styles.push(Style {
            training: own,
            ..style.clone()
        });
    }
    if models.len() > 1 {
        for layer in first.architecture.layers() {
            for name in layer.style_parameters() {
                let rows = models.iter().map(|model| model.tensor(&name));
                let rows = rows.collect::<candle_core::Result<Vec<_>>>()?;
                stacked
                    .weights
                    .insert(name.clone(), Tensor::stack(&rows, 0)?);
            }
        }
    }
    Ok(stacked)
}

/// `model` with what predicts styles in `base`, a model of the same convolutions.
pub fn with_predictor_of(mut model: Model, base: &Model) -> Model {
    let predictor = base.weights.iter();
    let predictor = predictor.filter(|(name, _)| name.starts_with("predictor."));
    let predictor = predictor.map(|(name, tensor)| (name.clone(), tensor.clone()));
    model.weights.extend(predictor);
    model
        .architecture
        .predictor
        .clone_from(&base.architecture.predictor);
    model
}

/// The mix of all styles of `model`, in equal parts.
pub fn mean(model: &Model) -> candle_core::Result<StyleMix> {
    let all: Vec<(usize, f32)> = (0..model.architecture.styles).map(|i| (i, 1.0)).collect();
    StyleMix::new(&all)
}

/// `model` with a row for each of `styles`: the one of the same name, or else the
/// mean of all that there are.
///
/// # Errors
/// A model that lacks a tensor.
pub fn with_styles<'a>(
    model: &Model,
    styles: impl Iterator<Item = &'a Style>,
) -> anyhow::Result<Model> {
    let mean = mean(model)?;
    let rows = styles.map(|style| {
        let mix = match model.style_index(&style.name) {
            Some(index) => StyleMix::single(index),
            None => mean.clone(),
        };
        Ok(Model {
            styles: vec![style.clone()],
            ..model.with_mix(&mix)?
        })
    });
    stack(&rows.collect::<candle_core::Result<Vec<_>>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(name: &str) -> Style {
        Style {
            name: name.into(),
            ..Style::default()
        }
    }

    /// Whose rows differ.
    fn model(names: &[&str]) -> anyhow::Result<Model> {
        let architecture = Architecture {
            styles: names.len(),
            residual_blocks: 1,
            output_norm: false,
            ..Architecture::with_width(2)
        };
        let mut model = Model::random(architecture, 1)?;
        for layer in model.architecture.layers() {
            for name in layer.style_parameters() {
                let random = model.tensor(&name)?.rand_like(-1.0, 1.0)?;
                model.weights.insert(name, random);
            }
        }
        model.styles = names.iter().map(|name| style(name)).collect();
        Ok(model)
    }

    fn same(a: &Model, b: &Model) -> anyhow::Result<bool> {
        for (name, weight) in &a.weights {
            if weight.flatten_all()?.to_vec1::<f32>()? != b.values(name)? {
                return Ok(false);
            }
        }
        Ok(a.architecture == b.architecture && a.styles == b.styles)
    }

    #[test]
    fn what_is_split_stacks_to_the_same() -> anyhow::Result<()> {
        let whole = model(&["a", "b", "c"])?;
        let parts = split(&whole)?;
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1].styles, [style("b")]);
        assert!(same(&stack(&parts)?, &whole)?);
        let last = stack(&parts[2..])?;
        assert_eq!(last.architecture.styles, 1);
        assert!(same(&last, &parts[2])?);
        assert!(stack(&[]).is_err());
        Ok(())
    }

    #[test]
    fn new_styles_begin_as_the_mean() -> anyhow::Result<()> {
        let whole = model(&["a", "b"])?;
        let styles = [style("new"), style("b")];
        let next = with_styles(&whole, styles.iter())?;
        let name = "residual.0.1.norm.weight";
        let rows = whole.tensor(name)?.to_vec2::<f32>()?;
        let next = next.tensor(name)?.to_vec2::<f32>()?;
        assert_eq!(next[1], rows[1]);
        for (i, value) in next[0].iter().enumerate() {
            assert!((value - (rows[0][i] + rows[1][i]) / 2.0).abs() < 1e-6);
        }
        let one = with_styles(&model(&["a"])?, styles.iter())?;
        assert_eq!(one.architecture.styles, 2);
        Ok(())
    }

    #[test]
    fn a_style_of_another_training_keeps_its_record() -> anyhow::Result<()> {
        let mut parts = split(&model(&["a", "b"])?)?;
        parts[1].training = serde_json::json!({ "steps": 7 });
        let stacked = stack(&parts)?;
        assert_eq!(stacked.styles[1].training["steps"], 7);
        assert!(stacked.styles[0].training.is_null());
        Ok(())
    }
}
