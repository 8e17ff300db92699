//! The command `import-vgg`: VGG-19's weights, from a file of another program.

use crate::cli::ImportVggArgs;
use crate::objective::vgg_weights;

/// Runs the command.
///
/// # Errors
/// The errors of [`vgg_weights::import`].
pub fn run(args: &ImportVggArgs) -> anyhow::Result<()> {
    vgg_weights::import(&args.input, &args.output)
}
