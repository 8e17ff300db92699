//! Pictures from and to files.

use crate::io::photo::{self, Bound};
use anyhow::{Context, ensure};
use candle_core::{Device, Tensor};
use gstfaststyle::Image;
use gstfaststyle::internals::network::write_atomically;
use gstfaststyle::internals::ops::plain;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{ImageFormat, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// A scaled picture has no more pixels than this: a thin strip of a few pixels
/// width would otherwise become one of a length beyond all memory.
const MAX_PIXELS: f64 = (1 << 26) as f64;

/// The picture in a file, upright.
///
/// # Errors
/// What keeps it from being read, with the path.
pub fn read(path: &Path) -> anyhow::Result<RgbImage> {
    photo::read(path, Bound::free_memory())
        .with_context(|| format!("cannot read the picture {}", path.display()))
}

/// Width and height of the picture in a file, upright, from what the file says of itself.
///
/// # Errors
/// What keeps it from being read, with the path.
pub fn size(path: &Path) -> anyhow::Result<(u32, u32)> {
    photo::size(path, Bound::free_memory())
        .with_context(|| format!("cannot read the picture {}", path.display()))
}

/// A picture with its shorter side scaled to `shorter` pixels: RGB in 0..255,
/// `[1, h, w, 3]`.
pub fn load_scaled(path: &Path, shorter: usize, device: &Device) -> anyhow::Result<Tensor> {
    scaled(&read(path)?, shorter, device).with_context(|| path.display().to_string())
}

/// `picture` with its shorter side scaled to `shorter` pixels: RGB in 0..255,
/// `[1, h, w, 3]`.
///
/// # Errors
/// A picture so narrow that it would become far too long.
pub fn scaled(picture: &RgbImage, shorter: usize, device: &Device) -> anyhow::Result<Tensor> {
    let (w, h) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = shorter as f64 / w.min(h);
    ensure!(
        w * scale * h * scale <= MAX_PIXELS,
        "{w}x{h}, scaled to {shorter} pixels for the shorter side, is too large"
    );
    tensor(&resize(picture, scale), device)
}

/// A picture, scaled down if its longer side has more than `longest` pixels:
/// RGB in 0..255, `[1, h, w, 3]`.
pub fn load_bounded(path: &Path, longest: usize, device: &Device) -> anyhow::Result<Tensor> {
    tensor(&bounded(&read(path)?, longest as u32), device)
}

/// `picture`, scaled down if its longer side has more than `longest` pixels.
pub fn bounded(picture: &RgbImage, longest: u32) -> RgbImage {
    let scale = f64::from(longest) / f64::from(picture.width().max(picture.height()));
    match scale < 1.0 {
        true => resize(picture, scale),
        false => picture.clone(),
    }
}

/// The middle of `picture`, as much as has the shape of `width` times `height`
/// pixels, scaled to that size.
pub fn cover(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = picture.dimensions();
    let scale = (f64::from(width) / f64::from(w)).max(f64::from(height) / f64::from(h));
    let part = |len: u32, whole: u32| ((f64::from(len) / scale).round() as u32).clamp(1, whole);
    let (part_w, part_h) = (part(width, w), part(height, h));
    let (left, top) = ((w - part_w) / 2, (h - part_h) / 2);
    let part = image::imageops::crop_imm(picture, left, top, part_w, part_h);
    image::imageops::resize(&*part, width, height, FilterType::CatmullRom)
}

/// RGB `[1, h, w, 3]` as an engine takes it.
pub fn planar(picture: &Tensor) -> anyhow::Result<Image> {
    let (_, height, width, _) = picture.dims4()?;
    Ok(Image {
        width,
        height,
        data: plain::channels_first(picture)?.flatten_all()?.to_vec1()?,
    })
}

/// What an engine gives, as RGB `[1, h, w, 3]`.
pub fn interleaved(image: Image, device: &Device) -> anyhow::Result<Tensor> {
    let shape = (1, 3, image.height, image.width);
    let image = Tensor::from_vec(image.data, shape, device)?;
    Ok(plain::channels_last(&image)?)
}

/// `image`, RGB `[1, h, w, 3]` in 0..255, in whole numbers.
pub fn rgb(image: &Tensor) -> anyhow::Result<RgbImage> {
    let (_, h, w, _) = image.dims4()?;
    let values: Vec<f32> = image.flatten_all()?.to_vec1()?;
    let pixels = values
        .iter()
        .map(|v| v.round().clamp(0.0, 255.0) as u8)
        .collect();
    RgbImage::from_raw(w as u32, h as u32, pixels).context("wrong size")
}

/// Writes `picture` as a PNG file, whole or not at all.
///
/// # Errors
/// The file cannot be written; the error names its path.
pub fn save(path: &Path, picture: &RgbImage) -> anyhow::Result<()> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    write_atomically(path, file.get_ref())
        .with_context(|| format!("cannot write the picture {}", path.display()))
}

/// `picture` as a JPEG file of `quality` 1 to 100, scaled down if its longer
/// side has more than `longest` pixels.
pub fn jpeg(picture: &RgbImage, longest: u32, quality: u8) -> anyhow::Result<Vec<u8>> {
    let (w, h) = picture.dimensions();
    let side = longest.min(w.max(h));
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality).encode_image(&fit(picture, side, side))?;
    Ok(file)
}

/// `picture` scaled to fit into `width` times `height` pixels.
pub fn fit(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = picture.dimensions();
    let scale = (f64::from(width) / f64::from(w)).min(f64::from(height) / f64::from(h));
    resize(picture, scale)
}

fn resize(picture: &RgbImage, scale: f64) -> RgbImage {
    let side = |len: u32| ((f64::from(len) * scale).round() as u32).max(1);
    let (w, h) = (side(picture.width()), side(picture.height()));
    image::imageops::resize(picture, w, h, FilterType::CatmullRom)
}

/// `picture` as RGB in 0..255, `[1, h, w, 3]`.
pub fn tensor(picture: &RgbImage, device: &Device) -> anyhow::Result<Tensor> {
    let (w, h) = (picture.width() as usize, picture.height() as usize);
    let values: Vec<f32> = picture.as_raw().iter().map(|&v| f32::from(v)).collect();
    Ok(Tensor::from_vec(values, (1, h, w, 3), device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn cover_takes_the_middle() {
        // Columns 0, 10, 20, ...: what is left out shows.
        let wide = RgbImage::from_fn(20, 8, |x, _| Rgb([10 * x as u8; 3]));
        let middle = cover(&wide, 8, 8);
        assert_eq!(middle.dimensions(), (8, 8));
        assert_eq!(middle.get_pixel(0, 0).0, [60; 3]);
        assert_eq!(middle.get_pixel(7, 7).0, [130; 3]);
        let high = RgbImage::from_fn(8, 40, |_, y| Rgb([5 * y as u8; 3]));
        let half = cover(&high, 4, 8);
        assert_eq!(half.dimensions(), (4, 8));
        // Of rows 12 to 27, two at a time.
        let (first, last) = (half.get_pixel(0, 0).0[0], half.get_pixel(3, 7).0[0]);
        assert!(first.abs_diff(62) <= 2, "{first}");
        assert!(last.abs_diff(132) <= 2, "{last}");
        // As large as asked for, however small the picture.
        assert_eq!(cover(&wide, 300, 1).dimensions(), (300, 1));
        assert_eq!(cover(&high, 1, 300).dimensions(), (1, 300));
    }

    #[test]
    fn fit_keeps_the_aspect_ratio() {
        let picture = RgbImage::new(40, 20);
        assert_eq!(fit(&picture, 20, 20).dimensions(), (20, 10));
        assert_eq!(fit(&picture, 600, 30).dimensions(), (60, 30));
        assert_eq!(fit(&RgbImage::new(1, 999), 9, 9).dimensions(), (1, 9));
    }

    #[test]
    fn a_jpeg_is_no_larger_than_asked_for() -> anyhow::Result<()> {
        for (size, longest, expected) in [((40, 20), 10, (10, 5)), ((8, 9), 10, (8, 9))] {
            let file = jpeg(&RgbImage::new(size.0, size.1), longest, 80)?;
            let found = image::load_from_memory_with_format(&file, ImageFormat::Jpeg)?;
            assert_eq!((found.width(), found.height()), expected);
        }
        Ok(())
    }

    #[test]
    fn a_long_strip_is_not_scaled_beyond_the_limit() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("strip.png");
        save(&path, &RgbImage::new(20_000, 1))?;
        let error = load_scaled(&path, 256, &Device::Cpu).expect_err("too large");
        assert!(format!("{error:#}").contains("strip.png"), "{error:#}");
        Ok(())
    }

    #[test]
    fn pictures_round_trip_through_tensors() -> anyhow::Result<()> {
        let picture = RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8, 10 * y as u8, 200]));
        assert_eq!(rgb(&tensor(&picture, &Device::Cpu)?)?, picture);
        Ok(())
    }
}
