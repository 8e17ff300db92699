//! The command `evaluate`.

use crate::common::{Scene, paint};
use crate::{program, refusal};
use assert_cmd::Command;
use gstfaststyle::{Architecture, Model, Style};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use std::path::Path;

/// A scene with `model.safetensors`, a tiny network that says to have been
/// trained by `recipe`.
fn scene(recipe: Value) -> anyhow::Result<Scene> {
    let scene = Scene::new()?;
    let architecture = Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(4)
    };
    let mut model = Model::random(architecture, 1)?;
    model.training = json!({ "recipe": recipe });
    model.save(scene.path("model.safetensors"))?;
    Ok(scene)
}

fn evaluate(scene: &Scene, more: &[&str]) -> Command {
    let mut command = program();
    command
        .args(["evaluate", "--size", "32", "--device", "cpu", "--model"])
        .arg(scene.path("model.safetensors"))
        .arg("--painting")
        .arg(scene.painting())
        .arg("--photos")
        .arg(scene.path("photos"))
        .args(more);
    command
}

/// The JSON, and the text on standard error.
fn report(scene: &Scene, more: &[&str]) -> anyhow::Result<(Value, String)> {
    let json = scene.path("report.json");
    let mut command = evaluate(scene, &["--max-iterations", "0", "--count", "1"]);
    command
        .args(more)
        .arg("--overwrite")
        .arg("--json")
        .arg(&json);
    let output = command.assert().success().get_output().clone();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((serde_json::from_slice(&std::fs::read(json)?)?, text))
}

#[test]
fn reports_losses_equivalent_iterations_and_flicker() -> anyhow::Result<()> {
    let scene = scene(json!({ "style_size": 48, "content_weight": 1.0, "tv_weight": 0.5 }))?;
    let (json, sheet) = (scene.path("out.json"), scene.path("out.png"));
    let mut command = evaluate(&scene, &["--max-iterations", "2"]);
    command.arg("--json").arg(&json).arg("--sheet").arg(&sheet);
    let output = command.assert().success().get_output().clone();
    assert!(output.stdout.is_empty());
    let table = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(table.contains("of photo"), "{table}");

    let report: Value = serde_json::from_slice(&std::fs::read(&json)?)?;
    let weights = &report["setting"]["weights"];
    assert_eq!(weights["content"], 1.0);
    assert_eq!(weights["style"], 100.0);
    assert_eq!(weights["tv"], 0.5);
    assert_eq!(weights["content_layers"], json!({ "conv4_2": 1.0 }));
    assert_eq!(report["setting"]["style_size"], 48);
    assert_eq!(report["model"], "model.safetensors");
    let photos = report["photos"].as_array().expect("a list");
    let names: Vec<_> = photos.iter().map(|photo| &photo["photo"]).collect();
    assert_eq!(names, ["a.png", "b.png", "c.png"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    for photo in photos.iter().chain([&report["mean"]]) {
        assert_eq!(number(&photo["photo_losses"]["content"]), 0.0);
        assert!(number(&photo["network_losses"]["content"]) > 0.0);
        assert!(number(&photo["ratio"]) > 0.0);
        assert!(number(&photo["equivalent"]["iterations"]) <= 2.0);
        assert!(number(&photo["flicker_still"]) > 0.0);
        assert!(number(&photo["flicker_pan"]) > 0.0);
        assert!(number(&photo["pumping"]) > 0.0);
    }
    let first = &photos[0];
    let ratio = number(&first["network_losses"]["total"]) / number(&first["photo_losses"]["total"]);
    assert!((ratio / number(&first["ratio"]) - 1.0).abs() < 1e-5);

    // The painting, 40x36, above three rows of three, each with a caption.
    let drawn = image::open(&sheet)?;
    assert_eq!(drawn.width(), 3 * 32 + 4 * 8);
    assert_eq!(drawn.height(), 4 * (32 + 24) + 5 * 8);
    // Neither is lost unasked.
    for path in [&json, &sheet] {
        let text = refusal(&mut command);
        assert!(text.contains("--overwrite"), "{text}");
        std::fs::remove_file(path)?;
    }
    Ok(())
}

#[test]
fn flags_override_the_recipe() -> anyhow::Result<()> {
    let scene = scene(json!({ "style_size": 48, "style_weight": 7.0, "vgg": null }))?;
    let (known, _) = report(&scene, &["--tv-weight", "0"])?;
    let weights = &known["setting"]["weights"];
    assert_eq!(
        (&weights["content"], &weights["style"], &weights["tv"]),
        (&json!(10.0), &json!(7.0), &json!(0.0))
    );
    let flags = ["--style-weight", "14", "--style-size", "48"];
    let (given, _) = report(&scene, &flags)?;
    let style = |report: &Value| report["mean"]["photo_losses"]["style"].as_f64();
    assert_eq!(style(&given), style(&known).map(|style| 2.0 * style));
    let (larger, _) = report(&scene, &["--style-size", "32"])?;
    assert_ne!(style(&larger), style(&known));

    let (fewer, _) = report(&scene, &["--style-layers", "conv1_1"])?;
    assert!(style(&fewer) < style(&known));

    // Without the slow method there is nothing to tell of it.
    assert!(known["photos"][0].get("equivalent").is_none());
    assert_eq!(known["photos"].as_array().map(Vec::len), Some(1));
    // The figures are the same each time.
    assert_eq!(report(&scene, &["--tv-weight", "0"])?.0, known);
    Ok(())
}

#[test]
fn another_painting_is_noted() -> anyhow::Result<()> {
    let known = scene(json!({ "style_fingerprint": "00", "style": "sea.jpg" }))?;
    let (_, text) = report(&known, &[])?;
    assert!(
        text.contains("learned from another picture (sea.jpg)"),
        "{text}"
    );
    let (_, text) = report(&scene(Value::Null)?, &[])?;
    assert!(!text.contains("learned"), "{text}");
    Ok(())
}

/// A film of `count` frames, a scene that moves, numbered without leading zeros.
fn film(folder: &Path, count: u32) -> anyhow::Result<()> {
    std::fs::create_dir(folder)?;
    for number in 1..=count {
        let frame = RgbImage::from_fn(64, 48, |x, y| {
            let (x, y) = ((x + 2 * number) as f32, y as f32);
            let bend = 4.0 * (x / 41.0 - y / 29.0).sin();
            let waves = (x / 4.7 - y / 6.1 + bend).sin() + (x / 5.3 + y / 3.9 - bend).cos();
            Rgb([0.0, 1.0, 2.0].map(|c: f32| (120.0 + 10.0 * c + 50.0 * waves) as u8))
        });
        frame.save(folder.join(format!("{number}.png")))?;
    }
    Ok(())
}

#[test]
fn frames_show_how_restless_each_style_is() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let architecture = Architecture {
        residual_blocks: 1,
        styles: 2,
        ..Architecture::with_width(4)
    };
    let mut model = Model::random(architecture, 1)?;
    model.styles = ["waves", "dots"]
        .map(|name| Style {
            name: name.into(),
            ..Style::default()
        })
        .to_vec();
    model.save(scene.path("model.safetensors"))?;
    // Frame 10 follows frame 9, not frame 1.
    film(&scene.path("film"), 12)?;
    let json = scene.path("report.json");
    let mut command = program();
    command
        .args(["evaluate", "--device", "cpu", "--overwrite", "--model"])
        .arg(scene.path("model.safetensors"))
        .arg("--frames")
        .arg(scene.path("film"))
        .arg("--json")
        .arg(&json);
    let output = command.assert().success().get_output().clone();
    let table = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        table.contains("film: 11 pairs of frames, 0 cuts"),
        "{table}"
    );
    let report: Value = serde_json::from_slice(&std::fs::read(&json)?)?;
    assert!(report.get("photos").is_none());
    let frames = &report["frames"];
    assert_eq!(frames["smoothing"], 0.8);
    let styles = frames["styles"].as_array().expect("a list");
    let names: Vec<_> = styles.iter().map(|style| &style["style"]).collect();
    assert_eq!(names, ["waves", "dots"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    for style in styles {
        assert!(number(&style["ratio"]) < 1.0, "{style}");
        assert!(
            (0.5..1.1).contains(&number(&style["gradient_kept"])),
            "{style}"
        );
        let by_itself = &style["by_itself"];
        let of_film = number(&by_itself["warp_error"]) / number(&frames["film"]);
        assert!((of_film / number(&by_itself["of_film"]) - 1.0).abs() < 1e-9);
    }
    // One style, and nothing but the film's own order and cuts counts.
    std::fs::remove_file(scene.path("film/6.png"))?;
    paint(&scene.path("film/6.png"), 64, 40, 3)?;
    command.args(["--style", "dots", "--smoothing", "0"]);
    let output = command.assert().success().get_output().clone();
    let table = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(table.contains("film: 9 pairs of frames, 2 cuts"), "{table}");
    let report: Value = serde_json::from_slice(&std::fs::read(&json)?)?;
    let styles = report["frames"]["styles"].as_array().expect("a list");
    assert_eq!(styles.len(), 1);
    assert_eq!(styles[0]["ratio"], 1.0);
    assert_eq!(styles[0]["gradient_kept"], 1.0);
    Ok(())
}

#[test]
fn photos_and_frames_are_measured_together() -> anyhow::Result<()> {
    let scene = scene(Value::Null)?;
    film(&scene.path("film"), 3)?;
    let film = scene.path("film").to_string_lossy().into_owned();
    let (report, table) = report(&scene, &["--frames", &film])?;
    assert!(report["mean"]["ratio"].is_number(), "{report}");
    assert_eq!(report["frames"]["pairs"], 2);
    assert!(
        table.contains("of photo") && table.contains("by itself"),
        "{table}"
    );
    std::fs::remove_file(scene.path("film/2.png"))?;
    std::fs::remove_file(scene.path("film/3.png"))?;
    let text = refusal(&mut evaluate(&scene, &["--frames", &film]));
    assert!(text.contains("at least two frames"), "{text}");
    Ok(())
}

#[test]
fn errors_explain_the_mistake() -> anyhow::Result<()> {
    let good = scene(Value::Null)?;
    std::fs::create_dir(good.path("empty"))?;
    paint(&good.path("empty/tiny.png"), 9, 90, 2)?;
    std::fs::write(good.path("text.jpg"), "not a picture")?;
    let path = |name: &str| good.path(name).to_string_lossy().into_owned();
    for (flag, value, expected) in [
        ("--model", "nowhere.safetensors", "nowhere.safetensors"),
        ("--model", &path("text.jpg"), "text.jpg"),
        ("--painting", "nowhere.jpg", "nowhere.jpg"),
        ("--painting", &path("text.jpg"), "text.jpg"),
        ("--photos", "nowhere", "nowhere"),
        ("--photos", &path("empty"), "too small: 9x90"),
        ("--json", &path("no/out.json"), "there is no folder"),
        ("--sheet", &path("out.jpg"), "ends in .png"),
        ("--sheet", &path("painting.png"), "it would be lost"),
        ("--count", "0", "1..="),
        ("--size", "8", "32..="),
        ("--style-weight", "1e38", "the loss is not finite"),
    ] {
        let mut command = program();
        command.args(["evaluate", flag, value]);
        for (known, value) in [
            ("--model", path("model.safetensors")),
            ("--painting", path("painting.png")),
            ("--photos", path("photos")),
            ("--size", "32".into()),
            ("--max-iterations", "0".into()),
        ] {
            if known != flag {
                command.args([known, &value]);
            }
        }
        let text = refusal(&mut command);
        assert!(text.contains(expected), "{flag} {value}: {text}");
    }
    for recipe in [
        json!({ "style_size": 3 }),
        json!({ "tv_weight": "much" }),
        json!({ "style_layers": { "conv9_9": 1 } }),
        json!({ "content_layers": {} }),
        json!({ "paintings": "many" }),
    ] {
        let text = refusal(&mut evaluate(&scene(recipe)?, &[]));
        assert!(text.contains("its recipe is damaged"), "{text}");
    }
    Ok(())
}
