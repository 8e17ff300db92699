//! `faststyle`: repaints films and live video from the command line.

mod cli;
mod film;
mod gstreamer;
mod look;
mod messages;
mod output;
mod stop;

use clap::Parser;
use cli::{Cli, Command};
use messages::say;
use std::process::ExitCode;

/// The exit status of an interrupted command, as of a program that Ctrl-C ends.
const INTERRUPTED: u8 = 130;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Finished,
    /// Ctrl-C, or another request to end, came first.
    Interrupted,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(Outcome::Finished) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            say(format_args!("faststyle: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Film(args) => film::run(&args),
    }
}
