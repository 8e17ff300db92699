//! Ctrl-C and other requests to end.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by Ctrl-C, SIGTERM and SIGHUP.
static STOP: AtomicBool = AtomicBool::new(false);

/// From now on the first request to end is only noted; the second ends the
/// program at once.
///
/// # Errors
/// The system does not accept a handler.
pub fn on_request() -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(crate::outcome::INTERRUPTED.into());
        }
    })?)
}

/// Whether the program was asked to end.
pub fn requested() -> bool {
    STOP.load(Ordering::SeqCst)
}
