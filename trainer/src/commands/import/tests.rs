//! Tiny checkpoints, made as PyTorch would write them, and spoilt.

mod fast_style_transfer;
mod onnx;

use super::*;
use crate::io::torch_file::tests::{Sample, save, save_zip};
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::{Architecture, DeviceChoice, Engine, Image, Options, OutputMap, Precision};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::TensorView;
use std::fs;

/// Names and shapes of `TransformerNet` with two channels and one block, in
/// its own order, each with the name of our tensor that it becomes.
const TENSORS: [(&str, &[usize], Option<&str>); 30] = [
    (
        "conv1.conv2d.weight",
        &[2, 3, 5, 5],
        Some("down.0.conv.weight"),
    ),
    ("conv1.conv2d.bias", &[2], None),
    ("in1.weight", &[2], Some("down.0.norm.weight")),
    ("in1.bias", &[2], Some("down.0.norm.bias")),
    (
        "conv2.conv2d.weight",
        &[4, 2, 3, 3],
        Some("down.1.conv.weight"),
    ),
    ("conv2.conv2d.bias", &[4], None),
    ("in2.weight", &[4], Some("down.1.norm.weight")),
    ("in2.bias", &[4], Some("down.1.norm.bias")),
    (
        "conv3.conv2d.weight",
        &[8, 4, 3, 3],
        Some("down.2.conv.weight"),
    ),
    ("conv3.conv2d.bias", &[8], None),
    ("in3.weight", &[8], Some("down.2.norm.weight")),
    ("in3.bias", &[8], Some("down.2.norm.bias")),
    (
        "res1.conv1.conv2d.weight",
        &[8, 8, 3, 3],
        Some("residual.0.0.conv.weight"),
    ),
    ("res1.conv1.conv2d.bias", &[8], None),
    ("res1.in1.weight", &[8], Some("residual.0.0.norm.weight")),
    ("res1.in1.bias", &[8], Some("residual.0.0.norm.bias")),
    (
        "res1.conv2.conv2d.weight",
        &[8, 8, 3, 3],
        Some("residual.0.1.conv.weight"),
    ),
    ("res1.conv2.conv2d.bias", &[8], None),
    ("res1.in2.weight", &[8], Some("residual.0.1.norm.weight")),
    ("res1.in2.bias", &[8], Some("residual.0.1.norm.bias")),
    (
        "deconv1.conv2d.weight",
        &[4, 8, 3, 3],
        Some("up.0.conv.weight"),
    ),
    ("deconv1.conv2d.bias", &[4], None),
    ("in4.weight", &[4], Some("up.0.norm.weight")),
    ("in4.bias", &[4], Some("up.0.norm.bias")),
    (
        "deconv2.conv2d.weight",
        &[2, 4, 3, 3],
        Some("up.1.conv.weight"),
    ),
    ("deconv2.conv2d.bias", &[2], None),
    ("in5.weight", &[2], Some("up.1.norm.weight")),
    ("in5.bias", &[2], Some("up.1.norm.bias")),
    (
        "deconv3.conv2d.weight",
        &[3, 2, 5, 5],
        Some("output.conv.weight"),
    ),
    ("deconv3.conv2d.bias", &[3], Some("output.conv.bias")),
];

/// The values of tensor number `number`: no two tensors have the same.
fn values(number: usize, shape: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    (0..count)
        .map(|i| number as f32 + i as f32 / 1024.0)
        .collect()
}

fn sample(name: &str, shape: &[usize], values: &[f32]) -> Sample {
    let mut sample = Sample::floats(name, values);
    sample.shape = shape.to_vec();
    sample
}

/// A checkpoint, its tensors' names after `prefix`.
fn samples(prefix: &str) -> Vec<Sample> {
    let tensors = TENSORS.iter().enumerate();
    tensors
        .map(|(number, (name, shape, _))| {
            sample(&format!("{prefix}{name}"), shape, &values(number, shape))
        })
        .collect()
}

fn safetensors(samples: &[Sample], metadata: &[(&str, &str)]) -> Vec<u8> {
    let views = samples.iter().map(|sample| {
        let view = TensorView::new(Dtype::F32, sample.shape.clone(), &sample.data).unwrap();
        (&sample.name, view)
    });
    let strings = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    safetensors::serialize(views.collect::<Vec<_>>(), Some(strings.collect())).unwrap()
}

fn import(bytes: &[u8]) -> Result<Model> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("theirs.pth");
    fs::write(&path, bytes)?;
    Ok(read(&path, None, Style::default())?.0)
}

fn refusal(bytes: &[u8]) -> String {
    match import(bytes) {
        Ok(_) => panic!("it should be refused"),
        Err(error) => format!("{error:#}"),
    }
}

/// The message when `spoil` has changed the tensors.
fn refusal_of(spoil: impl Fn(&mut Vec<Sample>)) -> String {
    let mut samples = samples("");
    spoil(&mut samples);
    refusal(&save_zip(&samples))
}

#[track_caller]
fn assert_is_the_network(bytes: &[u8]) {
    let model = import(bytes).unwrap();
    let expected = Architecture {
        width: 2,
        residual_blocks: 1,
        outer_kernel: 5,
        norm_eps: 1e-5,
        output_norm: false,
        output_map: OutputMap::Clamp,
        input_range: [0.0, 255.0],
        ..Architecture::default()
    };
    assert_eq!(model.architecture, expected);
    let mut count = 0;
    for (number, (theirs, shape, ours)) in TENSORS.into_iter().enumerate() {
        let Some(ours) = ours else { continue };
        let tensor = &model.weights[ours];
        assert_eq!(tensor.dims(), shape, "{theirs}");
        let found: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        assert!(found == values(number, shape), "{theirs}");
        count += 1;
    }
    assert_eq!(model.weights.len(), count);
    assert_eq!(model.training["imported"]["file"], "theirs.pth");
    let family = model.training["imported"]["family"].as_str().unwrap();
    assert!(family.contains("pytorch/examples"), "{family}");
}

#[test]
fn each_tensor_is_mapped_to_ours() {
    assert_is_the_network(&save(&samples("")));
    assert_is_the_network(&save_zip(&samples("")));
    assert_is_the_network(&safetensors(&samples(""), &[]));
    // Within a checkpoint, trained on several GPUs, beside other things.
    let mut checkpoint = samples("state_dict.module.");
    checkpoint.push(Sample::floats("optimizer.moments", &[1.0]));
    assert_is_the_network(&save_zip(&checkpoint));
}

/// A checkpoint of which `tests/data/transformer_net_reference.py` tells the
/// values, and in PyTorch the picture that its network paints.
fn reference() -> Vec<Sample> {
    let tensors = TENSORS.iter().enumerate();
    tensors
        .map(|(number, (name, shape, _))| {
            let base = match (*name, shape) {
                ("deconv3.conv2d.bias", _) => 128.0,
                (name, [_]) if name.ends_with("weight") => 1.0,
                _ => 0.0,
            };
            let last = name.starts_with("deconv3");
            let amplitude = if last { 20.0 } else { 0.5 };
            let count: usize = shape.iter().product();
            let value = |i| base + amplitude * (7.0 * number as f64 + i as f64).sin();
            let values: Vec<f32> = (0..count).map(|i| value(i) as f32).collect();
            sample(name, shape, &values)
        })
        .collect()
}

/// Whether the model paints the picture that `expected` (JSON) tells.
#[track_caller]
fn assert_paints(model: &Model, expected: &str) {
    let expected: Vec<Vec<f32>> = serde_json::from_str(expected).unwrap();
    let mut expected = expected.concat();
    let (width, height) = (16, 12);
    let value = |i| {
        let (c, y, x) = (i / (width * height), i / width % height, i % width);
        ((x * (3 + 2 * c) + y * (7 - 2 * c) + x * y) % 256) as f32
    };
    let picture = Image {
        width,
        height,
        data: (0..3 * width * height).map(value).collect(),
    };
    let mut painted = Image::default();
    let exact = Options {
        device: DeviceChoice::Cpu,
        precision: Precision::F32,
        ..Options::default()
    };
    let mut engine = Engine::with_options(model, exact).unwrap();
    engine.stylize(&picture, &mut painted).unwrap();
    assert_eq!(painted.data.len(), expected.len());
    Tone::of(&picture).apply(&mut expected, &picture.data);
    for (i, (ours, theirs)) in painted.data.iter().zip(&expected).enumerate() {
        assert!((ours - theirs).abs() < 0.01, "{i}: {ours}, not {theirs}");
    }
}

#[test]
fn the_picture_matches_pytorch() {
    let expected = include_str!("../../../tests/data/transformer_net_reference.json");
    assert_paints(&import(&save_zip(&reference())).unwrap(), expected);
}

#[test]
fn old_running_statistics_are_left_out() {
    let mut samples = samples("");
    for name in ["in1", "res1.in2", "in5"] {
        samples.push(Sample::floats(&format!("{name}.running_mean"), &[1.0]));
        samples.push(Sample::floats(&format!("{name}.running_var"), &[f32::NAN]));
        let tracked = format!("{name}.num_batches_tracked");
        samples.push(Sample::bytes(&tracked, &[], vec![9]));
    }
    assert_is_the_network(&save(&samples));
    assert_is_the_network(&save_zip(&samples));
}

#[test]
fn faulty_networks_are_refused() {
    let missing = refusal_of(|samples| {
        samples.retain(|sample| sample.name != "res1.in2.bias");
    });
    assert!(missing.contains("`res1.in2.bias` is missing"), "{missing}");
    let missing = refusal_of(|samples| {
        samples.retain(|sample| sample.name != "conv1.conv2d.weight");
    });
    assert!(missing.contains("`conv1.conv2d.weight` is missing"));
    let shape = refusal_of(|samples| samples[8].shape = vec![4, 8, 3, 3]);
    assert!(shape.contains("`conv3.conv2d.weight` has shape [4, 8, 3, 3]"));
    let flat = refusal_of(|samples| samples[0].shape = vec![150]);
    assert!(flat.contains("not that of a convolution"), "{flat}");
    let nan = refusal_of(|samples| {
        samples[2] = Sample::floats("in1.weight", &[1.0, f32::NAN]);
    });
    assert!(nan.contains("`in1.weight` holds a number that is not"));
    let whole = refusal_of(|samples| {
        samples[2] = Sample::bytes("in1.weight", &[2], vec![1, 1]);
    });
    assert!(whole.contains("`in1.weight`: it does not hold floats"));
    for extra in ["res3.conv1.conv2d.weight", "in6.weight", "in6.running_mean"] {
        let extra = refusal_of(|samples| samples.push(Sample::floats(extra, &[1.0])));
        assert!(extra.contains("unexpected tensor"), "{extra}");
    }
    let two = refusal_of(|samples| samples.extend(self::samples("ema.")));
    assert!(two.contains("begin with `` and `ema.`"), "{two}");
}

#[test]
fn one_of_several_networks_is_chosen() {
    let mut both = samples("model.");
    let mut averaged = samples("model_ema.");
    averaged[2] = sample("model_ema.in1.weight", &[2], &[7.0, 8.0]);
    both.extend(averaged);
    let file = save_zip(&both);
    let text = refusal(&file);
    for part in ["`model.` and `model_ema.`", "--prefix model_ema"] {
        assert!(text.contains(part), "{text}");
    }
    let scale = |prefix: &str| -> Result<Vec<f32>> {
        let weights = network(&file, Some(prefix))?.weights;
        Ok(weights["down.0.norm.weight"].to_vec1()?)
    };
    assert_eq!(scale("model_ema.").unwrap(), [7.0, 8.0]);
    assert_eq!(scale("model_ema").unwrap(), [7.0, 8.0]);
    assert_eq!(scale("model").unwrap(), values(2, &[2]));
    let none = format!("{:#}", scale("other").unwrap_err());
    assert!(none.contains("`model.` and `model_ema.`"), "{none}");
}

#[test]
fn impossible_sizes_are_refused() {
    for shape in [
        &[usize::MAX / 2, 3, 5, 5][..],
        &[257, 3, 5, 5],
        &[0, 3, 5, 5],
        &[2, 3, 4, 4],
        &[2, 3, 99, 99],
    ] {
        // As many numbers as the file claims, where that is possible.
        let count = shape
            .iter()
            .try_fold(1usize, |n, side| n.checked_mul(*side));
        let values = vec![0.0; count.unwrap_or(1)];
        let name = "conv1.conv2d.weight";
        refusal_of(|samples| samples[0] = sample(name, shape, &values));
    }
    let wide = vec![0.0; 257 * 3];
    let wide =
        refusal_of(|samples| samples[0] = sample("conv1.conv2d.weight", &[257, 3, 1, 1], &wide));
    assert!(wide.contains("width is 257"), "{wide}");
}

#[test]
fn every_truncation_is_an_error() {
    for file in [
        save(&samples("")),
        save_zip(&samples("")),
        safetensors(&samples(""), &[]),
    ] {
        // All of the descriptions, some of the numbers.
        let lengths = (0..file.len()).filter(|length| length % 7 == 0 || file.len() - length < 999);
        for length in lengths {
            assert!(read_tensors(&file[..length]).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn corrupt_bytes_cause_no_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for file in [
        save(&samples("")),
        save_zip(&samples("")),
        safetensors(&samples(""), &[]),
    ] {
        for _ in 0..2000 {
            let mut spoilt = file.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..spoilt.len());
                spoilt[at] = random.random();
            }
            // A changed number is no error.
            let _ = network(&spoilt, None);
        }
    }
}

#[test]
fn other_networks_are_named() {
    let zeros =
        |name: &str, shape: &[usize]| sample(name, shape, &vec![0.0; shape.iter().product()]);
    let refusal = |samples: &[Sample]| {
        let message = refusal(&save(samples));
        assert!(message.contains("TransformerNet of pytorch/examples"));
        message
    };
    let tensorflow = refusal(&[
        zeros("conv1/weights", &[9, 9, 3, 32]),
        zeros("conv1/shift", &[32]),
    ]);
    assert!(tensorflow.contains("other names"), "{tensorflow}");
    assert!(tensorflow.contains("2 tensors, among them `conv1/shift` [32]"));
    let mobile = refusal(&[
        zeros("conv1.weight", &[32, 3, 9, 9]),
        zeros("conv2.conv2.weight", &[32, 1, 3, 3]),
    ]);
    assert!(mobile.contains("depthwise"), "{mobile}");
    let transposed = refusal(&[zeros("DeconvBlock.0.conv_transpose.weight", &[4, 2, 3, 3])]);
    assert!(transposed.contains("transposed"), "{transposed}");
    let mut old = samples("");
    old.push(zeros("in1.scale", &[2]));
    assert!(refusal(&old).contains("forerunner"));
    assert!(refusal(&[zeros("layer", &[2, 2])]).contains("an unknown network"));
    assert!(refusal(&[]).contains("no tensors"));
}

#[test]
fn other_files_are_named() {
    let tar = [&[b'x'; 257][..], b"ustar", &[0; 250]].concat();
    let table = [&[0; 40][..], &0xdb47_7524_8b80_fb57_u64.to_le_bytes()].concat();
    for (bytes, expected) in [
        (&b""[..], "empty"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x08\x03\x12\x07pytorch", "ONNX"),
        (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", "Lua Torch"),
        (b"a text", "unknown format"),
        (&tar, "tar archive"),
        (&table, "TensorFlow checkpoint"),
        (&safetensors(&[], &[("format", "faststyle")]), "already"),
    ] {
        let message = refusal(bytes);
        assert!(message.contains(expected), "{message}");
    }
}
