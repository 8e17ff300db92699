//! Pictures from and to files.

use anyhow::Context;
use candle_core::{Device, Tensor};
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// A picture with its shorter side scaled to `shorter` pixels: RGB in 0..255,
/// `[1, 3, h, w]`.
pub fn load_scaled(path: &Path, shorter: usize, device: &Device) -> anyhow::Result<Tensor> {
    let picture = open(path)?;
    let (w, h) = (picture.width() as f64, picture.height() as f64);
    let scale = shorter as f64 / w.min(h);
    to_tensor(&resize(&picture, scale), device)
}

/// A picture, scaled down if its longer side has more than `longest` pixels:
/// RGB in 0..255, `[1, 3, h, w]`.
pub fn load_bounded(path: &Path, longest: usize, device: &Device) -> anyhow::Result<Tensor> {
    let picture = open(path)?;
    let scale = longest as f64 / f64::from(picture.width().max(picture.height()));
    let picture = match scale < 1.0 {
        true => resize(&picture, scale),
        false => picture.to_rgb8(),
    };
    to_tensor(&picture, device)
}

/// The PNG file of `image`, RGB `[1, 3, h, w]` in 0..255.
pub fn png(image: &Tensor) -> anyhow::Result<Vec<u8>> {
    let (_, _, h, w) = image.dims4()?;
    let values: Vec<f32> = image
        .squeeze(0)?
        .permute((1, 2, 0))?
        .flatten_all()?
        .to_vec1()?;
    let pixels = values
        .iter()
        .map(|v| v.round().clamp(0.0, 255.0) as u8)
        .collect();
    let picture = RgbImage::from_raw(w as u32, h as u32, pixels).context("wrong size")?;
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

fn open(path: &Path) -> anyhow::Result<DynamicImage> {
    image::ImageReader::open(path)
        .and_then(|reader| reader.with_guessed_format())
        .map_err(anyhow::Error::from)
        .and_then(|reader| Ok(reader.decode()?))
        .with_context(|| format!("cannot read the picture {}", path.display()))
}

fn resize(picture: &DynamicImage, scale: f64) -> RgbImage {
    let side = |len: u32| ((f64::from(len) * scale).round() as u32).max(1);
    let (w, h) = (side(picture.width()), side(picture.height()));
    image::imageops::resize(&picture.to_rgb8(), w, h, FilterType::CatmullRom)
}

fn to_tensor(picture: &RgbImage, device: &Device) -> anyhow::Result<Tensor> {
    let (w, h) = (picture.width() as usize, picture.height() as usize);
    let values: Vec<f32> = picture.as_raw().iter().map(|&v| f32::from(v)).collect();
    let image = Tensor::from_vec(values, (h, w, 3), &Device::Cpu)?
        .permute((2, 0, 1))?
        .contiguous()?
        .unsqueeze(0)?;
    Ok(image.to_device(device)?)
}
