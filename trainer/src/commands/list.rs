//! The command `list`: the models and styles that are found by their names.

use anyhow::Context;
use gstfaststyle::Style;
use gstfaststyle::internals::network::{Contents, Entry, Library, printable_lines, printable_path};
use std::fmt::Write as _;
use std::io::Write as _;

/// Writes the models to standard output, each with its styles.
///
/// # Errors
/// Standard output cannot be written to.
pub fn run() -> anyhow::Result<()> {
    let library = Library::of_executable();
    let mut text = library.list().iter().map(lines).collect::<String>();
    if text.is_empty() {
        text += "no model was found\n";
    }
    text += "\nFolders that are searched:\n";
    for folder in library.folders() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", folder.display());
    }
    let mut out = std::io::stdout().lock();
    out.write_all(printable_lines(&text).as_bytes())
        .context("writing to standard output")
}

/// The lines about a file: its name, its styles and its path.
fn lines(entry: &Entry) -> String {
    let name = entry.path.file_stem().unwrap_or_default().to_string_lossy();
    let path = printable_path(&entry.path);
    match &entry.contents {
        Ok(Contents {
            architecture,
            styles,
        }) => {
            let mut text = format!("{name:<20} width {:<3} {path}\n", architecture.width);
            for style in styles {
                text += &format!("  {}\n", one_line(&about(style)));
            }
            text
        }
        Err(error) => format!("{name:<20} cannot be used: {error}\n"),
    }
}

/// A style as the card of a model names it.
pub fn about(style: &Style) -> String {
    let mut text = style.name.clone();
    if let Some(title) = &style.title {
        text += &format!(": \"{title}\"");
    }
    for more in [&style.artist, &style.year].into_iter().flatten() {
        text += &format!(", {more}");
    }
    text
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}
