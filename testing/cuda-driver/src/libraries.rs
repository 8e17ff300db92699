//! What Candle calls of cuBLAS and cuRAND before it computes anything.

use std::ffi::{c_int, c_void};
use std::ptr;

/// Any address but null: nothing is behind it.
fn made(to: *mut *mut c_void) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { to.write(ptr::dangling_mut::<u64>().cast()) };
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasCreate_v2(to: *mut *mut c_void) -> u32 {
    made(to)
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasDestroy_v2(_handle: *mut c_void) -> u32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasSetStream_v2(_handle: *mut c_void, _stream: *mut c_void) -> u32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn curandCreateGenerator(to: *mut *mut c_void, _kind: c_int) -> u32 {
    made(to)
}

#[unsafe(no_mangle)]
pub extern "C" fn curandDestroyGenerator(_generator: *mut c_void) -> u32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn curandSetStream(_generator: *mut c_void, _stream: *mut c_void) -> u32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn curandSetPseudoRandomGeneratorSeed(_generator: *mut c_void, _seed: u64) -> u32 {
    0
}
