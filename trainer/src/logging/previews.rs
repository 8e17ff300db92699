//! Previews: photos that are painted at every checkpoint. Small copies are kept
//! in a folder, where a resumed training finds them.

use crate::io::files::{Files, stem};
use crate::io::{picture, sheet};
use crate::logging::say::say;
use anyhow::Context;
use candle_core::{Device, Tensor};
use gstfaststyle::internals::network::write_atomically;
use gstfaststyle::{Network, StyleMix};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Longer side of the pictures, in pixels.
const LONGEST: usize = 640;

/// Longer side of a sheet of all styles, where there are several, in pixels.
const SHEET: usize = 1280;

/// Longer side of the small pictures, in pixels.
const SMALL: u32 = 240;

/// A photo to repaint.
pub struct Preview {
    /// A unique name, made from the photo's.
    pub name: String,
    /// The photo, as a JPEG file.
    pub photo: Vec<u8>,
    /// The latest painted picture.
    pub latest: Option<Painted>,
    /// RGB in 0..255, `[1, h, w, 3]`.
    pixels: Tensor,
    /// The names of the model's styles.
    styles: Vec<String>,
    /// The PNG file of the latest picture.
    path: PathBuf,
    /// The folder of the small pictures.
    folder: PathBuf,
}

/// A painted photo.
pub struct Painted {
    /// After which step.
    pub step: u64,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// The picture, as a JPEG file.
    pub jpeg: Vec<u8>,
}

impl Preview {
    /// The previews of `photos` in `styles`, of a training of which `step` steps are
    /// done. Small pictures of later steps are removed: they belong to a
    /// training that is lost.
    ///
    /// # Errors
    /// A photo that cannot be read, unless steps are done; a picture that cannot be
    /// removed.
    pub fn open(
        photos: &[PathBuf],
        styles: &[String],
        files: &Files,
        step: u64,
    ) -> anyhow::Result<Vec<Self>> {
        let mut previews: Vec<Preview> = Vec::with_capacity(photos.len());
        for photo in photos {
            let stem = stem(photo)?;
            let mut name = stem.clone();
            let mut number = 2;
            while previews.iter().any(|other| other.name == name) {
                name = format!("{stem}-{number}");
                number += 1;
            }
            let pixels = match picture::load_bounded(photo, LONGEST, &Device::Cpu) {
                // A resumed training continues without it.
                Err(error) if step > 0 => {
                    say(format_args!("preview left out: {error:#}"));
                    continue;
                }
                pixels => pixels?,
            };
            let preview = Preview {
                photo: jpeg(&picture::rgb(&pixels)?)?,
                latest: None,
                pixels,
                styles: styles.to_vec(),
                path: files.preview(&name),
                folder: files.previews.clone(),
                name,
            };
            for (_, path) in preview.history()?.split_off(&(step + 1)) {
                std::fs::remove_file(&path)
                    .with_context(|| format!("cannot remove the picture {}", path.display()))?;
            }
            previews.push(preview);
        }
        Ok(previews)
    }

    /// Repaints the photo with `network`, as it is after `step`, and keeps the
    /// picture.
    ///
    /// # Errors
    /// The picture cannot be made or written.
    pub fn paint(
        &mut self,
        network: &Network,
        step: u64,
        device: &Device,
    ) -> anyhow::Result<&Painted> {
        let painted = self
            .repaint(network, step, device)
            .with_context(|| format!("cannot make the preview {}", self.path.display()))?;
        Ok(self.latest.insert(painted))
    }

    fn repaint(&self, network: &Network, step: u64, device: &Device) -> anyhow::Result<Painted> {
        let pixels = self.pixels.to_device(device)?;
        let styles = network.architecture().styles;
        let in_style = |style| {
            let painted = network.forward_channels_last(&pixels, &StyleMix::single(style))?;
            picture::rgb(&painted)
        };
        let painted = match styles {
            1 => in_style(0)?,
            _ => {
                let side = (SHEET / sheet::columns(styles)) as u32;
                let pictures = (0..styles).map(|i| {
                    let painted = picture::fit(&in_style(i)?, side, side);
                    Ok(sheet::labelled(&painted, &self.styles[i]))
                });
                sheet::grid(pictures.collect::<anyhow::Result<_>>()?)
            }
        };
        picture::save(&self.path, &painted)?;
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        let small = self.folder.join(format!("{}-{step:08}.jpg", self.name));
        write_atomically(&small, &picture::jpeg(&painted, SMALL, 80)?)
            .with_context(|| format!("cannot write the picture {}", small.display()))?;
        Ok(Painted {
            step,
            size: painted.dimensions(),
            jpeg: jpeg(&painted)?,
        })
    }

    /// The small pictures that there are, by their steps.
    ///
    /// # Errors
    /// Their folder cannot be read.
    pub fn history(&self) -> anyhow::Result<BTreeMap<u64, PathBuf>> {
        let read = || -> std::io::Result<_> {
            let mut pictures = BTreeMap::new();
            for entry in self.folder.read_dir()? {
                let path = entry?.path();
                if let Some(step) = self.step(&path) {
                    pictures.insert(step, path);
                }
            }
            Ok(pictures)
        };
        match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            result => {
                result.with_context(|| format!("cannot read the folder {}", self.folder.display()))
            }
        }
    }

    /// The step of a small picture of this preview.
    fn step(&self, path: &Path) -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        let digits = name.strip_prefix(&self.name)?.strip_prefix('-')?;
        let digits = digits.strip_suffix(".jpg")?;
        let are_digits = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
        are_digits.then(|| digits.parse().ok())?
    }
}

/// A large picture for the report.
fn jpeg(picture: &image::RgbImage) -> anyhow::Result<Vec<u8>> {
    picture::jpeg(picture, LONGEST as u32, 88)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::picture;
    use image::RgbImage;

    #[test]
    fn pictures_of_lost_steps_are_removed() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let photos = [path("a.png"), path("a.jpg"), path("a-00000007.png")];
        for photo in &photos {
            picture::save(photo, &RgbImage::new(4, 4))?;
        }
        let files = Files::beside(&path("m.safetensors"))?;
        assert!(
            Preview::open(&photos, &[], &files, 0)?[0]
                .history()?
                .is_empty()
        );
        std::fs::create_dir(&files.previews)?;
        let small = |name: &str| files.previews.join(name);
        for name in [
            "a-00000001.jpg",
            "a-00000007.jpg",
            "a-123456789.jpg",
            "a-2-00000007.jpg",
            "a-00000007-00000001.jpg",
            "a-7.jpg",
        ] {
            std::fs::write(small(name), "")?;
        }
        let previews = Preview::open(&photos, &[], &files, 6)?;
        let names: Vec<&str> = previews.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["a", "a-2", "a-00000007"]);
        let steps = |preview: &Preview| -> anyhow::Result<Vec<u64>> {
            Ok(preview.history()?.into_keys().collect())
        };
        assert_eq!(steps(&previews[0])?, [1]);
        assert_eq!(steps(&previews[1])?, [0; 0]);
        assert_eq!(steps(&previews[2])?, [1]);
        assert!(small("a-7.jpg").exists(), "not ours");
        Ok(())
    }
}
