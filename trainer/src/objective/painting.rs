//! The paintings to learn from: their files, crops and weights.

use crate::io::any_path;
use crate::io::fingerprint::fingerprint;
use crate::io::picture;
use anyhow::{Context, ensure};
use candle_core::{Device, Tensor};
use image::RgbImage;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A painting, perhaps cropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Painting {
    /// The picture's file.
    #[serde(with = "any_path")]
    pub file: PathBuf,
    /// A fingerprint of that file: see [`fingerprint`].
    pub fingerprint: String,
    /// Its weight in the blend of styles, 0 to 1.
    pub weight: f64,
    /// The crop, if not the whole picture is used.
    pub crop: Option<Crop>,
}

impl Painting {
    /// The cropped picture, with its shorter side scaled to `size` pixels: RGB
    /// in 0..255, `[1, h, w, 3]`.
    ///
    /// # Errors
    /// A file that cannot be read; a part that reaches beyond the picture.
    pub fn load(&self, size: usize, device: &Device) -> anyhow::Result<Tensor> {
        picture::scaled(&self.picture()?, size, device)
            .with_context(|| self.file.display().to_string())
    }

    /// The cropped picture at its own size.
    ///
    /// # Errors
    /// As for [`Painting::load`].
    pub fn picture(&self) -> anyhow::Result<RgbImage> {
        let picture = picture::read(&self.file)?;
        match &self.crop {
            Some(crop) => crop
                .of(&picture)
                .with_context(|| self.file.display().to_string()),
            None => Ok(picture),
        }
    }

    /// Width and height of [`Painting::picture`], which is not decoded for them.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn size(&self) -> anyhow::Result<(u32, u32)> {
        match self.crop {
            Some(crop) => Ok((crop.width, crop.height)),
            None => picture::size(&self.file),
        }
    }

    /// The file's name without its folder.
    pub fn name(&self) -> String {
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// The names of `paintings` in a row.
pub fn names(paintings: &[Painting]) -> String {
    let names: Vec<String> = paintings.iter().map(Painting::name).collect();
    names.join(", ")
}

/// The paintings in `files`, with `weights` in the blend and cropped to `crops`.
/// Both have one entry for each file or none: then those of `known`, by
/// fingerprint, are used, or else equal weights and no crops.
///
/// # Errors
/// A file that cannot be read; weights or parts that are not one for each file.
pub fn choose(
    files: &[PathBuf],
    weights: &[f64],
    crops: &[Option<Crop>],
    known: &[Painting],
) -> anyhow::Result<Vec<Painting>> {
    let one_each = |flag: &str, count: usize| {
        ensure!(
            count == 0 || count == files.len(),
            "{flag} has {count} values for {} --style: give one for each, in their order",
            files.len()
        );
        Ok(())
    };
    one_each("--style-blend", weights.len())?;
    one_each("--style-crop", crops.len())?;

    let mut paintings = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let fingerprint = fingerprint(file)?;
        let same = |painting: &&Painting| painting.fingerprint == fingerprint;
        let in_place = known.get(index).filter(same);
        let known = in_place.or_else(|| known.iter().find(same));
        let weight = weights.get(index).copied();
        let crop = crops.get(index).copied();
        paintings.push(Painting {
            file: std::path::absolute(file)
                .with_context(|| format!("{}: not a path", file.display()))?,
            weight: weight.or(known.map(|k| k.weight)).unwrap_or(1.0),
            crop: crop.unwrap_or(known.and_then(|k| k.crop)),
            fingerprint,
        });
    }
    let sum: f64 = paintings.iter().map(|p| p.weight).sum();
    ensure!(
        sum.is_finite() && sum > 0.0 && paintings.iter().all(|p| p.weight >= 0.0),
        "the weights of the paintings must be at least 0, and one of them above 0"
    );
    // Known ones add up to 1 already: to divide them again could change a bit, and
    // make them others.
    if (sum - 1.0).abs() > 1e-9 {
        for painting in &mut paintings {
            painting.weight /= sum;
        }
    }
    Ok(paintings)
}

/// A rectangle of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    width: u32,
    height: u32,
    left: u32,
    top: u32,
}

impl Crop {
    /// The rectangle of `picture`.
    fn of(&self, picture: &RgbImage) -> anyhow::Result<RgbImage> {
        let (width, height) = picture.dimensions();
        let fits = |first: u32, count: u32, all: u32| {
            first.checked_add(count).is_some_and(|end| end <= all)
        };
        ensure!(
            fits(self.left, self.width, width) && fits(self.top, self.height, height),
            "the crop {self} is not within the picture's {width}x{height} pixels"
        );
        let part = image::imageops::crop_imm(picture, self.left, self.top, self.width, self.height);
        Ok(part.to_image())
    }
}

impl FromStr for Crop {
    type Err = String;

    /// `WxH+X+Y`: width, height, and where its left upper corner is.
    fn from_str(text: &str) -> Result<Self, String> {
        let crop = || {
            let (width, rest) = text.split_once('x')?;
            let (height, corner) = rest.split_once('+')?;
            let (left, top) = corner.split_once('+')?;
            let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
                true => digits.parse().ok(),
                false => None,
            };
            Some(Crop {
                width: number(width).filter(|side| *side > 0)?,
                height: number(height).filter(|side| *side > 0)?,
                left: number(left)?,
                top: number(top)?,
            })
        };
        crop().ok_or_else(|| "not a crop WxH+X+Y such as 640x480+100+0".into())
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crop {
            width,
            height,
            left,
            top,
        } = self;
        write!(f, "{width}x{height}+{left}+{top}")
    }
}

impl Serialize for Crop {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Crop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Each pixel tells its place.
    fn map(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 0]))
    }

    #[test]
    fn a_crop_cuts_the_given_rectangle() -> anyhow::Result<()> {
        let part: Crop = "5x3+2+7".parse().map_err(anyhow::Error::msg)?;
        assert_eq!(part.to_string(), "5x3+2+7");
        let cut = part.of(&map(20, 10))?;
        assert_eq!(cut.dimensions(), (5, 3));
        assert_eq!(cut.get_pixel(0, 0).0, [2, 7, 0]);
        assert_eq!(cut.get_pixel(4, 2).0, [6, 9, 0]);
        for (width, height) in [(6, 10), (7, 9), (3, 3)] {
            let error = part.of(&map(width, height)).expect_err("outside");
            let text = format!("5x3+2+7 is not within the picture's {width}x{height} pixels");
            assert!(error.to_string().contains(&text), "{error}");
        }
        let huge: Crop = "4294967295x1+1+0".parse().map_err(anyhow::Error::msg)?;
        assert!(huge.of(&map(9, 9)).is_err());
        for text in [
            "",
            "5x3",
            "5x3+2",
            "0x3+0+0",
            "5x0+0+0",
            "5x3-2+7",
            "5x3+2+7+1",
            "x3+2+7",
            "+5x3+2+7",
            "4294967296x1+0+0",
        ] {
            assert!(text.parse::<Crop>().is_err(), "{text}");
        }
        Ok(())
    }

    #[test]
    fn blend_weights_come_from_the_flags_or_the_checkpoint() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        // A name like these is a name and nothing else.
        let files = [path("a=2.png"), path("b,1.png")];
        picture::save(&files[0], &map(20, 10))?;
        picture::save(&files[1], &map(30, 10))?;
        let weights = |paintings: &[Painting]| paintings.iter().map(|p| p.weight).collect();

        let plain: Vec<f64> = weights(&choose(&files, &[], &[], &[])?);
        assert_eq!(plain, [0.5, 0.5]);
        let mut known = choose(&files, &[3.0, 1.0], &[], &[])?;
        assert_eq!(weights(&known) as Vec<f64>, [0.75, 0.25]);
        assert_eq!(names(&known), "a=2.png, b,1.png");

        // Known by what is in the file, wherever it lies.
        known[1].crop = "5x3+2+7".parse().ok();
        let turned = [files[1].clone(), files[0].clone()];
        let again = choose(&turned, &[], &[], &known)?;
        assert_eq!(weights(&again) as Vec<f64>, [0.25, 0.75]);
        assert_eq!((again[0].crop, again[1].crop), (known[1].crop, None));
        assert_eq!(again[0].picture()?.dimensions(), (5, 3));
        let alone = choose(&turned[..1], &[], &[], &known)?;
        assert_eq!(weights(&alone) as Vec<f64>, [1.0]);
        let whole = choose(&turned, &[1.0, 0.0], &[None, None], &known)?;
        assert_eq!(weights(&whole) as Vec<f64>, [1.0, 0.0]);
        assert_eq!(whole[0].crop, None);

        let refused = |weights: &[f64], crops: &[Option<Crop>]| {
            let result = choose(&files, weights, crops, &[]);
            result.expect_err("refused").to_string()
        };
        assert!(refused(&[1.0], &[]).contains("--style-blend has 1 values for 2"));
        assert!(refused(&[0.0, 0.0], &[]).contains("above 0"));
        assert!(refused(&[], &[None; 3]).contains("--style-crop has 3 values for 2"));
        Ok(())
    }
}
