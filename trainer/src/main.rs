//! The command line of `faststyle-train`.

use clap::Parser;
use faststyle_train::cli::{Cli, Command};
use faststyle_train::train::{self, Outcome};
use faststyle_train::vgg_weights;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

// Training makes and drops tensors of many megabytes all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Set by Ctrl-C and SIGTERM.
static STOP: AtomicBool = AtomicBool::new(false);

/// What shells expect of a command that an interrupt ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("faststyle-train: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Train(args) => {
            ctrlc::set_handler(|| {
                if STOP.swap(true, Ordering::SeqCst) {
                    // Asked twice: whoever asks does not want to wait.
                    std::process::exit(INTERRUPTED.into());
                }
            })?;
            match train::run(&args, &STOP)? {
                Outcome::Finished => Ok(ExitCode::SUCCESS),
                Outcome::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
            }
        }
        Command::ImportVgg(args) => {
            vgg_weights::import(&args.input, &args.output)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
