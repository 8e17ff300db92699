//! The operations on the CPU: kernels over channels-last (NHWC) slices.
//!
//! Every kernel is written once, generic over [`simd::Simd`], and compiled for
//! each [`Level`]; the level is picked when the program runs. Work is split
//! into tasks outside the kernels, on the calling thread's rayon pool.
//!
//! Threads take tasks as they get to them (`with_max_len`). By itself rayon makes some
//! four parts of a layer on two threads, and one part on a core that another program
//! needs, too, keeps the whole frame waiting.

// Kernels run over several arrays of registers at once: indices are clearest.
#![allow(clippy::needless_range_loop)]

mod arithmetic;
pub mod conv;
pub mod conv_to_rgb;
pub mod direct;
pub mod gemm;
mod level;
pub mod norm;
pub mod pack;
pub mod pixels;
pub mod pool;
pub mod simd;
pub mod winograd;

pub use level::{Kernel, Level};

/// Numbers in a vector, whatever the CPU's own width: kernels and packed
/// weights count channels in this unit.
pub const LANES: usize = 16;

/// Rows that a thread takes at once where a row is little work.
const ROWS_TAKEN: usize = 8;

/// A pointer into an output slice that several tasks write to, each to
/// elements of its own.
pub(crate) struct SharedMut<'a, T = f32> {
    start: *mut T,
    len: usize,
    slice: std::marker::PhantomData<&'a mut [T]>,
}

impl<T> Clone for SharedMut<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedMut<'_, T> {}

// SAFETY: it stands for a `&mut [T]`, which is both; the tasks that share it
// promise in `SharedMut::at` to write to different elements.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        SharedMut {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: std::marker::PhantomData,
        }
    }

    /// The address of element `index`, which must not lie beyond the slice.
    /// Writing through it is for the one task that owns that element.
    pub(crate) fn at(self, index: usize) -> *mut T {
        assert!(index <= self.len, "write beyond the output");
        // SAFETY: within the slice or one past its end, as just checked.
        unsafe { self.start.add(index) }
    }
}
