//! What a model file says about its painting.

use crate::cli::AboutArgs;
use crate::io::files::stem;
use gstfaststyle::Style;
use std::path::Path;

/// What the model file `output` says about the painting: `args`, and `known` for
/// the rest.
pub fn style(args: &AboutArgs, output: &Path, known: Style) -> anyhow::Result<Style> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None if !known.name.is_empty() => known.name,
        None => stem(output)?,
    };
    Ok(Style {
        name,
        title: args.title.clone().or(known.title),
        artist: args.artist.clone().or(known.artist),
        year: args.year.clone().or(known.year),
        training: known.training,
    })
}
