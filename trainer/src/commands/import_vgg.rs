//! The command `import-vgg`: VGG-19's weights, from a file of another program.

use crate::cli::ImportVggArgs;
use crate::io::output;
use crate::logging::say::say;
use crate::objective::vgg_weights;

/// Runs the command.
///
/// # Errors
/// The errors of [`vgg_weights::import`]; a file that is there already.
pub fn run(args: &ImportVggArgs) -> anyhow::Result<()> {
    output::spare("--output", &args.output, &[&args.input])?;
    output::check_new("--output", &args.output, args.overwrite)?;
    vgg_weights::import(&args.input, &args.output)?;
    say(format_args!("{} is ready", args.output.display()));
    Ok(())
}
