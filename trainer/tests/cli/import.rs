//! The command `import`.

use crate::common::Scene;
use crate::{program, refusal};
use assert_cmd::Command;
use candle_core::{DType, Device, Tensor};
use gstfaststyle::Model;
use gstfaststyle::{DeviceChoice, Engine, Image};
use std::collections::HashMap;
use std::path::Path;

fn import(input: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.arg("import").arg(input).args(more);
    command
}

/// A `TransformerNet` of two channels and no block, in a safetensors file.
/// Its last convolution gives `colour`, whatever the picture.
fn write_network(path: &Path, colour: [f32; 3]) -> anyhow::Result<()> {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let mut tensors = HashMap::new();
    for (name, outputs, inputs, kernel) in [
        ("conv1", 2, 3, 9),
        ("conv2", 4, 2, 3),
        ("conv3", 8, 4, 3),
        ("deconv1", 4, 8, 3),
        ("deconv2", 2, 4, 3),
        ("deconv3", 3, 2, 9),
    ] {
        let weight = zeros(&[outputs, inputs, kernel, kernel])?;
        tensors.insert(format!("{name}.conv2d.weight"), weight);
        tensors.insert(format!("{name}.conv2d.bias"), zeros(&[outputs])?);
    }
    for (name, channels) in [("in1", 2), ("in2", 4), ("in3", 8), ("in4", 4), ("in5", 2)] {
        tensors.insert(format!("{name}.weight"), zeros(&[channels])?);
        tensors.insert(format!("{name}.bias"), zeros(&[channels])?);
    }
    let colour = Tensor::new(&colour, &Device::Cpu)?;
    tensors.insert("deconv3.conv2d.bias".to_string(), colour);
    Ok(candle_core::safetensors::save(&tensors, path)?)
}

#[test]
fn an_imported_model_has_metadata_and_paints() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let (input, output) = (
        scene.path("theirs.safetensors"),
        scene.path("ours.safetensors"),
    );
    let output_is = ["--output", &output.display().to_string()];
    write_network(&input, [12.0, 300.0, -40.0])?;
    import(&input, &output_is)
        .args(["--title", "Candy", "--artist", "Nobody", "--year", "1900"])
        .assert()
        .success();
    let model = Model::load(&output)?;
    assert_eq!(model.styles[0].name, "ours");
    assert_eq!(model.styles[0].title.as_deref(), Some("Candy"));
    assert_eq!(model.styles[0].artist.as_deref(), Some("Nobody"));
    assert_eq!(model.styles[0].year.as_deref(), Some("1900"));
    assert_eq!(model.training["imported"]["file"], "theirs.safetensors");

    // Results are colours as they are, cut to 0..255. The picture has black and
    // white, so that the engine leaves them alone.
    let picture = Image {
        width: 8,
        height: 4,
        data: (0..96).map(|i| (i % 8 / 4 * 255) as f32).collect(),
    };
    let mut painted = Image::default();
    Engine::new(&model, DeviceChoice::Cpu)?.stylize(&picture, &mut painted)?;
    for (plane, expected) in painted.data.chunks(32).zip([12.0, 255.0, 0.0]) {
        assert!(plane.iter().all(|value| *value == expected), "{plane:?}");
    }

    let text = refusal(&mut import(&input, &output_is));
    assert!(text.contains("--overwrite"), "{text}");
    import(&input, &output_is)
        .args(["--overwrite", "--name", "candy"])
        .assert()
        .success();
    assert_eq!(Model::load(&output)?.styles[0].name, "candy");
    Ok(())
}

#[test]
fn the_default_output_is_beside_the_input_but_never_the_input() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let input = scene.path("candy.st");
    write_network(&input, [0.0; 3])?;
    import(&input, &[]).assert().success();
    let output = scene.path("candy.safetensors");
    assert_eq!(Model::load(&output)?.styles[0].name, "candy");

    write_network(&output, [0.0; 3])?;
    let text = refusal(&mut import(&output, &["--overwrite"]));
    assert!(text.contains("the file to import"), "{text}");
    assert!(Model::load(&output).is_err(), "it was written over");
    Ok(())
}

#[test]
fn refusals_name_the_file_and_leave_nothing() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    for (name, content) in [
        ("a.onnx", &b"\x08\x03\x12\x07pytorch"[..]),
        ("b.pth", b"PK\x03\x04"),
    ] {
        let input = scene.path(name);
        std::fs::write(&input, content)?;
        let text = refusal(&mut import(&input, &[]));
        assert!(text.contains(name), "{text}");
        assert!(!input.with_extension("safetensors").exists());
    }
    let text = refusal(&mut import(&scene.path("gone.pth"), &[]));
    assert!(text.contains("gone.pth"), "{text}");
    let nowhere = ["--output", "/nowhere/at/all.safetensors"];
    let text = refusal(&mut import(&scene.path("a.onnx"), &nowhere));
    assert!(text.contains("/nowhere/at"), "{text}");
    Ok(())
}
