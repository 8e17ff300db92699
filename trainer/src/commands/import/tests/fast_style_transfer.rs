//! Tiny checkpoints of lengstrom/fast-style-transfer, and spoilt ones.

use super::*;
use gstfaststyle::Architecture;
use gstfaststyle::{Padding, Upsampling};

/// Kernels of a network with two channels and one block, in the order of their
/// making, each with our layer: `[k, k, in, out]`, of `up` `[k, k, out, in]`.
const KERNELS: [([usize; 4], &str); 8] = [
    ([5, 5, 3, 2], "down.0"),
    ([3, 3, 2, 4], "down.1"),
    ([3, 3, 4, 8], "down.2"),
    ([3, 3, 8, 8], "residual.0.0"),
    ([3, 3, 8, 8], "residual.0.1"),
    ([3, 3, 4, 8], "up.0"),
    ([3, 3, 2, 4], "up.1"),
    ([5, 5, 2, 3], "output"),
];

fn name(prefix: &str, number: usize, suffix: &str) -> String {
    match number {
        0 => format!("{prefix}Variable{suffix}"),
        _ => format!("{prefix}Variable_{number}{suffix}"),
    }
}

/// The values of which `tests/data/fast_style_transfer_reference.py` tells,
/// their names between `prefix` and `suffix`.
fn checkpoint(prefix: &str, suffix: &str) -> Vec<Sample> {
    let layers = KERNELS.iter().flat_map(|(kernels, layer)| {
        let channels = if layer.starts_with("up") { 2 } else { 3 };
        let channels = [kernels[channels]];
        [
            (kernels.to_vec(), 0.0),
            (channels.to_vec(), 0.0),
            (channels.to_vec(), 1.0),
        ]
    });
    layers
        .enumerate()
        .map(|(number, (shape, base))| {
            let count: usize = shape.iter().product();
            let value = |i| base + 0.5 * (7.0 * number as f64 + i as f64).sin();
            let values: Vec<f32> = (0..count).map(|i| value(i) as f32).collect();
            sample(&name(prefix, number, suffix), &shape, &values)
        })
        .collect()
}

/// What `tf.train.Saver` saves beside the variables.
fn state(prefix: &str, suffix: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    for number in [0, 1] {
        for slot in ["Adam", "Adam_1"] {
            let slot = name(prefix, number, &format!("/{slot}{suffix}"));
            samples.push(Sample::floats(&slot, &[f32::NAN]));
        }
    }
    for power in ["beta1_power", "beta2_power"] {
        samples.push(sample(&format!("{power}{suffix}"), &[], &[0.5]));
    }
    samples
}

fn refusal_of(spoil: impl Fn(&mut Vec<Sample>)) -> String {
    let mut samples = checkpoint("", "");
    spoil(&mut samples);
    let message = refusal(&safetensors(&samples, &[]));
    assert!(
        message.contains("lengstrom/fast-style-transfer"),
        "{message}"
    );
    message
}

#[test]
fn the_picture_matches_tensorflow() {
    let expected = include_str!("../../../../tests/data/fast_style_transfer_reference.json");
    let architecture = Architecture {
        width: 2,
        residual_blocks: 1,
        outer_kernel: 5,
        norm_eps: 1e-3,
        output_map: OutputMap::Tanh150,
        input_range: [0.0, 255.0],
        upsampling: Upsampling::Transposed,
        padding: Padding::Same,
        ..Architecture::default()
    };
    for (prefix, suffix) in [("", ""), ("", ":0"), ("generator/", ""), ("net.", ":0")] {
        let mut samples = checkpoint(prefix, suffix);
        samples.extend(state(prefix, suffix));
        let model = import(&safetensors(&samples, &[])).unwrap();
        assert_eq!(model.architecture, architecture);
        let family = model.training["imported"]["family"].as_str().unwrap();
        assert!(family.contains("lengstrom"), "{family}");
        assert_paints(&model, expected);
    }
}

#[test]
fn faulty_checkpoints_are_refused() {
    let missing = refusal_of(|samples| drop(samples.remove(7)));
    assert!(missing.contains("`Variable_7` is missing"), "{missing}");
    let short = refusal_of(|samples| samples.truncate(23));
    assert!(short.contains("23 variables"), "{short}");
    let few = refusal_of(|samples| samples.truncate(15));
    assert!(few.contains("15 variables"), "{few}");
    let torch = refusal_of(|samples| samples[0].shape = vec![2, 3, 5, 5]);
    assert!(
        torch.contains("[2, 3, 5, 5], not [height, width, 3"),
        "{torch}"
    );
    let flat = refusal_of(|samples| samples[0].shape = vec![150]);
    assert!(flat.contains("not that of kernels"), "{flat}");
    let turned = refusal_of(|samples| samples[15].shape = vec![3, 3, 8, 4]);
    assert!(turned.contains("`Variable_15` has shape [3, 3, 8, 4], expected [3, 3, 4, 8]"));
    let nan = refusal_of(|samples| samples[4] = sample("Variable_4", &[4], &[f32::NAN; 4]));
    assert!(nan.contains("`Variable_4` holds a number"), "{nan}");
    for extra in [
        "Variable_01",
        "Variable_-1",
        "global_step",
        "Variable/Momentum",
    ] {
        let message = refusal_of(|samples| samples.push(Sample::floats(extra, &[1.0])));
        assert!(message.contains("unexpected tensor"), "{extra}: {message}");
    }
    let far = "Variable_18446744073709551615";
    let far = refusal_of(|samples| samples.push(Sample::floats(far, &[1.0])));
    assert!(far.contains("`Variable_24` is missing"), "{far}");
    let twice = refusal_of(|samples| samples.push(Sample::floats("Variable_3:0", &[1.0])));
    assert!(twice.contains("there twice"), "{twice}");
    let two = refusal_of(|samples| samples.extend(checkpoint("ema/", "")));
    assert!(two.contains("several networks"), "{two}");
}

#[test]
fn impossible_sizes_are_refused() {
    for shape in [[4, 4, 3, 2], [1, 1, 3, 0], [1, 1, 3, 257], [17, 17, 3, 1]] {
        let values = vec![0.0; shape.iter().product()];
        let message = refusal_of(|samples| samples[0] = sample("Variable", &shape, &values));
        assert!(message.contains("ours cannot be"), "{message}");
    }
}
