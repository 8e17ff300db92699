//! Pictures of an application's own, scripts, and mistakes.

use crate::common::*;
use image::RgbImage;
use std::path::Path;

#[test]
fn appsrc_appsink_gives_each_picture_back() {
    let sizes = [(33, 17), (33, 17), (64, 48), (5, 3)];
    let waves = |(width, height)| {
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(37 * x) as u8, (61 * y) as u8, (23 * (x + y)) as u8])
        })
    };
    let originals = sizes.map(waves);
    let files = [0, 1, 2, 3].map(|i| path(&format!("picture {i}.png")));
    for (picture, file) in originals.iter().zip(&files) {
        picture.save(file).unwrap();
    }
    let back = |strength: &str| {
        let folder = path(&format!("pictures {strength}"));
        let mut appsrc_appsink = example("appsrc_appsink");
        appsrc_appsink.args(&files).arg("--output").arg(&folder);
        appsrc_appsink.args(["--strength", strength]);
        appsrc_appsink.arg("--model").arg(model("one"));
        let assert = appsrc_appsink.assert().success();
        let said = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        assert!(
            said.contains("picture 2, 0:00:00.080000000: 64x48 RGB"),
            "{said}"
        );
        [0, 1, 2, 3].map(|i| {
            let file = folder.join(format!("{i:04}.png"));
            image::open(file).unwrap().into_rgb8()
        })
    };
    assert!(back("0") == originals, "not as they were at strength 0");
    for (painted, original) in back("1").iter().zip(&originals) {
        let change = difference(original, painted, 0..original.width());
        assert!(change > 10.0, "{change}");
    }
}

#[test]
fn the_webcam_script_repeats_the_clip() {
    // More frames than the clip has.
    let mut webcam = script("webcam.sh");
    webcam
        .env("SIZE", "64x48")
        .env("SINK", "fakesink num-buffers=150 sync=false");
    webcam.env("GST_FASTSTYLE_MODEL_PATH", &*MODELS);
    webcam
        .args(["--test", "--mirror", "one"])
        .assert()
        .success();
    let wrong = script("webcam.sh").arg("--no-such").assert().code(2);
    let said = String::from_utf8_lossy(&wrong.get_output().stderr).into_owned();
    assert!(said.contains("usage"), "{said}");
}

#[test]
fn the_file_script_spares_files() {
    let output = path("script.mp4");
    let run = |input: &Path| {
        let mut file = script("file.sh");
        file.args([input, &output, &model("one")]).assert()
    };
    run(Path::new("README.md")).failure();
    assert!(!output.exists() && !path("script.mp4.part").exists());
    run(&CLIP).success();
    assert_eq!(pictures(&output).len(), FRAMES);
    let said = run(&CLIP).failure();
    let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
    assert!(said.contains("already there"), "{said}");
    assert_eq!(pictures(&output).len(), FRAMES);
}

#[test]
fn what_is_missing_is_named() {
    let clip = CLIP.display().to_string();
    let output = path("nothing.mp4").display().to_string();
    let text = path("text.mp4");
    std::fs::write(&text, "no video").unwrap();
    let text = text.display().to_string();
    for (name, args, expected) in [
        ("file", ["nix.mp4", &output].as_slice(), "nix.mp4"),
        ("file", &[&text, &output], "Error"),
        ("file", &[&clip, &clip], "already there"),
        ("file", &[&clip, "nothing.avi"], "nothing.avi"),
        ("file", &[&clip, &output, "--strength", "2"], "0 to 1"),
        (
            "file",
            &[&clip, &output, "--model", "nix"],
            "nix.safetensors",
        ),
        ("split_screen", &["--input", "/dev/video99"], "/dev/video99"),
        (
            "split_screen",
            &["--input", &clip, "--output", &output, "--model", "nix"],
            "nix.safetensors",
        ),
        ("appsrc_appsink", &["nix.png"], "nix.png"),
        ("appsrc_appsink", &["--model", "nix"], "nix.safetensors"),
        ("live", &["--input", "/dev/video99"], "/dev/video99"),
    ] {
        let assert = example(name).args(args).assert().failure();
        let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(said.contains(expected), "{name} {args:?}: {said}");
    }
    for left in [&output, &format!("{output}.part")] {
        assert!(!Path::new(left).exists(), "{left}");
    }
}

#[test]
fn throughput_names_the_cpu_and_the_level() {
    let say = |arguments: &[&str]| {
        let mut throughput = example("throughput");
        throughput.env("FASTSTYLE_CPU", "plain");
        throughput.args(["--width", "2", "--size", "16x16", "--frames", "1"]);
        let assert = throughput.args(arguments).assert().success();
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    };
    let said = say(&["--no-check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    let name = report["cpu"].as_str().unwrap();
    assert!(!name.is_empty() && report["cpu_features"].is_array());
    assert_eq!(report["precision"], "f32", "auto, where nothing is faster");
    let said = say(&["--no-check"]);
    assert!(said.contains(name), "{said}");
    assert!(said.contains("kernels for plain"), "{said}");
}
