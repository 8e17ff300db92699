use super::*;
use crate::io::tiff_directory::TiffDirectory;
use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageBuffer, Luma, Rgb, Rgba, RgbaImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn encoded(photo: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    photo.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Red on the left, blue on the right.
fn two_colours() -> RgbImage {
    RgbImage::from_fn(80, 40, |x, _| match x < 40 {
        true => Rgb([250, 10, 10]),
        false => Rgb([10, 10, 250]),
    })
}

/// Like a photo: neither flat nor noise.
fn gradients(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 3) as u8, (y * 5) as u8, (x * y / 16) as u8])
    })
}

fn close(found: Rgb<u8>, expected: [u8; 3]) -> bool {
    found
        .0
        .iter()
        .zip(expected)
        .all(|(a, b)| a.abs_diff(b) <= 6)
}

/// The photo as it is trained on.
fn pixels(bytes: &[u8]) -> Result<RgbImage> {
    let photo = decode(bytes, Bound::TRAINING)?;
    ensure!(!photo.cut, "truncated");
    Ok(opaque(photo.pixels))
}

/// What the file says beside.
fn metadata(bytes: &[u8]) -> Metadata {
    let format = format(bytes).unwrap();
    let mut decoder = decoder(format, bytes, Bound::TRAINING).unwrap();
    Metadata::of(format, bytes, &mut decoder)
}

fn refusal(bytes: &[u8]) -> String {
    format!("{:#}", pixels(bytes).expect_err("it should be refused"))
}

/// Says in a JPEG file how the camera was held.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

/// A JPEG file, 16x8 pixels, of one colour in four components, none of them
/// subsampled: no encoder at hand writes such.
fn four_components(values: [u8; 4]) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    let mut segment = |marker: u8, body: &[u8]| {
        file.extend([0xff, marker]);
        file.extend((body.len() as u16 + 2).to_be_bytes());
        file.extend(body);
    };
    // Adobe's marker: CMYK as it stands, which by custom means inverted.
    segment(0xee, b"Adobe\0\x64\0\0\0\0\0");
    segment(0xdb, &[&[0][..], &[1; 64]].concat());
    let components: Vec<u8> = (1..=4).flat_map(|id| [id, 0x11, 0]).collect();
    segment(0xc0, &[&[8, 0, 8, 0, 16, 4][..], &components].concat());
    // Codes of 4 bits for the 12 lengths of a mean, of 1 bit for "no more".
    let lengths = [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let symbols: Vec<u8> = (0..12).collect();
    segment(0xc4, &[&[0x00][..], &lengths, &symbols].concat());
    segment(0xc4, &[&[0x10, 1][..], &[0; 15], &[0]].concat());
    let tables: Vec<u8> = (1..=4).flat_map(|id| [id, 0]).collect();
    segment(0xda, &[&[4][..], &tables, &[0, 63, 0]].concat());
    let mut bits = String::new();
    for value in values {
        let mean = (i32::from(value) - 128) * 8;
        let length = 32 - mean.unsigned_abs().leading_zeros() as usize;
        let low = if mean < 0 {
            mean + (1 << length) - 1
        } else {
            mean
        };
        bits += &format!("{length:04b}");
        if length > 0 {
            bits += &format!("{low:0length$b}");
        }
        bits += "0";
    }
    // The second block of each component is like the first.
    bits += &"00000".repeat(4);
    while !bits.len().is_multiple_of(8) {
        bits += "1";
    }
    for byte in bits.as_bytes().chunks(8) {
        let byte = byte.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        file.push(byte);
        if byte == 0xff {
            file.push(0);
        }
    }
    file.extend([0xff, 0xd9]);
    file
}

#[test]
fn every_format_is_read() {
    use ImageFormat::*;
    for format in [Jpeg, Png, WebP, Bmp, Gif, Tiff] {
        let photo = pixels(&encoded(two_colours(), format)).unwrap();
        assert_eq!(photo.dimensions(), (80, 40), "{format:?}");
        assert!(close(*photo.get_pixel(5, 20), [250, 10, 10]), "{format:?}");
        assert!(close(*photo.get_pixel(75, 20), [10, 10, 250]), "{format:?}");
    }
}

#[test]
fn every_kind_of_pixel_is_read() {
    let grey = GrayImage::from_pixel(8, 8, Luma([77]));
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        let photo = pixels(&encoded(grey.clone(), format)).unwrap();
        assert!(close(*photo.get_pixel(3, 3), [77; 3]), "{format:?}");
    }
    let deep = ImageBuffer::from_pixel(8, 8, Rgb([0x4000u16, 0x8000, 0xffff]));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let photo = pixels(&encoded(deep.clone(), format)).unwrap();
        assert!(close(*photo.get_pixel(3, 3), [64, 128, 255]), "{format:?}");
    }
    let deep = ImageBuffer::from_pixel(8, 8, Luma([0x8000u16]));
    let photo = pixels(&encoded(deep, ImageFormat::Png)).unwrap();
    assert!(close(*photo.get_pixel(3, 3), [128; 3]));
    for (alpha, expected) in [(255, [200, 0, 0]), (0, [255; 3]), (128, [227, 127, 127])] {
        let glass = RgbaImage::from_pixel(8, 8, Rgba([200, 0, 0, alpha]));
        let photo = pixels(&encoded(glass, ImageFormat::Png)).unwrap();
        assert!(close(*photo.get_pixel(3, 3), expected), "{alpha}");
    }
}

#[test]
fn print_colours_are_read() {
    // Inverted cyan, magenta, yellow and black: full is no ink.
    for (values, expected) in [
        ([255, 255, 255, 255], [255, 255, 255]),
        ([0, 255, 255, 255], [0, 255, 255]),
        ([255, 128, 0, 255], [255, 128, 0]),
        ([255, 255, 255, 0], [0, 0, 0]),
        ([200, 100, 50, 128], [100, 50, 25]),
    ] {
        let photo = pixels(&four_components(values)).unwrap();
        assert_eq!(photo.dimensions(), (16, 8));
        for x in [0, 15] {
            let found = *photo.get_pixel(x, 4);
            assert!(close(found, expected), "{values:?}: {found:?}");
        }
    }
}

#[test]
fn photos_are_turned_upright() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    let (red, blue) = ([250, 10, 10], [10, 10, 250]);
    let jpeg = encoded(two_colours(), ImageFormat::Jpeg);
    // (note, width, height, colour at the first and at the last corner)
    for (note, width, height, first, last) in [
        (1, 80, 40, red, blue),
        (2, 80, 40, blue, red),
        (3, 80, 40, blue, red),
        (6, 40, 80, red, blue),
        (8, 40, 80, blue, red),
        (99, 80, 40, red, blue),
    ] {
        let photo = pixels(&with_orientation(&jpeg, note)).unwrap();
        assert_eq!(photo.dimensions(), (width, height), "{note}");
        std::fs::write(&path, with_orientation(&jpeg, note)).unwrap();
        assert_eq!(size(&path, Bound::TRAINING).unwrap(), (width, height));
        assert!(close(*photo.get_pixel(3, 3), first), "{note}");
        assert!(
            close(*photo.get_pixel(width - 4, height - 4), last),
            "{note}"
        );
    }
}

#[test]
fn damaged_photos_are_refused() {
    let jpeg = encoded(gradients(200, 150), ImageFormat::Jpeg);
    assert_eq!(refusal(&jpeg[..jpeg.len() / 2]), "truncated");
    // The end of an embedded preview is not that of the photo.
    let preview = [
        &[0xff, 0xe1, 0, 8][..],
        &[0xff, 0xd8, 0xff, 0xda, 0xff, 0xd9],
    ]
    .concat();
    let with_preview = [&jpeg[..2], &preview, &jpeg[2..]].concat();
    pixels(&with_preview).unwrap();
    assert_eq!(refusal(&with_preview[..jpeg.len() / 2]), "truncated");
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let bytes = encoded(gradients(200, 150), format);
        refusal(&bytes[..bytes.len() / 2]);
    }
    for bytes in [&b""[..], b"\xff\xd8\xff", b"no photo at all"] {
        refusal(bytes);
    }
}

#[test]
fn what_follows_a_photo_does_no_harm() {
    let photo = gradients(200, 150);
    // The encoder at hand writes one scan only.
    let progressive = include_bytes!("../../../tests/data/progressive.jpg").to_vec();
    for jpeg in [encoded(photo, ImageFormat::Jpeg), progressive] {
        let alone = pixels(&jpeg).unwrap();
        // A film may hold any bytes.
        let film = b"\0\0\0\x18ftypmp42 \xff\xda and \xff\xda\0\x02 no end";
        assert_eq!(pixels(&[&jpeg[..], film].concat()).unwrap(), alone);
        // Some cameras leave out the marker at the end.
        assert_eq!(pixels(&jpeg[..jpeg.len() - 2]).unwrap(), alone);
        for missing in [40, jpeg.len() / 3] {
            let cut = decode(&jpeg[..jpeg.len() - missing], Bound::TRAINING).unwrap();
            assert!(cut.cut, "{missing} bytes");
            assert_eq!(cut.pixels.into_rgb8().dimensions(), alone.dimensions());
        }
    }
}

#[test]
fn rare_jpeg_files_and_cut_files_say_what_they_are() {
    let mut jpeg = encoded(gradients(60, 40), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    jpeg[frame + 1] = 0xc9;
    let text = refusal(&jpeg);
    assert!(text.contains("JPEG with arithmetic coding"), "{text}");
    let tiff = encoded(gradients(60, 40), ImageFormat::Tiff);
    let text = refusal(&tiff[..tiff.len() / 2]);
    assert!(text.contains("ends within the picture"), "{text}");
}

#[test]
fn a_png_file_without_its_end_is_read() {
    let png = encoded(gradients(60, 40), ImageFormat::Png);
    let alone = pixels(&png).unwrap();
    assert_eq!(pixels(&png[..png.len() - 12]).unwrap(), alone);
    refusal(&png[..png.len() - 40]);
}

#[test]
fn what_is_lost_is_told() {
    let lost = |bytes: &[u8]| metadata(bytes).lost.join("; ");
    assert_eq!(lost(&encoded(two_colours(), ImageFormat::Gif)), "");
    let mut gif = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    for _ in 0..2 {
        let frame = DynamicImage::from(two_colours()).into_rgba8();
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    assert!(lost(&gif).contains("animation"), "{}", lost(&gif));
    let deep = ImageBuffer::from_pixel(8, 8, Rgb([0x4000u16, 0x8000, 0xffff]));
    let deep = encoded(deep, ImageFormat::Png);
    assert!(lost(&deep).contains("8 bits"), "{}", lost(&deep));
    // The first directory names the next one in its last four bytes.
    let mut tiff = encoded(two_colours(), ImageFormat::Tiff);
    assert_eq!(lost(&tiff), "");
    let directory = u32::from_le_bytes(*tiff[4..].first_chunk().unwrap()) as usize;
    let entries = u16::from_le_bytes(*tiff[directory..].first_chunk().unwrap());
    tiff[directory + 2 + 12 * usize::from(entries)] = 8;
    assert!(lost(&tiff).contains("several pages"), "{}", lost(&tiff));
}

#[test]
fn exif_data_are_kept_upright_and_without_their_small_copy() {
    let mut jpeg = with_orientation(&encoded(two_colours(), ImageFormat::Jpeg), 6);
    // After the marker, the length, "Exif", the header and one entry.
    let next = 2 + 2 + 2 + 6 + 8 + 2 + 12;
    jpeg[next] = 26;
    let exif = metadata(&jpeg).exif.unwrap();
    assert_eq!(
        Orientation::from_exif_chunk(&exif),
        Some(Orientation::NoTransforms)
    );
    assert!(!TiffDirectory::first(&exif).unwrap().has_next());
}

#[test]
fn other_formats_are_named() {
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    assert!(
        refusal(heic).contains("HEIC, which is not read"),
        "{}",
        refusal(heic)
    );
    let avif = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf";
    assert!(
        refusal(avif).contains("AVIF, which is not read"),
        "{}",
        refusal(avif)
    );
    let icon = b"\0\0\x01\0\x01\0";
    assert!(
        refusal(icon).contains("ICO, which is not read"),
        "{}",
        refusal(icon)
    );
}

#[test]
fn a_decoders_fault_is_named_once() {
    let text = refusal(b"\x89PNG\r\n\x1a\n\0\0\0\0xxxx");
    assert_eq!(text.matches("before IHDR").count(), 1, "{text}");
}

#[test]
fn decompression_bombs_are_refused() {
    // A few bytes that claim 60000 x 60000 pixels.
    let mut jpeg = Vec::new();
    let tiny = RgbImage::new(8, 8);
    JpegEncoder::new(&mut jpeg).encode_image(&tiny).unwrap();
    let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    let text = refusal(&jpeg);
    assert!(text.contains("60000x60000 pixels take"), "{text}");
    assert!(text.contains("scale it down"), "{text}");
    let mut bmp = encoded(tiny, ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0, 0xff, 0, 0, 0, 0xff, 0, 0]);
    refusal(&bmp);
}

#[test]
fn corrupt_bytes_cause_no_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoilt");
    use ImageFormat::*;
    for format in [Jpeg, Png, WebP, Bmp, Gif, Tiff] {
        let whole = encoded(gradients(60, 40), format);
        for _ in 0..40 {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..10) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
            std::fs::write(&path, &bytes).unwrap();
            let _ = read_whole(&path, Bound::TRAINING);
        }
    }
}
