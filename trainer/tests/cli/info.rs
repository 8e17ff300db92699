//! The command `info`.

use crate::common::Scene;
use crate::{program, refusal};
use gstfaststyle::{Architecture, Model, Style};
use serde_json::{Value, json};

/// A scene with a `trained.safetensors` that tells much, and a
/// `random.safetensors` that tells little.
fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::new()?;
    let mut model = Model::random(Architecture::with_width(2), 1)?;
    model.save(scene.path("random.safetensors"))?;
    model.styles = vec![Style {
        name: "sea".into(),
        title: Some("The Sea".into()),
        artist: Some("A. Painter".into()),
        year: Some("c. 1831".into()),
        ..Style::default()
    }];
    model.training = json!({
        "recipe": {
            "paintings": [
                { "file": "sea.jpg", "fingerprint": "0a", "weight": 0.75, "crop": null },
                { "file": "sky.jpg", "fingerprint": "0b", "weight": 0.25, "crop": "60x40+0+9" },
            ],
            "style_size": 384, "photos": "holidays", "photos_count": 77,
            "steps": 450, "batch": 3, "size": 128, "lr": 0.002, "lr_final": 0.1,
            "content_weight": 11.5, "style_weight": 90.0, "tv_weight": 0.25, "vgg": null,
            "seed": 5,
        },
        "steps": 449,
        "losses": { "total": 6450597.0, "content": 4.8e6, "style": 1.6e6, "tv": 13413.0 },
        "seconds": 7260.0,
        "software": "faststyle-train 0.0.9",
        "source_of_light": "the moon",
    });
    model.save(scene.path("trained.safetensors"))?;
    Ok(scene)
}

fn told(arguments: &[&str], scene: &Scene) -> anyhow::Result<String> {
    let mut command = program();
    command.arg("info").args(arguments);
    command.arg(scene.path("trained.safetensors"));
    let output = command.assert().success().get_output().clone();
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn a_card_shows_everything() -> anyhow::Result<()> {
    let text = told(&[], &scene()?)?;
    for expected in [
        "trained.safetensors",
        "sea: \"The Sea\", A. Painter, c. 1831",
        "width 2, 5 residual blocks, kernels 9x9 and 3x3, output tanh with normalisation",
        "75 % sea.jpg + 25 % sky.jpg [60x40+0+9], 384 pixels",
        "holidays, 77 pictures",
        "3 of 128x128 pixels",
        "0.002, falling to 0.1 of it",
        "content 11.5, style 90.0, tv 0.25",
        "450 planned",
        "449",
        "seed              5",
        "loss 6.451e6 (content 4.80e6, style 1.60e6, tv 1.34e4)",
        "2 hours",
        "faststyle-train 0.0.9",
        "the moon",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("null") && !text.contains("vgg"), "{text}");
    let weights: usize = Architecture::with_width(2)
        .parameters()
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum();
    let (thousands, rest) = (weights / 1000, weights % 1000);
    assert!(
        text.contains(&format!("{thousands},{rest:03}, file of")),
        "{text}"
    );
    Ok(())
}

/// Names cannot take control of the terminal.
#[test]
fn control_characters_are_escaped() -> anyhow::Result<()> {
    let scene = scene()?;
    let mut model = Model::random(Architecture::with_width(2), 1)?;
    model.styles = vec![Style {
        title: Some("\u{1b}[2Jtwo\nlines".into()),
        ..Style::default()
    }];
    model.save(scene.path("odd.safetensors"))?;
    let path = scene.path("odd.safetensors");
    let text = told(&[&path.to_string_lossy()], &scene)?;
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.contains("two lines"), "{text:?}");
    Ok(())
}

#[test]
fn json_output_is_valid() -> anyhow::Result<()> {
    let card: Value = serde_json::from_str(&told(&["--json"], &scene()?)?)?;
    assert_eq!(card["styles"][0]["artist"], "A. Painter");
    assert_eq!(card["architecture"]["width"], 2);
    assert_eq!(card["training"]["recipe"]["batch"], 3);
    assert!(card["weights"].as_u64() > Some(1000));
    assert!(card["bytes"].as_u64() > card["weights"].as_u64().map(|n| 4 * n));
    Ok(())
}

#[test]
fn other_files_are_reported_and_models_are_still_shown() -> anyhow::Result<()> {
    let scene = scene()?;
    let mut command = program();
    command
        .arg("info")
        .arg(scene.painting())
        .arg(scene.path("nowhere.safetensors"))
        .arg(scene.path("random.safetensors"));
    let output = command.assert().failure().get_output().clone();
    let text = String::from_utf8(output.stdout)?;
    assert!(text.contains("random.safetensors\n  network"), "{text}");
    let text = refusal(&mut command);
    for expected in ["painting.png", "nowhere.safetensors", "2 of 3 files"] {
        assert!(text.contains(expected), "{text}");
    }
    // With its cause, once.
    assert_eq!(text.matches("No such file").count(), 1, "{text}");
    Ok(())
}
