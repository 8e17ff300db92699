//! How much memory there is.

use sysinfo::System;

/// Bytes that are taken to be free where the system does not tell.
const UNKNOWN: u64 = 1 << 30;

/// Bytes of main memory that this process can still have.
pub fn free() -> usize {
    usize::try_from(told().unwrap_or(UNKNOWN)).unwrap_or(usize::MAX)
}

fn told() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    // A container may be allowed less than the machine has.
    let allowed = system.cgroup_limits().map(|limits| limits.free_memory);
    Some(system.available_memory().min(allowed.unwrap_or(u64::MAX))).filter(|free| *free > 0)
}
