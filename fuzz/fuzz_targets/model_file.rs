//! Loads any bytes as a model file. Small models that load paint a tiny picture.
//!
//! An input that begins with `{` is the header alone. The target adds its length
//! and as much data as it announces, so that the check of the file's length does
//! not reject every mutation.
#![no_main]

use gstfaststyle::Model;
use gstfaststyle::internals::network::ModelFile;
use gstfaststyle::{Engine, Image, Options, Precision};
use libfuzzer_sys::fuzz_target;
use safetensors::tensor::Metadata;

/// Larger models take too long.
const MOST_WEIGHTS: usize = 20_000;

fuzz_target!(|input: &[u8]| {
    let file = match input {
        [b'{', ..] => with_data(input),
        _ => Some(input.to_vec()),
    };
    let file = file.map(|bytes| ModelFile::from_bytes("input.safetensors", bytes));
    let Some(Ok(model)) = file.map(|file| file.parse()) else {
        return;
    };
    let weights: usize = model
        .weights
        .values()
        .map(|tensor| tensor.elem_count())
        .sum();
    if weights <= MOST_WEIGHTS {
        paint(&model, input.len());
    }
});

/// The file for a header, with the values 1/128 and -1/128.
fn with_data(header: &[u8]) -> Option<Vec<u8>> {
    let metadata: Metadata = serde_json::from_slice(header).ok()?;
    if metadata.data_len() > 1 << 20 {
        return None;
    }
    let number = |i: usize| [0, 0, 0, 0x3c | ((i.count_ones() as u8) << 7)];
    let data = (0..).flat_map(number).take(metadata.data_len());
    let length = (header.len() as u64).to_le_bytes();
    Some(
        length
            .into_iter()
            .chain(header.iter().copied())
            .chain(data)
            .collect(),
    )
}

fn paint(model: &Model, choice: usize) {
    let (width, height) = (1 + choice % 7, 1 + choice / 7 % 5);
    let picture = Image {
        width,
        height,
        data: (0..3 * width * height)
            .map(|i| (i * 37 % 256) as f32)
            .collect(),
    };
    let options = Options {
        precision: [Precision::F32, Precision::Fast][choice / 35 % 2],
        threads: 1,
        ..Options::default()
    };
    let mut engine = Engine::with_options(model, options).expect("an engine on the CPU");
    let mut styled = Image::default();
    engine.stylize(&picture, &mut styled).expect("a picture");
    assert_eq!((styled.width, styled.height), (width, height));
    assert_eq!(styled.data.len(), picture.data.len());
}
