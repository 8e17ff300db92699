//! The test driver, `testing/cuda-driver`, and tests that need it.

use libloading::os::unix::{Library, Symbol};
use std::env;
use std::io::{self, Write};
use std::process::Command;

/// The layout of the driver's `Counts`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Counts {
    pub uploaded: u64,
    pub downloaded: u64,
    pub moved: u64,
    pub kernels: u64,
    pub contexts: u64,
    pub used: u64,
}

fn symbol<T>(name: &str) -> Option<Symbol<T>> {
    // SAFETY: the callers know the type.
    unsafe { Library::this().get(name.as_bytes()) }.ok()
}

/// Whether the CUDA driver is the test driver.
pub fn is_there() -> bool {
    symbol::<extern "C" fn()>("faststyle_stand_in_counts").is_some()
}

/// What it has done so far.
pub fn counts() -> Counts {
    let mut counts = Counts::default();
    let get = symbol::<unsafe extern "C" fn(*mut Counts)>("faststyle_stand_in_counts").unwrap();
    // SAFETY: the same structure.
    unsafe { get(&mut counts) };
    counts
}

/// Limits the device's free memory to so many bytes.
pub fn leave(bytes: usize) {
    symbol::<extern "C" fn(usize)>("faststyle_stand_in_leave").unwrap()(bytes);
}

/// Says on stderr that a test does not run, past the capture of the test harness:
/// otherwise it would pass for one that did.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // Nothing is lost without stderr.
    let _ = writeln!(io::stderr(), "skipped {name}: {reason}");
}

/// Runs a test in a separate process, since it changes what all tests share, or
/// needs these environment variables. Without the test driver it is skipped.
pub fn alone(name: &str, variables: &[(&str, &str)], test: impl FnOnce()) {
    const INSIDE: &str = "FASTSTYLE_TEST_ALONE";
    if !is_there() {
        return skip("it needs the test driver (scripts/check-cuda)");
    }
    if env::var(INSIDE).is_ok_and(|inside| inside == name) {
        return test();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, name)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}
