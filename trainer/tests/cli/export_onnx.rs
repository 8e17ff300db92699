//! The command `export-onnx`.

use crate::common::Scene;
use crate::{program, refusal};
use gstfaststyle::{Architecture, Model};

/// A scene with `tiny.safetensors` in it.
fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::new()?;
    Model::random(Architecture::with_width(2), 1)?.save(scene.path("tiny.safetensors"))?;
    Ok(scene)
}

#[test]
fn the_default_output_is_beside_the_model() -> anyhow::Result<()> {
    let scene = scene()?;
    let mut command = program();
    command
        .arg("export-onnx")
        .arg(scene.path("tiny.safetensors"));
    command.assert().success();
    let weights = Architecture::with_width(2).parameters();
    let numbers: usize = weights
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum();
    let bytes = std::fs::metadata(scene.path("tiny.onnx"))?.len() as usize;
    assert!(
        bytes > 4 * numbers && bytes < 4 * numbers + 20_000,
        "{bytes}"
    );
    Ok(())
}

#[test]
fn errors_name_the_fault() -> anyhow::Result<()> {
    let scene = scene()?;
    let refused = |arguments: &[&str]| {
        let mut command = program();
        command
            .arg("export-onnx")
            .arg(scene.path("tiny.safetensors"));
        refusal(command.args(arguments))
    };
    assert!(refused(&["--size", "31x64"]).contains("31x64"));
    assert!(refused(&["--size", "64"]).contains("640x480"));
    assert!(refused(&["--output", "/nowhere/at/all.onnx"]).contains("/nowhere/at"));
    let itself = scene.path("tiny.safetensors").display().to_string();
    assert!(refused(&["--output", &itself]).contains("the model itself"));
    let mut command = program();
    let text = refusal(command.arg("export-onnx").arg(scene.painting()));
    assert!(text.contains("painting.png"), "{text}");
    Model::load(scene.path("tiny.safetensors"))?;
    Ok(())
}
