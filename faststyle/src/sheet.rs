//! A still painted in styles.

use crate::output;
use anyhow::{Context, Result};
use gstfaststyle::internals::network::StyleMix;
use gstfaststyle::{Engine, Image, Options, Prepared};
use image::imageops;
use image::{ImageFormat, Rgb, RgbImage};
use std::path::Path;

/// The still: of *Big Buck Bunny*, (c) Blender Foundation, CC BY 3.0.
const STILL: &[u8] = include_bytes!("page/still.jpg");

/// The still as it is.
///
/// # Errors
/// None, unless the program is damaged.
pub fn still() -> Result<RgbImage> {
    Ok(image::load_from_memory(STILL)?.into_rgb8())
}

/// Paints a picture in the style `style` of a model file, or in its first one.
///
/// # Errors
/// The model cannot be read.
pub fn paint(
    picture: &RgbImage,
    model: &Path,
    style: Option<&str>,
    options: Options,
) -> Result<RgbImage> {
    let prepared = Prepared::load(model, options)?;
    let place = style.and_then(|name| {
        prepared
            .styles()
            .iter()
            .position(|style| style.name == name)
    });
    let mut engine = Engine::of(prepared);
    if let Some(place) = place {
        engine.set_mix(&StyleMix::single(place))?;
    }
    let input = planar(picture);
    let mut painted = Image::default();
    engine.stylize(&input, &mut painted)?;
    let plane = input.width * input.height;
    let (width, height) = picture.dimensions();
    Ok(RgbImage::from_fn(width, height, |x, y| {
        let at = y as usize * input.width + x as usize;
        Rgb([0, 1, 2]
            .map(|channel| painted.data[channel * plane + at].round().clamp(0.0, 255.0) as u8))
    }))
}

/// The picture as the network takes it.
pub fn planar(picture: &RgbImage) -> Image {
    let plane = |channel| {
        picture
            .pixels()
            .map(move |pixel: &Rgb<u8>| f32::from(pixel.0[channel]))
    };
    Image {
        width: picture.width() as usize,
        height: picture.height() as usize,
        data: (0..3).flat_map(plane).collect(),
    }
}

/// Pictures in rows, each as high as the highest.
pub fn rows(pictures: &[RgbImage], columns: u32, space: u32) -> RgbImage {
    let width = pictures.iter().map(RgbImage::width).max().unwrap_or(1);
    let height = pictures.iter().map(RgbImage::height).max().unwrap_or(1);
    let rows = (pictures.len() as u32).div_ceil(columns);
    let size = |count: u32, side: u32| count * (side + space) + space;
    let mut sheet = RgbImage::from_pixel(size(columns, width), size(rows, height), Rgb([255; 3]));
    for (picture, place) in pictures.iter().zip(0_u32..) {
        let x = space + place % columns * (width + space);
        let y = space + place / columns * (height + space);
        imageops::replace(&mut sheet, picture, x.into(), y.into());
    }
    sheet
}

/// The format of a sheet, by the extension of its name, given by `flag`.
///
/// # Errors
/// Another extension; a file of that name, unless `overwrite`.
pub fn check(flag: &str, path: &Path, overwrite: bool) -> Result<ImageFormat> {
    let format = ImageFormat::from_path(path).ok();
    let format = format.filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg));
    let format = format.with_context(|| {
        format!(
            "{flag} {}: it is a picture; end its name in .png or .jpg",
            path.display()
        )
    })?;
    output::check(flag, path, overwrite, &[])?;
    Ok(format)
}

/// Writes a picture that is either whole or not there.
///
/// # Errors
/// Those of the system; a file of that name, unless `overwrite`.
pub fn save(picture: &RgbImage, path: &Path, format: ImageFormat, overwrite: bool) -> Result<()> {
    let part = output::part_of(path);
    picture
        .save_with_format(&part, format)
        .with_context(|| path.display().to_string())?;
    output::publish(&part, path, overwrite)
}
