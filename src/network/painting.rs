//! A picture of a painting in a file, for its style.

use super::predictor::PAINTING_SIDE;
use super::printable::printable_path;
use candle_core::{DType, Device, Tensor};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, RgbImage};
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Larger than the file of any picture that is a painting's.
const MAX_FILE_BYTES: u64 = 1 << 28;

/// How many times longer than its shorter side a picture counts as; the rest is cut off.
const MAX_ASPECT: u32 = 8;

/// Why there is no painting in a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PaintingError {
    /// The file cannot be read, or is none.
    #[error("cannot read the picture {}", printable_path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// It is no picture, or a damaged one.
    #[error(
        "{} is not a picture that can be read (JPEG, PNG, WebP, BMP, GIF, TIFF)",
        printable_path(path)
    )]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ImageError>,
    },

    /// Its numbers cannot be placed in memory.
    #[error("the picture {}", printable_path(path))]
    Tensor {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Box<candle_core::Error>,
    },
}

/// A picture's file, read but not decoded.
pub struct PaintingFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl PaintingFile {
    /// Reads a regular file of a size that pictures have.
    ///
    /// # Errors
    /// [`PaintingError::Read`].
    pub fn read(path: &Path) -> Result<Self, PaintingError> {
        let bytes = read_bounded(path).map_err(|source| PaintingError::Read {
            path: path.into(),
            source,
        })?;
        Ok(PaintingFile {
            path: path.into(),
            bytes,
        })
    }

    /// All of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The picture, upright, with a shorter side of [`PAINTING_SIDE`] pixels: RGB in
    /// 0..255, `[1, h, w, 3]`.
    ///
    /// # Errors
    /// [`PaintingError::Decode`], [`PaintingError::Tensor`].
    pub fn decode(&self) -> Result<Tensor, PaintingError> {
        let picture = decode(&self.bytes).map_err(|source| PaintingError::Decode {
            path: self.path.clone(),
            source: Box::new(source),
        })?;
        tensor(scaled(picture)).map_err(|source| PaintingError::Tensor {
            path: self.path.clone(),
            source: Box::new(source),
        })
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Before it is opened: opening a pipe would wait for its writer.
    let info = fs::metadata(path)?;
    let refuse = |reason| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    if !info.is_file() {
        return refuse("not a regular file");
    }
    if info.len() > MAX_FILE_BYTES {
        return refuse("too large a file");
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    // Its limits bound what a file can make it reserve.
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// `picture` with a shorter side of [`PAINTING_SIDE`].
fn scaled(picture: RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let most = width.min(height).saturating_mul(MAX_ASPECT);
    let (width, height) = (width.min(most), height.min(most));
    let side = PAINTING_SIDE as u32;
    let scale = f64::from(side) / f64::from(width.min(height));
    let scaled = |len: u32| ((f64::from(len) * scale).round() as u32).max(side);
    let part = imageops::crop_imm(&picture, 0, 0, width, height);
    imageops::resize(
        &*part,
        scaled(width),
        scaled(height),
        FilterType::CatmullRom,
    )
}

fn tensor(picture: RgbImage) -> candle_core::Result<Tensor> {
    let (width, height) = picture.dimensions();
    let shape = (1, height as usize, width as usize, 3);
    Tensor::from_vec(picture.into_raw(), shape, &Device::Cpu)?.to_dtype(DType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn decoded(picture: &RgbImage) -> anyhow::Result<Tensor> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("p.png");
        picture.save(&path)?;
        Ok(PaintingFile::read(&path)?.decode()?)
    }

    #[test]
    fn the_shorter_side_is_what_predictors_want() -> anyhow::Result<()> {
        let blue = |width, height| RgbImage::from_pixel(width, height, Rgb([10, 20, 200]));
        for ((width, height), dims) in [
            ((80, 40), [1, 256, 512, 3]),
            ((1000, 1500), [1, 384, 256, 3]),
            ((1, 1), [1, 256, 256, 3]),
            ((900, 2), [1, 256, 2048, 3]),
        ] {
            let tensor = decoded(&blue(width, height))?;
            assert_eq!(tensor.dims(), dims, "{width}x{height}");
            let pixel = tensor.narrow(1, 100, 1)?.narrow(2, 100, 1)?;
            assert_eq!(pixel.flatten_all()?.to_vec1::<f32>()?, [10.0, 20.0, 200.0]);
        }
        Ok(())
    }

    #[test]
    fn what_is_no_picture_is_named() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("text.png");
        fs::write(&path, "no picture")?;
        let error = PaintingFile::read(&path)?.decode().unwrap_err().to_string();
        assert!(error.contains("text.png is not a picture"), "{error}");
        for path in [
            folder.path(),
            &folder.path().join("nowhere"),
            Path::new("/dev/zero"),
        ] {
            let error = PaintingFile::read(path)
                .err()
                .expect("an error")
                .to_string();
            assert!(error.contains("cannot read the picture"), "{error}");
        }
        Ok(())
    }
}
