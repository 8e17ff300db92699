//! Ctrl-C and other requests to end.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by Ctrl-C, SIGTERM, and SIGHUP unless `nohup` started the program.
static STOP: AtomicBool = AtomicBool::new(false);

/// From now on the first request to end is only noted; the second ends the
/// program at once.
///
/// # Errors
/// The system does not accept a handler.
pub fn on_request() -> anyhow::Result<()> {
    Ok(faststyle_console::on_request(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(crate::outcome::INTERRUPTED.into());
        }
    })?)
}

/// Whether the program was asked to end.
pub fn requested() -> bool {
    STOP.load(Ordering::SeqCst)
}
