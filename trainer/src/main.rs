//! The command line of `faststyle-train`.

use anyhow::Context;
use faststyle_train::cli::{Cli, Command, config};
use faststyle_train::commands::{
    Outcome, add_style, evaluate, export_onnx, import, import_vgg, info, list, optimize, sheet,
    styles, stylize, train, train_any,
};
use faststyle_train::logging::say::{say, say_lines};
use faststyle_train::memory;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: memory::Allocator = memory::ALLOCATOR;

/// Set by Ctrl-C and other requests to end.
static STOP: AtomicBool = AtomicBool::new(false);

/// The exit status of an interrupted command.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    memory::keep();
    match config::parse(std::env::args_os()).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            if let Some(error) = error.downcast_ref::<clap::Error>() {
                return explain(error);
            }
            say(format_args!("faststyle-train: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Train(args) => stoppable(|stop| train::run(&args, stop)),
        Command::AddStyle(args) => stoppable(|stop| add_style::run(&args, stop)),
        Command::TrainAny(args) => stoppable(|stop| train_any::run(&args, stop)),
        Command::Sheet(args) => stoppable(|stop| sheet::run(&args, stop)),
        Command::ExtractStyle(args) => {
            styles::extract(&args)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::RemoveStyle(args) => {
            styles::remove(&args)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Optimize(args) => stoppable(|stop| optimize::run(&args, stop)),
        Command::Evaluate(args) => stoppable(|stop| evaluate::run(&args, stop)),
        Command::Stylize(args) => stoppable(|stop| stylize::run(&args, stop)),
        Command::List => {
            list::run()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Info(args) => {
            info::run(&args)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::ExportOnnx(args) => {
            export_onnx::run(&args)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Import(args) => {
            import::run(&args)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::ImportVgg(args) => {
            import_vgg::run(&args)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints what is wrong with the command line, or the help that it asks for.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    // Without colours: what was typed may hold characters that act on the terminal.
    say_lines(error.render().to_string().trim_end());
    ExitCode::from(error.exit_code() as u8)
}

/// Runs a command that an interrupt stops cleanly.
fn stoppable(
    command: impl FnOnce(&AtomicBool) -> anyhow::Result<Outcome>,
) -> anyhow::Result<ExitCode> {
    faststyle_console::on_request(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            // The second request does not wait.
            std::process::exit(INTERRUPTED.into());
        }
    })?;
    // Where threads cannot be started, the first that needs them would panic.
    rayon::ThreadPoolBuilder::new()
        .build_global()
        .context("cannot start threads")?;
    match command(&STOP)? {
        Outcome::Finished => Ok(ExitCode::SUCCESS),
        Outcome::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
    }
}
