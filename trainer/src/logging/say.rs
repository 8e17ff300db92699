//! Messages on standard error.

use gstfaststyle::internals::network::{printable, printable_lines};
use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set where another process speaks for this one.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Lets this process say nothing more.
pub fn silence() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Writes `text` as one line, in which nothing acts on a terminal. Failure, such as a
/// closed pipe or a full disk, is ignored: unsaved work matters more.
pub fn say(text: impl Display) {
    if !SILENT.load(Ordering::Relaxed) {
        let _ = writeln!(std::io::stderr(), "{}", printable(text));
    }
}

/// The same for a text of several lines.
pub fn say_lines(text: impl Display) {
    if !SILENT.load(Ordering::Relaxed) {
        let text = printable_lines(&text.to_string());
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
