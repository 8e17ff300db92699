//! `faststyle styles`: the styles that are installed.

use crate::cli::StylesArgs;
use crate::live::Choice;
use crate::look::Look;
use crate::messages::print;
use crate::outcome::Outcome;
use crate::sheet;
use anyhow::{Context, Result, ensure};
use gstfaststyle::internals::element::IMAGE;
use gstfaststyle::internals::engine::error_chain;
use gstfaststyle::internals::network::Library;
use gstfaststyle::{Options, Style};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A style that is installed.
#[derive(Debug, Serialize)]
pub struct Installed {
    /// What to give to `--model`.
    pub name: String,
    pub file: PathBuf,
    /// The network's narrowest width.
    pub width: usize,
    #[serde(flatten)]
    pub style: Style,
    /// Whether the file holds others, too.
    #[serde(skip)]
    pub shared: bool,
}

/// Lists the styles of the library, and the files that cannot be read.
pub fn installed(library: &Library) -> (Vec<Installed>, Vec<String>) {
    let (mut styles, mut faults) = (Vec::new(), Vec::new());
    for entry in library.list() {
        match entry.contents {
            Err(error) => faults.push(error_chain(&error)),
            Ok(contents) => {
                let shared = contents.styles.len() > 1;
                let stem = entry.path.file_stem().unwrap_or_default().to_string_lossy();
                let unnamed = || Style {
                    name: stem.to_string(),
                    ..Style::default()
                };
                let mut all = contents.styles;
                if all.is_empty() {
                    all.push(unnamed());
                }
                for style in all {
                    styles.push(Installed {
                        name: if shared {
                            style.name.clone()
                        } else {
                            stem.to_string()
                        },
                        file: entry.path.clone(),
                        width: contents.architecture.width,
                        style,
                        shared,
                    });
                }
            }
        }
    }
    (styles, faults)
}

/// Runs the command.
///
/// # Errors
/// There are none; the sheet cannot be written.
pub fn run(args: &StylesArgs) -> Result<Outcome> {
    let library = Library::of_executable();
    let (styles, faults) = installed(&library);
    for fault in faults {
        crate::messages::say(fault);
    }
    ensure!(!styles.is_empty(), "no styles in {}", folders(&library));
    if args.json {
        print(serde_json::to_string_pretty(&styles)?);
    } else {
        for style in &styles {
            print(line(style).replace('\n', " "));
        }
    }
    if let Some(path) = &args.sheet {
        write_sheet(&styles, path, args.overwrite)?;
        print(format_args!("Written: {}", path.display()));
    }
    Ok(Outcome::Finished)
}

/// The paintings in a row of a sheet, and the space around each.
const COLUMNS: u32 = 3;
const SPACE: u32 = 8;

/// Writes a still in all styles, in rows, as a picture.
fn write_sheet(styles: &[Installed], path: &Path, overwrite: bool) -> Result<()> {
    let format = sheet::check("--sheet", path, overwrite)?;
    let still = sheet::still()?;
    let mut painter = sheet::StylePainter::new(Options::default());
    let paintings = styles.iter().map(|installed| {
        let style = installed.shared.then_some(installed.style.name.as_str());
        painter.paint(&still, &installed.file, style, None)
    });
    let paintings = paintings.collect::<Result<Vec<_>>>()?;
    sheet::save(
        &sheet::rows(&paintings, COLUMNS, SPACE),
        path,
        format,
        overwrite,
    )
}

/// What people read of a style.
fn line(installed: &Installed) -> String {
    let Style {
        title,
        artist,
        year,
        ..
    } = &installed.style;
    let title = title.as_deref().unwrap_or("");
    let facts = [artist.as_deref(), year.as_deref()];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    format!("{:<20} {title}  {}", installed.name, facts.join(", "))
        .trim_end()
        .to_owned()
}

fn folders(library: &Library) -> String {
    let folders = library
        .folders()
        .iter()
        .map(|folder| folder.display().to_string());
    folders.collect::<Vec<_>>().join(", ")
}

/// The styles to choose from while live video plays, and the place of the one that
/// `look` names. It is among them in any case.
///
/// # Errors
/// A path that is not in UTF-8.
pub fn choices(look: &Look) -> Result<(Vec<Choice>, usize)> {
    let (styles, _) = installed(&Library::of_executable());
    let utf8 = |path: &Path| path.to_str().map(str::to_owned);
    let choices = styles.iter().map(|installed| {
        let model = utf8(&installed.file).context("a model's path is not in UTF-8")?;
        Ok(Choice {
            name: installed.name.clone(),
            model,
            style: installed.shared.then(|| installed.style.name.clone()),
            picture: None,
        })
    });
    let mut choices = choices.collect::<Result<Vec<_>>>()?;
    if let Some(picture) = &look.style_image {
        let stem = Path::new(picture).file_stem().unwrap_or_default();
        choices.insert(
            0,
            Choice {
                name: stem.to_string_lossy().into_owned(),
                model: look.model.clone(),
                style: Some(look.style.clone().unwrap_or_else(|| IMAGE.into())),
                picture: look.style_image.clone(),
            },
        );
        return Ok((choices, 0));
    }
    let same = |choice: &Choice| {
        choice.model == look.model && (look.style.is_none() || choice.style == look.style)
    };
    if let Some(place) = choices.iter().position(same) {
        return Ok((choices, place));
    }
    let stem = Path::new(&look.model).file_stem().unwrap_or_default();
    let name = look
        .style
        .clone()
        .unwrap_or_else(|| stem.to_string_lossy().into_owned());
    choices.insert(
        0,
        Choice {
            name,
            model: look.model.clone(),
            style: look.style.clone(),
            picture: None,
        },
    );
    Ok((choices, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_painting() {
        let installed = Installed {
            name: "scream".into(),
            file: "scream.safetensors".into(),
            width: 16,
            style: Style {
                name: "scream".into(),
                title: Some("The Scream".into()),
                artist: Some("Edvard Munch".into()),
                year: Some("1893".into()),
                ..Style::default()
            },
            shared: false,
        };
        let line = line(&installed);
        assert!(line.starts_with("scream "), "{line}");
        assert!(line.ends_with("The Scream  Edvard Munch, 1893"), "{line}");
    }
}
