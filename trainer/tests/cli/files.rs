//! Files of every kind, as inputs and outputs of all commands.

use crate::common::{Scene, paint};
use crate::{HANG, end, program, refusal, rows, start, wait_for_rows};
use assert_cmd::Command;
use gstfaststyle::{Architecture, Model, Style};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A scene with `model.safetensors`, a tiny network of the style `waves`.
fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::new()?;
    let architecture = Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(4)
    };
    let mut model = Model::random(architecture, 1)?;
    model.styles = vec![Style {
        name: "waves".into(),
        ..Style::default()
    }];
    model.save(scene.path("model.safetensors"))?;
    Ok(scene)
}

/// The command line `line`, in which `@NAME` stands for a path of the scene.
fn command(scene: &Scene, line: &str) -> Command {
    let word = |word: &str| match word.strip_prefix('@') {
        Some(name) => scene.path(name).into_os_string(),
        None => OsString::from(word),
    };
    let mut command = program();
    command.args(line.split(' ').map(word)).timeout(HANG);
    command
}

const TRAIN: &str = "train --width 4 --residual-blocks 1 --size 32 --batch 1 --device cpu";

/// Inputs of all commands, in place of `IN`.
const INPUTS: [&str; 16] = [
    "train --style IN --photos @photos --output @out.safetensors",
    "train --styles IN --photos @photos --output @out.safetensors",
    "train --config IN",
    "train --style @painting.png --photos @photos --output @out.safetensors --preview IN",
    "train --style @painting.png --photos @photos --output @out.safetensors --vgg IN",
    "train --style @painting.png --photos @photos --output @out.safetensors --init IN",
    "add-style --model IN --style @painting.png --photos @photos",
    "optimize --style IN --photo @painting.png --output @out.png",
    "optimize --style @painting.png --photo IN --output @out.png",
    "evaluate --model @model.safetensors --painting IN --photos @photos",
    "stylize --model @model.safetensors IN",
    "stylize --model IN @painting.png",
    "sheet --model @model.safetensors IN",
    "info IN",
    "import IN --output @out.safetensors",
    "import-vgg IN --output @out.bin",
];

#[test]
#[cfg(unix)]
fn inputs_without_an_end_are_refused() -> anyhow::Result<()> {
    let scene = scene()?;
    let pipe = scene.path("pipe");
    std::process::Command::new("mkfifo").arg(&pipe).status()?;
    let hole = scene.path("hole");
    std::fs::File::create(&hole)?.set_len(1 << 42)?;
    for (input, expected) in [
        (PathBuf::from("/dev/zero"), "regular file"),
        (pipe, "regular file"),
        (hole, "than"),
    ] {
        let input = input.to_string_lossy();
        for line in INPUTS {
            let text = refusal(&mut command(&scene, &line.replace("IN", &input)));
            assert!(text.contains(&*input), "{line}: {text}");
            assert!(text.contains(expected), "{line} {input}: {text}");
        }
    }
    // A checkpoint is found by the model's name.
    let checkpoint = scene.path("out.checkpoint.safetensors");
    std::os::unix::fs::symlink("/dev/zero", &checkpoint)?;
    let text = refusal(&mut command(
        &scene,
        "train --resume --output @out.safetensors",
    ));
    assert!(text.contains("out.checkpoint.safetensors"), "{text}");
    assert!(text.contains("a device"), "{text}");
    Ok(())
}

/// Commands with the file that they write.
fn outputs() -> Vec<(String, &'static str)> {
    let train = format!("{TRAIN} --steps 1 --style @painting.png --photos @photos");
    let short = "--size 32 --device cpu";
    let evaluate = format!(
        "evaluate --model @model.safetensors --painting @painting.png --photos @photos {short} \
         --max-iterations 0 --count 1"
    );
    vec![
        (
            format!("{train} --output @out.safetensors"),
            "out.safetensors",
        ),
        (
            format!("{train} --output @out.safetensors"),
            "out.report.html",
        ),
        (
            format!("{train} --output @out.safetensors"),
            "out.metrics.csv",
        ),
        (
            format!("{train} --output @out.safetensors --preview @photos/a.png"),
            "out.preview-a.png",
        ),
        (
            format!(
                "optimize --style @painting.png --photo @photos/a.png --iterations 1 {short} \
                 --output @one.png"
            ),
            "one.png",
        ),
        (format!("{evaluate} --json @out.json"), "out.json"),
        (format!("{evaluate} --sheet @sheet.png"), "sheet.png"),
        (
            "stylize --model @model.safetensors @painting.png".into(),
            "painting.waves.png",
        ),
        (
            "stylize --model @model.safetensors @painting.png --output @b.jpg".into(),
            "b.jpg",
        ),
        (
            "sheet --model @model.safetensors @painting.png".into(),
            "painting.sheet.png",
        ),
        ("export-onnx @model.safetensors".into(), "model.onnx"),
        (
            "extract-style --model @model.safetensors --style waves".into(),
            "waves.safetensors",
        ),
        (
            "import-vgg @vgg.safetensors --output @v.bin".into(),
            "v.bin",
        ),
    ]
}

#[test]
fn nothing_is_overwritten_unasked() -> anyhow::Result<()> {
    let scene = scene()?;
    let builtin = concat!(env!("CARGO_MANIFEST_DIR"), "/vgg/vgg19-conv5_1.safetensors");
    std::fs::copy(builtin, scene.path("vgg.safetensors"))?;
    for (line, output) in outputs() {
        let output = scene.path(output);
        std::fs::write(&output, "precious")?;
        let text = refusal(&mut command(&scene, &line));
        assert!(text.contains("--overwrite"), "{line}: {text}");
        assert_eq!(std::fs::read(&output)?, b"precious", "{line}");
        command(&scene, &format!("{line} --overwrite"))
            .assert()
            .success();
        assert_ne!(std::fs::read(&output)?, b"precious", "{line}");
        std::fs::remove_file(&output)?;
        for left in [
            "out.checkpoint.safetensors",
            "out.safetensors",
            "out.metrics.csv",
        ] {
            let _ = std::fs::remove_file(scene.path(left));
        }
        let _ = std::fs::remove_file(scene.path("out.report.html"));
    }
    Ok(())
}

/// A second try is not refused because of what the first left.
#[test]
fn a_failed_training_leaves_nothing() -> anyhow::Result<()> {
    let scene = scene()?;
    let before = files(&scene.path(""))?;
    let line = format!(
        "{TRAIN} --steps 3 --style @painting.png --photos @photos --output @out.safetensors \
         --style-weight 1e38"
    );
    let text = refusal(&mut command(&scene, &line));
    assert!(text.contains("not finite"), "{text}");
    assert_eq!(files(&scene.path(""))?, before);
    Ok(())
}

fn files(folder: &Path) -> anyhow::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.sort();
    Ok(names)
}

#[test]
#[cfg(unix)]
fn devices_and_pipes_are_written_to() -> anyhow::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let scene = scene()?;
    let stylize = "stylize --model @model.safetensors @painting.png --format png --output";
    command(&scene, &format!("{stylize} /dev/null"))
        .assert()
        .success();
    assert!(std::fs::metadata("/dev/null")?.file_type().is_char_device());
    let output = command(&scene, &format!("{stylize} /dev/stdout"))
        .assert()
        .success();
    let painted = image::load_from_memory(&output.get_output().stdout)?;
    assert_eq!((painted.width(), painted.height()), (40, 36));

    let pipe = scene.path("pipe");
    std::process::Command::new("mkfifo").arg(&pipe).status()?;
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe)
    });
    command(&scene, &format!("{stylize} @pipe"))
        .assert()
        .success();
    let read = reader.join().expect("no panic")?;
    assert_eq!(image::load_from_memory(&read)?.width(), 40);
    assert!(std::fs::metadata(&pipe)?.file_type().is_fifo());

    // The file that a link means, and the link stays.
    std::fs::write(scene.path("target.png"), "old")?;
    std::os::unix::fs::symlink("target.png", scene.path("link.png"))?;
    command(&scene, &format!("{stylize} @link.png --overwrite"))
        .assert()
        .success();
    assert!(scene.path("link.png").is_symlink());
    image::open(scene.path("target.png"))?;

    let text = refusal(&mut command(
        &scene,
        "train --style @painting.png --photos @photos --output /dev/null",
    ));
    assert!(text.contains("name a file"), "{text}");
    Ok(())
}

#[test]
fn models_have_the_name_that_the_element_looks_for() -> anyhow::Result<()> {
    let scene = scene()?;
    let train = format!("{TRAIN} --steps 1 --style @painting.png --photos @photos --output");
    for name in ["film.mp4", "picture.png"] {
        let text = refusal(&mut command(&scene, &format!("{train} @{name}")));
        assert!(text.contains("ends in .safetensors"), "{text}");
    }
    command(&scene, &format!("{train} @mystyle"))
        .assert()
        .success();
    assert_eq!(
        Model::load(scene.path("mystyle.safetensors"))?.styles[0].name,
        "mystyle"
    );
    assert!(!scene.path("mystyle").exists());

    // And under that name it is found.
    let by_name = |line: &str| {
        let mut command = command(&scene, line);
        command.env("GST_FASTSTYLE_MODEL_PATH", scene.path(""));
        command
    };
    let told = |line: &str| {
        let output = by_name(line).assert().success().get_output().clone();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let list = told("list");
    for part in ["mystyle.safetensors", "model.safetensors", "  waves\n"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    assert!(told("info mystyle").contains("mystyle.safetensors"));
    by_name("stylize --model mystyle @painting.png")
        .assert()
        .success();
    assert!(scene.path("painting.mystyle.png").exists());
    let text = refusal(&mut by_name("stylize --model mistyle @painting.png"));
    assert!(text.contains("mistyle.safetensors was not found"), "{text}");
    assert_eq!(text.matches("mistyle.safetensors").count(), 1, "{text}");
    let text = refusal(&mut by_name("info mistyle"));
    assert_eq!(text.lines().count(), 1, "{text}");
    Ok(())
}

#[test]
fn names_do_not_act_on_the_terminal() -> anyhow::Result<()> {
    let scene = scene()?;
    let odd = scene.path("a\u{1b}[31m\n\u{202e}b.png");
    std::fs::copy(scene.painting(), &odd)?;
    let mut stylize = command(&scene, "stylize --model @model.safetensors");
    let output = stylize.arg(&odd).assert().success().get_output().clone();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains(r"a\u{1b}[31m\n\u{202e}b.waves.png is ready"),
        "{text}"
    );
    for line in [
        "stylize --strength \u{1b}[31m --model a b",
        "info \u{1b}[31m.safetensors",
    ] {
        let text = refusal(&mut command(&scene, line));
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
    Ok(())
}

#[test]
fn unusual_settings_are_warned_of() -> anyhow::Result<()> {
    let scene = scene()?;
    paint(&scene.path("dot.png"), 4, 4, 3)?;
    let line = format!(
        "{TRAIN} --steps 1 --lr 1 --style @dot.png --photos @photos --output @out.safetensors"
    );
    let output = command(&scene, &line).assert().success();
    let text = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    for part in [
        "3 photos are little",
        "--lr 1 is far above",
        "dot.png has only 4x4 pixels",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    Ok(())
}

#[test]
#[cfg(unix)]
fn names_need_not_be_unicode() -> anyhow::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let scene = scene()?;
    let odd = |bytes: &[u8]| scene.path("").join(OsStr::from_bytes(bytes));
    std::fs::rename(scene.path("photos"), odd(b"photos\xe9"))?;
    std::fs::rename(scene.painting(), odd(b"m\xe4rz.png"))?;
    let run = |words: &[&[u8]]| {
        let mut command = program();
        let path = |word: &&[u8]| match word.strip_prefix(b"@") {
            Some(name) => odd(name).into_os_string(),
            None => OsStr::from_bytes(word).to_os_string(),
        };
        command.args(words.iter().map(path)).timeout(HANG);
        let output = command.assert().success().get_output().clone();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let mut train: Vec<&[u8]> = TRAIN.split(' ').map(str::as_bytes).collect();
    train.extend([
        &b"--style"[..],
        b"@m\xe4rz.png",
        b"--photos",
        b"@photos\xe9",
    ]);
    train.extend([&b"--preview"[..], b"@photos\xe9/a.png", b"--steps", b"1"]);
    train.extend([&b"--output"[..], b"@caf\xe9.safetensors"]);
    run(&train);
    for name in [
        &b"caf\xe9.safetensors"[..],
        b"caf\xe9.checkpoint.safetensors",
        b"caf\xe9.report.html",
        b"caf\xe9.metrics.csv",
        b"caf\xe9.preview-a.png",
    ] {
        assert!(odd(name).is_file(), "{name:?}");
    }
    run(&[
        b"train",
        b"--resume",
        b"--device",
        b"cpu",
        b"--steps",
        b"2",
        b"--output",
        b"@caf\xe9",
    ]);
    assert_eq!(
        Model::load(odd(b"caf\xe9.safetensors"))?.training["steps"],
        2
    );
    run(&[
        b"stylize",
        b"--model",
        b"@caf\xe9.safetensors",
        b"--style",
        "caf\u{fffd}".as_bytes(),
        b"--output",
        b"@out\xe9.png",
        b"@m\xe4rz.png",
    ]);
    image::ImageReader::open(odd(b"out\xe9.png"))?
        .with_guessed_format()?
        .decode()?;
    Ok(())
}

/// Whenever a training is killed, its last checkpoint is whole.
#[test]
#[cfg(unix)]
fn a_killed_training_continues() -> anyhow::Result<()> {
    let scene = scene()?;
    let metrics = scene.path("out.metrics.csv");
    let train = format!(
        "{TRAIN} --steps 100000 --checkpoint-every 1 --style @painting.png --photos @photos \
         --output @out.safetensors"
    );
    let resume = "train --resume --device cpu --output @out.safetensors";
    let mut child = start(&command(&scene, &train))?;
    for wanted in [3, 5, 6, 8, 9, 10, 12, 13] {
        wait_for_rows(&mut child, &metrics, wanted)?;
        end(child, "KILL")?;
        // What is resumed may begin before the last row.
        child = start(&command(&scene, resume))?;
    }
    wait_for_rows(&mut child, &metrics, 15)?;
    let (status, text) = end(child, "TERM")?;
    assert_eq!(status.code(), Some(130), "{text}");
    let rows = rows(&metrics)?;
    let step = |row: &String| row.split(',').next()?.parse::<usize>().ok();
    let steps = rows[1..].iter().filter_map(step);
    assert!(steps.eq(1..rows.len()), "{rows:?}");
    let model = Model::load(scene.path("out.safetensors"))?;
    assert_eq!(model.training["steps"], rows.len() - 1);
    Ok(())
}

/// However little memory there is, the end is an error, and the checkpoint stays.
#[test]
#[cfg(target_os = "linux")]
fn too_little_memory_is_an_error() -> anyhow::Result<()> {
    let scene = scene()?;
    let train = format!(
        "{TRAIN} --steps 1 --style @painting.png --photos @photos --output @out.safetensors"
    );
    command(&scene, &train).assert().success();
    let checkpoint = std::fs::read(scene.path("out.checkpoint.safetensors"))?;
    let resume = command(
        &scene,
        "train --resume --device cpu --steps 2 --output @out.safetensors",
    );
    for mebibytes in [60, 100, 200, 300, 400, 500, 700, 1000] {
        let mut limited = Command::new("sh");
        let limit = format!("ulimit -v {}; exec \"$0\" \"$@\"", mebibytes << 10);
        limited
            .args(["-c", &limit])
            .arg(resume.get_program())
            .args(resume.get_args());
        let output = limited.timeout(HANG).output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{mebibytes} MiB: {text}");
        assert!(
            text.contains("faststyle-train: "),
            "{mebibytes} MiB: {text}"
        );
        assert!(!text.contains("panicked"), "{mebibytes} MiB: {text}");
        assert_eq!(
            std::fs::read(scene.path("out.checkpoint.safetensors"))?,
            checkpoint
        );
    }
    Ok(())
}
