//! Random square crops of photos.

use crate::io::photo::{self, Bound};
use anyhow::{Result, ensure};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use rand::Rng;
use std::path::Path;

/// Cuts square pieces out of photos.
pub struct Cutter {
    size: u32,
    resizer: Resizer,
    options: ResizeOptions,
    piece: TypedImage<'static, U8x3>,
}

impl Cutter {
    /// For pieces of side `size`, which has to fit 32 bits.
    pub fn new(size: usize) -> Self {
        let size = size as u32;
        let filter = ResizeAlg::Convolution(FilterType::CatmullRom);
        Cutter {
            size,
            resizer: Resizer::new(),
            options: ResizeOptions::new().resize_alg(filter).use_alpha(false),
            piece: TypedImage::new(size, size),
        }
    }

    /// Adds a random piece of the photo to `bytes`: R, G, B of each pixel.
    ///
    /// The piece spans at least four fifths of the photo's shorter side, as if
    /// the photo had been scaled to between `size` and 1.25 `size`. It is not
    /// scaled up unless the whole photo is smaller than `size`. Half of the
    /// pieces are mirrored.
    ///
    /// # Errors
    /// The photo cannot be read, or is so small that it would have to be
    /// scaled up more than twofold: that would teach blur. Neither `random`
    /// nor `bytes` has changed then.
    pub fn add_piece(
        &mut self,
        path: &Path,
        random: &mut impl Rng,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let photo = photo::read(path, Bound::TRAINING)?;
        let (width, height) = photo.dimensions();
        ensure!(
            width.min(height) >= self.size.div_ceil(2),
            "too small: {width}x{height}; both sides must be at least {}",
            self.size.div_ceil(2)
        );
        let square = Square::random(width, height, self.size, random);
        let mirrored = random.random();
        self.scale(&photo, square)?;
        self.add_pixels(mirrored, bytes);
        Ok(())
    }

    /// Only what is needed is scaled.
    fn scale(&mut self, photo: &RgbImage, square: Square) -> Result<()> {
        let (width, height) = photo.dimensions();
        let source = TypedImageRef::<U8x3>::from_buffer(width, height, photo.as_raw())?;
        let [left, top, side] = [square.left, square.top, square.side].map(f64::from);
        let options = self.options.crop(left, top, side, side);
        // Typed, so that one pixel format is compiled and not fifteen.
        Ok(self
            .resizer
            .resize_typed(&source, &mut self.piece, &options)?)
    }

    fn add_pixels(&self, mirrored: bool, bytes: &mut Vec<u8>) {
        for row in self.piece.pixels().chunks_exact(self.size as usize) {
            match mirrored {
                true => bytes.extend(row.iter().rev().flat_map(|pixel| pixel.0)),
                false => bytes.extend(row.iter().flat_map(|pixel| pixel.0)),
            }
        }
    }
}

/// The piece of a photo to be cut out, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Square {
    left: u32,
    top: u32,
    side: u32,
}

impl Square {
    /// Within a photo of `width` times `height`, for pieces of `size`.
    fn random(width: u32, height: u32, size: u32, random: &mut impl Rng) -> Self {
        let shorter = width.min(height);
        let least = (shorter - shorter / 5).max(size).min(shorter);
        let side = random.random_range(least..=shorter);
        Square {
            left: random.random_range(0..=width - side),
            top: random.random_range(0..=height - side),
            side,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Like a photo: neither flat nor noise.
    fn gradients(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 3) as u8, (y * 5) as u8, (x * y / 16) as u8])
        })
    }

    #[test]
    fn squares_stay_inside_the_photo() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for (width, height, size) in [
            (1, 1, 1),
            (1, 1, 2),
            (300, 288, 256),
            (128, 900, 256),
            (4000, 3000, 256),
            (257, 256, 256),
        ] {
            let shorter = width.min(height);
            let mut sides = std::collections::BTreeSet::new();
            for _ in 0..2000 {
                let square = Square::random(width, height, size, &mut random);
                assert!(square.left + square.side <= width && square.top + square.side <= height);
                assert!(square.side >= size.min(shorter) && square.side >= shorter * 4 / 5);
                sides.insert(square.side);
            }
            assert!(sides.contains(&shorter));
            assert_eq!(
                sides.contains(&(shorter - 1)),
                shorter > size,
                "{width}x{height}"
            );
        }
    }

    #[test]
    fn a_crop_shows_the_photo_or_its_mirror_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.png");
        let photo = gradients(32, 32);
        photo.save(&path).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut cutter = Cutter::new(32);
        let (mut plain, mut mirrored) = (0, 0);
        for _ in 0..20 {
            // As large as the photo, so only the mirror is left to chance.
            let mut bytes = Vec::new();
            cutter.add_piece(&path, &mut random, &mut bytes).unwrap();
            assert_eq!(bytes.len(), 3 * 32 * 32);
            let at = |x: u32, y: u32, c: u32| bytes[((y * 32 + x) * 3 + c) as usize];
            let shows = |flip: bool| {
                photo.enumerate_pixels().all(|(x, y, pixel)| {
                    let x = if flip { 31 - x } else { x };
                    (0..3).all(|c| at(x, y, c) == pixel[c as usize])
                })
            };
            plain += usize::from(shows(false));
            mirrored += usize::from(shows(true));
        }
        assert!(plain > 3 && mirrored > 3 && plain + mirrored == 20);
    }

    #[test]
    fn small_photos_are_scaled_up_at_most_twofold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.png");
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let mut bytes = Vec::new();
        gradients(300, 31).save(&path).unwrap();
        let error = Cutter::new(64)
            .add_piece(&path, &mut random, &mut bytes)
            .unwrap_err();
        assert!(error.to_string().contains("too small: 300x31"));
        assert!(bytes.is_empty());
        gradients(300, 32).save(&path).unwrap();
        Cutter::new(64)
            .add_piece(&path, &mut random, &mut bytes)
            .unwrap();
        assert_eq!(bytes.len(), 3 * 64 * 64);
    }
}
