//! Stand-in: photos in random order, cut at random places.

use crate::picture;
use anyhow::{Context, bail};
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};

/// Batches of photos, the same for the same seed.
pub struct Batches {
    photos: Vec<PathBuf>,
    batch: usize,
    size: usize,
    seed: u64,
    step: u64,
    skipped: Vec<(PathBuf, String)>,
}

impl Batches {
    /// Photos under `dir`; the first batch delivered is number `first_step`.
    pub fn open(
        dir: &Path,
        batch: usize,
        size: usize,
        seed: u64,
        first_step: u64,
    ) -> anyhow::Result<Self> {
        let mut photos = Vec::new();
        for entry in walkdir::WalkDir::new(dir) {
            let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
            let kind = entry.path().extension().and_then(|e| e.to_str());
            if entry.file_type().is_file() && matches!(kind, Some("jpg" | "jpeg" | "png")) {
                photos.push(entry.into_path());
            }
        }
        photos.sort();
        if photos.is_empty() {
            bail!("no photos in {}", dir.display());
        }
        Ok(Batches {
            photos,
            batch,
            size,
            seed,
            step: first_step,
            skipped: Vec::new(),
        })
    }

    /// How many photos there are.
    pub fn photos(&self) -> usize {
        self.photos.len()
    }

    /// RGB 0..255, `[batch, 3, size, size]`.
    pub fn next(&mut self, device: &Device) -> anyhow::Result<Tensor> {
        let mut images = Vec::new();
        for i in 0..self.batch as u64 {
            let draw = self.step * self.batch as u64 + i;
            let (epoch, place) = (
                draw / self.photos.len() as u64,
                draw as usize % self.photos.len(),
            );
            let mut order: Vec<usize> = (0..self.photos.len()).collect();
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed ^ (epoch << 32)));
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(draw));
            let photo = picture::load_scaled(&self.photos[order[place]], self.size, &Device::Cpu)?;
            let (_, _, h, w) = photo.dims4()?;
            let photo = photo
                .narrow(2, rng.random_range(0..=h - self.size), self.size)?
                .narrow(3, rng.random_range(0..=w - self.size), self.size)?;
            images.push(photo);
        }
        self.step += 1;
        Ok(Tensor::cat(&images, 0)?.contiguous()?.to_device(device)?)
    }

    /// Files left out so far, with reasons.
    pub fn skipped(&self) -> Vec<(PathBuf, String)> {
        self.skipped.clone()
    }
}
