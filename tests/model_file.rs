//! Model files: what is wrong with a file is said by name, and what is saved
//! comes back as it was.

mod common;

use candle_core::{DType, Device, Tensor};
use gstfaststyle::internals::network::{FORMAT_VERSION, ModelFile};
use gstfaststyle::{Architecture, Model, ModelError, OutputMap, Style};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::{self, File};
use std::path::Path;
use tempfile::TempDir;

/// Ends the test at once if anybody reserves memory by what a file claims.
struct Modest;

unsafe impl GlobalAlloc for Modest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match layout.size() <= 64 << 20 {
            true => unsafe { System.alloc(layout) },
            false => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Modest = Modest;

const NAME: &str = "broken.safetensors";

fn tiny() -> Architecture {
    Architecture {
        width: 1,
        residual_blocks: 1,
        outer_kernel: 1,
        inner_kernel: 1,
        ..Default::default()
    }
}

/// A model file in parts, to be spoilt and put together.
struct Parts {
    metadata: Map<String, Value>,
    architecture: Map<String, Value>,
    tensors: Vec<(String, &'static str, Vec<usize>, Vec<u8>)>,
}

impl Parts {
    fn new() -> Self {
        let architecture = tiny();
        let weights = architecture.random_weights(1, &Device::Cpu).unwrap();
        let tensors = architecture.parameters().into_iter().map(|(name, shape)| {
            let values = values(&weights[&name]);
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, "F32", shape, bytes)
        });
        let metadata = json!({
            "format": "faststyle",
            "format_version": "1",
            "styles": "[]",
            "training": "{}",
        });
        Parts {
            metadata: metadata.as_object().unwrap().clone(),
            architecture: serde_json::to_value(&architecture)
                .unwrap()
                .as_object()
                .unwrap()
                .clone(),
            tensors: tensors.collect(),
        }
    }

    fn with_metadata(key: &str, value: &str) -> Vec<u8> {
        let mut parts = Parts::new();
        parts.metadata.insert(key.into(), value.into());
        parts.bytes()
    }

    fn with_architecture(key: &str, value: Value) -> Vec<u8> {
        let mut parts = Parts::new();
        parts.architecture.insert(key.into(), value);
        parts.bytes()
    }

    /// Tensor 0 is `down.0.conv.weight` of shape `[1, 3, 1, 1]`.
    fn with_tensor(dtype: &'static str, shape: &[usize], bytes: Vec<u8>) -> Vec<u8> {
        let mut parts = Parts::new();
        let name = parts.tensors[0].0.clone();
        parts.tensors[0] = (name, dtype, shape.to_vec(), bytes);
        parts.bytes()
    }

    fn bytes(mut self) -> Vec<u8> {
        let architecture = Value::from(self.architecture).to_string();
        let entry = self.metadata.entry("architecture");
        entry.or_insert(architecture.into());
        let mut header = Map::new();
        header.insert("__metadata__".into(), self.metadata.into());
        let mut data = Vec::new();
        for (name, dtype, shape, bytes) in &self.tensors {
            let offsets = [data.len(), data.len() + bytes.len()];
            let info = json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
            header.insert(name.clone(), info);
            data.extend(bytes);
        }
        raw(&Value::from(header).to_string(), &data)
    }
}

/// A safetensors file of any header and data.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), data].concat()
}

fn load(bytes: &[u8]) -> Result<Model, ModelError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    fs::write(&path, bytes).unwrap();
    Model::load(path)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries
        .map(|e| name(e).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The error is of this kind, its message names the file, and with its causes it
/// names the fault, once.
macro_rules! assert_fault {
    ($result:expr, $variant:ident, $fault:expr) => {{
        let error = $result.err().expect("an error");
        assert!(
            matches!(error, ModelError::$variant { .. }),
            "not {}: {error:?}",
            stringify!($variant)
        );
        let message = error.to_string();
        assert!(message.contains(NAME), "no file name: {message}");
        let chain = format!("{:#}", anyhow::Error::from(error));
        let count = chain.matches($fault).count();
        assert_eq!(count, 1, "`{}` in: {chain}", $fault);
    }};
}

#[test]
fn the_test_parts_make_a_valid_file() {
    let model = load(&Parts::new().bytes()).unwrap();
    assert_eq!(model.architecture, tiny());
}

#[test]
fn a_model_loads_from_bytes() {
    let bytes = Parts::new().bytes();
    let model = ModelFile::from_bytes(NAME, bytes.clone()).parse().unwrap();
    assert_eq!(model.architecture, tiny());
    let cut = ModelFile::from_bytes(NAME, bytes[..7].to_vec());
    assert_fault!(cut.parse(), Truncated, "7 bytes");
}

#[test]
fn missing_files_and_folders_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    assert_fault!(Model::load(&path), Read, "No such file");
    fs::create_dir(&path).unwrap();
    assert_fault!(Model::load(&path), Read, "not a regular file");
}

#[test]
#[cfg(unix)]
fn opening_a_pipe_does_not_block() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    let mkfifo = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(mkfifo.unwrap().success());
    assert_fault!(Model::load(&path), Read, "not a regular file");
}

#[test]
fn too_large_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    let file = File::create(&path).unwrap();
    file.set_len((1 << 30) + 1).unwrap();
    assert_fault!(Model::load(&path), TooLarge, "1073741825 bytes");
}

#[test]
fn cut_files() {
    assert_fault!(load(b""), Truncated, "0 bytes are too few");
    let whole = Parts::new().bytes();
    assert_fault!(load(&whole[..7]), Truncated, "7 bytes are too few");
    assert_fault!(load(&whole[..8]), Truncated, "0 of ");
    assert_fault!(load(&whole[..100]), Truncated, "bytes of header");
    assert_fault!(load(&whole[..whole.len() - 1]), Truncated, "bytes of data");
}

#[test]
fn a_file_cut_anywhere_is_truncated() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    Model::random(tiny(), 1).unwrap().save(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    for length in (0..file.metadata().unwrap().len()).rev() {
        file.set_len(length).unwrap();
        assert_fault!(Model::load(&path), Truncated, "truncated");
    }
}

#[test]
fn other_kinds_of_files_are_refused() {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0\x08\x02";
    let text = "Not a model, but a letter.";
    let json = "{ \"model\": { \"width\": 32 }}";
    for bytes in [&png[..], text.as_bytes(), json.as_bytes()] {
        assert_fault!(load(bytes), NotSafetensors, "not a safetensors file");
    }
    for seed in 0..50 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut bytes = vec![0; rng.random_range(8..5000)];
        rng.fill_bytes(&mut bytes);
        assert_fault!(load(&bytes), NotSafetensors, "not a safetensors file");
    }
}

#[test]
fn invalid_headers_are_refused() {
    for length in [u64::MAX, u64::MAX - 7, 1 << 63, 1 << 40] {
        let bytes = [&length.to_le_bytes(), &b"{}"[..]].concat();
        assert_fault!(load(&bytes), NotSafetensors, "no JSON header");
    }
    for header in ["", "{", "{]", "{\"__metadata__\":7}", "{\"\u{fffd}\":"] {
        assert_fault!(load(&raw(header, b"")), NotSafetensors, "header");
    }
    let not_utf8 = [&4u64.to_le_bytes(), &b"{\"\xff}"[..]].concat();
    assert_fault!(load(&not_utf8), NotSafetensors, "header");
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert_fault!(load(&raw(&deep, b"")), NotSafetensors, "header");
}

#[test]
fn invalid_offsets_are_refused() {
    let one = |shape: &str, offsets: &str| {
        let header =
            format!("{{\"a\":{{\"dtype\":\"U8\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}");
        load(&raw(&header, &[0; 8]))
    };
    let offset = "invalid offset for tensor `a`";
    assert_fault!(one("[8]", "[8,0]"), NotSafetensors, offset);
    assert_fault!(one("[4]", "[4,8]"), NotSafetensors, offset);
    assert_fault!(one("[9]", "[0,8]"), NotSafetensors, "invalid shape");
    assert_fault!(
        one("[4294967296,4294967296]", "[0,8]"),
        NotSafetensors,
        "overflow"
    );
    assert_fault!(one("[8]", "[0,-1]"), NotSafetensors, "header");
    assert_fault!(
        one("[8]", "[0,18446744073709551616]"),
        NotSafetensors,
        "header"
    );
    assert_fault!(
        one("[7]", "[0,7]"),
        NotSafetensors,
        "1 bytes after the last tensor"
    );
    assert_fault!(
        one("[1099511627776]", "[0,1099511627776]"),
        Truncated,
        "8 of 1099511627776"
    );

    // Sizes whose sum is as good as 2^64.
    let size = (1u64 << 61) - 1;
    let tensors: Map<String, Value> = (0..8)
        .map(|i| {
            let info =
                json!({"dtype": "U8", "shape": [size], "data_offsets": [i * size, (i + 1) * size]});
            (format!("t{i}"), info)
        })
        .collect();
    let bytes = raw(&Value::from(tensors).to_string(), b"");
    assert_fault!(load(&bytes), Truncated, "0 of 18446744073709551608");

    let overlapping = json!({
        "a": {"dtype": "U8", "shape": [6], "data_offsets": [0, 6]},
        "b": {"dtype": "U8", "shape": [6], "data_offsets": [2, 8]},
    });
    let bytes = raw(&overlapping.to_string(), &[0; 8]);
    assert_fault!(
        load(&bytes),
        NotSafetensors,
        "invalid offset for tensor `b`"
    );
}

#[test]
fn a_corrupt_byte_is_an_error_or_harmless() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    let whole = Parts::new().bytes();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        fs::write(&path, &bytes).unwrap();
        if let Err(error) = Model::load(&path) {
            assert!(error.to_string().contains(NAME), "{error}");
        }
    }
}

#[test]
fn foreign_models_are_refused() {
    let foreign = "not a faststyle model";
    assert_fault!(load(&raw("{}", b"")), Foreign, foreign);
    let theirs = "{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}";
    assert_fault!(load(&raw(theirs, &[0; 4])), Foreign, foreign);
    assert_fault!(
        load(&Parts::with_metadata("format", "pt")),
        Foreign,
        foreign
    );
}

#[test]
fn unknown_versions_are_refused() {
    let version = |text| load(&Parts::with_metadata("format_version", text));
    let next = (FORMAT_VERSION + 1).to_string();
    assert_fault!(version(&next), FutureVersion, "model format 4");
    assert_fault!(version("18446744073709551615"), FutureVersion, "update");
    assert_fault!(
        version("0"),
        Metadata,
        "`format_version`: there is no version 0"
    );
    for text in ["", "one", "-1", "1.5", "\"1\""] {
        assert_fault!(version(text), Metadata, "`format_version`");
    }
}

#[test]
fn unreadable_metadata_is_refused() {
    for key in ["format_version", "architecture", "styles", "training"] {
        let mut parts = Parts::new();
        match key {
            "architecture" => parts.metadata.insert(key.into(), "".into()),
            _ => parts.metadata.remove(key),
        };
        let fault = format!("metadata `{key}`");
        assert_fault!(load(&parts.bytes()), Metadata, &fault);
        let malformed = Parts::with_metadata(key, "{\"width\": 32,");
        assert_fault!(load(&malformed), Metadata, &fault);
    }
    let header = raw(
        "{\"__metadata__\":{\"format\":\"faststyle\",\"format_version\":\"1\"}}",
        b"",
    );
    assert_fault!(load(&header), Metadata, "`architecture`: missing");
    let style = Parts::with_metadata("styles", "[{\"title\":\"The Scream\"}]");
    assert_fault!(load(&style), Metadata, "missing field `name`");
    let deep = "[".repeat(100_000);
    let deep = Parts::with_metadata("training", &deep);
    assert_fault!(load(&deep), Metadata, "recursion limit");
}

#[test]
fn unreadable_architectures_are_refused() {
    let with = |key, value| load(&Parts::with_architecture(key, value));
    assert_fault!(with("depth", json!(3)), Metadata, "unknown field `depth`");
    assert_fault!(with("width", json!(-1)), Metadata, "`architecture`");
    assert_fault!(with("width", json!(1e30)), Metadata, "`architecture`");
    assert_fault!(with("norm_eps", Value::Null), Metadata, "null");
    assert_fault!(with("upsampling", json!("bilinear")), Metadata, "bilinear");
    assert_fault!(
        with("padding", json!("zero")),
        Metadata,
        "unknown variant `zero`"
    );
    assert_fault!(with("output_map", json!("tanh_150")), Metadata, "tanh_150");
    let architecture = Architecture {
        norm_eps: 0.5,
        ..tiny()
    };
    let text = serde_json::to_string(&architecture).unwrap();
    for number in ["NaN", "1e999", "-Infinity"] {
        let text = text.replace("0.5", number);
        assert!(text.contains(number));
        assert_fault!(
            load(&Parts::with_metadata("architecture", &text)),
            Metadata,
            "`architecture`"
        );
    }
}

#[test]
fn fields_missing_from_old_files_have_defaults() {
    let mut architecture = serde_json::to_value(tiny()).unwrap();
    let padding = architecture.as_object_mut().unwrap().remove("padding");
    assert_eq!(padding, Some(json!("reflect")));
    let parts = Parts::with_metadata("architecture", &architecture.to_string());
    assert_eq!(load(&parts).unwrap().architecture, tiny());
}

#[test]
fn impossible_architectures_are_refused() {
    let faults = [
        ("width", json!(0), "width is 0"),
        ("width", json!(1_000_000_000), "width is 1000000000"),
        ("width", json!(u64::MAX), "width is 18446744073709551615"),
        (
            "residual_blocks",
            json!(1_000_000_000),
            "residual_blocks is 1000000000",
        ),
        ("outer_kernel", json!(0), "outer_kernel is 0"),
        ("outer_kernel", json!(8), "outer_kernel is 8, not odd"),
        ("inner_kernel", json!(2), "inner_kernel is 2, not odd"),
        ("inner_kernel", json!(1_000_001), "inner_kernel is 1000001"),
        ("norm_eps", json!(-1e-5), "norm_eps is -1e-5"),
        ("norm_eps", json!(0.0), "norm_eps is 0"),
        ("norm_eps", json!(1e-60), "norm_eps is 1e-60"),
        ("norm_eps", json!(2.0), "norm_eps is 2"),
        ("input_range", json!([1.0, 0.0]), "input_range is 1e0..0e0"),
        ("input_range", json!([1.0, 1.0]), "input_range"),
        ("input_range", json!([0.0, 1e300]), "input_range"),
        ("input_range", json!([-1e300, 1.0]), "input_range"),
    ];
    for (key, value, fault) in faults {
        assert_fault!(
            load(&Parts::with_architecture(key, value)),
            Architecture,
            fault
        );
    }
    // Each size within its bounds, but not all of them together.
    let mut parts = Parts::new();
    for (key, value) in [
        ("width", 256),
        ("residual_blocks", 32),
        ("inner_kernel", 15),
    ] {
        parts.architecture.insert(key.into(), value.into());
    }
    assert_fault!(
        load(&parts.bytes()),
        Architecture,
        "more than any network has"
    );
    // Sizes within bounds in a file that has no such tensors.
    let wide = Parts::with_architecture("width", json!(256));
    assert_fault!(load(&wide), WrongShape, "[256, 3, 1, 1]");
}

#[test]
fn unexpected_tensors_are_refused() {
    let f32s = |values: [f32; 3]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let shape = &[1, 3, 1, 1];
    let with = |dtype, shape: &[usize], bytes| load(&Parts::with_tensor(dtype, shape, bytes));
    let good = with("F32", shape, f32s([1.0, 2.0, 3.0])).unwrap();
    assert_eq!(values(&good.weights["down.0.conv.weight"]), [1.0, 2.0, 3.0]);

    let fault = "tensor `down.0.conv.weight` has shape [3, 1, 1, 1], expected [1, 3, 1, 1]";
    assert_fault!(
        with("F32", &[3, 1, 1, 1], f32s([0.0; 3])),
        WrongShape,
        fault
    );
    assert_fault!(
        with("F32", &[0, 3, 1, 1], vec![]),
        WrongShape,
        "[0, 3, 1, 1]"
    );
    for (dtype, size) in [("I64", 8), ("F64", 8), ("BF16", 2), ("U8", 1)] {
        let fault = format!("tensor `down.0.conv.weight` is of type {dtype}");
        assert_fault!(with(dtype, shape, vec![0; 3 * size]), WrongType, &fault);
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let fault = "tensor `down.0.conv.weight` holds a number that is not finite";
        assert_fault!(
            with("F32", shape, f32s([0.0, 0.0, value])),
            NotFinite,
            fault
        );
    }
    let f16_infinity = vec![0, 0, 0, 0, 0, 0x7c];
    assert_fault!(with("F16", shape, f16_infinity), NotFinite, "not finite");

    let mut parts = Parts::new();
    let (name, ..) = parts.tensors.pop().unwrap();
    let fault = format!("tensor `{name}` is missing");
    assert_fault!(load(&parts.bytes()), MissingTensor, &fault);
    let mut parts = Parts::new();
    parts
        .tensors
        .push(("down.3.conv.weight".into(), "F32", vec![1], vec![0; 4]));
    let fault = "unexpected tensor `down.3.conv.weight`";
    assert_fault!(load(&parts.bytes()), ExtraTensor, fault);
}

#[test]
fn half_precision_weights_are_read() {
    let mut parts = Parts::new();
    let architecture = tiny();
    let weights = architecture.random_weights(1, &Device::Cpu).unwrap();
    for (name, dtype, _, bytes) in &mut parts.tensors {
        let half = weights[name].to_dtype(DType::F16).unwrap();
        let half: Vec<f32> = values(&half.to_dtype(DType::F32).unwrap());
        *dtype = "F16";
        // For an F32 that is also an F16, move sign, exponent and fraction.
        let to_f16 = |v: &f32| {
            let bits = v.to_bits();
            let exponent = ((bits >> 23) & 0xff) as i32 - 127 + 15;
            let body = match *v == 0.0 {
                true => 0,
                false => ((exponent as u16) << 10) | ((bits >> 13) & 0x3ff) as u16,
            };
            ((bits >> 16) as u16 & 0x8000 | body).to_le_bytes()
        };
        *bytes = half.iter().flat_map(to_f16).collect();
    }
    let model = load(&parts.bytes()).unwrap();
    for (name, tensor) in &model.weights {
        assert_eq!(tensor.dtype(), DType::F32);
        let half = weights[name].to_dtype(DType::F16).unwrap();
        let expected = values(&half.to_dtype(DType::F32).unwrap());
        assert_eq!(values(tensor), expected, "{name}");
    }
}

#[test]
fn a_saved_model_loads_unchanged() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for seed in 0..50 {
        let architecture = Architecture {
            width: 3,
            residual_blocks: 2,
            outer_kernel: 5,
            inner_kernel: 3,
            norm_eps: rng.random_range(1e-12..1.0),
            output_norm: rng.random(),
            output_map: OutputMap::Clamp,
            input_range: [rng.random_range(-200.0..0.0), rng.random_range(0.0..300.0)],
            ..Default::default()
        };
        let mut model = Model::random(architecture, seed).unwrap();
        model.styles = vec![
            Style {
                name: "schrei \"\\\u{0}\u{1f3a8}".into(),
                title: Some("Der Schrei der Natur — 叫び".into()),
                artist: Some("Edvard Munch".into()),
                year: Some("c. 1893".into()),
                training: json!({ "steps": 3 }),
            },
            Style {
                name: "another".into(),
                ..Default::default()
            },
        ];
        let loss: f64 = rng.random();
        model.training = json!({ "steps": 40000, "loss": [loss, 1e-300, null], "é": "ü" });
        let odd = [0.0, -0.0, f32::MIN_POSITIVE / 3.0, f32::MAX, f32::MIN, 0.1];
        let odd: Vec<f32> = odd.into_iter().cycle().take(9 * 27).collect();
        let shape = model.weights["up.1.conv.weight"].dims().to_vec();
        let count = shape.iter().product();
        let odd = Tensor::from_vec(odd[..count].to_vec(), shape, &Device::Cpu).unwrap();
        model.weights.insert("up.1.conv.weight".into(), odd);

        let folder = TempDir::new().unwrap();
        let path = folder.path().join("good.safetensors");
        model.save(&path).unwrap();
        let back = Model::load(&path).unwrap();
        assert_eq!(back.architecture, model.architecture);
        assert_eq!(back.styles, model.styles);
        assert_eq!(back.training, model.training);
        assert_eq!(back.weights.len(), model.weights.len());
        let bits = |t: &Tensor| values(t).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        for (name, tensor) in &model.weights {
            assert_eq!(back.weights[name].dims(), tensor.dims(), "{name}");
            assert_eq!(bits(&back.weights[name]), bits(tensor), "{name}");
        }
        let again = folder.path().join("again.safetensors");
        back.save(&again).unwrap();
        assert_eq!(Model::load(&again).unwrap().architecture, back.architecture);
        assert_eq!(
            files_in(folder.path()),
            ["again.safetensors", "good.safetensors"]
        );
    }
}

#[test]
fn an_unloadable_model_is_not_saved() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    let good = Model::random(tiny(), 1).unwrap();
    good.save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let with = |name: &str, tensor: Tensor| {
        let mut model = good.clone();
        model.weights.insert(name.into(), tensor);
        model.save(&path)
    };
    let like = |values: [f32; 3], shape: [usize; 4]| {
        Tensor::from_vec(values.to_vec(), shape.to_vec(), &Device::Cpu).unwrap()
    };
    let name = "down.0.conv.weight";
    let nan = like([0.0, f32::NAN, 0.0], [1, 3, 1, 1]);
    assert_fault!(with(name, nan), NotFinite, name);
    assert_fault!(with(name, like([0.0; 3], [3, 1, 1, 1])), WrongShape, name);
    let f64s = good.weights[name].to_dtype(DType::F64).unwrap();
    assert_fault!(with(name, f64s), WrongType, "F64");
    let mut model = good.clone();
    model.weights.remove(name);
    assert_fault!(model.save(&path), MissingTensor, name);
    for (norm_eps, width) in [(f64::NAN, 1), (-1.0, 1), (1e-5, 1_000_000_000)] {
        let mut model = good.clone();
        model.architecture.norm_eps = norm_eps;
        model.architecture.width = width;
        assert_fault!(model.save(&path), Architecture, "is");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(files_in(folder.path()), [NAME]);

    let other = Model::random(tiny(), 2).unwrap();
    other.save(&path).unwrap();
    assert_ne!(fs::read(&path).unwrap(), before);
    assert_eq!(files_in(folder.path()), [NAME]);
}

#[test]
fn a_failed_save_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let model = Model::random(tiny(), 1).unwrap();
    let missing = folder.path().join("missing").join(NAME);
    assert_fault!(model.save(&missing), Write, "No such file");
    assert!(files_in(folder.path()).is_empty());
    // A folder in the file's place.
    let path = folder.path().join(NAME);
    fs::create_dir(&path).unwrap();
    assert_fault!(model.save(&path), Write, "irectory");
    assert_eq!(files_in(folder.path()), [NAME]);
}

#[test]
#[cfg(unix)]
fn saved_files_have_the_usual_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let mode = |name: &str| {
        let info = fs::metadata(folder.path().join(name)).unwrap();
        info.permissions().mode()
    };
    File::create(folder.path().join("usual")).unwrap();
    let model = Model::random(tiny(), 1).unwrap();
    model.save(folder.path().join("model")).unwrap();
    assert_eq!(mode("model"), mode("usual"));
}

#[test]
fn a_file_of_several_styles_comes_back_whole() {
    let architecture = Architecture {
        styles: 3,
        residual_blocks: 1,
        ..Architecture::with_width(2)
    };
    let mut model = common::model(architecture);
    model.styles[1].title = Some("The Second".into());
    model.styles[1].training = json!({ "steps": 7 });
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("several.safetensors");
    model.save(&path).unwrap();
    let back = Model::load(&path).unwrap();
    assert_eq!(
        (&back.architecture, &back.styles),
        (&model.architecture, &model.styles)
    );
    assert_eq!(back.style_index("style-2"), Some(2));
    assert_eq!(back.style_index("style-3"), None);
    for (name, tensor) in &model.weights {
        assert_eq!(back.weights[name].dims(), tensor.dims(), "{name}");
        assert_eq!(values(&back.weights[name]), values(tensor), "{name}");
    }
}

#[test]
fn styles_that_cannot_be_chosen_are_refused() {
    let architecture = Architecture {
        styles: 2,
        residual_blocks: 0,
        ..Architecture::with_width(1)
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("refused.safetensors");
    for (names, reason) in [
        (&["a"][..], "1 styles are listed, the architecture has 2"),
        (&["a", "a"], "two styles are called \"a\""),
        (&["a", ""], "\"\" is no name"),
        (&["a:1", "b"], "\"a:1\" is no name"),
        (&["a", "b,c"], "\"b,c\" is no name"),
    ] {
        let mut model = common::model(architecture.clone());
        let style = |name: &&str| Style {
            name: name.to_string(),
            ..Style::default()
        };
        model.styles = names.iter().map(style).collect();
        let error = model.save(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!path.exists());
    }
}
