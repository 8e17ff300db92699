//! Times how fast photos become batches, without a network:
//!
//! ```sh
//! cargo bench --workspace --bench photos -- FOLDER
//! ```

use anyhow::Result;
use candle_core::Device;
use clap::Parser;
use faststyle_train::data::Batches;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Parser)]
struct Options {
    /// The folder of photos
    folder: PathBuf,
    /// Photos in a batch
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Side of the squares cut from the photos, in pixels
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Batches to time
    #[arg(long, default_value_t = 500)]
    count: usize,
    /// What Cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut batches = Batches::open(&options.folder, options.batch, options.size, 0, 0)?;
    let started = Instant::now();
    for _ in 0..options.count {
        batches.next(&Device::Cpu)?;
    }
    let photos = (options.count * options.batch) as f64;
    println!(
        "{:.0} photos a second",
        photos / started.elapsed().as_secs_f64()
    );
    for (path, reason) in batches.skipped() {
        println!("left out {}: {reason}", path.display());
    }
    Ok(())
}
