//! The CUDA kernels of faststyle, compiled by a C++ compiler and run on the
//! host: slowly, and with an eye on what a device would not tell. See
//! `emulator.h`.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulonglong, c_void};

unsafe extern "C" {
    fn faststyle_launch(
        name: *const c_char,
        across: c_uint,
        down: c_uint,
        threads: c_uint,
        shared_bytes: c_uint,
        parameters: *const c_void,
        backwards: c_int,
        conflicts: *mut c_ulonglong,
    ) -> *const c_char;

    fn faststyle_parameter_sizes(sizes: *mut usize);
    fn faststyle_parameter_bytes(name: *const c_char) -> usize;
}

/// Bytes of the kernels' parameters, in the order of `Parameters`.
pub fn parameter_sizes() -> [usize; 18] {
    let mut sizes = [0; 18];
    // SAFETY: it writes as many.
    unsafe { faststyle_parameter_sizes(sizes.as_mut_ptr()) };
    sizes
}

/// Bytes of the parameters of the kernel of that name, if there is one.
pub fn parameter_bytes(name: &str) -> Option<usize> {
    let name = CString::new(name).ok()?;
    // SAFETY: a string.
    let bytes = unsafe { faststyle_parameter_bytes(name.as_ptr()) };
    (bytes > 0).then_some(bytes)
}

/// A grid to run.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Blocks in both directions.
    pub blocks: (u32, u32),
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of shared memory of a block.
    pub shared: u32,
    /// Whether the last warp of a block goes first.
    pub backwards: bool,
}

/// Runs a kernel. Tells how many pairs of rows that it loaded for the tensor
/// cores lay in the same banks of shared memory.
///
/// # Errors
/// What no device would do, in words.
///
/// # Safety
/// `parameters` points to the structure that the kernel takes, and what that
/// points to is as large as the kernel thinks.
pub unsafe fn launch(name: &str, grid: Grid, parameters: *const c_void) -> Result<u64, String> {
    let c_name = CString::new(name).map_err(|e| e.to_string())?;
    let mut conflicts = 0;
    // SAFETY: the caller's promise; the error is a string that lives until this
    // thread's next launch.
    let error = unsafe {
        let error = faststyle_launch(
            c_name.as_ptr(),
            grid.blocks.0,
            grid.blocks.1,
            grid.threads,
            grid.shared,
            parameters,
            c_int::from(grid.backwards),
            &mut conflicts,
        );
        (!error.is_null()).then(|| CStr::from_ptr(error).to_string_lossy().into_owned())
    };
    match error {
        Some(error) => Err(format!("{name}: {error}")),
        None => Ok(conflicts),
    }
}
