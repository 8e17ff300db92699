//! A still painted in styles.

use crate::output;
use anyhow::{Context, Result};
use gstfaststyle::internals::element::IMAGE;
use gstfaststyle::internals::network::StyleMix;
use gstfaststyle::{Engine, Image, Options, Prepared};
use image::imageops;
use image::{ImageFormat, Rgb, RgbImage};
use std::path::{Path, PathBuf};

/// The still: of *Big Buck Bunny*, (c) Blender Foundation, CC BY 3.0.
const STILL: &[u8] = include_bytes!("page/still.jpg");

/// The still as it is.
///
/// # Errors
/// None, unless the program is damaged.
pub fn still() -> Result<RgbImage> {
    Ok(image::load_from_memory(STILL)?.into_rgb8())
}

/// Paints pictures in one style after the other.
pub struct StylePainter {
    options: Options,
    /// The model in use.
    loaded: Option<Loaded>,
}

struct Loaded {
    path: PathBuf,
    picture: Option<PathBuf>,
    /// Of its styles.
    names: Vec<String>,
    engine: Engine,
}

impl Loaded {
    fn open(path: &Path, picture: Option<&Path>, options: Options) -> Result<Self> {
        let pictures = picture.map(|picture| (IMAGE, picture));
        let prepared = Prepared::load_with_pictures(path, pictures.as_slice(), options)?;
        let names = prepared.styles().iter().map(|style| style.name.clone());
        Ok(Loaded {
            path: path.into(),
            picture: picture.map(Into::into),
            names: names.collect(),
            engine: Engine::of(prepared),
        })
    }
}

impl StylePainter {
    /// With these options for all models.
    pub fn new(options: Options) -> Self {
        StylePainter {
            options,
            loaded: None,
        }
    }

    /// Paints a picture in the style `style` of a model file, or in its first one. That
    /// of the painting in the file `style_image` is called [`IMAGE`]. The model is read
    /// again only where another one was in use.
    ///
    /// # Errors
    /// The model or the painting cannot be read.
    pub fn paint(
        &mut self,
        picture: &RgbImage,
        model: &Path,
        style: Option<&str>,
        style_image: Option<&Path>,
    ) -> Result<RgbImage> {
        let is_same =
            |loaded: &Loaded| loaded.path == model && loaded.picture.as_deref() == style_image;
        let loaded = match self.loaded.take().filter(is_same) {
            Some(loaded) => loaded,
            None => Loaded::open(model, style_image, self.options)?,
        };
        let Loaded { names, engine, .. } = self.loaded.insert(loaded);
        let place = style.and_then(|style| names.iter().position(|name| name == style));
        engine.set_mix(&StyleMix::single(place.unwrap_or(0)))?;
        let input = planar(picture);
        let mut painted = Image::default();
        engine.stylize(&input, &mut painted)?;
        Ok(interleaved(&painted))
    }
}

/// The picture that the network delivers.
fn interleaved(picture: &Image) -> RgbImage {
    let plane = picture.width * picture.height;
    RgbImage::from_fn(picture.width as u32, picture.height as u32, |x, y| {
        let at = y as usize * picture.width + x as usize;
        let value = |channel| picture.data[channel * plane + at];
        Rgb([0, 1, 2].map(|channel| value(channel).round().clamp(0.0, 255.0) as u8))
    })
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
