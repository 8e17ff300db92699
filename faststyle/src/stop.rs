//! Ctrl-C and other requests to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

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

/// Waits for a while. Returns whether the program was not asked to end meanwhile.
pub fn pause(time: Duration) -> bool {
    let until = Instant::now() + time;
    while !requested() && Instant::now() < until {
        thread::sleep(Duration::from_millis(50));
    }
    !requested()
}

/// Whether the program was asked to end.
pub fn requested() -> bool {
    STOP.load(Ordering::SeqCst)
}
