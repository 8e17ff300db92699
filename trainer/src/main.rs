//! The command line of `faststyle-train`.

use faststyle_train::cli::{Cli, Command};
use faststyle_train::train::{self, Outcome};
use faststyle_train::{config, evaluate, onnx, optimize, vgg_weights};
use std::ffi::{c_int, c_long};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

// Training makes and drops tensors of many megabytes all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    /// Of mimalloc's `mimalloc.h`.
    fn mi_option_set(option: c_int, value: c_long);
}

/// Keeps memory that one step gave back for the next one: a third of the time
/// of a step went into fresh pages when mimalloc returned them after its usual
/// 10 ms.
fn keep_memory() {
    const MI_OPTION_PURGE_DELAY: c_int = 15;
    const NEVER: c_long = -1;
    // SAFETY: any option may be set to any number at any time.
    unsafe { mi_option_set(MI_OPTION_PURGE_DELAY, NEVER) }
}

/// Set by Ctrl-C and SIGTERM.
static STOP: AtomicBool = AtomicBool::new(false);

/// What shells expect of a command that an interrupt ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    keep_memory();
    match config::parse(std::env::args_os()).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            if let Some(error) = error.downcast_ref::<clap::Error>() {
                error.exit();
            }
            eprintln!("faststyle-train: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Train(args) => stoppable(|stop| train::run(&args, stop)),
        Command::Optimize(args) => stoppable(|stop| optimize::run(&args, stop)),
        Command::Evaluate(args) => stoppable(|stop| evaluate::run(&args, stop)),
        Command::ExportOnnx(args) => {
            onnx::run(&args)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::ImportVgg(args) => {
            vgg_weights::import(&args.input, &args.output)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs what ends early, in good order, when it is interrupted.
fn stoppable(
    command: impl FnOnce(&AtomicBool) -> anyhow::Result<Outcome>,
) -> anyhow::Result<ExitCode> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            // Asked twice: whoever asks does not want to wait.
            std::process::exit(INTERRUPTED.into());
        }
    })?;
    match command(&STOP)? {
        Outcome::Finished => Ok(ExitCode::SUCCESS),
        Outcome::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
    }
}
