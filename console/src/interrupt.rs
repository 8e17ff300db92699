//! Ctrl-C and other requests to stop.

/// Calls `handler` on Ctrl-C, SIGTERM and SIGHUP, but not on SIGHUP if the parent
/// process ignored it, as `nohup` does.
///
/// # Errors
/// The system does not accept a handler.
pub fn on_request(handler: impl FnMut() + Send + 'static) -> Result<(), ctrlc::Error> {
    #[cfg(unix)]
    let hangups_are_ignored = hangups_are_ignored();
    ctrlc::set_handler(handler)?;
    #[cfg(unix)]
    if hangups_are_ignored {
        // SAFETY: the signal exists, and to ignore it runs no code.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    }
    Ok(())
}

#[cfg(unix)]
fn hangups_are_ignored() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: changes nothing, and `action` has room for the answer.
    let asked = unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroes are such a structure, and so is the answer.
    let action = unsafe { action.assume_init() };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
