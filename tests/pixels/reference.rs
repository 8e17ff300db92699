//! Reading and writing frames in the plainest way, a pixel at a time in `f64`,
//! and the comparison with it.

use crate::common::*;
use gstfaststyle::Image;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::{ColorFamily, ColorRange};
use gstfaststyle::{Colorimetry, Format, FrameInfo};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Where a number stands: so many bits from bit `shift` on of a little-endian
/// word of so many bytes, `offset` bytes into a plane's row.
#[derive(Clone, Copy)]
struct Field {
    plane: usize,
    row: usize,
    offset: usize,
    bytes: usize,
    shift: u32,
    bits: u32,
}

impl Field {
    fn word(self, buffer: &Buffer) -> std::ops::Range<usize> {
        let start = self.row * buffer.planes[self.plane].1 + self.offset;
        start..start + self.bytes
    }

    fn largest(self) -> u32 {
        (1 << self.bits) - 1
    }

    pub fn get(self, buffer: &Buffer) -> u32 {
        let mut word = [0; 4];
        word[..self.bytes].copy_from_slice(&buffer.planes[self.plane].0[self.word(buffer)]);
        (u32::from_le_bytes(word) >> self.shift) & self.largest()
    }

    pub fn set(self, buffer: &mut Buffer, number: u32) {
        let range = self.word(buffer);
        let place = &mut buffer.planes[self.plane].0[range];
        let mut word = [0; 4];
        word[..self.bytes].copy_from_slice(place);
        let word = u32::from_le_bytes(word) & !(self.largest() << self.shift);
        let word = word | (number << self.shift);
        place.copy_from_slice(&word.to_le_bytes()[..self.bytes]);
    }
}

/// The numbers of a pixel: red, green, blue or luma and chroma or luma alone,
/// and opacity at last, as in the format's description at GStreamer. Empty for
/// formats that are compared with GStreamer's own code alone.
fn fields(format: Format, x: usize, row: usize) -> Vec<Field> {
    use Format::*;
    // Words of `bytes` bytes, counted from the row's first.
    let words = |bytes, bits, shift| {
        move |plane, row, word| Field {
            plane,
            row,
            offset: word * bytes,
            bytes,
            shift,
            bits,
        }
    };
    let byte = words(1, 8, 0);
    let low = words(2, 10, 0);
    let high = words(2, 10, 6);
    let wide = words(2, 16, 0);
    let three = |places: [usize; 3]| places.map(|i| byte(0, row, 3 * x + i)).to_vec();
    let four = |places: &[usize]| places.iter().map(|i| byte(0, row, 4 * x + i)).collect();
    let four_wide = |places: [usize; 4]| places.map(|i| wide(0, row, 4 * x + i)).to_vec();
    let tens = |shifts: [u32; 3]| {
        let [a, b, c] = shifts.map(|shift| words(4, 10, shift)(0, row, x));
        vec![a, b, c, words(4, 2, 30)(0, row, x)]
    };
    match format {
        Rgb => three([0, 1, 2]),
        Bgr => three([2, 1, 0]),
        Rgbx => four(&[0, 1, 2]),
        Bgrx => four(&[2, 1, 0]),
        Xrgb => four(&[1, 2, 3]),
        Xbgr => four(&[3, 2, 1]),
        Rgba => four(&[0, 1, 2, 3]),
        Bgra => four(&[2, 1, 0, 3]),
        Argb => four(&[1, 2, 3, 0]),
        Abgr => four(&[3, 2, 1, 0]),
        Ayuv => four(&[1, 2, 3, 0]),
        Vuya => four(&[2, 1, 0, 3]),
        Rgb10A2Le => tens([0, 10, 20]),
        Bgr10A2Le => tens([20, 10, 0]),
        Rgba64Le => four_wide([0, 1, 2, 3]),
        Argb64 | Argb64Le => four_wide([1, 2, 3, 0]),
        Yuy2 => [2 * x, x / 2 * 4 + 1, x / 2 * 4 + 3]
            .map(|i| byte(0, row, i))
            .to_vec(),
        Uyvy => [2 * x + 1, x / 2 * 4, x / 2 * 4 + 2]
            .map(|i| byte(0, row, i))
            .to_vec(),
        I420 => vec![
            byte(0, row, x),
            byte(1, row / 2, x / 2),
            byte(2, row / 2, x / 2),
        ],
        Yv12 => vec![
            byte(0, row, x),
            byte(2, row / 2, x / 2),
            byte(1, row / 2, x / 2),
        ],
        Nv12 => {
            let (u, v) = (x / 2 * 2, x / 2 * 2 + 1);
            vec![byte(0, row, x), byte(1, row / 2, u), byte(1, row / 2, v)]
        }
        Nv21 => {
            let (v, u) = (x / 2 * 2, x / 2 * 2 + 1);
            vec![byte(0, row, x), byte(1, row / 2, u), byte(1, row / 2, v)]
        }
        Y42b => vec![byte(0, row, x), byte(1, row, x / 2), byte(2, row, x / 2)],
        Y444 => vec![byte(0, row, x), byte(1, row, x), byte(2, row, x)],
        I420_10Le => vec![
            low(0, row, x),
            low(1, row / 2, x / 2),
            low(2, row / 2, x / 2),
        ],
        I422_10Le => vec![low(0, row, x), low(1, row, x / 2), low(2, row, x / 2)],
        Y444_10Le => vec![low(0, row, x), low(1, row, x), low(2, row, x)],
        P010_10Le => {
            let (u, v) = (x / 2 * 2, x / 2 * 2 + 1);
            vec![high(0, row, x), high(1, row / 2, u), high(1, row / 2, v)]
        }
        V210 => {
            // Word and lowest bit, in a group of six pixels.
            let y = [(0, 10), (1, 0), (1, 20), (2, 10), (3, 0), (3, 20)][x % 6];
            let u = [(0, 0), (1, 10), (2, 20)][x % 6 / 2];
            let v = [(0, 20), (2, 0), (3, 10)][x % 6 / 2];
            [y, u, v]
                .map(|(word, shift)| words(4, 10, shift)(0, row, x / 6 * 4 + word))
                .to_vec()
        }
        Gray8 => vec![byte(0, row, x)],
        Gray16Le => vec![wide(0, row, x)],
        Yvyu => [2 * x, x / 2 * 4 + 3, x / 2 * 4 + 1]
            .map(|i| byte(0, row, i))
            .to_vec(),
        Nv24 => vec![
            byte(0, row, x),
            byte(1, row, 2 * x),
            byte(1, row, 2 * x + 1),
        ],
        Y41b => [(0, x), (1, x / 4), (2, x / 4)]
            .map(|(plane, i)| byte(plane, row, i))
            .to_vec(),
        Yuv9 => vec![
            byte(0, row, x),
            byte(1, row / 4, x / 4),
            byte(2, row / 4, x / 4),
        ],
        A420 => vec![
            byte(0, row, x),
            byte(1, row / 2, x / 2),
            byte(2, row / 2, x / 2),
            byte(3, row, x),
        ],
        Gbr => [2, 0, 1].map(|plane| byte(plane, row, x)).to_vec(),
        Gbra => [2, 0, 1, 3].map(|plane| byte(plane, row, x)).to_vec(),
        Gbr10Le => [2, 0, 1].map(|plane| low(plane, row, x)).to_vec(),
        A444_10Le => [0, 1, 2, 3].map(|plane| low(plane, row, x)).to_vec(),
        Y444_12Le => [0, 1, 2]
            .map(|plane| words(2, 12, 0)(plane, row, x))
            .to_vec(),
        P016Le => {
            let (u, v) = (x / 2 * 2, x / 2 * 2 + 1);
            vec![wide(0, row, x), wide(1, row / 2, u), wide(1, row / 2, v)]
        }
        Y410 => {
            let [y, u, v] = [10, 0, 20].map(|shift| words(4, 10, shift)(0, row, x));
            vec![y, u, v, words(4, 2, 30)(0, row, x)]
        }
        Gray10Le32 => vec![words(4, 10, x as u32 % 3 * 10)(0, row, x / 3)],
        _ => Vec::new(),
    }
}

/// The formats with a description here.
fn described() -> impl Iterator<Item = Format> {
    let formats = Format::ALL.iter().copied();
    formats.filter(|format| !fields(*format, 0, 0).is_empty())
}

/// The numbers that stand for colours, without opacity.
fn colours(format: Format, x: usize, y: usize) -> Vec<Field> {
    let mut fields = fields(format, x, y);
    fields.truncate(if format.family() == ColorFamily::Gray {
        1
    } else {
        3
    });
    fields
}

fn opacity(format: Format, x: usize, y: usize) -> Field {
    fields(format, x, y)[3]
}

/// The lowest luma, its span, the middle of chroma, its span.
fn scale(info: &FrameInfo) -> [f64; 4] {
    let bits = info.format.bits();
    let all = f64::from((1 << bits) - 1);
    let step = f64::from(1 << (bits - 8));
    match info.colorimetry.range {
        ColorRange::Limited => [16.0 * step, 219.0 * step, 128.0 * step, 224.0 * step],
        ColorRange::Full => [0.0, all, 128.0 * step, all],
    }
}

/// From numbers to red, green and blue, 0..255 where there is such a colour.
fn rgb(numbers: &[f64], info: &FrameInfo) -> [f64; 3] {
    let [black, span, middle, chroma_span] = scale(info);
    let light = |number: f64| (number - black) / span * 255.0;
    let [kr, kb] = [info.colorimetry.kr, info.colorimetry.kb].map(f64::from);
    match (info.format.family(), numbers) {
        (ColorFamily::Rgb, &[r, g, b]) => [r, g, b].map(light),
        (ColorFamily::Gray, &[y]) => [light(y); 3],
        (ColorFamily::Yuv, &[y, u, v]) => {
            let [u, v] = [u, v].map(|number| (number - middle) / chroma_span * 255.0);
            let y = light(y);
            let r = y + 2.0 * (1.0 - kr) * v;
            let b = y + 2.0 * (1.0 - kb) * u;
            [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b]
        }
        _ => unreachable!(),
    }
}

/// The way back.
fn numbers([r, g, b]: [f64; 3], info: &FrameInfo) -> Vec<f64> {
    let [black, span, middle, chroma_span] = scale(info);
    let number = |light: f64| light / 255.0 * span + black;
    let [kr, kb] = [info.colorimetry.kr, info.colorimetry.kb].map(f64::from);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let chroma =
        |colour: f64, k: f64| (colour - y) / 255.0 / (2.0 * (1.0 - k)) * chroma_span + middle;
    match info.format.family() {
        ColorFamily::Rgb => [r, g, b].map(number).to_vec(),
        ColorFamily::Gray => vec![number(y)],
        ColorFamily::Yuv => vec![number(y), chroma(b, kb), chroma(r, kr)],
    }
}

const COLOURS: [Colorimetry; 3] = [
    Colorimetry::BT601,
    Colorimetry::BT709.full(),
    Colorimetry::BT2020,
];

/// Every format with every size and some colours.
fn all_infos() -> impl Iterator<Item = FrameInfo> {
    described().flat_map(move |format| {
        SIZES
            .into_iter()
            .enumerate()
            .map(move |(i, (width, height))| {
                info(format, width, height, COLOURS[i % COLOURS.len()])
            })
    })
}

#[test]
fn reading_is_the_references() {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    for info in all_infos() {
        for padding in [0, 13] {
            let mut buffer = Buffer::new(info, padding);
            buffer
                .planes
                .iter_mut()
                .for_each(|(data, _)| rng.fill(&mut data[..]));
            let image = buffer.read();
            for (x, y) in (0..info.height).flat_map(|y| (0..info.width).map(move |x| (x, y))) {
                let found = colours(info.format, x, y);
                let found: Vec<_> = found
                    .iter()
                    .map(|field| f64::from(field.get(&buffer)))
                    .collect();
                for (c, expected) in rgb(&found, &info).into_iter().enumerate() {
                    let found = f64::from(image.data[(c * info.height + y) * info.width + x]);
                    let off = (found - expected.clamp(0.0, 255.0)).abs();
                    assert!(
                        off < 1e-3,
                        "{info:?}, {c} of ({x}, {y}): {found}, not {expected}"
                    );
                }
            }
        }
    }
}

/// Chroma samples are the mean of the pixels that they cover, those of a lone
/// last column and row included.
#[test]
fn writing_is_the_references() {
    let mut rng = ChaCha8Rng::seed_from_u64(22);
    for info in all_infos() {
        let FrameInfo {
            width,
            height,
            format,
            ..
        } = info;
        let image = Image {
            width,
            height,
            data: (0..3 * width * height)
                .map(|_| rng.random_range(0.0..=255.0))
                .collect(),
        };
        let at = |x: usize, y: usize| {
            [0, 1, 2].map(|c| f64::from(image.data[(c * height + y) * width + x]))
        };
        let mut buffer = Buffer::new(info, 13);
        pixels::write(&image, None, None, &mut buffer.frame_mut()).unwrap();
        let (columns, rows) = format.subsampling();
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let mut expected = numbers(at(x, y), &info);
            // Chroma is a linear function of the colours, so that the mean of
            // either is the same.
            let (left, top) = (x / columns * columns, y / rows * rows);
            let covered = (top..height.min(top + rows))
                .flat_map(|y| (left..width.min(left + columns)).map(move |x| (x, y)));
            let covered: Vec<_> = covered.map(|(x, y)| numbers(at(x, y), &info)).collect();
            if format.family() == ColorFamily::Yuv {
                for c in 1..3 {
                    let sum: f64 = covered.iter().map(|numbers| numbers[c]).sum();
                    expected[c] = sum / covered.len() as f64;
                }
            }
            for (field, expected) in colours(format, x, y).into_iter().zip(expected) {
                let found = f64::from(field.get(&buffer));
                let expected = expected.clamp(0.0, f64::from(field.largest()));
                // Half, and what f32 is off by at 16 bits.
                let off = (found - expected).abs();
                assert!(off < 0.52, "{info:?}, ({x}, {y}): {found}, not {expected}");
            }
        }
    }
}

/// Every number that each channel can have comes back, with whatever numbers
/// beside it that make a colour.
#[test]
fn every_number_comes_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    for format in described() {
        for colorimetry in COLOURS {
            let one = info(format, 1, 1, colorimetry);
            let channels = colours(format, 0, 0).len();
            let all = 1_u32 << format.bits();
            let mut samples: Vec<Vec<u32>> = Vec::new();
            for (channel, number) in (0..channels).flat_map(|c| (0..all).map(move |n| (c, n))) {
                for _ in 0..(1 << 12 >> format.bits()).max(1) {
                    let grey = rng.random_range(0.0..255.0);
                    let mut sample: Vec<_> = numbers([grey; 3], &one)
                        .iter()
                        .map(|&n| (n + f64::from(all) * rng.random_range(-0.2..0.2)) as u32)
                        .map(|n| n.min(all - 1))
                        .collect();
                    sample[channel] = number;
                    let exact: Vec<_> = sample.iter().copied().map(f64::from).collect();
                    let colour = rgb(&exact, &one);
                    if colour.iter().all(|c| (0.0..=255.0).contains(c)) {
                        samples.push(sample);
                    }
                }
            }
            // At least the numbers of a range's luma.
            assert!(
                samples.len() > all as usize * 3 / 4,
                "{format}: {}",
                samples.len()
            );
            // In blocks that chroma may cover.
            let (columns, rows) = (2.max(format.subsampling().0), 2.max(format.subsampling().1));
            let info = info(format, columns * samples.len(), rows, colorimetry);
            let mut buffer = Buffer::new(info, 0);
            let pixels = (0..info.width).flat_map(move |x| (0..rows).map(move |y| (x, y)));
            for (x, y) in pixels.clone() {
                for (field, &number) in colours(format, x, y).iter().zip(&samples[x / columns]) {
                    field.set(&mut buffer, number);
                }
            }
            let written = Buffer::written(info, &buffer.read());
            for (x, y) in pixels {
                for field in colours(format, x, y) {
                    let (found, expected) = (field.get(&written), field.get(&buffer));
                    assert_eq!(
                        found,
                        expected,
                        "{format} {colorimetry:?} {:?}",
                        samples[x / columns]
                    );
                }
            }
        }
    }
}

#[test]
fn alpha_goes_from_any_format_to_any() {
    let with_alpha: Vec<_> = described().filter(|f| f.has_alpha()).collect();
    assert_eq!(with_alpha.len(), 15);
    let (width, height) = (151, 3);
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    for &from in &with_alpha {
        let mut input = Buffer::new(info(from, width, height, Colorimetry::SRGB), 5);
        for (plane, _) in &mut input.planes {
            rng.fill(&mut plane[..]);
        }
        let image = input.read();
        for to in described() {
            let info = info(to, width, height, usual(to));
            let mut output = Buffer::new(info, 0);
            let alpha = input.frame();
            pixels::write(&image, None, Some(&alpha), &mut output.frame_mut()).unwrap();
            let opaque = Buffer::written(info, &image);
            // Colours are the same as without.
            assert_eq!(output.read(), opaque.read());
            if !to.has_alpha() {
                continue;
            }
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                let (old, new) = (opacity(from, x, y), opacity(to, x, y));
                let share = f64::from(old.get(&input)) / f64::from(old.largest());
                let expected = share * f64::from(new.largest());
                let found = f64::from(new.get(&output));
                assert!(
                    (found - expected).abs() <= 0.51,
                    "{from} to {to}: {found} {expected}"
                );
                assert_eq!(new.get(&opaque), new.largest(), "{to}");
            }
        }
    }
}

/// All words of 5 and 6 bits a colour, and what they stand for.
#[test]
fn colours_of_few_bits() {
    for (format, [r, g, b]) in [
        (Format::Rgb15, [(10, 31), (5, 31), (0, 31)]),
        (Format::Bgr15, [(0, 31), (5, 31), (10, 31)]),
        (Format::Rgb16, [(11, 31), (5, 63), (0, 31)]),
        (Format::Bgr16, [(0, 31), (5, 63), (11, 31)]),
    ] {
        // The highest bit of 15 is not used.
        let all = if format.name().ends_with("15") {
            1 << 15
        } else {
            1 << 16
        };
        let mut buffer = Buffer::new(info(format, 256, all / 256, Colorimetry::SRGB), 0);
        let words = (0..all).flat_map(|word| (word as u16).to_le_bytes());
        buffer.planes[0].0 = words.collect();
        let image = buffer.read();
        for word in 0..all {
            for (c, (shift, largest)) in [r, g, b].into_iter().enumerate() {
                let expected = (word >> shift & largest) as f32 / largest as f32 * 255.0;
                let found = image.data[c * all + word];
                assert!(
                    (found - expected).abs() < 3e-3,
                    "{format} {word:x}: {found}"
                );
            }
        }
        assert_eq!(
            Buffer::written(buffer.info, &image).bytes(0),
            buffer.bytes(0),
            "{format}"
        );
    }
}

/// Every number comes back, chroma that several pixels share too, as it was.
#[test]
fn what_is_read_is_written_again() {
    let mut rng = ChaCha8Rng::seed_from_u64(25);
    for &format in Format::ALL {
        // Colours that are in range whatever their chroma.
        let colours = usual(format);
        let pale = Image {
            width: 24,
            height: 8,
            data: (0..3 * 24 * 8)
                .map(|_| rng.random_range(96.0..160.0))
                .collect(),
        };
        let buffer = Buffer::written(info(format, 24, 8, colours), &pale);
        let again = Buffer::written(buffer.info, &buffer.read());
        assert_eq!(again.planes, buffer.planes, "{format}");
    }
}
