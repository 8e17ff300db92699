//! The command `train`: a painting and a folder of photos in, a model file out.

pub mod last_step;
pub mod log;
pub mod recipe;
pub mod styles;
pub mod warnings;

use crate::cli::TrainArgs;
use crate::commands::Outcome;
use crate::io::files::{Files, stem};
use crate::io::output;
use crate::logging::metrics::{MetricsFormat, Row};
use crate::logging::report::State;
use crate::logging::say::{say, say_lines};
use crate::training::checkpoint::Checkpoint;
use crate::training::team::Team;
use crate::training::trainer::Trainer;
use anyhow::{Context, anyhow};
use candle_core::Device;
use gstfaststyle::DeviceChoice;
use last_step::LastStep;
use log::Log;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The steps with the first checkpoints, where they are not more frequent.
const EARLY: [u64; 4] = [10, 30, 60, 120];

/// Runs the command `train`, until its last step or until `stop` is set.
///
/// # Errors
/// Whatever keeps it from going on. The last checkpoint then is as it was.
pub fn run(args: &TrainArgs, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    let (team, device) = start(args.device)?;
    if !team.leads() {
        return follow(&team, &device, stop);
    }
    if let Some(preset) = args.preset {
        say(format_args!(
            "{preset}; flags and the config file override it"
        ));
    }
    let (files, trainer) = lead(&team, begin(args, &device), &device)?;
    let words = ["train", "--resume", "--output"].map(OsString::from);
    let mut resume: Vec<OsString> = words.into();
    resume.push(files.model.clone().into());
    resume.extend(device_words(args.device));
    to_the_end(trainer, &files, args.resume, &resume, stop)
}

/// The files of the training that `args` describe, and the training itself.
fn begin(args: &TrainArgs, device: &Device) -> anyhow::Result<(Files, Trainer)> {
    let output = output::model_file("--output", &args.output)?;
    let args = &TrainArgs {
        output,
        ..args.clone()
    };
    let files = Files::beside(&args.output)?;
    if args.resume {
        let mut checkpoint = Checkpoint::load(&files.checkpoint)?;
        checkpoint.recipe = recipe::resumed(checkpoint.recipe, args)?;
        return Ok((files, Trainer::resume(checkpoint, device)?));
    }
    check_output(args, &files)?;
    let trainer = Trainer::new(recipe::new(args)?, device)?;
    if files.checkpoint.exists() {
        // The one there goes before what belongs to it does.
        trainer.checkpoint()?.save(&files.checkpoint)?;
    }
    Ok((files, trainer))
}

/// The processes that train, and the device of this one. Collective.
///
/// # Errors
/// They cannot reach each other, or a device is not there.
pub fn start(device: DeviceChoice) -> anyhow::Result<(Team, Device)> {
    let team = Team::join()?;
    let device = team.device(device).open();
    let device = team.agree(device.map_err(anyhow::Error::from))?;
    Ok((team, device))
}

/// Shares the training that has `begun` in the leader of `team`, and passes on what else
/// is known of it. The others [`follow`]. Collective.
///
/// # Errors
/// As [`Trainer::of_team`].
pub fn lead<T>(
    team: &Team,
    begun: anyhow::Result<(T, Trainer)>,
    device: &Device,
) -> anyhow::Result<(T, Trainer)> {
    let (begun, trainer) = match begun {
        Ok((begun, trainer)) => (Ok(begun), Ok(Some(trainer))),
        Err(error) => (Err(anyhow!("the training has not begun")), Err(error)),
    };
    let trainer = Trainer::of_team(team, trainer, device)?;
    Ok((begun?, trainer))
}

/// Trains what the leader of `team` does, and leaves all else to it.
///
/// # Errors
/// Those of any process; the leader reports them.
pub fn follow(team: &Team, device: &Device, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    let mut trainer = Trainer::of_team(team, Ok(None), device)?;
    // Meanwhile the leader opens its log.
    team.agree(Ok(()))?;
    improve(&mut trainer, stop, |_, _, _| Ok(()))?;
    Ok(Outcome::Finished)
}

/// Trains until the last step or until `stop` is set, and writes the files, as the leader
/// of the trainer's team. `resumed` trainings are saved even if they take no step; `resume`
/// are the words of the command that continues this one.
///
/// # Errors
/// Whatever keeps it from going on. The last checkpoint then is as it was.
pub fn to_the_end(
    mut trainer: Trainer,
    files: &Files,
    resumed: bool,
    resume: &[OsString],
    stop: &AtomicBool,
) -> anyhow::Result<Outcome> {
    let steps = trainer.recipe().steps;
    let first = trainer.step_count();
    let log = introduce(&trainer, files);
    let mut log = trainer.team().agree(log)?;

    let mut saved = first;
    let last = LastStep::of(trainer.team());
    let mut result = last.save_on_request(&files.checkpoint, stop, || {
        improve(&mut trainer, stop, |trainer, row, seconds| {
            last.is(trainer)?;
            log_step(trainer, &mut log, files, &mut saved, row, seconds)
        })
    });
    // A training that is resumed may have a new recipe to keep.
    if result.is_ok() && (trainer.step_count() > saved || resumed) {
        result = save(&trainer, files, &mut log, &mut saved);
    }
    if let Err(error) = result {
        log.finish();
        if saved == 0 {
            // Nothing is left that would be in the way of another try.
            log.discard();
            return Err(error);
        }
        log.report(&trainer, State::Failed(format!("{error:#}")));
        return Err(error.context(format!(
            "{} still holds the training as it was after step {saved}",
            files.checkpoint.display()
        )));
    }
    log.finish();

    let step = trainer.step_count();
    if step < steps {
        log.report(&trainer, State::Stopped);
        say(format_args!("stopped after step {step} of {steps}"));
        match files.checkpoint.exists() {
            true => say_lines(format_args!("To resume:\n  {}", command_line(resume))),
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

/// Opens the outputs, and tells what is trained and where.
fn introduce(trainer: &Trainer, files: &Files) -> anyhow::Result<Log> {
    let (first, steps) = (trainer.step_count(), trainer.recipe().steps);
    let log = Log::open(trainer, files)?;
    let photos = match trainer.photos() {
        1 => "1 photo".into(),
        photos => format!("{photos} photos"),
    };
    say(format_args!(
        "{photos}, {} weights, step {first} of {steps}, on {}",
        trainer.weights(),
        if trainer.device().is_cpu() {
            "the CPU"
        } else {
            "CUDA"
        },
    ));
    if trainer.team().size() > 1 {
        let threads = match rayon::current_num_threads() {
            1 => "1 thread".into(),
            threads => format!("{threads} threads"),
        };
        say(format_args!("{}, {threads} each", trainer.team().about()));
    }
    if first == 0 {
        for warning in warnings::of(trainer.recipe(), trainer.photos())? {
            say(format_args!("warning: {warning}"));
        }
    }
    if first >= steps {
        say(format_args!(
            "all {steps} steps are done: a larger --steps continues the training"
        ));
    }
    Ok(log)
}

/// Whether nothing is lost that the user may want to keep.
fn check_output(args: &TrainArgs, files: &Files) -> anyhow::Result<()> {
    let given = args.style.iter().chain(&args.styles);
    let given = given.chain(&args.preview).chain(&args.loss.vgg);
    let given: Vec<&Path> = given.map(PathBuf::as_path).collect();
    output::spare("--output", &files.model, &given)?;
    files.check_training(&MetricsFormat::extensions(), args.overwrite)?;
    for photo in &args.preview {
        let preview = files.preview(&stem(photo)?);
        output::check_new("--preview", &preview, args.overwrite)?;
    }
    Ok(())
}

/// Takes steps until the last, or until `stop` is set in any process of the team. What is
/// to be done `after` a step gets its row and its seconds. Collective.
fn improve(
    trainer: &mut Trainer,
    stop: &AtomicBool,
    mut after: impl FnMut(&Trainer, &Row, f64) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let steps = trainer.recipe().steps;
    while trainer.step_count() < steps && !trainer.team().any(stop.load(Ordering::SeqCst))? {
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
        let done = after(trainer, &row, started.elapsed().as_secs_f64());
        trainer.team().agree(done)?;
    }
    Ok(())
}

/// Logs a step that took `seconds`, and saves now and then. `saved` is the step of the last
/// checkpoint.
fn log_step(
    trainer: &Trainer,
    log: &mut Log,
    files: &Files,
    saved: &mut u64,
    row: &Row,
    seconds: f64,
) -> anyhow::Result<()> {
    if let Err(error) = log.step(row, seconds) {
        // The step itself is good.
        let _ = save(trainer, files, log, saved);
        return Err(error);
    }
    log.left_out(trainer.left_out());
    let recipe = trainer.recipe();
    if is_due(row.step, recipe.checkpoint_every) && row.step < recipe.steps {
        save(trainer, files, log, saved)?;
        log.report(trainer, State::Running);
    }
    Ok(())
}

/// Whether there is a checkpoint after `step`: every so many steps, and some earlier
/// ones, since nobody wants to wait long for the first preview.
fn is_due(step: u64, every: u64) -> bool {
    step.is_multiple_of(every) || EARLY.contains(&step) && step < every
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
pub fn device_words(device: DeviceChoice) -> Vec<OsString> {
    match device {
        DeviceChoice::Auto => Vec::new(),
        device => vec!["--device".into(), device.to_string().into()],
    }
}

/// This program with the arguments `words`, for a shell.
fn command_line(words: &[OsString]) -> String {
    let program = std::env::args_os()
        .next()
        .unwrap_or_else(|| "faststyle-train".into());
    let all = [&program].into_iter().chain(words);
    let quoted: Vec<String> = all.map(|word| shell_quoted(word)).collect();
    quoted.join(" ")
}

/// `word` as a shell takes it, in characters that a terminal shows.
fn shell_quoted(word: &OsStr) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=+,@%".contains(c);
    match word.to_str() {
        Some(word) if !word.is_empty() && word.chars().all(plain) => word.to_string(),
        Some(word) if !word.chars().any(char::is_control) => {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
        _ => {
            let bytes = word.as_encoded_bytes().iter();
            let shown = bytes.map(|&byte| match byte {
                b'\\' | b'\'' => format!("\\{}", char::from(byte)),
                b' '..=b'~' => char::from(byte).to_string(),
                byte => format!("\\x{byte:02x}"),
            });
            format!("$'{}'", shown.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        let quoted = |word: &str| shell_quoted(word.as_ref());
        assert_eq!(quoted("out/scream.safetensors"), "out/scream.safetensors");
        assert_eq!(quoted("the scream"), "'the scream'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("a\n'b'"), r"$'a\x0a\'b\''");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            assert_eq!(shell_quoted(OsStr::from_bytes(b"caf\xe9")), r"$'caf\xe9'");
        }
    }
}
