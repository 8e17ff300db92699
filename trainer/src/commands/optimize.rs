//! The command `optimize`: one photo, repainted by the slow method.

use crate::cli::{OptimizeArgs, Start};
use crate::commands::Outcome;
use crate::commands::train::warnings;
use crate::io::{output, picture};
use crate::logging::metrics::SearchMetrics;
use crate::logging::progress::Progress;
use crate::logging::say::say;
use crate::objective::painting;
use crate::objective::slow_method::SlowMethod;
use crate::objective::vgg19::Vgg19;
use crate::objective::{LossWeights, Objective};
use anyhow::Context;
use candle_core::Tensor;
use gstfaststyle::internals::ops::{Products, plain};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Runs the command to its last iteration, until no better picture is found or
/// until `stop` is set, and writes the picture.
///
/// # Errors
/// Any failure. Once iterations have begun, the last good picture is written and
/// the error says so.
pub fn run(args: &OptimizeArgs, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    let paintings = args.style.iter().map(|path| path.as_path());
    let inputs: Vec<&Path> = paintings.chain([args.photo.as_path()]).collect();
    output::check_png("--output", &args.output, &inputs, args.overwrite)?;
    if let Some(metrics) = &args.metrics {
        output::check_new("--metrics", metrics, args.overwrite)?;
    }
    let device = args.device.open()?;
    let photo = picture::load_scaled(&args.photo, args.size as usize, &device)?;
    let paintings = painting::choose(
        &args.style,
        &args.loss.style_blend,
        &args.loss.style_crop,
        &[],
    )?;
    let style_size = args.loss.style_size.unwrap_or(args.size);
    for painting in &paintings {
        if let Some(warning) = warnings::small(painting, style_size)? {
            say(format_args!("warning: {warning}"));
        }
    }
    let objective = Objective::of(
        Vgg19::open(args.loss.vgg.as_deref(), Products::Exact, &device)?,
        &paintings,
        style_size as usize,
        args.loss.weights(LossWeights::default()),
        &device,
    )?;
    let start = match args.start {
        Start::Photo => photo.clone(),
        Start::Noise => noise(&photo, args.seed)?,
    };
    let mut slow = SlowMethod::new(&objective, &photo, &start)?;
    improve(&mut slow, args, stop)
}

/// Iterates, and writes pictures and losses.
fn improve(
    slow: &mut SlowMethod,
    args: &OptimizeArgs,
    stop: &AtomicBool,
) -> anyhow::Result<Outcome> {
    let name = args.output.display();
    let metrics = args.metrics.as_deref().map(SearchMetrics::create);
    let mut metrics = metrics.transpose()?;
    let mut progress = Progress::of_search(args.iterations);
    let ended = iterate(slow, args, stop, &mut metrics, &mut progress);
    progress.finish();
    save(slow, args)?;

    let (done, losses) = (slow.iterations(), slow.losses());
    let settled = ended
        .with_context(|| format!("{name} holds the picture as it was after iteration {done}"))?;
    if done < args.iterations && !settled {
        say(format_args!(
            "stopped: {name} is the picture after iteration {done}"
        ));
        return Ok(Outcome::Interrupted);
    }
    if settled {
        say(format_args!(
            "no better picture found after iteration {done}"
        ));
    }
    say(format_args!("{name} is ready: {losses}"));
    Ok(Outcome::Finished)
}

/// Iterates to the last iteration, until `stop` is set, or until no better
/// picture is found; returns whether that happened.
fn iterate(
    slow: &mut SlowMethod,
    args: &OptimizeArgs,
    stop: &AtomicBool,
    metrics: &mut Option<SearchMetrics>,
    progress: &mut Progress,
) -> anyhow::Result<bool> {
    let started = Instant::now();
    if let Some(metrics) = metrics {
        metrics.add(0, &slow.losses(), 0.0)?;
    }
    while slow.iterations() < args.iterations && !stop.load(Ordering::SeqCst) {
        let iteration = Instant::now();
        if !slow.step()? {
            return Ok(true);
        }
        let (done, losses) = (slow.iterations(), slow.losses());
        if let Some(metrics) = metrics {
            metrics.add(done, &losses, started.elapsed().as_secs_f64())?;
        }
        progress.step(done, &losses, iteration.elapsed().as_secs_f64());
        if done.is_multiple_of(args.preview_every) && done < args.iterations {
            save(slow, args)?;
        }
    }
    Ok(false)
}

fn save(slow: &SlowMethod, args: &OptimizeArgs) -> anyhow::Result<()> {
    picture::save(&args.output, &picture::rgb(&slow.picture()?)?)
}

/// A picture of random numbers, of the size of `photo`.
fn noise(photo: &Tensor, seed: u64) -> anyhow::Result<Tensor> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let numbers = (0..photo.elem_count()).map(|_| random.random_range(0.0..=255f32));
    let numbers: Vec<f32> = numbers.collect();
    let (n, h, w, c) = photo.dims4()?;
    let planes = Tensor::from_vec(numbers, (n, c, h, w), photo.device())?;
    Ok(plain::channels_last(&planes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::objective::vgg_weights::VggWeights;
    use crate::objective::vgg19::Vgg19;
    use candle_core::{DType, Device};
    use clap::Parser;

    fn args(output: &Path) -> OptimizeArgs {
        let words = [
            "faststyle-train",
            "optimize",
            "--style",
            "s",
            "--photo",
            "p",
        ];
        let words = words.map(std::ffi::OsString::from).into_iter();
        let words = words.chain(["--output".into(), output.into()]);
        match Cli::parse_from(words).command {
            Command::Optimize(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_leaves_the_last_good_picture() -> anyhow::Result<()> {
        let device = Device::Cpu;
        let vgg = || -> anyhow::Result<Vgg19> {
            Ok(Vgg19::new(
                &VggWeights::builtin(&device)?,
                Products::Exact,
                &device,
            )?)
        };
        let black = Tensor::zeros((1, 32, 32, 3), DType::F32, &device)?;
        let (photo, painting) = (noise(&black, 1)?, noise(&black, 2)?);
        let paintings = [(1.0, painting)];
        let objective = Objective::new(vgg()?, &paintings, LossWeights::default())?;
        let mut slow = SlowMethod::new(&objective, &photo, &photo)?;
        slow.step()?;
        let good = picture::rgb(&slow.picture()?)?;

        let heavy = LossWeights {
            style: 1e38,
            ..Default::default()
        };
        let broken = Objective::new(vgg()?, &paintings, heavy)?;
        slow.objective = &broken;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("picture.png");
        let error = improve(&mut slow, &args(&path), &AtomicBool::new(false)).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("picture.png holds the picture as it was after iteration 1"),
            "{text}"
        );
        assert!(
            text.contains("iteration 2: the loss is not finite"),
            "{text}"
        );
        assert_eq!(picture::read(&path)?, good);
        Ok(())
    }
}
