//! Text in which nothing acts on the terminal.

use gstfaststyle::internals::network::printable;

/// `text` with every character escaped that acts on a terminal, except line ends and
/// tabs: file names, tags and model files could otherwise control it.
pub fn printable_lines(text: &str) -> String {
    let parts = text.split_inclusive(['\n', '\t']);
    let shown = parts.map(|part| match part.strip_suffix(['\n', '\t']) {
        Some(before) => format!("{}{}", printable(before), &part[before.len()..]),
        None => printable(part).to_string(),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            printable_lines("Wörter\tund\nZeilen"),
            "Wörter\tund\nZeilen"
        );
        let shown = printable_lines("\u{1b}[2J\r\u{9b}31m\u{7}");
        assert_eq!(shown, r"\u{1b}[2J\r\u{9b}31m\u{7}");
        assert_eq!(printable_lines("\u{202e}gpj.exe\n"), "\\u{202e}gpj.exe\n");
    }
}
