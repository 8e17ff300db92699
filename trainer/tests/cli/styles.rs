//! Commands for models of several styles.

use crate::common::{Scene, paint};
use crate::{program, refusal};
use assert_cmd::Command;
use gstfaststyle::{Architecture, Model, Style};
use serde_json::json;

/// A scene with `many.safetensors`, a tiny network of three styles.
pub fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::new()?;
    let architecture = Architecture {
        residual_blocks: 1,
        output_norm: false,
        styles: 3,
        ..Architecture::with_width(4)
    };
    let mut model = Model::random(architecture, 1)?;
    for layer in model.architecture.layers() {
        for name in layer.style_parameters() {
            let random = model.tensor(&name)?.rand_like(0.2, 1.2)?;
            model.weights.insert(name, random);
        }
    }
    let styles = ["waves", "clouds", "none"].into_iter().enumerate();
    let styles = styles.map(|(i, name)| Style {
        name: name.into(),
        training: json!({ "losses": { "total": 10 + i }, "recipe": { "style_size": 40 + i } }),
        ..Style::default()
    });
    model.styles = styles.collect();
    model.training = json!({ "recipe": { "style_size": 32, "tv_weight": 0.5 } });
    model.save(scene.path("many.safetensors"))?;
    Ok(scene)
}

pub fn command(scene: &Scene, name: &str, more: &[&str]) -> Command {
    let mut command = program();
    command
        .args([name, "--model"])
        .arg(scene.path("many.safetensors"))
        .args(more);
    command
}

/// Checks that the styles called `names` are the same, bit by bit.
pub fn assert_same_styles(a: &Model, b: &Model, names: &[&str]) -> anyhow::Result<()> {
    for name in names {
        let row = |model: &Model| {
            let index = model.style_index(name).expect("the style");
            model.with_mix(&gstfaststyle::StyleMix::single(index))
        };
        let (a, b) = (row(a)?, row(b)?);
        for (tensor, _) in a.architecture.parameters() {
            let bits = |model: &Model| -> anyhow::Result<Vec<u32>> {
                let values = model.values(&tensor)?;
                Ok(values.into_iter().map(f32::to_bits).collect())
            };
            assert_eq!(bits(&a)?, bits(&b)?, "{name}: {tensor}");
        }
    }
    Ok(())
}

#[test]
fn an_added_style_leaves_the_others_alone() -> anyhow::Result<()> {
    let scene = scene()?;
    let before = Model::load(scene.path("many.safetensors"))?;
    let (painting, photos) = (scene.painting(), scene.path("photos"));
    let (painting, photos) = (painting.to_string_lossy(), photos.to_string_lossy());
    let training = ["--style", &painting, "--photos", &photos, "--size", "32"];
    let short = ["--steps", "4", "--device", "cpu", "--title", "Mine"];
    let output = command(&scene, "add-style", &training).args(short).assert();
    let text = String::from_utf8_lossy(&output.success().get_output().stderr).into_owned();
    assert!(text.contains("starts from"), "{text}");
    assert!(text.contains("style painting is now in"), "{text}");

    let after = Model::load(scene.path("many.safetensors"))?;
    let names: Vec<&str> = after.styles.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["waves", "clouds", "none", "painting"]);
    assert_eq!(after.styles[..3], before.styles);
    assert_same_styles(&after, &before, &names[..3])?;
    let style = &after.styles[3];
    assert_eq!(style.title.as_deref(), Some("Mine"));
    assert_eq!(style.training["steps"], 4);
    // The loss of the model's own training.
    assert_eq!(style.training["recipe"]["tv_weight"], 0.5);
    assert_eq!(style.training["recipe"]["learn"], "style");
    let alone = Model::load(scene.path("many.painting.safetensors"))?;
    assert_same_styles(&after, &alone, &["painting"])?;
    assert!(scene.path("many.painting.report.html").exists());

    // A name is taken once.
    let again = refusal(command(&scene, "add-style", &training).args(short));
    assert!(again.contains("already has a style painting"), "{again}");
    // More steps replace what was learned of it, and nothing else.
    let more = [
        "--resume", "--name", "painting", "--steps", "6", "--device", "cpu",
    ];
    command(&scene, "add-style", &more).assert().success();
    let longer = Model::load(scene.path("many.safetensors"))?;
    assert_eq!(longer.styles.len(), 4);
    assert_eq!(longer.styles[3].training["steps"], 6);
    assert_same_styles(&longer, &before, &names[..3])
}

#[test]
fn a_style_is_extracted_and_removed() -> anyhow::Result<()> {
    let scene = scene()?;
    let before = Model::load(scene.path("many.safetensors"))?;
    let extract = ["--style", "clouds"];
    command(&scene, "extract-style", &extract)
        .assert()
        .success();
    let clouds = Model::load(scene.path("clouds.safetensors"))?;
    assert_eq!(clouds.architecture.styles, 1);
    assert_eq!(clouds.styles.len(), 1);
    assert_eq!(clouds.training["losses"]["total"], 11);
    assert_eq!(clouds.training["recipe"]["style_size"], 41);
    assert_eq!(clouds.training["recipe"]["tv_weight"], 0.5);
    assert_same_styles(&clouds, &before, &["clouds"])?;
    let text = refusal(&mut command(&scene, "extract-style", &extract));
    assert!(text.contains("already a file"), "{text}");
    let mix = ["--style", "waves:0.5,none:0.5"];
    command(&scene, "extract-style", &mix).assert().success();
    assert!(scene.path("waves+none.safetensors").exists());

    command(&scene, "remove-style", &["--style", "waves"])
        .assert()
        .success();
    let after = Model::load(scene.path("many.safetensors"))?;
    assert_eq!(after.styles[..], before.styles[1..]);
    assert_same_styles(&after, &before, &["clouds", "none"])?;
    let text = refusal(&mut command(&scene, "remove-style", &["--style", "waves"]));
    assert!(text.contains("only clouds, none"), "{text}");
    command(&scene, "remove-style", &["--style", "none"])
        .assert()
        .success();
    let last = Model::load(scene.path("many.safetensors"))?;
    assert_same_styles(&last, &clouds, &["clouds"])?;
    assert_eq!(last.training["recipe"], clouds.training["recipe"]);
    let text = refusal(&mut command(&scene, "remove-style", &["--style", "clouds"]));
    assert!(text.contains("the only style"), "{text}");
    Ok(())
}

#[test]
fn a_sheet_shows_every_style() -> anyhow::Result<()> {
    let scene = scene()?;
    paint(&scene.path("photo.png"), 40, 30, 5)?;
    let photo = scene.path("photo.png");
    let photo = photo.to_string_lossy();
    command(&scene, "sheet", &[&photo, "--device", "cpu"])
        .assert()
        .success();
    let sheet = image::open(scene.path("photo.sheet.png"))?;
    // The photo and three styles in two rows, each with a label.
    assert_eq!(
        (sheet.width(), sheet.height()),
        (2 * 40 + 3 * 8, 2 * 54 + 3 * 8)
    );
    let text = refusal(&mut command(&scene, "sheet", &["missing.png"]));
    assert!(text.contains("missing.png"), "{text}");
    Ok(())
}

#[test]
fn commands_take_a_style_or_a_mix() -> anyhow::Result<()> {
    let scene = scene()?;
    paint(&scene.path("photo.png"), 20, 20, 5)?;
    let photo = scene.path("photo.png");
    let photo = photo.to_string_lossy();
    for (style, file) in [
        (None, "photo.waves.png"),
        (Some("clouds"), "photo.clouds.png"),
        (Some("waves:1,none:3"), "photo.waves+none.png"),
    ] {
        let mut stylize = command(&scene, "stylize", &[&photo, "--device", "cpu"]);
        if let Some(style) = style {
            stylize.args(["--style", style]);
        }
        stylize.assert().success();
        assert!(scene.path(file).exists(), "{file}");
    }
    let text = refusal(&mut command(&scene, "stylize", &[&photo, "--style", "fog"]));
    assert!(text.contains("the model has waves, clouds, none"), "{text}");

    let many = scene.path("many.safetensors");
    let text = refusal(program().arg("export-onnx").arg(&many));
    assert!(text.contains("name one with --style"), "{text}");
    let named = ["--style", "clouds"];
    program()
        .arg("export-onnx")
        .arg(&many)
        .args(named)
        .assert()
        .success();
    let output = program().arg("info").arg(&many).assert().success();
    let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(text.contains("clouds") && text.contains("none"), "{text}");
    let output = program()
        .arg("info")
        .arg(&many)
        .args(named)
        .assert()
        .success();
    let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(text.contains("clouds") && !text.contains("none"), "{text}");
    Ok(())
}
