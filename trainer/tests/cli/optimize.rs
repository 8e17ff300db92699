//! The command `optimize`.

use crate::common::Scene;
use crate::{end, program, refusal, rows, start, wait_for_rows};
use assert_cmd::Command;
use image::RgbImage;
use std::path::Path;

/// `optimize` of `photos/a.png` into `out.png`.
fn optimize(scene: &Scene, more: &[&str]) -> Command {
    let mut command = program();
    command
        .args(["optimize", "--size", "32", "--device", "cpu", "--style"])
        .arg(scene.painting())
        .arg("--photo")
        .arg(scene.path("photos/a.png"))
        .arg("--output")
        .arg(scene.path("out.png"))
        .arg("--metrics")
        .arg(scene.path("out.csv"))
        .args(more);
    command
}

fn picture(path: &Path) -> anyhow::Result<RgbImage> {
    Ok(image::open(path)?.into_rgb8())
}

/// The total loss of each row.
fn totals(path: &Path) -> anyhow::Result<Vec<f64>> {
    let rows = rows(path)?;
    assert_eq!(rows[0], "iteration,total,content,style,tv,seconds");
    let number = |row: &String| row.split(',').nth(1).unwrap_or_default().parse();
    Ok(rows[1..].iter().map(number).collect::<Result<_, _>>()?)
}

#[test]
fn every_iteration_makes_the_loss_smaller() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    optimize(&scene, &["--iterations", "12"]).assert().success();
    // The photo is 48x40.
    assert_eq!(picture(&scene.path("out.png"))?.dimensions(), (38, 32));
    let totals = totals(&scene.path("out.csv"))?;
    assert_eq!(totals.len(), 13);
    assert!(totals.is_sorted_by(|a, b| a > b), "{totals:?}");
    assert!(totals[12] < totals[0] / 2.0, "{totals:?}");
    Ok(())
}

#[test]
fn can_start_from_noise() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let repaint = |more: &[&str]| {
        optimize(&scene, &["--iterations", "1", "--overwrite"])
            .args(more)
            .assert()
            .success();
        picture(&scene.path("out.png"))
    };
    let photo = repaint(&[])?;
    let noise = repaint(&["--start", "noise"])?;
    assert_ne!(photo, noise);
    assert_eq!(noise, repaint(&["--start", "noise", "--seed", "0"])?);
    assert_ne!(noise, repaint(&["--start", "noise", "--seed", "1"])?);
    Ok(())
}

#[test]
fn loss_weights_and_sizes_have_an_effect() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let first = |more: &[&str]| {
        optimize(&scene, &["--iterations", "1", "--overwrite"])
            .args(more)
            .assert()
            .success();
        let rows = rows(&scene.path("out.csv"))?;
        let numbers = rows[1].split(',').map(str::parse);
        Ok::<_, anyhow::Error>(numbers.collect::<Result<Vec<f64>, _>>()?)
    };
    let [plain, double] = [first(&[])?, first(&["--style-weight", "200"])?];
    // The photo's content is its own.
    assert_eq!(plain[2], 0.0);
    assert!((double[3] / plain[3] - 2.0).abs() < 1e-5);
    assert_eq!(double[4], plain[4]);
    assert_ne!(plain[3], first(&["--style-size", "48"])?[3]);
    let layers = first(&["--style-layers", "conv1_1=2,conv2_1=0"])?;
    let alone = first(&["--style-layers", "relu1_1"])?;
    assert!((layers[3] / alone[3] - 2.0).abs() < 1e-5);
    assert_ne!(plain[3], first(&["--style-crop", "20x20+5+0"])?[3]);
    let smooth = first(&["--tv-weight", "0.008"])?;
    assert!((smooth[4] / plain[4] - 2.0).abs() < 1e-5);
    Ok(())
}

#[test]
#[cfg(unix)]
fn an_interrupt_keeps_the_picture() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let command = optimize(&scene, &["--iterations", "100000"]);
    let mut child = start(&command)?;
    wait_for_rows(&mut child, &scene.path("out.csv"), 4)?;
    let (status, text) = end(child, "INT")?;
    assert_eq!(status.code(), Some(130), "{text}");
    let done = rows(&scene.path("out.csv"))?.len() - 2;
    let expected = format!("out.png is the picture after iteration {done}");
    assert!(text.contains(&expected), "{text}");
    picture(&scene.path("out.png"))?;
    Ok(())
}

#[test]
fn errors_explain_the_mistake() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let path = |name: &str| scene.path(name).to_string_lossy().into_owned();
    let (folder, photo) = (path("photos"), path("photos/a.png"));
    std::fs::write(scene.path("text.jpg"), "not a picture")?;
    let right = [
        ("--style", path("painting.png")),
        ("--photo", photo.clone()),
        ("--output", path("out.png")),
        ("--size", "32".into()),
        ("--iterations", "1".into()),
    ];
    let ask = |flag: &str, value: &str| {
        let mut command = program();
        command.args(["optimize", flag, value]);
        for (known, value) in right.iter().filter(|(known, _)| *known != flag) {
            command.args([known, value.as_str()]);
        }
        refusal(&mut command)
    };
    for (flag, value, expected) in [
        ("--style", "nowhere.jpg", "nowhere.jpg"),
        ("--photo", "nowhere.jpg", "nowhere.jpg"),
        ("--photo", &path("text.jpg"), "text.jpg"),
        ("--output", &path("out.jpg"), "ends in .png"),
        ("--output", &path("no/out.png"), "there is no folder"),
        ("--output", &photo, "it would be lost"),
        ("--output", &folder, "this is a folder"),
        ("--metrics", &folder, "this is a folder"),
        ("--start", "nothing", "photo, noise"),
        ("--iterations", "0", "1..="),
        ("--size", "8", "32..="),
        ("--style-weight", "nan", "at least 0"),
        ("--style-weight", "1e38", "the loss is not finite"),
    ] {
        let text = ask(flag, value);
        assert!(text.contains(expected), "{flag} {value}: {text}");
    }
    assert!(!scene.path("out.png").exists());
    Ok(())
}
