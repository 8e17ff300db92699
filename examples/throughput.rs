//! Measures how fast the engine repaints pictures, and how far its results differ
//! from the plain reference:
//!
//! ```sh
//! cargo run --release --example throughput -- --width 32 --size 256x256 --threads 2 --frames 20 --json
//! ```
//!
//! With `--format` it times whole video frames, from and to host memory, and the
//! network's part: on a CUDA device the time between two events, before its first
//! kernel and after its last.

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use clap::Parser;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::internals::ops::Backend;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::{Architecture, EngineError, Model, Network, StyleMix};
use gstfaststyle::{
    Blend, DeviceChoice, Engine, Image, Options as EngineOptions, Painter, Precision, Prepared,
    Size,
};
use gstfaststyle::{Colorimetry, Format, Frame, FrameInfo, FrameMut, Plane, PlaneMut};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
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
    /// Threads of the CPU engine, 0 for one per core
    #[arg(long, default_value_t = 0, value_parser = parse_threads)]
    threads: usize,
    /// Repaint video frames of this format (I420, NV12, RGB, ...) instead of
    /// pictures of 32-bit floats
    #[arg(long, value_parser = parse_format)]
    format: Option<Format>,
    /// Size of the network's picture for a frame
    #[arg(long, requires = "format", value_parser = parse_size)]
    network_size: Option<(usize, usize)>,
    /// Pictures to time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// Fade between two styles: another mix for each picture
    #[arg(long)]
    fade: bool,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Arithmetic of the engine
    #[arg(long, default_value = "auto")]
    precision: Precision,
    /// Skip the comparison with the plain reference, which takes long
    #[arg(long)]
    no_check: bool,
    /// Write the model with its random weights to a file
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

fn parse_format(text: &str) -> Result<Format, String> {
    let found = Format::ALL.iter().find(|f| f.to_string() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<String> = Format::ALL.iter().map(Format::to_string).collect();
        format!("`{text}` is none of {}", names.join(", "))
    })
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
    /// The network's part of the time, for video frames.
    network_ms_median: Option<f64>,
    /// The change of the mix before a picture, in a fade.
    mix_us_median: Option<f64>,
    frames: u32,
    width: usize,
    size: String,
    format: Option<String>,
    threads: usize,
    /// The CPU's name and those of its features that matter to kernels.
    cpu: String,
    cpu_features: Vec<&'static str>,
    /// The level of the kernels.
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
            "{} ({}), kernels for {}",
            report.cpu,
            report.cpu_features.join(" "),
            report.isa
        );
        println!(
            "{} at width {}, {}: {:.1} ms a frame (95 %: {:.1}), {:.1} frames/s; {} threads, {:.0} MiB",
            report.size,
            report.width,
            report.precision,
            report.ms_median,
            report.ms_p95,
            1000.0 / report.ms_median,
            report.threads,
            report.peak_rss_mib,
        );
        if let Some(network) = report.network_ms_median {
            println!("network alone: {network:.2} ms");
        }
        if let Some(mix) = report.mix_us_median {
            println!("the change of the mix before it: {mix:.1} us");
        }
        if let (Some(largest), Some(mean)) = (report.max_abs_diff, report.mean_abs_diff) {
            println!(
                "difference from the reference: {largest:.4} at most, {mean:.5} on average (of 255)"
            );
        }
    }
    Ok(())
}

fn measure(options: &Options) -> Result<Report> {
    let model = match &options.model {
        Some(path) => Model::load(path)?,
        None => {
            let architecture = Architecture {
                styles: 1 + usize::from(options.fade),
                ..Architecture::with_width(options.width)
            };
            if let Err(reason) = architecture.check() {
                bail!("{reason}");
            }
            Model::random(architecture, 0)?
        }
    };
    if let Some(path) = &options.save_model {
        model.save(path)?;
    }
    let prepared = Arc::new(Prepared::new(
        &model,
        EngineOptions {
            device: options.device,
            precision: options.precision,
            threads: options.threads,
        },
    )?);
    let picture = test_picture(options.size);
    let Timed {
        styled,
        mut times,
        mut network,
        mut mixes,
    } = match options.format {
        Some(format) => time_frames(options, &prepared, format, &picture)?,
        None => time_pictures(options, &prepared, &picture)?,
    };
    times.sort_by(f64::total_cmp);
    network.sort_by(f64::total_cmp);
    mixes.sort_by(f64::total_cmp);
    // Read before the reference runs, which needs far more memory.
    let peak_rss_mib = peak_rss_mib().context("reading the peak of memory use")?;
    // The effects of resizing and rounding are not errors of the network.
    let (max_abs_diff, mean_abs_diff) =
        match options.no_check || options.format.is_some() || options.fade {
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
    let at = |times: &[f64], share: f64| {
        let last = times.len().checked_sub(1)?;
        times.get((last as f64 * share).round() as usize).copied()
    };
    let cpu = Cpu::of_this_machine();
    Ok(Report {
        ms_median: at(&times, 0.5).context("no frames")?,
        ms_p95: at(&times, 0.95).context("no frames")?,
        network_ms_median: at(&network, 0.5),
        mix_us_median: at(&mixes, 0.5).map(|ms| ms * 1e3),
        frames: options.frames,
        width: model.architecture.width,
        size: format!("{}x{}", options.size.0, options.size.1),
        format: options.format.map(|format| format.to_string()),
        threads: prepared.threads().count(),
        cpu: cpu.name,
        cpu_features: cpu.features,
        isa: Level::current().to_string(),
        device: if prepared.device().is_cpu() {
            "cpu"
        } else {
            "cuda"
        }
        .into(),
        precision: prepared.precision().to_string(),
        peak_rss_mib,
        max_abs_diff,
        mean_abs_diff,
    })
}

/// What kind of CPU runs this.
struct Cpu {
    name: String,
    features: Vec<&'static str>,
}

/// Those that kernels use, or could use, by the names that Linux gives them.
const FEATURES: [&str; 14] = [
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
];

impl Cpu {
    fn of_this_machine() -> Self {
        Cpu::parse(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
    }

    /// From what Linux tells of all cores, the first of which counts.
    fn parse(cpuinfo: &str) -> Self {
        let value = |keys: &[&str]| {
            let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(key, _)| keys.contains(&key.trim()));
            found.map(|(_, value)| value.trim())
        };
        let flags = value(&["flags", "Features"]).unwrap_or_default();
        let has = |feature: &&str| flags.split_whitespace().any(|flag| flag == *feature);
        Cpu {
            name: value(&["model name", "CPU part"])
                .unwrap_or(std::env::consts::ARCH)
                .to_owned(),
            features: FEATURES.into_iter().filter(has).collect(),
        }
    }
}

/// Times in milliseconds.
struct Timed {
    styled: Image,
    times: Vec<f64>,
    /// The network's part, where known.
    network: Vec<f64>,
    /// The changes of the mix, in a fade.
    mixes: Vec<f64>,
}

/// A fade from the first style to the second, over all pictures.
struct Fade {
    from: StyleMix,
    to: StyleMix,
    mix: StyleMix,
    times: Vec<f64>,
}

impl Fade {
    fn new() -> Self {
        Fade {
            from: StyleMix::single(0),
            to: StyleMix::single(1),
            mix: StyleMix::default(),
            times: Vec::new(),
        }
    }

    /// Moves on to the next picture, if `options` want a fade.
    fn step(
        &mut self,
        options: &Options,
        mut set_mix: impl FnMut(&StyleMix) -> Result<(), EngineError>,
    ) -> Result<()> {
        if options.fade {
            let start = Instant::now();
            let share = (self.times.len() + 1) as f32 / (options.frames + 2) as f32;
            self.mix.set_between(&self.from, &self.to, share);
            set_mix(&self.mix)?;
            self.times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }
}

fn time_pictures(options: &Options, model: &Arc<Prepared>, picture: &Image) -> Result<Timed> {
    let mut engine = Engine::of(model.clone());
    let mut styled = Image::default();
    engine.stylize(picture, &mut styled)?; // Prepares the plan for the size.
    let mut times = Vec::new();
    let mut fade = Fade::new();
    for _ in 0..options.frames {
        let start = Instant::now();
        fade.step(options, |mix| engine.set_mix(mix))?;
        engine.stylize(picture, &mut styled)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Timed {
        styled,
        times,
        network: Vec::new(),
        mixes: fade.times,
    })
}

fn time_frames(
    options: &Options,
    model: &Arc<Prepared>,
    format: Format,
    picture: &Image,
) -> Result<Timed> {
    let info = FrameInfo {
        format,
        width: picture.width,
        height: picture.height,
        colorimetry: Colorimetry::BT709,
    };
    let mut input = Planes::new(info)?;
    pixels::write(picture, None, None, &mut input.frame_mut()?)?;
    let mut output = Planes::new(info)?;
    let mut painter = Painter::new(model.threads().clone());
    painter.set_model(Some(model.clone()));
    let (width, height) = options.network_size.unwrap_or(options.size);
    let size = Size::new(width, height);
    let (mut times, mut network) = (Vec::new(), Vec::new());
    let mut fade = Fade::new();
    for i in 0..=options.frames {
        let start = Instant::now();
        fade.step(options, |mix| painter.set_mix(mix))?;
        let spent = painter.paint(
            &input.frame()?,
            &mut output.frame_mut()?,
            size,
            Blend::OPAQUE,
        )?;
        // The first frame prepares the plan for the size.
        if i > 0 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
            network.push(spent.network.as_secs_f64() * 1e3);
        }
    }
    let mut styled = Image::default();
    pixels::read(&output.frame()?, &mut styled);
    Ok(Timed {
        styled,
        times,
        network,
        mixes: fade.times,
    })
}

/// A frame that owns its planes.
struct Planes {
    info: FrameInfo,
    /// The bytes and the stride of each.
    planes: Vec<(Vec<u8>, usize)>,
}

impl Planes {
    fn new(info: FrameInfo) -> Result<Self> {
        let plane = |plane| {
            let stride = info.format.row_bytes(plane, info.width);
            let bytes = info.plane_bytes(plane, stride);
            Ok((vec![0; bytes.context("a frame too large")?], stride))
        };
        let planes = (0..info.format.plane_count()).map(plane);
        Ok(Planes {
            info,
            planes: planes.collect::<Result<_>>()?,
        })
    }

    fn frame(&self) -> Result<Frame<'_>> {
        let planes = self.planes.iter().map(|(data, stride)| Plane {
            data,
            stride: *stride,
        });
        Ok(Frame::new(self.info, planes)?)
    }

    fn frame_mut(&mut self) -> Result<FrameMut<'_>> {
        let planes = self.planes.iter_mut().map(|(data, stride)| PlaneMut {
            data,
            stride: *stride,
        });
        Ok(FrameMut::new(self.info, planes)?)
    }
}

/// Soft colour waves with some grain: neither flat nor pure noise.
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

/// The same picture through the network in plain Candle, in the engine's tone.
fn reference(model: &Model, picture: &Image) -> Result<Image> {
    let network = Network::from_model(model, &Device::Cpu)?;
    let shape = (1, 3, picture.height, picture.width);
    let input = Tensor::from_slice(&picture.data, shape, &Device::Cpu)?;
    let output = network.forward_by(&input, Backend::Plain)?;
    let mut data = output.flatten_all()?.to_vec1()?;
    Tone::of(picture).apply(&mut data, &picture.data);
    Ok(Image { data, ..*picture })
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

/// Peak memory of this process, from the kernel (Linux).
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
