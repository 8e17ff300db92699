//! Times a training step on random pictures, for comparison with
//! `benches/pytorch_step.py`:
//!
//! ```sh
//! cargo bench --workspace --bench step -- --width 16 --batch 4 --size 256
//! ```

use anyhow::{Context, Result};
use clap::Parser;
use faststyle_train::cli::{Cli, Command};
use faststyle_train::commands::train::recipe;
use faststyle_train::memory;
use faststyle_train::training::recipe::Recipe;
use faststyle_train::training::trainer::Trainer;
use gstfaststyle::DeviceChoice;
use image::{Rgb, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::path::Path;
use std::time::Instant;

// As in the program itself.
#[global_allocator]
static ALLOCATOR: memory::Allocator = memory::ALLOCATOR;

#[derive(Parser)]
struct Options {
    /// Base width of the network
    #[arg(long, default_value_t = 16)]
    width: usize,
    /// Photos in a batch
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Side of the photos
    #[arg(long, default_value_t = 256)]
    size: u32,
    /// Steps to time, after two for warming up
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long, default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// What Cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    memory::keep();
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let photos = folder.path().join("photos");
    std::fs::create_dir(&photos)?;
    for i in 0..8 {
        paint(&photos.join(format!("{i}.png")), options.size + 32, i)?;
    }
    let painting = folder.path().join("painting.png");
    paint(&painting, options.size, 100)?;
    let mut trainer = Trainer::new(
        recipe(&options, &painting, &photos)?,
        &options.device.open()?,
    )?;
    let mut seconds = Vec::new();
    for _ in 0..options.steps + 2 {
        let start = Instant::now();
        trainer.step()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let mut seconds = seconds.split_off(2);
    seconds.sort_by(f64::total_cmp);
    let report = json!({
        "engine": concat!("faststyle-train ", env!("CARGO_PKG_VERSION")),
        "width": options.width,
        "batch": options.batch,
        "size": options.size,
        "device": options.device.to_string(),
        "threads": rayon::current_num_threads(),
        "steps": options.steps,
        "s_median": seconds[seconds.len() / 2],
        "s_min": seconds[0],
    });
    println!("{report}");
    Ok(())
}

fn recipe(options: &Options, painting: &Path, photos: &Path) -> Result<Recipe> {
    let text = |path: &Path| Ok::<_, anyhow::Error>(path.to_str().context("a path")?.to_string());
    let line = [
        "faststyle-train".into(),
        "train".into(),
        format!("--style={}", text(painting)?),
        format!("--photos={}", text(photos)?),
        "--output=step.safetensors".into(),
        format!("--width={}", options.width),
        format!("--batch={}", options.batch),
        format!("--size={}", options.size),
    ];
    match Cli::try_parse_from(line)?.command {
        Command::Train(args) => recipe::new(&args),
        _ => unreachable!("the line says train"),
    }
}

/// A picture of soft noise.
fn paint(path: &Path, side: u32, seed: u64) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    RgbImage::from_fn(side, side, |x, y| {
        let wave = ((x + 2 * y) / 3 % 256) as u8;
        Rgb([wave, wave / 2, 128].map(|c: u8| c.saturating_add(rng.random_range(0..60))))
    })
    .save(path)?;
    Ok(())
}
