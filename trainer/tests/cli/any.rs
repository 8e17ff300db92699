//! Models that paint in the style of any picture.

use crate::common::{Scene, paint};
use crate::styles::{assert_same_styles, command, scene};
use crate::{program, refusal};
use gstfaststyle::Model;

/// A scene with models, and three paintings in `paintings`.
fn scene_with_paintings() -> anyhow::Result<Scene> {
    let scene = scene()?;
    std::fs::create_dir(scene.path("paintings"))?;
    for (name, number) in [("x", 13), ("y", 17), ("z", 23)] {
        paint(
            &scene.path(&format!("paintings/{name}.png")),
            50,
            44,
            number,
        )?;
    }
    Ok(scene)
}

/// Trains `any.safetensors` from the scene's model.
fn train(scene: &Scene, steps: &str, more: &[&str]) -> anyhow::Result<Model> {
    let mut training = command(scene, "train-any", &["--size", "32", "--style-size", "32"]);
    training
        .arg("--paintings")
        .arg(scene.path("paintings"))
        .arg("--photos")
        .arg(scene.path("photos"))
        .arg("--output")
        .arg(scene.path("any.safetensors"))
        .args(["--steps", steps, "--device", "cpu"])
        .args(more);
    training.assert().success();
    Ok(Model::load(scene.path("any.safetensors"))?)
}

/// Paints a photo with `any.safetensors`.
fn painted(scene: &Scene, style: &[&str], output: &str) -> anyhow::Result<Vec<u8>> {
    let mut stylize = program();
    stylize
        .arg("stylize")
        .arg(scene.path("photos/a.png"))
        .arg("--model")
        .arg(scene.path("any.safetensors"))
        .arg("--output")
        .arg(scene.path(output))
        .args(style)
        .current_dir(scene.path("paintings"));
    stylize.assert().success();
    Ok(image::open(scene.path(output))?.into_rgb8().into_raw())
}

#[test]
fn a_kept_network_learns_to_paint_in_any_style() -> anyhow::Result<()> {
    let scene = scene_with_paintings()?;
    let photo = scene.path("photos/b.png");
    let photo = photo.to_string_lossy();
    let model = train(&scene, "3", &["--keep", "--preview", &photo])?;
    assert!(model.predicts());
    let before = Model::load(scene.path("many.safetensors"))?;
    assert_same_styles(&model, &before, &["waves", "clouds", "none"])?;
    assert_eq!(model.styles, before.styles);
    assert_eq!(model.training["steps"], 3);
    assert_eq!(model.training["recipe"]["paintings_folder"], "paintings");
    assert!(scene.path("any.preview-b.png").exists());

    let x = painted(&scene, &["--style-image", "x.png"], "x.png")?;
    let z = painted(&scene, &["--style-image", "z.png"], "z.png")?;
    assert_ne!(x, z);
    // Its own styles are there as they were.
    painted(&scene, &["--style", "clouds"], "clouds.png")?;

    // More steps change the predictor alone.
    let mut more = program();
    more.args(["train-any", "--resume", "--steps", "5", "--device", "cpu"]);
    more.arg("--output").arg(scene.path("any.safetensors"));
    more.assert().success();
    let longer = Model::load(scene.path("any.safetensors"))?;
    assert_same_styles(&longer, &before, &["waves", "clouds", "none"])?;
    let name = "predictor.0.conv.weight";
    assert_ne!(longer.values(name)?, model.values(name)?);
    Ok(())
}

#[test]
fn a_network_that_learns_too_has_no_other_style() -> anyhow::Result<()> {
    let scene = scene_with_paintings()?;
    // Eight turns and more: one of them is of the photo as it is.
    let model = train(&scene, "5", &["--stability", "10"])?;
    let names: Vec<&str> = model.styles.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["none"]);
    let before = Model::load(scene.path("many.safetensors"))?;
    for name in ["down.0.conv.weight", "residual.0.0.norm.weight"] {
        assert_ne!(model.values(name)?, before.values(name)?, "{name}");
    }
    painted(&scene, &["--style-image", "y.png"], "y.png")?;

    // What is added later does not take the ability away.
    let any = scene.path("any.safetensors");
    let mut add = program();
    add.args([
        "add-style",
        "--size",
        "32",
        "--steps",
        "2",
        "--device",
        "cpu",
    ]);
    add.arg("--model").arg(&any).arg("--style");
    add.arg(scene.painting())
        .arg("--photos")
        .arg(scene.path("photos"));
    let text = add.assert().success().get_output().stderr.clone();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("starts from"), "{text}");
    let more = Model::load(&any)?;
    assert!(more.predicts());
    assert_eq!(more.styles.len(), 2);
    let mut remove = program();
    remove.args(["remove-style", "--style", "painting", "--model"]);
    remove.arg(&any).assert().success();
    let fewer = Model::load(&any)?;
    assert!(fewer.predicts());
    assert_same_styles(&fewer, &model, &["none"])
}

#[test]
fn models_of_their_own_styles_say_what_to_do() -> anyhow::Result<()> {
    let scene = scene_with_paintings()?;
    let picture = scene.path("paintings/x.png");
    let picture = picture.to_string_lossy();
    let mut stylize = command(&scene, "stylize", &["--style-image", &picture]);
    stylize.arg(scene.path("photos/a.png"));
    let text = refusal(&mut stylize);
    assert!(text.contains("its own styles only"), "{text}");
    assert!(text.contains("train-any"), "{text}");
    let mut both = command(&scene, "stylize", &["--style-image", &picture]);
    both.arg(scene.path("photos/a.png"))
        .args(["--style", "waves"]);
    assert!(refusal(&mut both).contains("cannot be used with"));
    let mut empty = command(&scene, "train-any", &["--output", "x.safetensors"]);
    empty.arg("--paintings").arg(scene.path("nowhere"));
    empty.arg("--photos").arg(scene.path("photos"));
    assert!(refusal(&mut empty).contains("nowhere"));
    Ok(())
}
