//! One photo: read and turned upright.

mod metadata;

use crate::io::{foreign, input, jpeg, png};
use anyhow::{Result, anyhow, ensure};
use gstfaststyle::internals::engine::memory;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use indicatif::HumanBytes;
pub use metadata::Metadata;
use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// No photo's file is larger; one that is would be read into memory in vain.
pub const MAX_FILE_BYTES: u64 = 2 << 30;

/// How many times the size of a decoded picture it takes to turn and repaint it.
const COPIES: u64 = 3;

/// How large a photo may be.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Bytes of the file, and of its pixels once they are decoded.
    most: u64,
    /// The way out.
    advice: &'static str,
}

impl Bound {
    /// For training photos, of which several threads read one each. It is the same on
    /// all machines, so that all take the same photos.
    pub const TRAINING: Bound = Bound {
        most: 1 << 30,
        advice: "a training photo is bounded by 1 GiB: scale it down once before the training",
    };

    /// What the free memory has room for.
    pub fn free_memory() -> Self {
        Bound {
            most: memory::free() as u64 / COPIES,
            advice: "it and its copies have no room in the free memory: close other programs, or \
                     scale it down first",
        }
    }

    fn check(self, bytes: u64, what: impl FnOnce() -> String) -> Result<()> {
        ensure!(
            bytes <= self.most,
            "{} take {} of memory, {} are allowed; {}",
            what(),
            HumanBytes(bytes),
            HumanBytes(self.most),
            self.advice
        );
        Ok(())
    }
}

/// A photo as its file holds it, but upright and with 8 bits a channel.
pub struct Photo {
    /// The pixels: RGB8 or, where some may be transparent, RGBA8.
    pub pixels: DynamicImage,
    /// Whether the file ends within the picture.
    pub cut: bool,
}

/// The photo at `path`, upright and as RGB8, from any supported format.
///
/// # Errors
/// What keeps it from being read, without the path; a photo that is cut off.
pub fn read(path: &Path, bound: Bound) -> Result<RgbImage> {
    let bytes = file(path, bound)?;
    let photo = guarded(|| decode(&bytes, bound))?;
    ensure!(!photo.cut, "truncated");
    Ok(opaque(photo.pixels))
}

/// The same, with what the file says beside; also what is left of a photo that is cut
/// off.
///
/// # Errors
/// What keeps it from being read, without the path.
pub fn read_whole(path: &Path, bound: Bound) -> Result<(Photo, Metadata)> {
    let bytes = file(path, bound)?;
    guarded(|| {
        let photo = decode(&bytes, bound)?;
        let format = format(&bytes)?;
        let mut decoder = decoder(format, &bytes, bound)?;
        Ok((photo, Metadata::of(format, &bytes, &mut decoder)))
    })
}

/// Width and height of the photo at `path`, upright, without decoding it.
///
/// # Errors
/// What keeps it from being read, without the path.
pub fn size(path: &Path, bound: Bound) -> Result<(u32, u32)> {
    let bytes = file(path, bound)?;
    guarded(|| {
        let mut decoder = decoder(format(&bytes)?, &bytes, bound)?;
        let (width, height) = decoder.dimensions();
        Ok(match orientation(&mut decoder) {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (height, width),
            _ => (width, height),
        })
    })
}

fn file(path: &Path, bound: Bound) -> Result<Vec<u8>> {
    input::read(path, MAX_FILE_BYTES.min(bound.most))
}

/// Decoders may panic on a damaged file, which must not end hours of training.
fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(anyhow!("its decoder failed (panic)")))
}

/// `pixels` on white, where they let something through.
pub fn opaque(pixels: DynamicImage) -> RgbImage {
    match pixels.color().has_alpha() {
        true => on_white(pixels),
        false => pixels.into_rgb8(),
    }
}

fn decode(bytes: &[u8], bound: Bound) -> Result<Photo> {
    match format(bytes)? {
        ImageFormat::Jpeg => {
            decode_jpeg(bytes, bound).map_err(|error| match jpeg::rare_coding(bytes) {
                Some(coding) => anyhow!(foreign::not_read(&format!("JPEG with {coding}"))),
                None => error,
            })
        }
        // Whoever wrote it may have left out its end, as of JPEG files.
        ImageFormat::Png => decode_as(ImageFormat::Png, bytes, bound)
            .or_else(|error| decode_as(ImageFormat::Png, &png::ended(bytes), bound).or(Err(error))),
        format => decode_as(format, bytes, bound),
    }
}

/// The format of a file. Names are wrong at times; what a file begins with is not.
fn format(bytes: &[u8]) -> Result<ImageFormat> {
    let Ok(format) = image::guess_format(bytes) else {
        return Err(anyhow!(foreign::by_content(bytes)));
    };
    ensure!(
        format.reading_enabled(),
        "{}",
        foreign::not_read(&format!("{format:?}").to_uppercase())
    );
    Ok(format)
}

/// What follows the picture in its file is none of the decoder's business.
fn decode_jpeg(file: &[u8], bound: Bound) -> Result<Photo> {
    if let Some(end) = jpeg::picture_end(file) {
        return decode_as(ImageFormat::Jpeg, &file[..end], bound);
    }
    // Where the picture is complete and only its end marker is missing, what the decoder
    // finds behind it makes no difference.
    const END: [u8; 2] = [0xff, 0xd9];
    let photo = decode_as(ImageFormat::Jpeg, &[file, &END].concat(), bound)?;
    let other = [file, &[0x55; 4096], &END].concat();
    let other = decode_as(ImageFormat::Jpeg, &other, bound);
    Ok(Photo {
        cut: other.map_or(true, |other| other.pixels != photo.pixels),
        ..photo
    })
}

fn decode_as(format: ImageFormat, bytes: &[u8], bound: Bound) -> Result<Photo> {
    let mut decoder = decoder(format, bytes, bound)?;
    let (width, height) = decoder.dimensions();
    bound.check(decoder.total_bytes(), || format!("{width}x{height} pixels"))?;
    let orientation = orientation(&mut decoder);
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(flat)?;
    pixels.apply_orientation(orientation);
    Ok(Photo {
        pixels: match pixels.color().has_alpha() {
            true => pixels.into_rgba8().into(),
            false => pixels.into_rgb8().into(),
        },
        cut: false,
    })
}

/// A camera's notes that cannot be read are no reason to lose the photo.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

fn decoder(format: ImageFormat, bytes: &[u8], bound: Bound) -> Result<impl ImageDecoder> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(bound.most);
    reader.limits(limits);
    reader.into_decoder().map_err(flat)
}

/// The error without its causes, which its message names already.
fn flat(error: ImageError) -> anyhow::Error {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            anyhow!("the file ends within the picture")
        }
        error => anyhow!("{error}"),
    }
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
