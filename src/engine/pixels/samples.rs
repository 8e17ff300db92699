//! The samples of a row, taken out of its bytes and put back.

use crate::engine::frame::Storage;

/// The most pixels that are worked on at a time: even, for the sake of chroma.
pub const TILE: usize = 128;

/// The samples of one component of a tile.
pub type Samples<S> = [S; TILE];

/// A number of a frame: a byte or, where it has more bits, a word.
pub trait Sample: Copy + Default + Into<f32> + 'static {
    /// The sample of an integer that it can hold, given as a float in whose
    /// lowest bits it stands.
    fn from_lowest_bits(bits: u32) -> Self;

    /// Hands the samples of a row to `take`.
    fn decode(storage: Storage, row: &[u8], take: impl FnOnce(&[Self]));

    /// Makes a row of the samples that `fill` writes.
    fn encode(storage: Storage, row: &mut [u8], fill: impl FnOnce(&mut [Self]));
}

impl Sample for u8 {
    #[inline(always)]
    fn from_lowest_bits(bits: u32) -> u8 {
        bits as u8
    }

    #[inline(always)]
    fn decode(_: Storage, row: &[u8], take: impl FnOnce(&[u8])) {
        take(row);
    }

    #[inline(always)]
    fn encode(_: Storage, row: &mut [u8], fill: impl FnOnce(&mut [u8])) {
        fill(row);
    }
}

/// As many samples as a tile of four components has.
const MOST: usize = 4 * TILE;

impl Sample for u16 {
    #[inline(always)]
    fn from_lowest_bits(bits: u32) -> u16 {
        bits as u16
    }

    fn decode(storage: Storage, row: &[u8], take: impl FnOnce(&[u16])) {
        let mut room = [0; MOST];
        let samples = &mut room[..storage.samples(row.len())];
        unpack(storage, row, samples);
        take(samples);
    }

    fn encode(storage: Storage, row: &mut [u8], fill: impl FnOnce(&mut [u16])) {
        let mut room = [0; MOST];
        let samples = &mut room[..storage.samples(row.len())];
        fill(samples);
        pack(storage, samples, row);
    }
}

/// The largest number of `bits` bits.
pub const fn largest(bits: u32) -> u16 {
    u16::MAX >> (16 - bits)
}

/// Gain from a sample of the full range to 0..255.
pub const fn full_gain(bits: u32) -> f32 {
    255.0 / largest(bits) as f32
}

/// From two bits of opacity to ten.
const OPACITY_STEP: u16 = largest(10) / 3;

fn unpack(storage: Storage, row: &[u8], samples: &mut [u16]) {
    let word16 = |bytes: &[u8; 2]| u16::from_le_bytes(*bytes);
    let tens = |word: u32| {
        let [a, b, c] = [0, 10, 20].map(|shift| (word >> shift) as u16 & largest(10));
        [a, b, c, (word >> 30) as u16 * OPACITY_STEP]
    };
    match storage {
        Storage::Bytes => unreachable!("bytes are samples already"),
        Storage::Low(bits) => {
            for (sample, bytes) in samples.iter_mut().zip(row.as_chunks().0) {
                *sample = word16(bytes) & largest(bits);
            }
        }
        Storage::High(bits) => {
            for (sample, bytes) in samples.iter_mut().zip(row.as_chunks().0) {
                *sample = word16(bytes) >> (16 - bits);
            }
        }
        Storage::LowBe(bits) => {
            for (sample, bytes) in samples.iter_mut().zip(row.as_chunks().0) {
                *sample = u16::from_be_bytes(*bytes) & largest(bits);
            }
        }
        Storage::HighBe(bits) => {
            for (sample, bytes) in samples.iter_mut().zip(row.as_chunks().0) {
                *sample = u16::from_be_bytes(*bytes) >> (16 - bits);
            }
        }
        Storage::Tens(_) => {
            let threes = samples.as_chunks_mut().0;
            for (three, bytes) in threes.iter_mut().zip(row.as_chunks().0) {
                let [a, b, c, _] = tens(u32::from_le_bytes(*bytes));
                *three = [a, b, c];
            }
        }
        Storage::TensAndTwo => {
            let fours = samples.as_chunks_mut().0;
            for (four, bytes) in fours.iter_mut().zip(row.as_chunks().0) {
                *four = tens(u32::from_le_bytes(*bytes));
            }
        }
        Storage::TensAndTwoBe => {
            let fours = samples.as_chunks_mut().0;
            for (four, bytes) in fours.iter_mut().zip(row.as_chunks().0) {
                *four = tens(u32::from_be_bytes(*bytes));
            }
        }
        Storage::TensUp => {
            let fours = samples.as_chunks_mut::<4>().0;
            for (four, bytes) in fours.iter_mut().zip(row.as_chunks::<5>().0) {
                let [a, b, c, d, e] = bytes.map(u64::from);
                let word = a | b << 8 | c << 16 | d << 24 | e << 32;
                *four = [0, 10, 20, 30].map(|shift| (word >> shift) as u16 & largest(10));
            }
        }
        Storage::TensDown => {
            let fours = samples.as_chunks_mut::<4>().0;
            for (four, bytes) in fours.iter_mut().zip(row.as_chunks::<5>().0) {
                let [a, b, c, d, e] = bytes.map(u64::from);
                let word = a << 32 | b << 24 | c << 16 | d << 8 | e;
                *four = [30, 20, 10, 0].map(|shift| (word >> shift) as u16 & largest(10));
            }
        }
        Storage::Fives => unpack_small([5, 5, 5], row, samples),
        Storage::FiveSixFive => unpack_small([5, 6, 5], row, samples),
    }
}

/// Takes three samples of so many bits each out of each word, and spreads them over
/// 16 bits.
fn unpack_small(bits: [u32; 3], row: &[u8], samples: &mut [u16]) {
    let threes = samples.as_chunks_mut::<3>().0;
    for (three, bytes) in threes.iter_mut().zip(row.as_chunks().0) {
        let mut word = u16::from_le_bytes(*bytes);
        for (sample, bits) in three.iter_mut().zip(bits) {
            *sample = rescale(word & largest(bits), largest(bits), u16::MAX);
            word >>= bits;
        }
    }
}

/// The way back.
fn pack_small(bits: [u32; 3], samples: &[u16], row: &mut [u8]) {
    let words = row.as_chunks_mut().0;
    for (bytes, three) in words.iter_mut().zip(samples.as_chunks::<3>().0) {
        let (mut word, mut shift) = (0, 0);
        for (sample, bits) in three.iter().zip(bits) {
            word |= rescale(*sample, u16::MAX, largest(bits)) << shift;
            shift += bits;
        }
        *bytes = word.to_le_bytes();
    }
}

/// The number of 0..=`to` that is nearest to `number` of 0..=`from`.
const fn rescale(number: u16, from: u16, to: u16) -> u16 {
    let from = from as u32;
    ((number as u32 * to as u32 + from / 2) / from) as u16
}

fn pack(storage: Storage, samples: &[u16], row: &mut [u8]) {
    let tens = |tens: [u16; 3]| {
        let [a, b, c] = tens.map(u32::from);
        a | b << 10 | c << 20
    };
    let tens_and_two = |[a, b, c, opacity]: [u16; 4]| {
        let opacity = u32::from((opacity + OPACITY_STEP / 2) / OPACITY_STEP);
        tens([a, b, c]) | opacity << 30
    };
    match storage {
        Storage::Bytes => unreachable!("bytes are samples already"),
        Storage::Low(_) => {
            for (bytes, sample) in row.as_chunks_mut().0.iter_mut().zip(samples) {
                *bytes = sample.to_le_bytes();
            }
        }
        Storage::High(bits) => {
            for (bytes, sample) in row.as_chunks_mut().0.iter_mut().zip(samples) {
                *bytes = (sample << (16 - bits)).to_le_bytes();
            }
        }
        Storage::LowBe(_) => {
            for (bytes, sample) in row.as_chunks_mut().0.iter_mut().zip(samples) {
                *bytes = sample.to_be_bytes();
            }
        }
        Storage::HighBe(bits) => {
            for (bytes, sample) in row.as_chunks_mut().0.iter_mut().zip(samples) {
                *bytes = (sample << (16 - bits)).to_be_bytes();
            }
        }
        Storage::Tens(_) => {
            let words = row.as_chunks_mut().0;
            for (bytes, &three) in words.iter_mut().zip(samples.as_chunks().0) {
                *bytes = tens(three).to_le_bytes();
            }
        }
        Storage::TensAndTwo => {
            let words = row.as_chunks_mut().0;
            for (bytes, &four) in words.iter_mut().zip(samples.as_chunks().0) {
                *bytes = tens_and_two(four).to_le_bytes();
            }
        }
        Storage::TensAndTwoBe => {
            let words = row.as_chunks_mut().0;
            for (bytes, &four) in words.iter_mut().zip(samples.as_chunks().0) {
                *bytes = tens_and_two(four).to_be_bytes();
            }
        }
        Storage::TensUp => {
            let fives = row.as_chunks_mut::<5>().0;
            for (bytes, four) in fives.iter_mut().zip(samples.as_chunks::<4>().0) {
                let [a, b, c, d] = four.map(u64::from);
                let word = a | b << 10 | c << 20 | d << 30;
                *bytes = [0, 8, 16, 24, 32].map(|shift| (word >> shift) as u8);
            }
        }
        Storage::TensDown => {
            let fives = row.as_chunks_mut::<5>().0;
            for (bytes, four) in fives.iter_mut().zip(samples.as_chunks::<4>().0) {
                let [a, b, c, d] = four.map(u64::from);
                let word = a << 30 | b << 20 | c << 10 | d;
                *bytes = [32, 24, 16, 8, 0].map(|shift| (word >> shift) as u8);
            }
        }
        Storage::Fives => pack_small([5, 5, 5], samples, row),
        Storage::FiveSixFive => pack_small([5, 6, 5], samples, row),
    }
}
