//! How programs that train allocate memory: a step makes and drops tensors of
//! many megabytes, all the time.

use std::ffi::{c_int, c_long};

/// What such a program allocates with:
///
/// ```
/// use faststyle_train::memory;
///
/// #[global_allocator]
/// static ALLOCATOR: memory::Allocator = memory::ALLOCATOR;
///
/// fn main() {
///     memory::keep();
/// }
/// ```
pub type Allocator = mimalloc::MiMalloc;

/// The allocator.
pub const ALLOCATOR: Allocator = mimalloc::MiMalloc;

unsafe extern "C" {
    /// Of mimalloc's `mimalloc.h`.
    fn mi_option_set(option: c_int, value: c_long);
}

/// Keeps memory that one step gave back for the next one: a third of the time
/// of a step went into fresh pages when mimalloc returned them after its usual
/// 10 ms.
pub fn keep() {
    const MI_OPTION_PURGE_DELAY: c_int = 15;
    const NEVER: c_long = -1;
    // SAFETY: any option may be set to any number at any time.
    unsafe { mi_option_set(MI_OPTION_PURGE_DELAY, NEVER) }
}
