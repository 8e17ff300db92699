//! Pictures whose styles a predictor learns: mostly paintings, each time another part
//! of one, mirrored or in other colours. A few hundred become many more like this.
//!
//! The seed, the sorted lists and the number of a turn alone determine its picture.

use crate::data;
use crate::io::picture;
use anyhow::{Context, Result};
use image::{RgbImage, imageops};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};

/// How often a photo takes the place of a painting: photos have styles of their own,
/// and there are more of them.
const PHOTO_SHARE: f64 = 0.15;

/// How often a picture has colours of another.
const RECOLORED: f64 = 0.4;

/// The smallest part of a picture's shorter side that a square cut from it has.
const SMALLEST_PART: f64 = 0.4;

/// So many pictures in a row may be unreadable.
const TRIES: usize = 8;

/// What separates these random numbers from others of the same seed.
const SALT: u64 = 0x7061_696e_7469_6e67;

/// Folders to draw pictures from.
pub struct Paintings {
    paintings: Vec<PathBuf>,
    photos: Vec<PathBuf>,
    seed: u64,
}

impl Paintings {
    /// The pictures under two folders, their folders included.
    ///
    /// # Errors
    /// A folder without pictures.
    pub fn open(paintings: &Path, photos: &Path, seed: u64) -> Result<Self> {
        let (paintings, _) = data::list(paintings)
            .with_context(|| format!("--paintings {}", paintings.display()))?;
        let (photos, _) = data::list(photos)?;
        Ok(Paintings {
            paintings,
            photos,
            seed,
        })
    }

    /// How many paintings there are.
    pub fn count(&self) -> usize {
        self.paintings.len()
    }

    /// The picture of a turn: a square of `side` pixels.
    ///
    /// # Errors
    /// Several pictures in a row cannot be read.
    pub fn draw(&self, turn: u64, side: u32) -> Result<RgbImage> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ SALT);
        random.set_stream(turn);
        let mut result = self.one(&mut random, side);
        for _ in 1..TRIES {
            if result.is_ok() {
                break;
            }
            result = self.one(&mut random, side);
        }
        result.with_context(|| format!("{TRIES} pictures in a row cannot be read, the last is"))
    }

    /// The first paintings, each with its file's name, covering `width` times `height`
    /// pixels. Those that cannot be read are left out.
    pub fn first(&self, count: usize, width: u32, height: u32) -> Vec<(String, RgbImage)> {
        let readable = self.paintings.iter().filter_map(|path| {
            let name = path.file_stem()?.to_string_lossy().into_owned();
            let picture = picture::read(path).ok()?;
            Some((name, picture::cover(&picture, width, height)))
        });
        readable.take(count).collect()
    }

    fn one(&self, random: &mut impl Rng, side: u32) -> Result<RgbImage> {
        let folder = match random.random_bool(PHOTO_SHARE) {
            true => &self.photos,
            false => &self.paintings,
        };
        let path = folder.choose(random).context("no picture")?;
        let whole = picture::read(path)?;
        let shorter = whole.width().min(whole.height());
        let part = f64::from(shorter) * random.random_range(SMALLEST_PART..=1.0);
        let part = (part as u32).clamp(1, shorter);
        let left = random.random_range(0..=whole.width() - part);
        let top = random.random_range(0..=whole.height() - part);
        let square = imageops::crop_imm(&whole, left, top, part, part).to_image();
        let mut square = picture::cover(&square, side, side);
        if random.random_bool(0.5) {
            imageops::flip_horizontal_in_place(&mut square);
        }
        if random.random_bool(RECOLORED) {
            recolor(&mut square, random);
        }
        Ok(square)
    }
}

/// Exchanges the channels of `picture`, and changes the contrast of each.
fn recolor(picture: &mut RgbImage, random: &mut impl Rng) {
    let mut order = [0, 1, 2];
    order.shuffle(random);
    let contrast: [f32; 3] = std::array::from_fn(|_| random.random_range(0.6..1.3));
    for pixel in picture.pixels_mut() {
        let old = pixel.0;
        for (new, (from, contrast)) in pixel.0.iter_mut().zip(order.iter().zip(contrast)) {
            // Saturates at 0 and 255.
            *new = ((f32::from(old[*from]) - 128.0) * contrast + 128.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// Folders of paintings, which are red, and of photos, which are grey.
    fn folders() -> Result<(TempDir, Paintings)> {
        let folder = tempfile::tempdir()?;
        let [paintings, photos] = ["paintings", "photos"].map(|name| folder.path().join(name));
        for (at, rgb) in [(&paintings, [200, 0, 0]), (&photos, [90, 90, 90])] {
            std::fs::create_dir(at)?;
            for name in ["a.png", "b.png"] {
                let picture = RgbImage::from_pixel(40, 30, image::Rgb(rgb));
                picture.save(at.join(name))?;
            }
        }
        let pictures = Paintings::open(&paintings, &photos, 5)?;
        Ok((folder, pictures))
    }

    #[test]
    fn a_turn_has_one_picture_and_others_have_others() -> Result<()> {
        let (_folder, pictures) = folders()?;
        let drawn = |turn| pictures.draw(turn, 16);
        assert_eq!(drawn(3)?.dimensions(), (16, 16));
        assert_eq!(drawn(3)?, drawn(3)?);
        let mut seen = std::collections::BTreeSet::new();
        let mut grey = 0;
        for turn in 0..200 {
            let color = drawn(turn)?.get_pixel(8, 8).0;
            grey += u32::from(color == [90, 90, 90]);
            seen.insert(color);
        }
        assert!(seen.contains(&[200, 0, 0]) && seen.len() > 20, "{seen:?}");
        assert!((5..60).contains(&grey), "{grey} photos");
        Ok(())
    }

    #[test]
    fn unreadable_pictures_are_passed_over() -> Result<()> {
        let (folder, pictures) = folders()?;
        std::fs::write(folder.path().join("paintings/a.png"), "no picture")?;
        for turn in 0..20 {
            pictures.draw(turn, 16)?;
        }
        assert_eq!(pictures.count(), 2);
        let first = pictures.first(6, 12, 8);
        assert_eq!(first.len(), 1);
        assert_eq!((&*first[0].0, first[0].1.dimensions()), ("b", (12, 8)));
        Ok(())
    }

    #[test]
    fn an_empty_folder_is_named() -> Result<()> {
        let (folder, _) = folders()?;
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty)?;
        let error = Paintings::open(&empty, &folder.path().join("photos"), 1).err();
        let error = format!("{:#}", error.expect("an error"));
        assert!(
            error.contains("--paintings") && error.contains("empty"),
            "{error}"
        );
        Ok(())
    }
}
