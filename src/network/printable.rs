//! Text that a terminal, a log or a C string can take.

use std::fmt::{self, Display, Write};
use std::path::{self, Path};

/// Shows a text with escapes in place of the characters that would act on a
/// terminal, end a line or a C string, or turn the direction of writing.
///
/// Everything that comes from a file, its name or an application is shown through
/// it: `\u{1b}` in place of the escape character, `\u{0}`, `\n`.
#[derive(Clone, Copy, Debug)]
pub struct Printable<T>(T);

/// The text, [`Printable`].
pub fn printable<T: Display>(text: T) -> Printable<T> {
    Printable(text)
}

/// The path, [`Printable`]; what is not Unicode in it is shown as U+FFFD.
pub fn printable_path(path: &Path) -> Printable<path::Display<'_>> {
    Printable(path.display())
}

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape(to), "{}", self.0)
    }
}

struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while let Some(at) = text.find(acts) {
            let (before, rest) = text.split_at(at);
            self.0.write_str(before)?;
            let mut rest = rest.chars();
            if let Some(character) = rest.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            text = rest.as_str();
        }
        self.0.write_str(text)
    }
}

/// `text` with the same escapes, but line ends and tabs as they are.
pub fn printable_lines(text: &str) -> String {
    let parts = text.split_inclusive(['\n', '\t']);
    let shown = parts.map(|part| match part.strip_suffix(['\n', '\t']) {
        Some(before) => format!("{}{}", printable(before), &part[before.len()..]),
        None => printable(part).to_string(),
    });
    shown.collect()
}

/// Whether a character would act: control characters, ends of lines and paragraphs, and
/// marks that turn the direction of what follows.
pub fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped() {
        let text = |text: &str| printable(text).to_string();
        assert_eq!(text("a\0b\x1b[31m\r\n"), r"a\u{0}b\u{1b}[31m\r\n");
        assert_eq!(
            text("\u{9b}2J \u{202e}gpj \u{7f}"),
            r"\u{9b}2J \u{202e}gpj \u{7f}"
        );
        for plain in ["", "Der Schrei, 1893", "神奈川沖浪裏", r"C:\models"] {
            assert_eq!(text(plain), plain);
        }
    }

    #[test]
    fn lines_stay_lines() {
        for (text, expected) in [
            ("Wörter\tund\nZeilen", "Wörter\tund\nZeilen"),
            ("\u{1b}[2J\r\u{9b}31m\u{7}", r"\u{1b}[2J\r\u{9b}31m\u{7}"),
            ("\u{202e}gpj.exe\n", "\\u{202e}gpj.exe\n"),
        ] {
            assert_eq!(printable_lines(text), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_of_any_bytes_are_shown() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9\n.safetensors"));
        assert_eq!(
            printable_path(path).to_string(),
            "caf\u{fffd}\\n.safetensors"
        );
    }
}
