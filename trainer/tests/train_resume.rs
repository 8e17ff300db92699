//! A training that stops and goes on ends where one without a break ends.

mod common;

use candle_core::{Device, Tensor};
use common::Scene;
use faststyle_train::checkpoint::Checkpoint;
use faststyle_train::cli::TrainArgs;
use faststyle_train::recipe::Recipe;
use faststyle_train::train::Trainer;

fn args(scene: &Scene) -> TrainArgs {
    TrainArgs {
        style: Some(scene.painting()),
        photos: Some(scene.path("photos")),
        output: scene.path("out.safetensors"),
        width: Some(4),
        residual_blocks: Some(1),
        size: Some(32),
        batch: Some(1),
        steps: Some(40),
        lr_final: Some(0.1),
        seed: Some(5),
        stability: Some(1e3),
        ..Default::default()
    }
}

fn bits(tensor: &Tensor) -> anyhow::Result<Vec<u32>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}

#[test]
fn resuming_is_exact() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let recipe = Recipe::new(&args(&scene))?;
    let mut whole = Trainer::new(recipe.clone(), &Device::Cpu)?;
    let mut losses = Vec::new();
    for _ in 0..6 {
        losses.push(whole.step()?);
    }

    let mut first = Trainer::new(recipe, &Device::Cpu)?;
    for _ in 0..3 {
        first.step()?;
    }
    let path = scene.path("x.checkpoint.safetensors");
    first.checkpoint()?.save(&path)?;
    drop(first);
    let checkpoint = Checkpoint::load(&path)?;
    assert_eq!(checkpoint.step, 3);
    assert_eq!(checkpoint.recent, losses[..3]);
    let mut second = Trainer::resume(checkpoint, &Device::Cpu)?;
    for loss in &losses[3..] {
        assert_eq!(second.step()?, *loss);
    }

    let (whole, broken) = (whole.checkpoint()?, second.checkpoint()?);
    assert_eq!((whole.step, broken.step), (6, 6));
    assert_eq!(whole.recent, broken.recent);
    assert_eq!(bits(&whole.mean)?, bits(&broken.mean)?);
    assert_eq!(bits(&whole.variance)?, bits(&broken.variance)?);
    for ((name, a), (other, b)) in whole.weights.iter().zip(&broken.weights) {
        assert_eq!(name, other);
        assert_eq!(bits(a)?, bits(b)?, "{name}");
    }
    Ok(())
}

#[test]
fn training_reduces_the_loss() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let mut trainer = Trainer::new(Recipe::new(&args(&scene))?, &Device::Cpu)?;
    let first = trainer.step()?;
    let mut last = first;
    for _ in 0..24 {
        last = trainer.step()?;
    }
    assert!(
        last.total < 0.7 * first.total,
        "from {first:?} to {last:?} only"
    );
    let model = trainer.model()?;
    assert_eq!(model.styles[0].name, "out");
    assert_eq!(model.training["steps"], 25);
    assert_eq!(model.training["recipe"]["style"], "painting.png");
    assert!(!model.training.to_string().contains('/'), "a folder's name");
    Ok(())
}

#[test]
fn the_stability_loss_is_part_of_the_total() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let losses = |stability| -> anyhow::Result<_> {
        let args = TrainArgs {
            stability,
            ..args(&scene)
        };
        Trainer::new(Recipe::new(&args)?, &Device::Cpu)?.step()
    };
    let (without, with, double) = (losses(None)?, losses(Some(1e3))?, losses(Some(2e3))?);
    assert_eq!(without.stability, 0.0);
    assert!(with.stability > 0.0);
    assert_eq!(with.total, without.total + with.stability);
    assert!((double.stability / with.stability - 2.0).abs() < 1e-5);
    Ok(())
}

#[test]
fn the_rate_falls_along_a_cosine() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let mut recipe = Recipe::new(&args(&scene))?;
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}");
    near(recipe.rate(0), 1e-3);
    near(recipe.rate(20), 0.55e-3);
    near(recipe.rate(40), 0.1e-3);
    recipe.lr_final = 1.0;
    near(recipe.rate(33), 1e-3);
    Ok(())
}

#[test]
fn a_damaged_checkpoint_is_refused() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let trainer = Trainer::new(Recipe::new(&args(&scene))?, &Device::Cpu)?;
    let path = scene.path("x.checkpoint.safetensors");
    trainer.checkpoint()?.save(&path)?;
    let file = std::fs::read(&path)?;
    trainer.model()?.save(scene.path("model.safetensors"))?;
    let refused = |path: &std::path::Path| match Checkpoint::load(path) {
        Ok(_) => panic!("{} was taken", path.display()),
        Err(error) => format!("{error:#}"),
    };
    assert!(refused(&scene.path("model.safetensors")).contains("not a checkpoint"));
    for length in [0, 7, 100, file.len() - 1] {
        std::fs::write(&path, &file[..length])?;
        assert!(refused(&path).contains("x.checkpoint.safetensors"));
    }

    // Numbers that are not finite are never written over good ones.
    std::fs::write(&path, &file)?;
    let mut broken = trainer.checkpoint()?;
    broken.mean = (broken.mean + f64::NAN)?;
    let error = broken.save(&path).expect_err("NaN").to_string();
    assert!(error.contains("adam.mean"), "{error}");
    assert_eq!(std::fs::read(&path)?, file);
    Ok(())
}
