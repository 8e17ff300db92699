//! How programs that train allocate memory: a step makes and drops tensors of
//! many megabytes, all the time.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_long};
use std::io::Write;

/// What such a program allocates with. Where the system has no memory left, it says so
/// and ends the program: its files are whole at any moment.
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
pub struct Allocator(MiMalloc);

/// The allocator.
pub const ALLOCATOR: Allocator = Allocator(MiMalloc);

/// Requests from this size on may fail: whoever makes one can go on without it.
const LARGE: usize = 1 << 40;

// SAFETY: mimalloc does it all; what it cannot allocate is returned as null or ends the
// program.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        found(unsafe { self.0.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        found(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        found(unsafe { self.0.realloc(place, layout, size) }, size)
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.dealloc(place, layout) }
    }
}

/// `place`, or the end of the program if it is null.
fn found(place: *mut u8, size: usize) -> *mut u8 {
    if place.is_null() && size < LARGE {
        // Neither of these allocates.
        let _ = writeln!(
            std::io::stderr(),
            "faststyle-train: out of memory: the system refuses {size} bytes. Files that are \
             written are whole, and a training continues with --resume; a smaller --batch, \
             --size or --max-size needs less"
        );
        // At once: what runs at a usual exit may allocate, too.
        #[cfg(unix)]
        // SAFETY: ends the process.
        unsafe {
            libc::_exit(1)
        }
        #[cfg(not(unix))]
        std::process::abort();
    }
    place
}

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
