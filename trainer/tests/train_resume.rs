//! A training that stops and goes on ends where one without a break ends.

mod common;

use candle_core::{Device, Tensor};
use common::Scene;
use faststyle_train::cli::TrainArgs;
use faststyle_train::commands::train::{recipe, styles};
use faststyle_train::io::fingerprint::fingerprint;
use faststyle_train::objective::loss_scale::LossScale;
use faststyle_train::training::checkpoint::Checkpoint;
use faststyle_train::training::optimizer::OptimizerMethod;
use faststyle_train::training::style_rows;
use faststyle_train::training::trainer::Trainer;
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn args(scene: &Scene) -> TrainArgs {
    TrainArgs {
        style: vec![scene.painting()],
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

/// Those of a training of two paintings and the photo.
fn many(scene: &Scene) -> anyhow::Result<TrainArgs> {
    std::fs::create_dir(scene.path("styles"))?;
    std::fs::copy(scene.painting(), scene.path("styles/first.png"))?;
    common::paint(&scene.path("styles/second.png"), 40, 36, 8)?;
    Ok(TrainArgs {
        style: Vec::new(),
        styles: Some(scene.path("styles")),
        ..args(scene)
    })
}

fn bits(tensor: &Tensor) -> anyhow::Result<Vec<u32>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}

#[test]
fn resuming_is_exact() -> anyhow::Result<()> {
    resuming_is_exact_with(OptimizerMethod::Adam)
}

#[test]
fn resuming_is_exact_with_a_basis() -> anyhow::Result<()> {
    resuming_is_exact_with(OptimizerMethod::Soap)
}

fn resuming_is_exact_with(optimizer: OptimizerMethod) -> anyhow::Result<()> {
    let scene = Scene::new()?;
    resuming_is_exact_for(
        &scene,
        TrainArgs {
            optimizer: Some(optimizer),
            ..args(&scene)
        },
    )
}

#[test]
fn resuming_several_styles_is_exact() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let args = TrainArgs {
        batch: Some(2),
        ..many(&scene)?
    };
    resuming_is_exact_for(&scene, args)
}

fn resuming_is_exact_for(scene: &Scene, args: TrainArgs) -> anyhow::Result<()> {
    let recipe = recipe::new(&args)?;
    let optimizer = recipe.optimizer;
    let mut whole = Trainer::new(recipe.clone(), &Device::Cpu)?;
    let mut losses = Vec::new();
    for _ in 0..13 {
        losses.push(whole.step()?);
    }

    let mut first = Trainer::new(recipe, &Device::Cpu)?;
    for _ in 0..9 {
        first.step()?;
    }
    let path = scene.path("x.checkpoint.safetensors");
    first.checkpoint()?.save(&path)?;
    drop(first);
    let checkpoint = Checkpoint::load(&path)?;
    assert_eq!(checkpoint.step, 9);
    if args.styles.is_none() {
        let recent: Vec<_> = losses[..9].iter().map(|losses| (0, *losses)).collect();
        assert_eq!(checkpoint.recent, recent);
    }
    let mut second = Trainer::resume(checkpoint, &Device::Cpu)?;
    for loss in &losses[9..] {
        assert_eq!(second.step()?, *loss);
    }

    let (whole, broken) = (whole.checkpoint()?, second.checkpoint()?);
    assert_eq!((whole.step, broken.step), (13, 13));
    assert_eq!(whole.recent, broken.recent);
    let (one, other) = (&whole.optimizer, &broken.optimizer);
    assert_eq!(bits(&one.mean)?, bits(&other.mean)?);
    assert_eq!(bits(&one.variance)?, bits(&other.variance)?);
    assert_eq!(one.basis.is_some(), optimizer == OptimizerMethod::Soap);
    if let (Some(one), Some(other)) = (&one.basis, &other.basis) {
        assert_eq!(bits(&one.statistics)?, bits(&other.statistics)?);
        assert_eq!(bits(&one.bases)?, bits(&other.bases)?);
    }
    for ((name, a), (other, b)) in whole.weights.iter().zip(&broken.weights) {
        assert_eq!(name, other);
        assert_eq!(bits(a)?, bits(b)?, "{name}");
    }
    Ok(())
}

/// The scale of gradients in 16 bits is part of a training; where they have 32
/// there is none.
#[test]
fn the_loss_scale_is_saved() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let trainer = Trainer::new(recipe::new(&args(&scene))?, &Device::Cpu)?;
    let path = scene.path("x.checkpoint.safetensors");
    let mut checkpoint = trainer.checkpoint()?;
    assert_eq!(checkpoint.loss_scale, None);
    checkpoint.save(&path)?;
    assert_eq!(Checkpoint::load(&path)?.loss_scale, None);
    let scale: LossScale = serde_json::from_str(r#"{"scale":4096.0,"gradients":77}"#)?;
    checkpoint.loss_scale = Some(scale);
    checkpoint.save(&path)?;
    let checkpoint = Checkpoint::load(&path)?;
    assert_eq!(checkpoint.loss_scale, Some(scale));
    let trainer = Trainer::resume(checkpoint, &Device::Cpu)?;
    assert_eq!(trainer.checkpoint()?.loss_scale, None);
    Ok(())
}

#[test]
fn training_reduces_the_loss() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let mut trainer = Trainer::new(recipe::new(&args(&scene))?, &Device::Cpu)?;
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
    let recipe = &model.training["recipe"];
    assert_eq!(recipe["paintings"][0]["file"], "painting.png");
    assert_eq!(recipe["content_layers"], json!({ "conv4_2": 1.0 }));
    assert_eq!(recipe["style_layers"]["conv5_1"], 1.0);
    assert_eq!(recipe["lr_schedule"], "cosine");
    assert!(!model.training.to_string().contains('/'), "a folder's name");
    Ok(())
}

#[test]
fn each_style_is_learned() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let mut trainer = Trainer::new(recipe::new(&many(&scene)?)?, &Device::Cpu)?;
    for _ in 0..3 {
        trainer.step()?;
    }
    let first = trainer.mean_losses_of_styles();
    assert!(first.iter().all(|losses| losses.total > 0.0), "{first:?}");
    for _ in 0..42 {
        trainer.step()?;
    }
    let model = trainer.model()?;
    let names: Vec<&str> = model.styles.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "none"]);
    let last = trainer.mean_losses_of_styles();
    for ((name, first), last) in names.iter().zip(&first).zip(&last) {
        assert!(last.total < 0.95 * first.total, "{name}: {first} to {last}");
    }
    let recipe = &model.styles[1].training["recipe"];
    assert_eq!(recipe["paintings"][0]["file"], "second.png");
    assert_eq!(model.training["recipe"]["paintings"], Value::Null);
    model.save(scene.path("out.safetensors"))?;

    // A training of other styles begins with what is known of them.
    std::fs::remove_file(scene.path("styles/first.png"))?;
    std::fs::copy(scene.painting(), scene.path("styles/third.png"))?;
    let next = TrainArgs {
        styles: Some(scene.path("styles")),
        style: Vec::new(),
        width: None,
        residual_blocks: None,
        init: Some(scene.path("out.safetensors")),
        ..args(&scene)
    };
    let next = Trainer::new(recipe::new(&next)?, &Device::Cpu)?.model()?;
    let (old, new) = (style_rows::split(&model)?, style_rows::split(&next)?);
    let name = "up.1.norm.weight";
    assert_eq!(new[0].styles[0].name, "second");
    assert_eq!(bits(new[0].tensor(name)?)?, bits(old[1].tensor(name)?)?);
    assert_eq!(bits(new[2].tensor(name)?)?, bits(old[2].tensor(name)?)?);
    Ok(())
}

#[test]
fn styles_are_listed_in_a_file() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let list = scene.path("styles.toml");
    let read = |text: &str| {
        std::fs::write(&list, text)?;
        styles::read(&list)
    };
    let styles = read(
        r#"
        none = false
        [[style]]
        name = "waves"
        title = "Waves"
        painting = "painting.png"
        crop = ["20x20+3+4"]
        style-size = 48
        content-weight = 15.0
        [[style]]
        painting = ["photos/a.png", "photos/b.png"]
        blend = [3.0, 1.0]
        "#,
    )?;
    assert_eq!(styles.len(), 2);
    assert_eq!(styles[0].about.title.as_deref(), Some("Waves"));
    assert_eq!(
        (styles[0].style_size, styles[1].style_size),
        (Some(48), None)
    );
    assert!(styles[0].paintings[0].crop.is_some());
    assert_eq!(styles[1].about.name, "a");
    assert_eq!(styles[1].paintings[0].weight, 0.75);

    let style = "[[style]]\npainting = \"painting.png\"\n";
    for (text, expected) in [
        ("style = []".into(), "no painting"),
        (format!("{style}{style}"), "two styles"),
        (format!("{style}name = \"a:b\""), "no name for a style"),
        (format!("{style}size = 3"), "unknown field `size`"),
        (format!("{style}style-size = 3"), "style-size of painting"),
        (
            format!("{style}style-weight = -1.0"),
            "style-weight of painting",
        ),
        (style.replace("painting.png", "missing.png"), "missing.png"),
    ] {
        let error = format!("{:#}", read(&text).expect_err(&text));
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains("styles.toml"), "{error}");
    }
    Ok(())
}

/// A recipe as it was kept when there was one painting, and fewer knobs.
fn old_recipe(scene: &Scene) -> anyhow::Result<Value> {
    let recipe = json!({
        "architecture": {
            "width": 4,
            "residual_blocks": 1,
            "outer_kernel": 9,
            "inner_kernel": 3,
            "norm_eps": 1e-5,
            "output_norm": true,
            "output_map": "tanh",
            "input_range": [0.0, 1.0],
            "upsampling": "nearest"
        },
        "about": { "name": "out" },
        "style": scene.painting(),
        "style_fingerprint": fingerprint(&scene.painting())?,
        "photos": scene.path("photos"),
        "vgg": null,
        "init": null,
        "preview": [],
        "steps": 40,
        "batch": 1,
        "size": 32,
        "style_size": 32,
        "lr": 0.001,
        "lr_final": 0.1,
        "content_weight": 10.0,
        "style_weight": 100.0,
        "tv_weight": 0.004,
        "seed": 5,
        "checkpoint_every": 200
    });
    Ok(recipe)
}

#[test]
fn the_stability_loss_is_part_of_the_total() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let losses = |stability| -> anyhow::Result<_> {
        let args = TrainArgs {
            stability,
            ..args(&scene)
        };
        Trainer::new(recipe::new(&args)?, &Device::Cpu)?.step()
    };
    let (without, with, double) = (losses(None)?, losses(Some(1e3))?, losses(Some(2e3))?);
    assert_eq!(without.stability, 0.0);
    assert!(with.stability > 0.0);
    assert_eq!(with.total, without.total + with.stability);
    assert!((double.stability / with.stability - 2.0).abs() < 1e-5);
    Ok(())
}

#[test]
fn still_scenes_have_their_own_weight() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let stability = |seed, factor| -> anyhow::Result<_> {
        let args = TrainArgs {
            seed: Some(seed),
            stability_at_rest: Some(factor),
            ..args(&scene)
        };
        let step = Trainer::new(recipe::new(&args)?, &Device::Cpu)?.step()?;
        Ok(step.stability)
    };
    // The first view that follows from one seed is at rest, that from the other
    // moves.
    let (at_rest, moves) = (0, 2);
    assert!((stability(at_rest, 8.0)? / stability(at_rest, 4.0)? - 2.0).abs() < 1e-5);
    assert_eq!(stability(moves, 8.0)?, stability(moves, 4.0)?);
    Ok(())
}

#[test]
fn an_old_checkpoint_can_be_resumed() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let recipe = recipe::new(&TrainArgs {
        stability: None,
        ..args(&scene)
    })?;
    let mut trainer = Trainer::new(recipe.clone(), &Device::Cpu)?;
    trainer.step()?;
    let path = scene.path("x.checkpoint.safetensors");
    trainer.checkpoint()?.save(&path)?;
    let second = trainer.step()?;

    // The same file with the recipe in its old form.
    let file = std::fs::read(&path)?;
    let (_, header) = SafeTensors::read_metadata(&file)?;
    let mut strings = header.metadata().clone().unwrap_or_default();
    strings.insert("recipe".into(), old_recipe(&scene)?.to_string());
    let tensors = SafeTensors::deserialize(&file)?;
    std::fs::write(
        &path,
        safetensors::serialize(tensors.tensors(), Some(strings))?,
    )?;

    let checkpoint = Checkpoint::load(&path)?;
    assert_eq!(checkpoint.recipe, recipe);
    let mut old = Trainer::resume(checkpoint, &Device::Cpu)?;
    assert_eq!(old.step()?, second);
    Ok(())
}

#[test]
fn a_damaged_checkpoint_is_refused() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let trainer = Trainer::new(recipe::new(&args(&scene))?, &Device::Cpu)?;
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
    broken.optimizer.mean = (broken.optimizer.mean + f64::NAN)?;
    let error = broken.save(&path).expect_err("NaN").to_string();
    assert!(error.contains("adam.mean"), "{error}");
    assert_eq!(std::fs::read(&path)?, file);
    Ok(())
}
