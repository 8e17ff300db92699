//! What tests ask of the stand-in, `testing/cuda-driver`.

use libloading::os::unix::{Library, Symbol};
use std::env;
use std::process::Command;

/// As `Counts` there.
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

/// Whether the driver is the stand-in.
pub fn is_there() -> bool {
    symbol::<extern "C" fn()>("faststyle_stand_in_counts").is_some()
}

/// What has been done so far.
pub fn counts() -> Counts {
    let mut counts = Counts::default();
    let get = symbol::<unsafe extern "C" fn(*mut Counts)>("faststyle_stand_in_counts").unwrap();
    // SAFETY: the same structure.
    unsafe { get(&mut counts) };
    counts
}

/// Leaves the device so many bytes besides what is in use.
pub fn leave(bytes: usize) {
    symbol::<extern "C" fn(usize)>("faststyle_stand_in_leave").unwrap()(bytes);
}

/// Runs a test in a process of its own, for what it changes concerns all tests,
/// or with these environment variables. Without the stand-in, not at all.
pub fn alone(name: &str, variables: &[(&str, &str)], test: impl FnOnce()) {
    const INSIDE: &str = "FASTSTYLE_TEST_ALONE";
    if !is_there() {
        return;
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
