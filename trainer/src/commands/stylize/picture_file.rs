//! Reads, scales and writes picture files.

use crate::cli::PictureFormat;
use crate::io::photo::{self, Bound, Metadata, Photo};
use crate::io::{jpeg, png};
use anyhow::ensure;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8x3, U8x4};
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use gstfaststyle::Area;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageResult};
use std::path::Path;

impl PictureFormat {
    /// What names of such files end in, the first being ours.
    fn extensions(self) -> &'static [&'static str] {
        match self {
            PictureFormat::Png => &["png"],
            PictureFormat::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            PictureFormat::Webp => &["webp"],
        }
    }

    /// What the name of a file of ours ends in.
    pub fn extension(self) -> &'static str {
        self.extensions()[0]
    }

    /// The format that a file's name tells.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_lowercase();
        [Self::Png, Self::Jpeg, Self::Webp]
            .into_iter()
            .find(|format| format.extensions().contains(&extension.as_str()))
    }

    fn has_alpha(self) -> bool {
        self != PictureFormat::Jpeg
    }

    /// The most pixels that a side can have.
    fn longest(self) -> usize {
        match self {
            PictureFormat::Png => i32::MAX as usize,
            PictureFormat::Jpeg => 65_535,
            PictureFormat::Webp => 16_383,
        }
    }
}

/// Leaves out, and says so, what a file of `format` has no room for.
fn fit(metadata: &mut Metadata, format: PictureFormat) {
    let mut bound = |data: &mut Option<Vec<u8>>, most: usize, note: &'static str| {
        if data.as_ref().is_some_and(|data| data.len() > most) {
            *data = None;
            metadata.lost.push(note);
        }
    };
    if format == PictureFormat::Jpeg {
        let note = "its EXIF data are too long for a JPEG file and are left out";
        bound(&mut metadata.exif, jpeg::MAX_EXIF, note);
        let note = "its XMP data are too long for a JPEG file and are left out";
        bound(&mut metadata.xmp, jpeg::MAX_XMP, note);
        let note = "its IPTC data are too long for a JPEG file and are left out";
        bound(&mut metadata.iptc, jpeg::MAX_IPTC, note);
    } else {
        let note = "its IPTC data (title, author, keywords) are left out: only JPEG files have \
                    a place for them, see --format";
        bound(&mut metadata.iptc, 0, note);
    }
}

/// A picture of 8 bits a channel.
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// RGB or, with `alpha`, RGBA.
    pub bytes: Vec<u8>,
    /// Whether there is a fourth channel, of opacity.
    pub alpha: bool,
    /// What is said of it; what of the file is not in the result.
    pub metadata: Metadata,
}

impl Picture {
    /// The picture at `path`, upright; on white if it cannot be transparent in
    /// `format`.
    ///
    /// # Errors
    /// What keeps it from being read, without the path.
    pub fn read(path: &Path, format: PictureFormat) -> anyhow::Result<Self> {
        let (Photo { pixels, cut }, mut metadata) = photo::read_whole(path, Bound::free_memory())?;
        if cut {
            let note = "the file is cut off: the rest of the picture is not there";
            metadata.lost.push(note);
        }
        fit(&mut metadata, format);
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        ensure!(width > 0 && height > 0, "a picture without pixels");
        let (bytes, alpha) = match pixels {
            DynamicImage::ImageRgba8(pixels) if format.has_alpha() => (pixels.into_raw(), true),
            pixels => (photo::opaque(pixels).into_raw(), false),
        };
        Ok(Picture {
            width,
            height,
            bytes,
            alpha,
            metadata,
        })
    }

    /// Scales it down so that neither side has more than `longest` pixels.
    ///
    /// # Errors
    /// None that a picture could cause.
    pub fn shrink(&mut self, longest: u32) -> anyhow::Result<()> {
        let scale = f64::from(longest) / self.width.max(self.height) as f64;
        if scale >= 1.0 {
            return Ok(());
        }
        let side = |len: usize| ((len as f64 * scale).round() as u32).max(1);
        let from = (self.width as u32, self.height as u32);
        let to = (side(self.width), side(self.height));
        let mut resizer = Resizer::new();
        let filter = ResizeAlg::Convolution(FilterType::CatmullRom);
        // What is transparent does not colour its neighbours.
        let options = ResizeOptions::new()
            .resize_alg(filter)
            .use_alpha(self.alpha);
        self.bytes = match self.alpha {
            true => {
                let source = TypedImageRef::<U8x4>::from_buffer(from.0, from.1, &self.bytes)?;
                let mut small = TypedImage::<U8x4>::new(to.0, to.1);
                resizer.resize_typed(&source, &mut small, &options)?;
                small.pixels().iter().flat_map(|pixel| pixel.0).collect()
            }
            false => {
                let source = TypedImageRef::<U8x3>::from_buffer(from.0, from.1, &self.bytes)?;
                let mut small = TypedImage::<U8x3>::new(to.0, to.1);
                resizer.resize_typed(&source, &mut small, &options)?;
                small.pixels().iter().flat_map(|pixel| pixel.0).collect()
            }
        };
        (self.width, self.height) = (to.0 as usize, to.1 as usize);
        Ok(())
    }

    /// Whether a file of `format` can hold it.
    ///
    /// # Errors
    /// It is too large.
    pub fn check(&self, format: PictureFormat) -> anyhow::Result<()> {
        let longest = format.longest();
        ensure!(
            self.width.max(self.height) <= longest,
            "{}x{} pixels: a {} file has at most {longest} a side; see --max-size",
            self.width,
            self.height,
            format.extension()
        );
        Ok(())
    }

    /// How opaque each pixel of `area` is, row by row, from 0 to 1.
    pub fn opacities(&self, area: Area) -> impl Iterator<Item = f32> {
        (area.y..area.y + area.height).flat_map(move |y| {
            let row = &self.bytes[4 * (y * self.width + area.x)..][..4 * area.width];
            row.iter().skip(3).step_by(4).map(|&a| f32::from(a) / 255.0)
        })
    }

    /// The bytes of a file; `quality` is that of JPEG.
    ///
    /// # Errors
    /// The picture is too large for the format.
    pub fn encode(&self, format: PictureFormat, quality: u8) -> anyhow::Result<Vec<u8>> {
        let mut file = Vec::new();
        let Metadata { xmp, iptc, .. } = &self.metadata;
        let (xmp, iptc) = (xmp.as_deref(), iptc.as_deref());
        match format {
            PictureFormat::Png => {
                self.write(PngEncoder::new(&mut file))?;
                if let Some(xmp) = xmp {
                    file = png::with_xmp(&file, xmp);
                }
            }
            PictureFormat::Jpeg => {
                self.write(JpegEncoder::new_with_quality(&mut file, quality))?;
                file = jpeg::with_texts(&file, xmp, iptc);
            }
            PictureFormat::Webp => self.write_webp(&mut file)?,
        }
        Ok(file)
    }

    fn write_webp(&self, file: &mut Vec<u8>) -> Result<(), image_webp::EncodingError> {
        let Metadata {
            icc_profile,
            exif,
            xmp,
            ..
        } = &self.metadata;
        let mut encoder = image_webp::WebPEncoder::new(file);
        if let Some(profile) = icc_profile {
            encoder.set_icc_profile(profile.clone());
        }
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif.clone());
        }
        if let Some(xmp) = xmp {
            encoder.set_xmp_metadata(xmp.clone());
        }
        let kind = match self.alpha {
            true => image_webp::ColorType::Rgba8,
            false => image_webp::ColorType::Rgb8,
        };
        encoder.encode(&self.bytes, self.width as u32, self.height as u32, kind)
    }

    fn write(&self, mut encoder: impl ImageEncoder) -> ImageResult<()> {
        if let Some(profile) = &self.metadata.icc_profile {
            // Both formats can hold both.
            let _ = encoder.set_icc_profile(profile.clone());
        }
        if let Some(exif) = &self.metadata.exif {
            let _ = encoder.set_exif_metadata(exif.clone());
        }
        let kind = match self.alpha {
            true => ExtendedColorType::Rgba8,
            false => ExtendedColorType::Rgb8,
        };
        encoder.write_image(&self.bytes, self.width as u32, self.height as u32, kind)
    }
}
