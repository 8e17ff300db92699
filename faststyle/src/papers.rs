//! Manual pages and shell completions, made from the command line's description.

use crate::cli::Cli;
use crate::outcome::Outcome;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Prints what `shell` needs.
///
/// # Errors
/// None; the signature is that of a command.
pub fn completions(shell: Shell) -> Result<Outcome> {
    let mut command = Cli::command();
    clap_complete::generate(shell, &mut command, "faststyle", &mut std::io::stdout());
    Ok(Outcome::Finished)
}

/// Writes `faststyle.1` and a page for each subcommand into `folder`.
///
/// # Errors
/// Those of the system.
pub fn manual(folder: &Path) -> Result<Outcome> {
    let written = clap_mangen::generate_to(Cli::command(), folder);
    written.with_context(|| folder.display().to_string())?;
    Ok(Outcome::Finished)
}
