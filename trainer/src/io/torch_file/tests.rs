//! Files written here byte by byte, as `torch.save` did it, and spoilt.

use super::legacy::is_legacy;
use super::pickle::MAX_INSTRUCTIONS;
use super::pickle::{Input, Storages, unpickle};
use super::*;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A tensor to be written.
pub struct Sample {
    pub name: String,
    pub element_type: ElementType,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl Sample {
    pub fn bytes(name: &str, shape: &[usize], data: Vec<u8>) -> Self {
        Sample {
            name: name.into(),
            element_type: ElementType::Byte,
            shape: shape.to_vec(),
            data,
        }
    }

    pub fn floats(name: &str, values: &[f32]) -> Self {
        Sample {
            name: name.into(),
            element_type: ElementType::Float,
            shape: vec![values.len()],
            data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn of_type(name: &str, element_type: ElementType, data: &[u8]) -> Self {
        Sample {
            name: name.into(),
            element_type,
            shape: vec![data.len() / element_type.bytes()],
            data: data.to_vec(),
        }
    }

    fn count(&self) -> usize {
        self.data.len() / self.element_type.bytes()
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    [b"X", &length[..], text.as_bytes()].concat()
}

fn int(number: usize) -> Vec<u8> {
    [b"J", &(number as i32).to_le_bytes()[..]].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len())
        .map(|dimension| shape[dimension..].iter().product())
        .collect()
}

fn ints(numbers: &[usize]) -> Vec<u8> {
    tuple(&numbers.iter().map(|n| int(*n)).collect::<Vec<_>>())
}

/// The instructions that make a storage; `more` is what follows its count.
fn storage(sample: &Sample, key: &str, more: &[u8]) -> Vec<u8> {
    let id = tuple(&[
        text("storage"),
        format!("ctorch\n{:?}Storage\n", sample.element_type).into_bytes(),
        text(key),
        text("cuda:0"),
        int(sample.count()),
        more.to_vec(),
    ]);
    [id, b"Q".to_vec()].concat()
}

/// The instructions that make a tensor.
fn tensor(sample: &Sample, key: &str, offset: usize) -> Vec<u8> {
    let arguments = tuple(&[
        storage(sample, key, b"N"),
        int(offset),
        ints(&sample.shape),
        ints(&strides(&sample.shape)),
        b"\x89".to_vec(),
        b"ccollections\nOrderedDict\n)R".to_vec(),
    ]);
    [b"ctorch._utils\n_rebuild_tensor_v2\n", &arguments[..], b"R"].concat()
}

/// The pickles that come before the saved object.
fn preamble() -> Vec<u8> {
    let system = [
        b"\x80\x02}(".to_vec(),
        text("protocol_version"),
        int(1001),
        text("little_endian"),
        b"\x88u.".to_vec(),
    ];
    [
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec(),
        b"\x80\x02M\xe9\x03.".to_vec(),
        system.concat(),
    ]
    .concat()
}

fn object(samples: &[Sample]) -> Vec<u8> {
    let mut object = b"\x80\x02}q\0(".to_vec();
    for (number, sample) in samples.iter().enumerate() {
        object.extend(text(&sample.name));
        object.extend(tensor(sample, &number.to_string(), 0));
    }
    object.extend(b"u.");
    object
}

fn keys(count: usize) -> Vec<u8> {
    let keys: Vec<_> = (0..count).map(|number| text(&number.to_string())).collect();
    [b"\x80\x02]q\0(", &keys.concat()[..], b"e."].concat()
}

/// A whole file in the legacy format.
pub fn save(samples: &[Sample]) -> Vec<u8> {
    save_object(&object(samples), samples)
}

fn save_object(object: &[u8], samples: &[Sample]) -> Vec<u8> {
    let mut file = [&preamble(), object, &keys(samples.len())].concat();
    for sample in samples {
        file.extend((sample.count() as u64).to_le_bytes());
        file.extend(&sample.data);
    }
    file
}

/// A whole file in the format of a zip archive.
pub fn save_zip(samples: &[Sample]) -> Vec<u8> {
    zip_object(&object(samples), samples, CompressionMethod::Stored)
}

fn zip_object(object: &[u8], samples: &[Sample], method: CompressionMethod) -> Vec<u8> {
    let mut entries = vec![
        ("a name/data.pkl".to_string(), object),
        ("a name/byteorder".to_string(), b"little"),
        ("a name/version".to_string(), b"3\n"),
    ];
    for (number, sample) in samples.iter().enumerate() {
        entries.push((format!("a name/data/{number}"), &sample.data));
    }
    zip_of(&entries, method)
}

fn zip_of(entries: &[(String, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // As torch.save does it: numbers lie at multiples of 64 bytes.
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .with_alignment(64);
    for (name, bytes) in entries {
        zip.start_file(name.clone(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A checkpoint: the state dictionary, an `OrderedDict` with the versions of
/// layers as an attribute, beside other things.
fn checkpoint(samples: &[Sample]) -> Vec<u8> {
    let mut object = b"\x80\x02}q\0(".to_vec();
    object.extend(
        [
            text("epoch"),
            int(2),
            text("loss"),
            b"G\0\0\0\0\0\0\0\0".to_vec(),
        ]
        .concat(),
    );
    object.extend(
        [
            text("betas"),
            tuple(&[int(0), int(1)]),
            int(7),
            text("seven"),
        ]
        .concat(),
    );
    object.extend(text("state_dict"));
    object.extend(b"ccollections\nOrderedDict\nq\x01)Rq\x02(");
    for (number, sample) in samples.iter().enumerate() {
        object.extend(text(&sample.name));
        object.extend(tensor(sample, &number.to_string(), 0));
    }
    object.extend(b"u}q\x03");
    object.extend(text("_metadata"));
    object.extend(b"h\x01)Rq\x04(");
    object.extend([text(""), b"}q\x05".to_vec(), text("version"), int(1)].concat());
    object.extend(b"susbu.");
    object
}

fn samples() -> Vec<Sample> {
    vec![
        Sample::bytes("a", &[2, 3], vec![1, 2, 3, 4, 5, 6]),
        Sample::floats("b", &[0.5, -1.5]),
    ]
}

/// The message with which a file is refused.
fn refusal(file: &[u8]) -> String {
    format!("{:#}", read(file).expect_err("it should be refused"))
}

/// Runs these instructions where the saved object should be.
fn refusal_of(instructions: &[u8]) -> String {
    refusal(&[&preamble(), instructions].concat())
}

#[test]
fn reads_saved_tensors() {
    for file in [save(&samples()), save_zip(&samples())] {
        assert!(is_torch_file(&file));
        let tensors = read(&file).unwrap();
        assert_eq!(tensors.len(), 2);
        assert_eq!(tensors["a"].shape, [2, 3]);
        assert_eq!(tensors["a"].data[..], [1, 2, 3, 4, 5, 6]);
        assert!(tensors["a"].floats().is_err());
        assert_eq!(tensors["b"].floats().unwrap(), [0.5, -1.5]);
    }
    assert!(is_legacy(&save(&samples())));
}

/// The tensor of these sizes and strides in a storage of six bytes.
fn strided(offset: usize, shape: &[usize], strides: &[usize]) -> Result<Vec<u8>> {
    let info = TensorInfo {
        storage: Rc::new(pickle::StorageInfo {
            key: "0".into(),
            element_type: ElementType::Byte,
            count: 6,
        }),
        offset,
        shape: shape.to_vec(),
        strides: strides.to_vec(),
    };
    let storages = StorageData::from([("0".into(), &[1, 2, 3, 4, 5, 6][..])]);
    Ok(locate(&info, &storages)?.data.into_owned())
}

#[test]
fn strides_are_followed() {
    // Channels last: two channels of three pixels, pixel by pixel.
    assert_eq!(strided(0, &[2, 3], &[1, 2]).unwrap(), [1, 3, 5, 2, 4, 6]);
    assert_eq!(strided(1, &[2, 2], &[3, 1]).unwrap(), [2, 3, 5, 6]);
    assert_eq!(strided(1, &[2, 1, 2], &[2, 99, 1]).unwrap(), [2, 3, 4, 5]);
    assert_eq!(strided(5, &[1], &[1]).unwrap(), [6]);
    assert!(strided(0, &[usize::MAX, 0], &[1, 7]).unwrap().is_empty());
    for (offset, shape, strides) in [
        (0, &[2, 3][..], &[1, 3][..]),
        (2, &[2, 3], &[1, 2]),
        (usize::MAX, &[1], &[1]),
        (0, &[2], &[usize::MAX]),
        (0, &[usize::MAX, 2], &[1, 1]),
        // One number for a thousand.
        (0, &[1000], &[0]),
        (0, &[2, 3], &[1]),
    ] {
        assert!(
            strided(offset, shape, strides).is_err(),
            "{shape:?} {strides:?}"
        );
    }
}

#[test]
fn tensors_are_found_within_checkpoints() {
    let samples = samples();
    let object = checkpoint(&samples);
    let stored = CompressionMethod::Stored;
    for file in [
        save_object(&object, &samples),
        zip_object(&object, &samples, stored),
    ] {
        let tensors = read(&file).unwrap();
        let names: Vec<_> = tensors.keys().collect();
        assert_eq!(names, ["state_dict.a", "state_dict.b"]);
        assert_eq!(tensors["state_dict.b"].floats().unwrap(), [0.5, -1.5]);
    }
}

#[test]
fn dictionaries_of_python_2_are_read() {
    let samples = samples();
    let mut object = b"\x80\x02ccollections\nOrderedDict\n](".to_vec();
    for (number, sample) in samples.iter().enumerate() {
        let name = [&[b'U', 1][..], sample.name.as_bytes()].concat();
        let pair = [name, tensor(sample, &number.to_string(), 0)].concat();
        object.extend([b"](", &pair[..], b"e"].concat());
    }
    object.extend(b"e\x85q\x09R.");
    // As the first versions of PyTorch called it.
    let first = replaced(&object, b"tensor_v2", b"tensor");
    for object in [object, first] {
        let file = save_object(&object, &samples);
        let tensors = read(&file).unwrap();
        assert_eq!(tensors["a"].data[..], [1, 2, 3, 4, 5, 6]);
        assert_eq!(tensors["b"].floats().unwrap(), [0.5, -1.5]);
    }
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(old) {
            result.extend(new);
            at += old.len();
        } else {
            result.push(bytes[at]);
            at += 1;
        }
    }
    result
}

#[test]
fn every_type_of_float_is_read() {
    let double: Vec<u8> = [0.5f64, -1.5]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let samples = [
        Sample::of_type("half", ElementType::Half, &[0, 0x38, 0, 0xbe]),
        Sample::of_type("brain", ElementType::BFloat16, &[0, 0x3f, 0xc0, 0xbf]),
        Sample::of_type("double", ElementType::Double, &double),
        Sample::of_type("long", ElementType::Long, &[1, 0, 0, 0, 0, 0, 0, 0]),
    ];
    let file = save_zip(&samples);
    let tensors = read(&file).unwrap();
    for name in ["half", "brain", "double"] {
        assert_eq!(tensors[name].floats().unwrap(), [0.5, -1.5], "{name}");
    }
    assert!(tensors["long"].floats().is_err());
    let strange = replaced(&save(&samples), b"LongStorage", b"QuaternionStorage");
    assert!(refusal(&strange).contains("`torch QuaternionStorage`"));
}

#[test]
fn every_truncation_is_an_error() {
    for file in [save(&samples()), save_zip(&samples())] {
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "{length} bytes");
        }
    }
    let file = save(&samples());
    assert!(refusal(&file[..file.len() - 1]).contains("truncated"));
}

#[test]
fn archives_that_are_not_whole_or_not_ours_are_refused() {
    let stored = CompressionMethod::Stored;
    let samples = samples();
    let deflated = zip_object(&object(&samples), &samples, CompressionMethod::Deflated);
    assert!(refusal(&deflated).contains("compressed"));
    let missing = zip_object(&object(&samples), &samples[..1], stored);
    assert!(refusal(&missing).contains("storage 1 is missing"));
    let mut short = self::samples();
    short[1].data.pop();
    let short = zip_object(&object(&samples), &short, stored);
    assert!(refusal(&short).contains("storage 1 has 7 bytes"));
    let mut spoilt = save_zip(&samples);
    let at = spoilt
        .windows(6)
        .position(|w| w == samples[0].data)
        .unwrap();
    spoilt[at] ^= 1;
    assert!(refusal(&spoilt).contains("`a name/data/0` in the archive is damaged"));
    let zip = |entries: &[(&str, &[u8])]| {
        let entries: Vec<_> = entries.iter().map(|(n, b)| (n.to_string(), *b)).collect();
        refusal(&zip_of(&entries, stored))
    };
    assert!(zip(&[("x/other.txt", b"text")]).contains("not one of torch.save"));
    let script = zip(&[("x/data.pkl", b"."), ("x/constants.pkl", b".")]);
    assert!(script.contains("TorchScript"), "{script}");
    let foreign = zip(&[("x/data.pkl", b"."), ("x/byteorder", b"big")]);
    assert!(foreign.contains("little-endian"), "{foreign}");
}

#[test]
fn no_flipped_bit_causes_a_panic() {
    let samples = samples();
    let object = checkpoint(&samples);
    for file in [
        save_object(&object, &samples),
        zip_object(&object, &samples, CompressionMethod::Stored),
    ] {
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut spoilt = file.clone();
                spoilt[at] ^= 1 << bit;
                // Most are errors; a changed value or name is not.
                let _ = read(&spoilt);
            }
        }
    }
}

#[test]
fn trailing_bytes_are_an_error() {
    let mut file = save(&samples());
    file.push(0);
    assert!(refusal(&file).contains("more after"));
}

#[test]
fn pickled_calls_are_refused() {
    // What a malicious pickle looks like: os.system("true").
    let call = b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.";
    let message = refusal_of(call);
    assert!(message.contains("`posix system`"), "{message}");
    // Nor instructions that build objects.
    for opcode in [b"\x81", b"b", b"i", b"o"] {
        let instructions = [b"\x80\x02))", &opcode[..], b"."].concat();
        assert!(refusal_of(&instructions).contains("Python objects besides tensors"));
    }
    // A network saved whole.
    let module = tuple(&["module", "class", "file", "source"].map(text));
    let module = refusal_of(&[b"\x80\x02", &module[..], b"Q."].concat());
    assert!(module.contains("a whole network with its code"), "{module}");
}

#[test]
fn claimed_sizes_allocate_nothing() {
    let text = refusal_of(b"\x80\x02X\xff\xff\xff\xff.");
    assert!(text.contains("truncated"), "{text}");
    let mut huge = samples();
    huge[0].shape = vec![1 << 30, 1 << 30, 1 << 30];
    assert!(read(&save(&huge)).is_err());
    assert!(read(&save_zip(&huge)).is_err());
    // A storage of nearly 2^64 elements.
    let mut file = [preamble(), object(&samples()), keys(2)].concat();
    file.extend([0xff; 8]);
    assert!(refusal(&file).contains("storage 0"));
}

#[test]
fn tensors_stay_within_their_storage() {
    let mut large = samples();
    large[0].shape = vec![7];
    assert!(refusal(&save(&large)).contains("beyond its storage"));
    let sample = &samples()[0];
    let entry = [text("a"), tensor(sample, "0", 1)].concat();
    let object = [b"\x80\x02}(", &entry[..], b"u."].concat();
    let mut file = [preamble(), object, keys(1)].concat();
    file.extend(6u64.to_le_bytes());
    file.extend(&sample.data);
    assert!(refusal(&file).contains("beyond its storage"));
}

#[test]
fn storages_and_tensors_must_match() {
    let file = [preamble(), object(&samples()), keys(3)].concat();
    assert!(read(&file).is_err());
    let none = [preamble(), object(&samples()), keys(0)].concat();
    assert!(refusal(&none).contains("not in the file"));
    let other = Sample::bytes("c", &[2], vec![1, 2]);
    let entries = [text("c"), tensor(&other, "0", 0)].concat();
    let twice = replaced(&object(&samples()), b"u.", &[&entries[..], b"u."].concat());
    assert!(refusal(&save_object(&twice, &samples())).contains("announced in two ways"));
    let part = storage(&other, "0", &tuple(&[text("1"), int(0), int(1)]));
    let part = [b"\x80\x02", &part[..], b"."].concat();
    assert!(refusal_of(&part).contains("a part of another"));
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = [b"\x80\x02)", &[0x85; 50_000][..], b"."].concat();
    assert!(refusal_of(&deep).contains("containers in containers"));
    let lists = [
        b"\x80\x02".to_vec(),
        b"]".repeat(50_000),
        b"a".repeat(49_999),
        b".".to_vec(),
    ];
    assert!(refusal_of(&lists.concat()).contains("containers in containers"));
    let long = [b"\x80\x02", &b"N".repeat(MAX_INSTRUCTIONS)[..], b"."].concat();
    assert!(refusal_of(&long).contains("instructions"));
    // Each tuple holds the one before it twice: 2^14 values of a few bytes.
    let laughs = [b"\x80\x02)", &b"q\0h\0\x86".repeat(14)[..], b"."].concat();
    assert!(refusal_of(&laughs).contains("in two places"));
}

#[test]
fn shared_shapes_are_bounded() {
    let long = Sample::bytes(&"x".repeat(MAX_NAME + 1), &[1], vec![1]);
    assert!(refusal(&save(&[long])).contains("a name is longer"));
    // As a dictionary's name, before those of its tensors.
    let inner = [b"}".to_vec(), object(&samples())[5..].to_vec()].concat();
    let inner = inner.strip_suffix(b".").unwrap();
    let outer = [
        b"\x80\x02}(",
        &text(&"x".repeat(MAX_NAME))[..],
        inner,
        b"u.",
    ];
    assert!(refusal(&save_object(&outer.concat(), &samples())).contains("a name is longer"));
    let mut deep = Sample::bytes("deep", &[1; 9], vec![1]);
    assert!(refusal(&save(&[deep])).contains("9 dimensions"));
    deep = Sample::bytes("deep", &[1; 8], vec![1]);
    assert!(read(&save(&[deep])).is_ok());
}

#[test]
fn a_faulty_stack_is_an_error() {
    for instructions in [
        &b"."[..],
        b"t.",
        b"u.",
        b"e.",
        b"s.",
        b"a.",
        b"R.",
        b"Q.",
        b"q\0.",
        b"h\0.",
        b"\x87.",
        b"(.",
        b"(u.",
        b"}(Nu.",
        b"}q\0(NNuq\x01.",
        b"}q\0h\0.",
        b"N(\x85.",
        b"NR.",
        b")R.",
        b"c\n\n)R.",
        b"(t(tR.",
        b"\x8a\x11.",
        b"c\xff\n\n.",
        b"X\x01\0\0\0\xff.",
        b"\x80\x05.",
        b"U\x02a.",
        b"G\0\0.",
        b"Nb.",
        b"}b.",
        b"]Nb.",
        b"ccollections\nOrderedDict\nN\x85R.",
        b"ccollections\nOrderedDict\n]Na\x85R.",
        b"ccollections\nOrderedDict\n]]a\x85R.",
        b"ctorch._utils\n_rebuild_parameter\n)R.",
    ] {
        let bytes = &[b"\x80\x02", instructions].concat();
        let result = unpickle(&mut Input { bytes, at: 0 }, &mut Storages::new());
        assert!(result.is_err(), "{instructions:?}");
    }
}
