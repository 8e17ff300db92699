//! One photo: read and turned upright.

use crate::io::tiff_directory::TiffDirectory;
use crate::io::{foreign, input, jpeg};
use anyhow::{Result, anyhow, ensure};
use gstfaststyle::internals::engine::memory;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{
    AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits,
    RgbImage,
};
use indicatif::HumanBytes;
use std::io::Cursor;
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
    /// The ICC profile that says which colours the numbers are, if there is
    /// one and it speaks of RGB.
    pub icc_profile: Option<Vec<u8>>,
    /// The EXIF data, which no longer say how to turn the photo and have no small copy
    /// of it.
    pub exif: Option<Vec<u8>>,
    /// What the file holds and this does not, for people.
    pub lost: Vec<&'static str>,
    /// Whether the file ends within the picture.
    pub cut: bool,
}

/// The photo at `path`, upright and as RGB8, from any supported format.
///
/// # Errors
/// What keeps it from being read, without the path; a photo that is cut off.
pub fn read(path: &Path, bound: Bound) -> Result<RgbImage> {
    let photo = read_whole(path, bound)?;
    ensure!(!photo.cut, "truncated");
    Ok(opaque(photo.pixels))
}

/// The same, with all that a file says beside; also what is left of a photo that is cut
/// off.
///
/// # Errors
/// What keeps it from being read, without the path.
pub fn read_whole(path: &Path, bound: Bound) -> Result<Photo> {
    let bytes = input::read(path, MAX_FILE_BYTES.min(bound.most))?;
    guarded(|| decode(&bytes, bound))
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
    // Names are wrong at times; what a file begins with is not.
    let Ok(format) = image::guess_format(bytes) else {
        return Err(anyhow!(foreign::by_content(bytes)));
    };
    ensure!(
        format.reading_enabled(),
        "{}",
        foreign::not_read(&format!("{format:?}").to_uppercase())
    );
    match format {
        ImageFormat::Jpeg => decode_jpeg(bytes, bound),
        format => decode_as(format, bytes, bound),
    }
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
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(bound.most);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(flat)?;
    let (width, height) = decoder.dimensions();
    bound.check(decoder.total_bytes(), || format!("{width}x{height} pixels"))?;
    // A camera's notes that cannot be read are no reason to lose the photo.
    let exif = decoder.exif_metadata().unwrap_or(None);
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let icc_profile = decoder.icc_profile().unwrap_or(None);
    // Where the header names the profile's colour space (ICC.1, 7.2).
    let (rgb_profile, other_profile) = match icc_profile {
        Some(profile) if profile.get(16..20) == Some(b"RGB ") => (Some(profile), None),
        other => (None, other),
    };
    let color = decoder.color_type();
    let mut lost = others_in(format, bytes);
    if color.bytes_per_pixel() > color.channel_count() {
        lost.push("it has more than 8 bits a channel, the result has 8");
    }
    if other_profile.is_some() {
        lost.push("its colour profile is not one of RGB and is left out");
    }
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(flat)?;
    pixels.apply_orientation(orientation);
    Ok(Photo {
        pixels: match pixels.color().has_alpha() {
            true => pixels.into_rgba8().into(),
            false => pixels.into_rgb8().into(),
        },
        icc_profile: rgb_profile,
        exif: exif.map(upright),
        lost,
        cut: false,
    })
}

/// EXIF data of a photo that has been turned and repainted.
fn upright(mut exif: Vec<u8>) -> Vec<u8> {
    let _ = Orientation::remove_from_exif_chunk(&mut exif);
    if let Some(directory) = TiffDirectory::first(&exif) {
        directory.cut_next(&mut exif);
    }
    exif
}

/// What a file holds beside its first picture.
fn others_in(format: ImageFormat, bytes: &[u8]) -> Vec<&'static str> {
    let file = Cursor::new(bytes);
    let animated = match format {
        ImageFormat::Gif => {
            GifDecoder::new(file).is_ok_and(|gif| gif.into_frames().nth(1).is_some())
        }
        ImageFormat::Png => {
            PngDecoder::new(file).is_ok_and(|png| png.is_apng().unwrap_or_default())
        }
        ImageFormat::WebP => WebPDecoder::new(file).is_ok_and(|webp| webp.has_animation()),
        _ => false,
    };
    let mut others = Vec::new();
    if animated {
        others.push("it is an animation: only its first picture is painted");
    }
    if let (ImageFormat::Tiff, Some(directory)) = (format, TiffDirectory::first(bytes)) {
        if directory.has_next() {
            others.push("it has several pages: only the first is painted");
        }
        if directory.has_exif() {
            others.push("its date, place and camera (EXIF) are left out");
        }
    }
    others
}

/// The error without its causes, which its message names already.
fn flat(error: ImageError) -> anyhow::Error {
    anyhow!("{error}")
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
