//! The command `train`: a painting and a folder of photos in, a model file out.

pub mod log;
pub mod recipe;
pub mod styles;

use crate::cli::TrainArgs;
use crate::commands::Outcome;
use crate::io::files::Files;
use crate::io::output;
use crate::logging::metrics::Row;
use crate::logging::report::State;
use crate::logging::say::say;
use crate::training::checkpoint::Checkpoint;
use crate::training::trainer::Trainer;
use anyhow::{Context, ensure};
use gstfaststyle::DeviceChoice;
use log::Log;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Runs the command `train`, until its last step or until `stop` is set.
///
/// # Errors
/// Whatever keeps it from going on. The last checkpoint then is as it was.
pub fn run(args: &TrainArgs, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    if let Some(preset) = args.preset {
        say(format_args!(
            "{preset}; flags and the config file override it"
        ));
    }
    let files = Files::beside(&args.output)?;
    let device = args.device.open()?;
    let trainer = if args.resume {
        let mut checkpoint = Checkpoint::load(&files.checkpoint)?;
        checkpoint.recipe = recipe::resumed(checkpoint.recipe, args)?;
        Trainer::resume(checkpoint, &device)?
    } else {
        check_output(args, &files)?;
        let trainer = Trainer::new(recipe::new(args)?, &device)?;
        if files.checkpoint.exists() {
            // The one there goes before what belongs to it does.
            trainer.checkpoint()?.save(&files.checkpoint)?;
        }
        trainer
    };
    let output = args.output.to_string_lossy().into_owned();
    let mut resume = vec!["train".into(), "--resume".into(), "--output".into(), output];
    resume.extend(device_words(args.device));
    to_the_end(trainer, &files, args.resume, &resume, stop)
}

/// Trains until the last step or until `stop` is set. `resumed` trainings are saved
/// even if they take no step; `resume` are the words of the command that continues
/// this one.
///
/// # Errors
/// Whatever keeps it from going on. The last checkpoint then is as it was.
pub fn to_the_end(
    mut trainer: Trainer,
    files: &Files,
    resumed: bool,
    resume: &[String],
    stop: &AtomicBool,
) -> anyhow::Result<Outcome> {
    let steps = trainer.recipe().steps;
    let first = trainer.step_count();
    let mut log = Log::open(&trainer, files)?;
    say(format_args!(
        "{} photos, {} weights, step {first} of {steps}, on {}",
        trainer.photos(),
        trainer.weights(),
        if trainer.device().is_cpu() {
            "the CPU"
        } else {
            "CUDA"
        },
    ));
    if first >= steps {
        say(format_args!(
            "all {steps} steps are done: a larger --steps continues the training"
        ));
    }

    let mut saved = first;
    let mut result = improve(&mut trainer, &mut log, files, &mut saved, stop);
    // A training that is resumed may have a new recipe to keep.
    if result.is_ok() && (trainer.step_count() > saved || resumed) {
        result = save(&trainer, files, &mut log, &mut saved);
    }
    if let Err(error) = result {
        log.finish();
        log.report(&trainer, State::Failed(format!("{error:#}")));
        return Err(match saved {
            0 => error,
            _ => error.context(format!(
                "{} still holds the training as it was after step {saved}",
                files.checkpoint.display()
            )),
        });
    }
    log.finish();

    let step = trainer.step_count();
    if step < steps {
        log.report(&trainer, State::Stopped);
        say(format_args!("stopped after step {step} of {steps}"));
        match files.checkpoint.exists() {
            true => say(format_args!("To resume:\n  {}", command_line(resume))),
            false => say("nothing has been saved yet"),
        }
        return Ok(Outcome::Interrupted);
    }
    log.report(&trainer, State::Finished);
    say(format_args!(
        "{} is ready: {}",
        files.model.display(),
        trainer.mean_losses()
    ));
    Ok(Outcome::Finished)
}

/// Whether nothing is lost that the user may want to keep.
fn check_output(args: &TrainArgs, files: &Files) -> anyhow::Result<()> {
    let given = args.style.iter().chain(&args.styles);
    let given = given.chain(&args.preview).chain(&args.loss.vgg);
    let given: Vec<&Path> = given.map(PathBuf::as_path).collect();
    output::spare("--output", &files.model, &given)?;
    files.check_training(args.overwrite)?;
    ensure!(
        args.overwrite || !files.model.exists(),
        "there is already a model {}: --overwrite replaces it",
        files.model.display()
    );
    Ok(())
}

/// Takes steps, and saves now and then. `saved` is the step of the last
/// checkpoint.
fn improve(
    trainer: &mut Trainer,
    log: &mut Log,
    files: &Files,
    saved: &mut u64,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let steps = trainer.recipe().steps;
    while trainer.step_count() < steps && !stop.load(Ordering::SeqCst) {
        let started = Instant::now();
        let lr = trainer.recipe().rate(trainer.step_count());
        let losses = trainer.step()?;
        let row = Row {
            step: trainer.step_count(),
            losses,
            lr,
            seconds: trainer.seconds(),
            waited: trainer.waited(),
        };
        if let Err(error) = log.step(&row, started.elapsed().as_secs_f64()) {
            // The step itself is good.
            let _ = save(trainer, files, log, saved);
            return Err(error);
        }
        log.left_out(trainer.left_out());
        if row.step.is_multiple_of(trainer.recipe().checkpoint_every) && row.step < steps {
            save(trainer, files, log, saved)?;
            log.report(trainer, State::Running);
        }
    }
    Ok(())
}

/// Writes the checkpoint, the model, and the previews.
fn save(trainer: &Trainer, files: &Files, log: &mut Log, saved: &mut u64) -> anyhow::Result<()> {
    let step = trainer.step_count();
    trainer.checkpoint()?.save(&files.checkpoint)?;
    *saved = step;
    let model = trainer.model()?;
    model.save(&files.model).context("cannot write the model")?;
    log.paint(&model, step, trainer.device())
}

/// The words that choose `device` on a command line.
pub fn device_words(device: DeviceChoice) -> Vec<String> {
    match device {
        DeviceChoice::Auto => Vec::new(),
        device => vec!["--device".into(), device.to_string()],
    }
}

/// This program with the arguments `words`, for a shell.
fn command_line(words: &[String]) -> String {
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "faststyle-train".into());
    let all = [&program].into_iter().chain(words);
    let quoted: Vec<String> = all.map(|word| shell_quoted(word)).collect();
    quoted.join(" ")
}

fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=+,@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(
            shell_quoted("out/scream.safetensors"),
            "out/scream.safetensors"
        );
        assert_eq!(shell_quoted("the scream"), "'the scream'");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
    }
}
