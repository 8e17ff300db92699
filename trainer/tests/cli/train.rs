//! The command `train` as a person types it.

use crate::common::{Scene, paint};
use crate::{end, program, refusal, rows, start, wait_for_rows};
use anyhow::Context;
use assert_cmd::Command;
use gstfaststyle::Model;
use std::path::Path;

/// `train` with a tiny recipe, writing `out.safetensors`.
fn train(scene: &Scene, more: &[&str]) -> Command {
    let mut command = program();
    command
        .arg("train")
        .arg("--style")
        .arg(scene.painting())
        .arg("--photos")
        .arg(scene.path("photos"))
        .arg("--output")
        .arg(scene.path("out.safetensors"))
        .args(["--width", "4", "--residual-blocks", "1", "--size", "32"])
        .args(["--batch", "1", "--device", "cpu"])
        .args(more);
    command
}

fn resume(scene: &Scene, more: &[&str]) -> Command {
    let mut command = program();
    command
        .args(["train", "--resume", "--device", "cpu", "--output"])
        .arg(scene.path("out.safetensors"))
        .args(more);
    command
}

#[test]
fn trains_and_resumes() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    paint(&scene.path("look.png"), 30, 22, 13)?;
    let look = scene.path("look.png");
    let look = look.to_string_lossy();
    let about = [
        "--title", "Waves", "--artist", "Nobody", "--year", "c. 1900",
    ];
    train(&scene, &["--steps", "2", "--preview", &look])
        .args(about)
        .assert()
        .success();
    let model = Model::load(scene.path("out.safetensors"))?;
    assert_eq!(model.styles[0].name, "out");
    assert_eq!(model.styles[0].title.as_deref(), Some("Waves"));
    assert_eq!(model.styles[0].year.as_deref(), Some("c. 1900"));
    assert_eq!(model.training["steps"], 2);
    let preview = image::open(scene.path("out.preview-look.png"))?;
    assert_eq!((preview.width(), preview.height()), (30, 22));

    // Not over what is there.
    let text = refusal(&mut train(&scene, &["--steps", "2"]));
    assert!(text.contains("--overwrite"), "{text}");

    resume(&scene, &["--steps", "4", "--lr", "5e-4", "--name", "waves"])
        .assert()
        .success();
    let model = Model::load(scene.path("out.safetensors"))?;
    assert_eq!(model.styles[0].name, "waves");
    assert_eq!(model.styles[0].artist.as_deref(), Some("Nobody"));
    assert_eq!(model.training["steps"], 4);
    assert_eq!(model.training["recipe"]["lr"], 5e-4);
    let rows = rows(&scene.path("out.metrics.csv"))?;
    assert_eq!(
        rows[0],
        "step,total,content,style,tv,stability,lr,seconds,waited"
    );
    let steps: Vec<&str> = rows[1..]
        .iter()
        .filter_map(|r| r.split(',').next())
        .collect();
    assert_eq!(steps, ["1", "2", "3", "4"]);
    assert!(rows[4].contains(",0.0005,"), "{}", rows[4]);

    // Another training is not this one's continuation.
    for (flag, value) in [
        ("--width", "8"),
        ("--residual-blocks", "2"),
        ("--seed", "9"),
        ("--batch", "2"),
        ("--size", "64"),
        ("--style-size", "48"),
        ("--style-layers", "conv1_1"),
        ("--content-layers", "conv3_1"),
        ("--style-crop", "9x9+0+0"),
        ("--output-norm", "false"),
    ] {
        let text = refusal(&mut resume(&scene, &[flag, value]));
        assert!(text.contains(flag), "{text}");
    }
    paint(&scene.painting(), 40, 36, 4)?;
    let text = refusal(&mut resume(&scene, &["--steps", "5"]));
    assert!(text.contains("another painting"), "{text}");
    Ok(())
}

/// One training step of next to no effect that starts from the model `init`.
fn train_from(scene: &Scene, init: &Path, output: &Path) -> Command {
    let mut command = program();
    command
        .args(["train", "--steps", "1", "--batch", "1", "--size", "32"])
        .args(["--device", "cpu", "--lr", "1e-9", "--style"])
        .arg(scene.painting())
        .arg("--photos")
        .arg(scene.path("photos"))
        .arg("--init")
        .arg(init)
        .arg("--output")
        .arg(output);
    command
}

#[test]
fn starts_from_another_style() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    train(&scene, &["--steps", "1"]).assert().success();
    let first = scene.path("out.safetensors");
    let second = scene.path("second.safetensors");
    let mut command = train_from(&scene, &first, &second);
    command.assert().success();
    let (first, second) = (Model::load(&first)?, Model::load(&second)?);
    assert_eq!(first.architecture, second.architecture);
    for (name, weight) in &first.weights {
        let moved = (weight - &second.weights[name])?.abs()?.max_all()?;
        assert!(moved.to_scalar::<f32>()? < 1e-6, "{name}");
    }
    let text = refusal(command.args(["--overwrite", "--output-norm", "false"]));
    assert!(text.contains("--output-norm true, not false"), "{text}");
    let text = refusal(command.args(["--width", "5"]));
    assert!(
        text.contains("--width 4, and 5 is not a multiple"),
        "{text}"
    );
    Ok(())
}

#[test]
fn widens_another_style() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    train(&scene, &["--steps", "1"]).assert().success();
    let wide = scene.path("wide.safetensors");
    train_from(&scene, &scene.path("out.safetensors"), &wide)
        .args(["--width", "8"])
        .assert()
        .success();
    assert_eq!(Model::load(&wide)?.architecture.width, 8);
    Ok(())
}

#[test]
fn a_config_file_is_a_recipe() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    paint(&scene.path("second.png"), 50, 40, 9)?;
    let recipe = "\
        style = ['painting.png', 'second.png']\n\
        style-blend = [3, 1]\n\
        style-crop = ['none', '36x32+14+8']\n\
        photos = 'photos'\n\
        title = 'Waves'\n\
        year = 1900\n\
        preset = 'live'\n\
        width = 4\n\
        residual-blocks = 1\n\
        size = 32\n\
        batch = 2\n\
        epochs = 1\n\
        lr-schedule = 'linear'\n\
        warmup = 1\n\
        [style-layers]\n\
        conv1_1 = 0.5\n\
        conv2_1 = 1\n";
    std::fs::write(scene.path("waves.toml"), recipe)?;
    let ask = |more: &[&str]| {
        let mut command = program();
        command.args(["train", "--device", "cpu", "--config"]);
        command.arg(scene.path("waves.toml")).arg("--output");
        command.arg(scene.path("out.safetensors")).args(more);
        command
    };
    let output = ask(&["--batch", "1"]).assert().success();
    let text = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    let preset = "preset live: width=16 output-norm=false";
    assert!(text.contains(preset), "{text}");

    let model = Model::load(scene.path("out.safetensors"))?;
    assert_eq!(model.architecture.width, 4);
    assert!(!model.architecture.output_norm);
    assert_eq!(model.styles[0].title.as_deref(), Some("Waves"));
    assert_eq!(model.styles[0].year.as_deref(), Some("1900"));
    let recipe = &model.training["recipe"];
    assert_eq!(recipe["steps"], 3, "three photos, one by one");
    assert_eq!(recipe["epochs"], 1);
    assert_eq!(recipe["lr_schedule"], "linear");
    assert_eq!(recipe["lr_final"], 0.03);
    assert_eq!(recipe["warmup"], 1);
    let layers = serde_json::json!({ "conv1_1": 0.5, "conv2_1": 1.0 });
    assert_eq!(recipe["style_layers"], layers);
    assert_eq!(recipe["paintings"][0]["weight"], 0.75);
    assert_eq!(recipe["paintings"][1]["file"], "second.png");
    assert_eq!(recipe["paintings"][1]["crop"], "36x32+14+8");

    // The same file can resume it; its settings are checked like flags.
    ask(&["--resume", "--batch", "1", "--steps", "4"])
        .assert()
        .success();
    assert_eq!(rows(&scene.path("out.metrics.csv"))?.len(), 5);
    let text = refusal(&mut ask(&["--resume"]));
    assert!(text.contains("--batch 1, not 2"), "{text}");

    // What it was trained with is what it is measured by.
    let mut evaluate = program();
    evaluate.args(["evaluate", "--size", "32", "--device", "cpu", "--model"]);
    evaluate
        .arg(scene.path("out.safetensors"))
        .arg("--painting");
    evaluate.arg(scene.path("second.png")).arg("--painting");
    evaluate.arg(scene.painting()).arg("--photos");
    evaluate.arg(scene.path("photos")).arg("--sheet");
    evaluate.arg(scene.path("sheet.png"));
    evaluate.args(["--count", "1", "--max-iterations", "0", "--json"]);
    evaluate.arg(scene.path("report.json"));
    let output = evaluate.assert().success().get_output().clone();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("another picture"), "{text}");
    assert!(output.stdout.is_empty());
    let report = std::fs::read(scene.path("report.json"))?;
    let report: serde_json::Value = serde_json::from_slice(&report)?;
    assert_eq!(report["style"], "second.png, painting.png");
    assert_eq!(report["setting"]["weights"]["style_layers"], layers);

    std::fs::write(scene.path("waves.toml"), "width = 4\nlr-final = 3\n")?;
    let text = refusal(&mut ask(&[]));
    assert!(text.contains("waves.toml, line 2: "), "{text}");
    assert!(text.contains("within 0..=1"), "{text}");
    Ok(())
}

#[test]
#[cfg(unix)]
fn an_interrupt_saves() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let command = train(&scene, &["--steps", "100000"]);
    let mut child = start(&command)?;
    let metrics = scene.path("out.metrics.csv");
    wait_for_rows(&mut child, &metrics, 2)?;
    let (status, text) = end(child, "TERM")?;
    assert_eq!(status.code(), Some(130), "{text}");
    assert!(text.contains("train --resume --output"), "{text}");
    Model::load(scene.path("out.safetensors"))?;
    let done = rows(&metrics)?.len() - 1;
    resume(&scene, &["--steps", &(done + 1).to_string()])
        .assert()
        .success();
    assert_eq!(rows(&metrics)?.len(), done + 2);
    Ok(())
}

/// As with `nohup`, when the terminal is closed.
#[test]
#[cfg(unix)]
fn an_ignored_hangup_does_not_stop_training() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let command = train(&scene, &["--steps", "60"]);
    let mut child = std::process::Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .spawn()?;
    let metrics = scene.path("out.metrics.csv");
    wait_for_rows(&mut child, &metrics, 2)?;
    let (status, _) = end(child, "HUP")?;
    assert!(status.success());
    assert_eq!(rows(&metrics)?.len(), 61);
    Ok(())
}

/// As when `tee` ends by the Ctrl-C that is to stop the training.
#[test]
#[cfg(unix)]
fn training_survives_a_closed_standard_error() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let command = train(&scene, &["--steps", "3"]);
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let status = std::process::Command::new(command.get_program())
        .args(command.get_args())
        .stderr(writer)
        .status()?;
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        Model::load(scene.path("out.safetensors"))?.training["steps"],
        3
    );
    Ok(())
}

#[test]
fn existing_files_are_not_lost() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let model = scene.path("out.safetensors");
    std::fs::write(&model, "a model")?;
    let text = refusal(&mut train(&scene, &["--steps", "1"]));
    assert!(text.contains("out.safetensors: --overwrite"), "{text}");
    assert_eq!(std::fs::read_to_string(&model)?, "a model");
    // Whatever is said, not over what is to be read.
    let mut command = train(&scene, &["--steps", "1", "--overwrite", "--style"]);
    let text = refusal(command.arg(&model));
    assert!(text.contains("it would be lost"), "{text}");
    train(&scene, &["--steps", "1", "--overwrite"])
        .assert()
        .success();

    // A training that has been overwritten is not what goes on, though the new one
    // did not come far: a file is where a folder should be.
    let mut command = train(&scene, &["--steps", "2", "--overwrite", "--seed", "9"]);
    refusal(command.arg("--tensorboard").arg(scene.painting()));
    let folder = scene.path("runs");
    let mut command = resume(&scene, &["--seed", "9"]);
    command.arg("--tensorboard").arg(&folder).assert().success();
    assert_eq!(rows(&scene.path("out.metrics.csv"))?.len(), 3);
    Ok(())
}

#[test]
fn previews_are_not_used_as_photos() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let mut command = program();
    command.args([
        "train",
        "--width",
        "4",
        "--residual-blocks",
        "1",
        "--size",
        "32",
    ]);
    command.args(["--batch", "1", "--device", "cpu", "--steps", "2", "--style"]);
    command.arg(scene.painting());
    for (flag, value) in [("--photos", "photos"), ("--preview", "photos/a.png")] {
        command.arg(flag).arg(scene.path(value));
    }
    let output = scene.path("photos/out.safetensors");
    command.arg("--output").arg(&output).assert().success();
    assert!(scene.path("photos/out.preview-a.png").exists());
    let resume = |steps: &str| -> anyhow::Result<String> {
        let mut command = program();
        command.args([
            "train", "--resume", "--device", "cpu", "--steps", steps, "--output",
        ]);
        let output = command.arg(&output).assert().success().get_output().clone();
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let text = resume("3")?;
    assert!(text.contains("3 photos, "), "{text}");
    // It has been said before.
    assert!(!text.contains("warning"), "{text}");
    assert!(!text.contains("have changed"), "{text}");
    // One more, and one preview less.
    std::fs::rename(scene.path("photos/a.png"), scene.path("photos/d.png"))?;
    let text = resume("4")?;
    assert!(text.contains("have changed since the checkpoint"), "{text}");
    assert!(text.contains("preview left out: "), "{text}");
    Ok(())
}

#[test]
fn a_loss_that_is_not_finite_stops_training() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    train(&scene, &["--steps", "1"]).assert().success();
    let checkpoint = scene.path("out.checkpoint.safetensors");
    let before = std::fs::read(&checkpoint)?;
    let text = refusal(&mut resume(
        &scene,
        &["--steps", "5", "--style-weight", "1e38"],
    ));
    assert!(text.contains("the loss of step 2 is not finite"), "{text}");
    assert!(text.contains("after step 1"), "{text}");
    assert_eq!(std::fs::read(&checkpoint)?, before);
    let report = std::fs::read_to_string(scene.path("out.report.html"))?;
    assert!(report.contains("<title>out: failed</title>"), "{report}");
    assert!(
        report.contains("the loss of step 2 is not finite"),
        "{report}"
    );
    Ok(())
}

#[test]
fn writes_report_metrics_and_previews() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    paint(&scene.path("R&B.png"), 30, 22, 13)?;
    std::fs::write(scene.path("photos/x&y.jpg"), "not a picture")?;
    let (look, runs) = (scene.path("R&B.png"), scene.path("runs"));
    let (look, runs) = (look.to_string_lossy(), runs.to_string_lossy());
    let mut command = train(&scene, &["--steps", "8", "--checkpoint-every", "3"]);
    command.args([
        "--title",
        "<script>alert('Waves')</script>",
        "--preview",
        &look,
    ]);
    command.args(["--metrics", "jsonl", "--tensorboard", &runs]);
    let output = command.assert().success().get_output().clone();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("x&y.jpg: "), "{text}");
    assert!(text.contains("left out 1 photo\n"), "{text}");
    assert!(text.contains("% of the time for photos"), "{text}");

    let report = || std::fs::read_to_string(scene.path("out.report.html"));
    let html = report()?;
    assert!(html.contains("8 of 8"), "{html}");
    // It changes no more.
    assert!(!html.contains("http-equiv"), "{html}");
    assert!(html.contains("alert("), "{html}");
    assert!(!html.contains("<script"), "{html}");
    assert!(html.contains("x&#38;y.jpg"), "{html}");
    for raw in ["x&y", "R&B"] {
        assert!(!html.contains(raw), "{html}");
    }
    // Nothing is to be fetched from elsewhere.
    assert!(!html.contains("href"), "{html}");
    assert_eq!(
        html.matches("src=").count(),
        html.matches("src=\"data:").count()
    );
    // The painting; the photo, the latest and three small pictures.
    assert_eq!(html.matches("<img ").count(), 1 + 2 + 3);
    assert_eq!(html.matches("<svg ").count(), 3);
    for step in [3, 6, 8] {
        assert!(
            scene
                .path(&format!("out.previews/R&B-{step:08}.jpg"))
                .exists()
        );
    }

    // Resumed, it has all of it still.
    resume(&scene, &["--steps", "9"]).assert().success();
    let html = report()?;
    assert!(html.contains("9 of 9"), "{html}");
    let lines = html.split(" points=\"").skip(1);
    let points = lines.map(|line| line.split('"').next().unwrap_or_default());
    let longest = points.map(|points| points.split_whitespace().count()).max();
    assert_eq!(longest, Some(9));
    assert_eq!(html.matches("<img ").count(), 1 + 2 + 4);
    let steps = |line: &String| -> anyhow::Result<u64> {
        let row: serde_json::Value = serde_json::from_str(line)?;
        assert!(row["waited"].as_f64().is_some_and(|waited| waited >= 0.0));
        row["step"].as_u64().context("no step")
    };
    let rows = rows(&scene.path("out.metrics.jsonl"))?;
    let steps: Vec<u64> = rows.iter().map(steps).collect::<anyhow::Result<_>>()?;
    assert_eq!(steps, (1..=9).collect::<Vec<_>>());
    assert!(!scene.path("out.metrics.csv").exists());
    assert_eq!(scene.path("runs/out").read_dir()?.count(), 2);
    Ok(())
}

#[test]
fn a_failing_report_does_not_stop_training() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    paint(&scene.path("look.png"), 30, 22, 13)?;
    let look = scene.path("look.png");
    // A folder where a file should be.
    std::fs::create_dir(scene.path("out.report.html"))?;
    let mut command = train(&scene, &["--steps", "2", "--metrics", "none"]);
    command.arg("--preview").arg(&look);
    let output = command.assert().success().get_output().clone();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("cannot write the report"), "{text}");
    assert!(text.contains("out.report.html"), "{text}");
    assert!(!scene.path("out.metrics.csv").exists());
    assert!(scene.path("out.previews/look-00000002.jpg").exists());
    Model::load(scene.path("out.safetensors"))?;
    Ok(())
}

/// No file may grow beyond some kilobytes: as if the disk were full.
#[test]
#[cfg(unix)]
fn a_full_disk_leaves_the_last_checkpoint() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    train(&scene, &["--steps", "1"]).assert().success();
    let files = || {
        ["out.checkpoint.safetensors", "out.safetensors"].map(|f| std::fs::read(scene.path(f)).ok())
    };
    let before = files();
    assert!(before.iter().flatten().all(|file| file.len() > 8192));
    let unlimited = resume(&scene, &["--steps", "3"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(unlimited.get_program())
        .args(unlimited.get_args());
    let text = refusal(&mut command);
    assert!(text.contains("cannot write the checkpoint"), "{text}");
    assert!(text.contains("as it was after step 1"), "{text}");
    assert!(before == files(), "a file has changed");
    let left: Vec<_> = scene.path("").read_dir()?.collect::<Result<_, _>>()?;
    let part = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|e| e == "part");
    assert!(!left.iter().any(part), "{left:?}");
    resume(&scene, &["--steps", "2"]).assert().success();
    Ok(())
}

#[test]
fn errors_name_files_that_cannot_be_written() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    // A folder in the way: no file can be put there.
    std::fs::create_dir(scene.path("out.checkpoint.safetensors"))?;
    let text = refusal(&mut train(&scene, &["--steps", "1", "--overwrite"]));
    assert!(text.contains("out.checkpoint.safetensors"), "{text}");
    Ok(())
}

#[test]
fn errors_explain_the_mistake() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let text = refusal(&mut resume(&scene, &[]));
    assert!(text.contains("there is no checkpoint"), "{text}");
    assert!(text.contains("out.checkpoint.safetensors"), "{text}");

    let text = refusal(program().args(["train", "--photos", "p", "--output", "o.safetensors"]));
    assert!(text.contains("--style"), "{text}");
    let mut command = program();
    command.arg("train").arg("--styles").arg(scene.painting());
    command.arg("--photos").arg(scene.path("photos"));
    let text = refusal(command.arg("--output").arg(scene.path("o.safetensors")));
    assert!(text.contains("--style takes one painting"), "{text}");

    for (more, expected) in [
        (&["--lr", "0"][..], "above 0"),
        (&["--style-size", "1"], "16..=8192"),
        (&["--lr-final", "2"], "within 0..=1"),
        (&["--tv-weight", "nan"], "at least 0"),
        (&["--steps", "0"], "steps"),
        (&["--steps", "2", "--epochs", "2"], "cannot be used with"),
        (&["--steps", "2", "--warmup", "2"], "leaves none"),
        (&["--output-norm", "maybe"], "true, false"),
        (
            &["--lr-schedule", "constant", "--lr-final", "0.1"],
            "does not go with --lr-final 0.1",
        ),
        (
            &["--lr-schedule", "exponential", "--lr-final", "0"],
            "above 0",
        ),
        (
            &["--style-layers", "conv5_2"],
            "conv5_2 is not one of the layers",
        ),
        (&["--content-layers", "conv4_2=x"], "not a number"),
        (&["--style-crop", "30x30"], "WxH+X+Y"),
        (
            &["--style-crop", "30x30+11+0"],
            "30x30+11+0 is not within the picture's 40x36 pixels",
        ),
        (&["--style-crop", "none,none"], "2 values for 1 --style"),
        (&["--style-blend", "1,1"], "2 values for 1 --style"),
        (&["--style-blend", "0"], "above 0"),
        (&["--preset", "none"], "paper, live, quality, quick"),
        (&["--config", "nowhere.toml"], "nowhere.toml"),
        (&["--resume", "--init", "x"], "cannot be used with"),
        (&["--init", "nowhere.safetensors"], "nowhere.safetensors"),
        (&["--vgg", "nowhere.bin"], "nowhere.bin"),
        (&["--preview", "nowhere.jpg"], "nowhere.jpg"),
    ] {
        let text = refusal(&mut train(&scene, more));
        assert!(text.contains(expected), "{more:?}: {text}");
    }

    let text = refusal(&mut resume(&scene, &["--size", "100"]));
    assert!(text.contains("multiple of 16"), "{text}");

    let output = scene.path("no/where.safetensors");
    let (photos, painting) = (scene.path("photos"), scene.painting());
    let place = scene.path("x.safetensors");
    let ask = |style: &Path, photos: &Path, output: &Path, device: &str| {
        let mut command = program();
        command.arg("train").arg("--style").arg(style);
        command.arg("--photos").arg(photos);
        command.arg("--output").arg(output);
        command.args(["--size", "32", "--device", device]);
        refusal(&mut command)
    };
    let text = ask(&painting, &photos, &output, "cpu");
    assert!(text.contains("there is no folder"), "{text}");
    let text = ask(&scene.path("gone.jpg"), &photos, &place, "cpu");
    assert!(text.contains("gone.jpg"), "{text}");
    let text = ask(&painting, &scene.path("gone"), &place, "cpu");
    assert!(text.contains("gone"), "{text}");
    std::fs::create_dir(scene.path("empty"))?;
    let text = ask(&painting, &scene.path("empty"), &place, "cpu");
    assert!(text.contains("empty"), "{text}");
    let text = ask(&painting, &photos, &place, "gpu");
    assert!(text.contains("cuda:N"), "{text}");
    if !cfg!(feature = "cuda") {
        let text = ask(&painting, &photos, &place, "cuda:1");
        assert!(text.contains("no CUDA support"), "{text}");
    }
    std::fs::write(scene.path("text.jpg"), "not a picture")?;
    let text = ask(&scene.path("text.jpg"), &photos, &place, "cpu");
    assert!(text.contains("text.jpg"), "{text}");
    Ok(())
}
