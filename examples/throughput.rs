//! Measures how fast the engine repaints pictures, and how far it strays from
//! the plain reference:
//!
//! ```sh
//! cargo run --release --example throughput -- --width 32 --size 256x256 --threads 2 --frames 20 --json
//! ```

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use clap::Parser;
use gstfaststyle::engine::{DeviceChoice, Engine, Image, Options as EngineOptions, Precision};
use gstfaststyle::network::{Architecture, Model, Network};
use gstfaststyle::ops::{Path, cpu::Level};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Parser)]
#[command(about = "Times the engine on one picture size")]
struct Options {
    /// Base width C of a network with random weights
    #[arg(long, default_value_t = 32)]
    width: usize,
    /// Model file to run instead of random weights
    #[arg(long, conflicts_with = "width")]
    model: Option<PathBuf>,
    /// Picture size
    #[arg(long, default_value = "256x256", value_parser = parse_size)]
    size: (usize, usize),
    /// Threads of the CPU engine, 0 for one a core
    #[arg(long, default_value_t = 0, value_parser = parse_threads)]
    threads: usize,
    /// Pictures to time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Arithmetic of the engine
    #[arg(long, default_value = "f32")]
    precision: Precision,
    /// Do not compare with the plain reference, which takes long
    #[arg(long)]
    no_check: bool,
    /// Write the model that is run, with its random weights
    #[arg(long, value_name = "FILE")]
    save_model: Option<PathBuf>,
    /// Write the picture and the result as f32 [3, height, width], one after
    /// the other
    #[arg(long, value_name = "FILE")]
    save_pictures: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn parse_threads(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= 1024);
    count.ok_or_else(|| format!("`{text}` is not a number of threads up to 1024"))
}

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    text.split_once('x')
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)))
        .filter(|&(w, h)| (1..=16384).contains(&w) && (1..=16384).contains(&h))
        .ok_or_else(|| format!("`{text}` is not a size such as 640x480"))
}

#[derive(Serialize)]
struct Report {
    ms_median: f64,
    ms_p95: f64,
    frames: u32,
    width: usize,
    size: String,
    threads: usize,
    isa: String,
    device: String,
    precision: String,
    peak_rss_mib: f64,
    max_abs_diff: Option<f64>,
    mean_abs_diff: Option<f64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let report = measure(&options)?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!(
            "{} at width {}, {}: {:.1} ms a frame (95 %: {:.1}), {:.1} frames/s; {}, {} threads, {:.0} MiB",
            report.size,
            report.width,
            report.precision,
            report.ms_median,
            report.ms_p95,
            1000.0 / report.ms_median,
            report.isa,
            report.threads,
            report.peak_rss_mib,
        );
        if let (Some(largest), Some(mean)) = (report.max_abs_diff, report.mean_abs_diff) {
            println!("off the reference by {largest:.4} at most, {mean:.5} on average (of 255)");
        }
    }
    Ok(())
}

fn measure(options: &Options) -> Result<Report> {
    let model = match &options.model {
        Some(path) => Model::load(path)?,
        None => {
            let architecture = Architecture::with_width(options.width);
            if let Err(reason) = architecture.check() {
                bail!("{reason}");
            }
            Model::random(architecture, 0)?
        }
    };
    if let Some(path) = &options.save_model {
        model.save(path)?;
    }
    let mut engine = Engine::with_options(
        &model,
        EngineOptions {
            device: options.device,
            precision: options.precision,
            threads: options.threads,
        },
    )?;
    let picture = test_picture(options.size);
    let mut styled = Image::default();
    engine.stylize(&picture, &mut styled)?; // Plans for the size.
    let mut times = Vec::new();
    for _ in 0..options.frames {
        let start = Instant::now();
        engine.stylize(&picture, &mut styled)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    // Before the reference runs, which takes far more memory.
    let peak_rss_mib = peak_rss_mib().context("reading the peak of memory use")?;
    let (max_abs_diff, mean_abs_diff) = match options.no_check {
        true => (None, None),
        false => {
            let (largest, mean) = difference(&styled, &reference(&model, &picture)?);
            (Some(largest), Some(mean))
        }
    };
    if let Some(path) = &options.save_pictures {
        let numbers = picture.data.iter().chain(&styled.data);
        let bytes: Vec<u8> = numbers.flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    Ok(Report {
        ms_median: at(0.5),
        ms_p95: at(0.95),
        frames: options.frames,
        width: model.architecture.width,
        size: format!("{}x{}", options.size.0, options.size.1),
        threads: engine.prepared().threads().count(),
        isa: Level::current().to_string(),
        device: if engine.prepared().device().is_cpu() {
            "cpu"
        } else {
            "cuda"
        }
        .into(),
        precision: engine.prepared().precision().to_string(),
        peak_rss_mib,
        max_abs_diff,
        mean_abs_diff,
    })
}

/// Soft colour waves with some grain: neither flat nor noise alone.
fn test_picture((width, height): (usize, usize)) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut data = Vec::with_capacity(3 * width * height);
    for channel in 0..3 {
        for y in 0..height {
            for x in 0..width {
                let wave = (x as f32 / 37.0 + channel as f32).sin() + (y as f32 / 23.0).cos();
                let grain = rng.random_range(-8.0..8.0);
                data.push((127.0 + 55.0 * wave + grain).clamp(0.0, 255.0));
            }
        }
    }
    Image {
        width,
        height,
        data,
    }
}

/// The same picture through the network in plain Candle.
fn reference(model: &Model, picture: &Image) -> Result<Image> {
    let network = Network::from_model(model, &Device::Cpu)?;
    let shape = (1, 3, picture.height, picture.width);
    let input = Tensor::from_slice(&picture.data, shape, &Device::Cpu)?;
    let output = network.forward_by(&input, Path::Plain)?;
    Ok(Image {
        data: output.flatten_all()?.to_vec1()?,
        ..*picture
    })
}

/// Largest and mean difference, of 255.
fn difference(a: &Image, b: &Image) -> (f64, f64) {
    let differences = a
        .data
        .iter()
        .zip(&b.data)
        .map(|(a, b)| f64::from((a - b).abs()));
    let largest = differences.clone().fold(0.0, f64::max);
    (largest, differences.sum::<f64>() / a.data.len() as f64)
}

/// The most memory this process has held, from the kernel (Linux).
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
