//! `faststyle`: repaints films and live video from the command line.

mod cli;
mod demo_clip;
mod doctor;
mod film;
mod gstreamer;
mod live;
mod look;
mod messages;
mod outcome;
mod output;
mod page;
mod papers;
mod sheet;
mod stop;
mod styles;

use clap::Parser;
use cli::{Cli, Command};
use messages::say;
use outcome::{INTERRUPTED, Outcome};
use std::process::ExitCode;

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
        Command::Film(args) => film::run(args),
        Command::Live(args) => live::run(args),
        Command::Styles(args) => styles::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions { shell } => papers::completions(shell),
        Command::Manual { folder } => papers::manual(&folder),
    }
}
