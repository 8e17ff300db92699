//! Messages on standard error.

use gstfaststyle::internals::network as shown;
use std::fmt::Display;
use std::io::Write;

/// Writes `text` as one line, in which nothing acts on a terminal. Failure, such as a
/// closed pipe or a full disk, is ignored: unsaved work matters more.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", shown::printable(text));
}

/// The same for a text of several lines.
pub fn say_lines(text: impl Display) {
    let text = printable(&text.to_string());
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// `text` with every character escaped that acts on a terminal, except line ends and
/// tabs: file names and model files could otherwise control it.
pub fn printable(text: &str) -> String {
    let parts = text.split_inclusive(['\n', '\t']);
    let shown = parts.map(|part| match part.strip_suffix(['\n', '\t']) {
        Some(before) => format!("{}{}", shown::printable(before), &part[before.len()..]),
        None => shown::printable(part).to_string(),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("Wörter\tund\nZeilen"), "Wörter\tund\nZeilen");
        let shown = printable("\u{1b}[2J\r\u{9b}31m\u{7}");
        assert_eq!(shown, r"\u{1b}[2J\r\u{9b}31m\u{7}");
        assert_eq!(printable("\u{202e}gpj.exe\n"), "\\u{202e}gpj.exe\n");
    }
}
