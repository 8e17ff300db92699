//! How much memory there is.

use sysinfo::System;

/// Bytes that are taken to be free where the system does not say.
const UNKNOWN: u64 = 1 << 30;

/// Bytes of main memory that this process can still have.
pub fn free() -> usize {
    usize::try_from(available().unwrap_or(UNKNOWN)).unwrap_or(usize::MAX)
}

fn available() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let free = Some(system.available_memory()).filter(|free| *free > 0);
    // A container may be allowed less than the machine has. What it keeps of files
    // gives way to what is needed.
    let limits = system.cgroup_limits();
    let allowed = limits.map(|limits| limits.total_memory.saturating_sub(limits.rss));
    free.into_iter().chain(allowed).chain(address_space()).min()
}

/// What is left of the address space that `ulimit -v` allows, if it does not allow all.
fn address_space() -> Option<u64> {
    let number = |file: &str, name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    // The limit is in bytes, or the word `unlimited`; the other in KiB.
    let limit = number("/proc/self/limits", "Max address space")?;
    let taken = number("/proc/self/status", "VmSize:")?;
    Some(limit.saturating_sub(1024 * taken))
}
