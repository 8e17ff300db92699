//! Files written here byte by byte, as `torch.save` did it, and spoilt.

use super::*;

/// A tensor to be written.
pub struct Sample {
    pub name: String,
    pub kind: Kind,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl Sample {
    pub fn bytes(name: &str, shape: &[usize], data: Vec<u8>) -> Self {
        Sample {
            name: name.into(),
            kind: Kind::Byte,
            shape: shape.to_vec(),
            data,
        }
    }

    pub fn floats(name: &str, values: &[f32]) -> Self {
        Sample {
            name: name.into(),
            kind: Kind::Float,
            shape: vec![values.len()],
            data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn count(&self) -> usize {
        self.data.len() / self.kind.bytes()
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

/// The instructions that make a tensor.
fn tensor(sample: &Sample, key: &str, offset: usize) -> Vec<u8> {
    let class: &[u8] = match sample.kind {
        Kind::Byte => b"ctorch\nByteStorage\n",
        Kind::Float => b"ctorch\nFloatStorage\n",
    };
    let id = tuple(&[
        text("storage"),
        class.to_vec(),
        text(key),
        text("cpu"),
        int(sample.count()),
        b"N".to_vec(),
    ]);
    let arguments = tuple(&[
        [id, b"Q".to_vec()].concat(),
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

/// A whole file.
pub fn save(samples: &[Sample]) -> Vec<u8> {
    let mut file = [preamble(), object(samples), keys(samples.len())].concat();
    for sample in samples {
        file.extend((sample.count() as u64).to_le_bytes());
        file.extend(&sample.data);
    }
    file
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
fn reads_what_was_saved() {
    let file = save(&samples());
    assert!(is_legacy(&file));
    let tensors = read(&file).unwrap();
    assert_eq!(tensors.len(), 2);
    assert_eq!(tensors["a"].shape, [2, 3]);
    assert_eq!(tensors["a"].data, [1, 2, 3, 4, 5, 6]);
    assert!(tensors["a"].floats().is_err());
    assert_eq!(tensors["b"].floats().unwrap(), [0.5, -1.5]);
}

#[test]
fn every_truncation_is_an_error() {
    let file = save(&samples());
    for length in 0..file.len() {
        assert!(read(&file[..length]).is_err(), "{length} bytes");
    }
    assert!(refusal(&file[..file.len() - 1]).contains("truncated"));
}

#[test]
fn no_flipped_bit_causes_a_panic() {
    let file = save(&samples());
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut spoilt = file.clone();
            spoilt[at] ^= 1 << bit;
            // Most are errors; a changed value or name is not.
            let _ = read(&spoilt);
        }
    }
}

#[test]
fn more_after_the_end_is_an_error() {
    let mut file = save(&samples());
    file.push(0);
    assert!(refusal(&file).contains("more after"));
}

#[test]
fn calls_are_not_made() {
    // What a malicious pickle looks like: os.system("true").
    let call = b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.";
    let message = refusal_of(call);
    assert!(message.contains("`posix system`"), "{message}");
    // Nor instructions that build objects.
    for opcode in [b"\x81", b"b", b"i", b"o"] {
        let instructions = [b"\x80\x02)", &opcode[..], b"."].concat();
        assert!(refusal_of(&instructions).contains("is not one that"));
    }
}

#[test]
fn claimed_sizes_reserve_no_memory() {
    let text = refusal_of(b"\x80\x02X\xff\xff\xff\xff.");
    assert!(text.contains("truncated"), "{text}");
    let mut huge = samples();
    huge[0].shape = vec![1 << 30, 1 << 30, 1 << 30];
    assert!(read(&save(&huge)).is_err());
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
fn storages_and_tensors_have_to_match() {
    let file = [preamble(), object(&samples()), keys(3)].concat();
    assert!(read(&file).is_err());
    let none = [preamble(), object(&samples()), keys(0)].concat();
    assert!(refusal(&none).contains("not in the file"));
}

#[test]
fn neither_depth_nor_length_is_without_bounds() {
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
    // Each tuple holds the one before it twice: 2^14 values, but few in memory.
    let laughs = [b"\x80\x02)", &b"q\0h\0\x86".repeat(14)[..], b"."].concat();
    assert!(refusal_of(&laughs).contains("not a dictionary"));
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
    ] {
        let file = [b"\x80\x02", instructions].concat();
        assert!(
            unpickle(&mut Input {
                bytes: &file,
                at: 0
            })
            .is_err(),
            "{instructions:?}"
        );
    }
}
