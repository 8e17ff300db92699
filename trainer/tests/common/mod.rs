//! Small paintings and photos to train on.

use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};

/// A folder with `painting.png` and three photos in `photos`, removed in the end.
pub struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    /// Paints them.
    pub fn new() -> anyhow::Result<Self> {
        let scene = Scene {
            folder: tempfile::tempdir()?,
        };
        std::fs::create_dir(scene.path("photos"))?;
        paint(&scene.painting(), 40, 36, 3)?;
        paint(&scene.path("photos/a.png"), 48, 40, 5)?;
        paint(&scene.path("photos/b.png"), 40, 64, 7)?;
        paint(&scene.path("photos/c.png"), 33, 32, 11)?;
        Ok(scene)
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The painting.
    pub fn painting(&self) -> PathBuf {
        self.path("painting.png")
    }
}

/// Writes a picture that `number` makes different from others.
pub fn paint(path: &Path, width: u32, height: u32, number: u32) -> anyhow::Result<()> {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |k: u32| ((x * number + y * k + x * y / 8) % 256) as u8;
        Rgb([wave(3), wave(9), wave(number)])
    })
    .save(path)?;
    Ok(())
}
