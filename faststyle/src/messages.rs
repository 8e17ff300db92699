//! Messages on standard error, and results on standard output.

use gstfaststyle::internals::network::printable_lines;
use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is in raw mode, where a line end alone does not go back to
/// the left.
static RAW: AtomicBool = AtomicBool::new(false);

/// Says whether the terminal is in raw mode.
pub fn set_raw(raw: bool) {
    RAW.store(raw, Ordering::Relaxed);
}

/// Writes `text` and a line end. Failure, such as a closed pipe, is ignored: the
/// work matters more.
pub fn say(text: impl Display) {
    let mut text = printable_lines(&text.to_string());
    text.push('\n');
    if RAW.load(Ordering::Relaxed) {
        text = text.replace('\n', "\r\n");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes a result and a line end to standard output. Its end, as of a pipe to
/// `head`, is not an error.
pub fn print(text: impl Display) {
    let text = printable_lines(&text.to_string());
    let _ = writeln!(std::io::stdout(), "{text}");
}
