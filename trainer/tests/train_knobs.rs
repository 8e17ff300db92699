//! What the knobs of a training do: layers, paintings, length, learning rate.

mod common;

use candle_core::{Device, Tensor};
use common::{Scene, paint};
use faststyle_train::cli::TrainArgs;
use faststyle_train::commands::train::recipe;
use faststyle_train::objective::layers::{LayerWeights, VggLayer};
use faststyle_train::objective::loss;
use faststyle_train::objective::painting;
use faststyle_train::objective::vgg_weights::VggWeights;
use faststyle_train::objective::vgg19::Vgg19;
use faststyle_train::objective::{LossWeights, Objective};
use faststyle_train::training::schedule::Schedule;
use faststyle_train::training::trainer::Trainer;
use gstfaststyle::internals::ops::Products;

type Result<T = ()> = anyhow::Result<T>;

fn vgg() -> Result<Vgg19> {
    let device = Device::Cpu;
    Ok(Vgg19::new(
        &VggWeights::builtin(&device)?,
        Products::Exact,
        &device,
    )?)
}

/// A picture of 32x32 pixels that `number` makes different from others.
fn picture(number: usize) -> Result<Tensor> {
    let values = (0..3 * 32 * 32).map(|i| ((i * number + i / 32 * 7) % 256) as f32);
    let values: Vec<f32> = values.collect();
    Ok(Tensor::from_vec(values, (1, 32, 32, 3), &Device::Cpu)?)
}

fn layers(text: &str) -> Result<LayerWeights> {
    text.parse().map_err(anyhow::Error::msg)
}

fn close(found: f32, expected: f32) {
    let error = (found - expected).abs() / expected.abs();
    assert!(error < 1e-4, "{found}, not {expected}");
}

fn args(scene: &Scene) -> TrainArgs {
    TrainArgs {
        style: vec![scene.painting()],
        photos: Some(scene.path("photos")),
        output: scene.path("out.safetensors"),
        width: Some(4),
        residual_blocks: Some(1),
        size: Some(32),
        batch: Some(2),
        steps: Some(40),
        ..Default::default()
    }
}

#[test]
fn each_layer_has_its_weight() -> Result {
    let (painting, photo, painted) = (picture(5)?, picture(3)?, picture(11)?);
    let weights = LossWeights {
        content_layers: layers("conv1_2=0.5,conv3_3")?,
        style_layers: layers("conv1_1=2,conv2_2")?,
        ..Default::default()
    };
    let objective = Objective::new(vgg()?, &[(1.0, painting.clone())], weights)?;
    let (_, losses) = objective.measure(&painted, &objective.content(&photo)?)?;

    let vgg = vgg()?;
    let seen = |picture: &Tensor, name: &str| -> Result<Tensor> {
        let layer: VggLayer = name.parse().map_err(anyhow::Error::msg)?;
        Ok(vgg.features(picture, &[layer])?.remove(0))
    };
    let content = |name| -> Result<f32> {
        let loss = loss::content(&seen(&painted, name)?, &seen(&photo, name)?)?;
        Ok(loss.to_scalar()?)
    };
    let style = |name| -> Result<f32> {
        let target = loss::gram(&seen(&painting, name)?)?;
        Ok(loss::style(&seen(&painted, name)?, &target)?.to_scalar()?)
    };
    close(
        losses.content,
        10.0 * (0.5 * content("conv1_2")? + content("conv3_3")?),
    );
    close(
        losses.style,
        100.0 * (2.0 * style("conv1_1")? + style("conv2_2")?),
    );
    Ok(())
}

#[test]
fn vgg_stops_at_the_last_layer_needed() -> Result {
    // Four pixels can be halved twice, and not once more.
    let small = picture(3)?.narrow(1, 0, 4)?.narrow(2, 0, 4)?;
    let near = layers("conv1_1,conv3_4")?.layers().collect::<Vec<_>>();
    let seen = vgg()?.features(&small, &near)?;
    assert_eq!(seen[0].dims(), [1, 4, 4, 64]);
    assert_eq!(seen[1].dims(), [1, 1, 1, 256]);
    assert!(vgg()?.features(&small, &[VggLayer::CONTENT]).is_err());
    Ok(())
}

#[test]
fn styles_blend_as_the_mean_of_their_gram_matrices() -> Result {
    let (first, second, photo) = (picture(5)?, picture(9)?, picture(3)?);
    let layer = layers("conv2_1")?;
    let weights = LossWeights {
        style_layers: layer.clone(),
        ..Default::default()
    };
    let paintings = [(0.75, first.clone()), (0.25, second.clone())];
    let objective = Objective::new(vgg()?, &paintings, weights)?;
    let (_, losses) = objective.measure(&photo, &objective.content(&photo)?)?;

    let layer: Vec<VggLayer> = layer.layers().collect();
    let vgg = vgg()?;
    let gram = |picture: &Tensor| loss::gram(&vgg.features(picture, &layer)?[0]);
    let mean = ((gram(&first)? * 0.75)? + (gram(&second)? * 0.25)?)?;
    let style = loss::style(&vgg.features(&photo, &layer)?[0], &mean)?;
    close(losses.style, 100.0 * style.to_scalar::<f32>()?);

    assert!(Objective::new(vgg, &[], LossWeights::default()).is_err());
    Ok(())
}

#[test]
fn a_cropped_painting_equals_the_cropped_file() -> Result {
    let scene = Scene::new()?;
    let part = image::open(scene.painting())?.crop_imm(5, 3, 30, 20);
    part.save(scene.path("part.png"))?;
    let crop = ["30x20+5+3".parse().ok()];
    let cropped = painting::choose(&[scene.painting()], &[], &crop, &[])?;
    let whole = painting::choose(&[scene.path("part.png")], &[], &[], &[])?;
    let numbers = |painting: &painting::Painting| -> Result<Vec<f32>> {
        let picture = painting.load(40, &Device::Cpu)?;
        assert_eq!(picture.dims(), [1, 40, 60, 3]);
        Ok(picture.flatten_all()?.to_vec1()?)
    };
    assert_eq!(numbers(&cropped[0])?, numbers(&whole[0])?);
    Ok(())
}

#[test]
fn several_paintings_are_blended_and_saved() -> Result {
    let scene = Scene::new()?;
    paint(&scene.path("second.png"), 50, 40, 9)?;
    let mut args = args(&scene);
    args.style.push(scene.path("second.png"));
    args.loss.style_blend = vec![1.0, 3.0];
    let recipe = recipe::new(&args)?;
    let mut blended = Trainer::new(recipe.clone(), &Device::Cpu)?;
    args.loss.style_blend = vec![3.0, 1.0];
    let mut other = Trainer::new(recipe::new(&args)?, &Device::Cpu)?;
    assert_ne!(blended.step()?.style, other.step()?.style);

    let resume = |change: fn(&mut TrainArgs)| {
        let mut args = TrainArgs {
            output: scene.path("out.safetensors"),
            ..Default::default()
        };
        change(&mut args);
        recipe::resumed(recipe.clone(), &args)
    };
    assert_eq!(resume(|_| ())?, recipe);
    assert_eq!(
        resume(|args| args.loss.style_blend = vec![2.0, 6.0])?,
        recipe
    );
    let refused = |change| match resume(change) {
        Ok(_) => panic!("was taken"),
        Err(error) => format!("{error:#}"),
    };
    let text = refused(|args| args.loss.style_blend = vec![1.0, 1.0]);
    assert!(text.contains("--style-blend 0.25, not 0.5"), "{text}");
    // Of which the sum, divided by itself, would be a bit less than 1.
    paint(&scene.path("third.png"), 50, 40, 10)?;
    args.style.push(scene.path("third.png"));
    args.loss.style_blend = vec![7.0, 2.0, 1.0];
    let three = recipe::new(&args)?;
    let plain = TrainArgs {
        output: scene.path("out.safetensors"),
        ..Default::default()
    };
    assert_eq!(recipe::resumed(three.clone(), &plain)?, three);

    paint(&scene.path("second.png"), 50, 40, 8)?;
    let text = refused(|_| ());
    assert!(text.contains("another painting"), "{text}");
    Ok(())
}

#[test]
fn epochs_become_steps() -> Result {
    let scene = Scene::new()?;
    let mut args = args(&scene);
    args.steps = None;
    // Three photos in batches of two.
    for (epochs, steps) in [(1, 2), (2, 3), (5, 8)] {
        args.epochs = Some(epochs);
        let recipe = recipe::new(&args)?;
        assert_eq!((recipe.steps, recipe.epochs), (steps, Some(epochs)));
    }
    let recipe = recipe::new(&args)?;
    let mut more = TrainArgs {
        steps: Some(9),
        ..Default::default()
    };
    let longer = recipe::resumed(recipe.clone(), &more)?;
    assert_eq!((longer.steps, longer.epochs), (9, None));
    (more.steps, more.epochs) = (None, Some(6));
    assert_eq!(recipe::resumed(recipe, &more)?.steps, 9);
    Ok(())
}

#[test]
fn the_learning_rate_rises_and_falls() -> Result {
    let scene = Scene::new()?;
    let mut recipe = recipe::new(&args(&scene))?;
    let near = |found: f64, expected: f64| {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    };
    near(recipe.rate(0), 1e-3);
    near(recipe.rate(40), 1e-3);
    recipe.lr_final = 0.1;
    for (schedule, middle) in [
        (Schedule::Cosine, 0.55e-3),
        (Schedule::Linear, 0.55e-3),
        (Schedule::Exponential, 1e-3 * 0.1f64.sqrt()),
    ] {
        recipe.lr_schedule = schedule;
        recipe.warmup = 0;
        near(recipe.rate(0), 1e-3);
        near(recipe.rate(20), middle);
        near(recipe.rate(40), 0.1e-3);
        near(recipe.rate(99), 0.1e-3);
        recipe.warmup = 4;
        near(recipe.rate(0), 0.25e-3);
        near(recipe.rate(3), 1e-3);
        near(recipe.rate(4), 1e-3);
        near(recipe.rate(22), middle);
        near(recipe.rate(40), 0.1e-3);
    }
    Ok(())
}
