//! The command line of `faststyle-train`.

use faststyle_train::cli::{Cli, Command, config};
use faststyle_train::commands::{
    Outcome, add_style, evaluate, export_onnx, import, import_vgg, info, interrupt, optimize,
    sheet, styles, stylize, train,
};
use faststyle_train::logging::say::say;
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
                error.exit();
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

/// Runs a command that an interrupt stops cleanly.
fn stoppable(
    command: impl FnOnce(&AtomicBool) -> anyhow::Result<Outcome>,
) -> anyhow::Result<ExitCode> {
    interrupt::on_request(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            // The second request does not wait.
            std::process::exit(INTERRUPTED.into());
        }
    })?;
    match command(&STOP)? {
        Outcome::Finished => Ok(ExitCode::SUCCESS),
        Outcome::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
    }
}
