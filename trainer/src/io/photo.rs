//! One photo: read, turned upright, and a piece of it cut out and scaled.

use anyhow::{Context, Result, anyhow, ensure};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// No photo is larger; a file that is would be read into memory in vain.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Nor has one more pixels than this (some 170 million); a small file can
/// claim to.
const MAX_DECODED_BYTES: u64 = 512 << 20;

/// A photo as its file holds it, but upright and with 8 bits a channel.
pub struct Photo {
    /// The pixels: RGB8 or, where some may be transparent, RGBA8.
    pub pixels: DynamicImage,
    /// The ICC profile that says which colours the numbers are, if there is
    /// one and it speaks of RGB.
    pub icc_profile: Option<Vec<u8>>,
}

/// The photo at `path`, upright and as RGB8, from any supported format.
pub fn read(path: &Path) -> Result<RgbImage> {
    let bytes = read_file(path)?;
    guarded(|| decode(&bytes))
}

/// The same, with its transparency and its ICC profile.
pub fn read_whole(path: &Path) -> Result<Photo> {
    let bytes = read_file(path)?;
    guarded(|| decode_whole(&bytes))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).context("cannot be opened")?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .context("cannot be read")?;
    ensure!(
        bytes.len() as u64 <= MAX_FILE_BYTES,
        "more than {MAX_FILE_BYTES} bytes"
    );
    Ok(bytes)
}

/// Decoders may panic on a damaged file, which must not end hours of training.
fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(anyhow!("its decoder failed (panic)")))
}

fn decode(bytes: &[u8]) -> Result<RgbImage> {
    Ok(opaque(decode_whole(bytes)?.pixels))
}

/// `pixels` on white, where they let something through.
pub fn opaque(pixels: DynamicImage) -> RgbImage {
    match pixels.color().has_alpha() {
        true => on_white(pixels),
        false => pixels.into_rgb8(),
    }
}

fn decode_whole(bytes: &[u8]) -> Result<Photo> {
    // Names are wrong at times; what a file begins with is not.
    let format = image::guess_format(bytes).context("not a photo")?;
    if format == ImageFormat::Jpeg {
        ensure!(is_whole_jpeg(bytes), "truncated");
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(flat)?;
    ensure!(
        decoder.total_bytes() <= MAX_DECODED_BYTES,
        "{:?} pixels are too many",
        decoder.dimensions()
    );
    // A camera's notes that cannot be read are no reason to lose the photo.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let icc_profile = decoder.icc_profile().unwrap_or(None);
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(flat)?;
    pixels.apply_orientation(orientation);
    Ok(Photo {
        pixels: match pixels.color().has_alpha() {
            true => pixels.into_rgba8().into(),
            false => pixels.into_rgb8().into(),
        },
        // Where the header names the profile's colour space (ICC.1, 7.2).
        icc_profile: icc_profile.filter(|profile| profile.get(16..20) == Some(b"RGB ")),
    })
}

/// The error without its causes, which its message names already.
fn flat(error: ImageError) -> anyhow::Error {
    anyhow!("{error}")
}

/// Whether a JPEG file is complete.
///
/// The decoder does not mind a missing end and paints the rest grey. In the
/// data of a scan no byte 0xff stands before one of these markers, and an
/// embedded preview comes before the last start of a scan.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    let last = |marker| bytes.windows(2).rposition(|two| two == marker);
    last(END_OF_IMAGE).is_some_and(|end| last(START_OF_SCAN).is_some_and(|start| start < end))
}

/// Transparent areas become white, as viewers show them: their own colour is
/// arbitrary.
fn on_white(photo: DynamicImage) -> RgbImage {
    let photo = photo.into_rgba8();
    let mut opaque = RgbImage::new(photo.width(), photo.height());
    for (pixel, covered) in opaque.pixels_mut().zip(photo.pixels()) {
        let [colours @ .., alpha] = covered.0;
        let alpha = u32::from(alpha);
        pixel.0 = colours
            .map(|value| ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8);
    }
    opaque
}

#[cfg(test)]
mod tests;
