//! A stand-in for `libcuda.so.1`, on the host's memory: NVIDIA's driver API as
//! far as faststyle, Candle and GStreamer use it, with the kernels of the
//! [emulator](faststyle_cuda_emulator). `scripts/check-cuda` builds it and runs
//! tests on it.
//!
//! Environment variables say what there is:
//! * `FASTSTYLE_STAND_IN`: `none` for no device, `busy` for one that others
//!   have,
//! * `FASTSTYLE_STAND_IN_MIB`: memory of the device, 2048 MiB by default.
//!
//! Safety: as with the true driver, callers answer for their pointers; those to
//! the device's memory are checked.

#![allow(non_snake_case, clippy::missing_safety_doc)]

mod device;
mod libraries;
mod unsupported;

use device::{Counts, DEVICE, Device, Handle, Kernel, Result, Rows, error};
use faststyle_cuda_emulator::Grid;
use std::cell::RefCell;
use std::env;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::offset_of;
use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

static INITIALIZED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Contexts of this thread, the last one being current.
    static CURRENT: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

fn simulates(what: &str) -> bool {
    env::var("FASTSTYLE_STAND_IN").is_ok_and(|value| value == what)
}

fn status(result: Result<()>) -> u32 {
    result.err().unwrap_or(0)
}

/// With the device, once there is one.
fn with(act: impl FnOnce(&mut Device) -> Result<()>) -> u32 {
    if !INITIALIZED.load(Ordering::SeqCst) {
        return error::NOT_INITIALIZED;
    }
    let mut device = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    status(act(&mut device))
}

/// With the device and this thread's context.
fn within(act: impl FnOnce(&mut Device, Handle) -> Result<()>) -> u32 {
    with(|device| match current() {
        Some(context) if device.has_context(context) => act(device, context),
        _ => Err(error::INVALID_CONTEXT),
    })
}

fn current() -> Option<Handle> {
    CURRENT.with_borrow(|stack| stack.last().copied().filter(|context| *context != 0))
}

/// The default stream goes by several names.
fn stream(handle: Handle) -> Handle {
    match handle {
        1 | 2 => 0,
        handle => handle,
    }
}

/// Writes a result to where the caller wants it.
unsafe fn write_out<T>(to: *mut T, value: T) -> Result<()> {
    if to.is_null() {
        return Err(error::INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}

// For tests.

/// What has been done so far.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faststyle_stand_in_counts(to: *mut Counts) {
    let device = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let used = device.used as u64;
    // SAFETY: the caller's promise.
    unsafe {
        to.write(Counts {
            used,
            ..device.counts
        })
    };
}

/// Leaves the device so many bytes besides what is in use.
#[unsafe(no_mangle)]
pub extern "C" fn faststyle_stand_in_leave(bytes: usize) {
    let mut device = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    device.total = device.used.saturating_add(bytes);
}

// The device.

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(_flags: c_uint) -> u32 {
    if simulates("none") {
        return error::NO_DEVICE;
    }
    if !INITIALIZED.swap(true, Ordering::SeqCst) {
        let mib = env::var("FASTSTYLE_STAND_IN_MIB").ok();
        let mib: usize = mib.and_then(|mib| mib.parse().ok()).unwrap_or(2048);
        let mut device = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
        device.total = mib << 20;
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> u32 {
    status(unsafe { write_out(version, 13_000) })
}

fn name_of(number: u32) -> Option<&'static CStr> {
    let known = error::NAMES.iter().find(|(known, _)| *known == number);
    known.map(|(_, name)| *name)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(number: u32, name: *mut *const c_char) -> u32 {
    let known = name_of(number).map_or(ptr::null(), CStr::as_ptr);
    let written = status(unsafe { write_out(name, known) });
    match known.is_null() {
        true => error::INVALID_VALUE,
        false => written,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(number: u32, text: *mut *const c_char) -> u32 {
    unsafe { cuGetErrorName(number, text) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> u32 {
    with(|_| unsafe { write_out(count, 1) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> u32 {
    with(|_| match ordinal {
        0 => unsafe { write_out(device, 0) },
        _ => Err(error::INVALID_DEVICE),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, len: c_int, _device: c_int) -> u32 {
    let own = c"faststyle's stand-in".to_bytes_with_nul();
    if (len as usize) < own.len() {
        return error::INVALID_VALUE;
    }
    unsafe { name.cast::<u8>().copy_from(own.as_ptr(), own.len()) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, _device: c_int) -> u32 {
    with(|device| unsafe { write_out(bytes, device.total) })
}

/// The attributes of an H200, but for the multiprocessors: with few of them, blocks take
/// several tiles. What is not listed is 0: the driver cannot do it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    attribute: c_uint,
    _device: c_int,
) -> u32 {
    let known = match attribute {
        // Threads of a block; its shared memory unasked; lanes of a warp.
        1 => 1024,
        8 => 48 << 10,
        10 => 32,
        // Alignment of textures; multiprocessors.
        14 => 512,
        16 => 2,
        // Unified addressing.
        41 => 1,
        // Compute capability.
        75 => 9,
        76 => 0,
        // Shared memory of a block that asks for it.
        97 => device::SHARED_AT_MOST as c_int,
        _ => 0,
    };
    with(|_| unsafe { write_out(value, known) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceCanAccessPeer(can: *mut c_int, _one: c_int, _other: c_int) -> u32 {
    with(|_| unsafe { write_out(can, 0) })
}

// Contexts.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, _device: c_int) -> u32 {
    if simulates("busy") {
        return error::DEVICE_UNAVAILABLE;
    }
    with(|device| unsafe { write_out(context, device.retain_primary()) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(_device: c_int) -> u32 {
    with(Device::release_primary)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxCreate_v2(
    context: *mut Handle,
    _flags: c_uint,
    _device: c_int,
) -> u32 {
    if simulates("busy") {
        return error::DEVICE_UNAVAILABLE;
    }
    with(|device| {
        let handle = device.new_context();
        CURRENT.with_borrow_mut(|stack| stack.push(handle));
        unsafe { write_out(context, handle) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxDestroy_v2(context: Handle) -> u32 {
    CURRENT.with_borrow_mut(|stack| {
        if stack.last() == Some(&context) {
            stack.pop();
        }
    });
    with(|device| device.end_context(context))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> u32 {
    with(|_| unsafe { write_out(context, current().unwrap_or(0)) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: Handle) -> u32 {
    with(|device| {
        if context != 0 && !device.has_context(context) {
            return Err(error::INVALID_CONTEXT);
        }
        CURRENT.with_borrow_mut(|stack| {
            stack.pop();
            stack.push(context);
        });
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> u32 {
    with(|device| {
        if !device.has_context(context) {
            return Err(error::INVALID_CONTEXT);
        }
        CURRENT.with_borrow_mut(|stack| stack.push(context));
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut Handle) -> u32 {
    with(|_| {
        let popped = CURRENT.with_borrow_mut(Vec::pop);
        let popped = popped.ok_or(error::INVALID_CONTEXT)?;
        if !context.is_null() {
            unsafe { context.write(popped) };
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(device: *mut c_int) -> u32 {
    within(|_, _| unsafe { write_out(device, 0) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> u32 {
    within(|device, _| device.finish_all())
}

// Memory.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> u32 {
    within(|device, _| {
        unsafe { write_out(free, device.total.saturating_sub(device.used)) }?;
        unsafe { write_out(total, device.total) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> u32 {
    within(|device, context| unsafe { write_out(address, device.allocate(context, bytes)?) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocPitch_v2(
    address: *mut u64,
    pitch: *mut usize,
    bytes: usize,
    rows: usize,
    _element: c_uint,
) -> u32 {
    within(|device, context| {
        let wide = bytes.next_multiple_of(512);
        let all = wide.checked_mul(rows).ok_or(error::OUT_OF_MEMORY)?;
        unsafe { write_out(address, device.allocate(context, all)?) }?;
        unsafe { write_out(pitch, wide) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> u32 {
    within(|device, _| device.free(address))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, on: Handle) -> u32 {
    within(|device, context| device.free_later(context, stream(on), address))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocHost_v2(address: *mut u64, bytes: usize) -> u32 {
    within(|device, _| unsafe { write_out(address, device.pin(bytes)?) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(address: *mut u64, bytes: usize, _flags: c_uint) -> u32 {
    unsafe { cuMemAllocHost_v2(address, bytes) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(address: u64) -> u32 {
    within(|device, _| device.unpin(address))
}

// Copies.

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: u64, bytes: usize, on: Handle) -> u32 {
    let rows = Rows::linear(from, to, bytes);
    within(|device, context| device.upload(context, stream(on), rows))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoD_v2(to: u64, from: u64, bytes: usize) -> u32 {
    cuMemcpyHtoDAsync_v2(to, from, bytes, 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoHAsync_v2(to: u64, from: u64, bytes: usize, on: Handle) -> u32 {
    let rows = Rows::linear(from, to, bytes);
    within(|device, context| device.download(context, stream(on), rows))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoH_v2(to: u64, from: u64, bytes: usize) -> u32 {
    cuMemcpyDtoHAsync_v2(to, from, bytes, 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, on: Handle) -> u32 {
    let rows = Rows::linear(from, to, bytes);
    within(|device, context| device.copy(context, stream(on), rows))
}

/// From one context's memory to another's.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    _to_context: Handle,
    from: u64,
    _from_context: Handle,
    bytes: usize,
    on: Handle,
) -> u32 {
    cuMemcpyDtoDAsync_v2(to, from, bytes, on)
}

/// One side of a [`Copy2D`].
#[derive(Clone, Copy)]
#[repr(C)]
struct Side {
    x_bytes: usize,
    y: usize,
    kind: c_uint,
    host: u64,
    device: u64,
    array: u64,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Copy2D {
    from: Side,
    to: Side,
    bytes: usize,
    rows: usize,
}

const _: () = assert!(offset_of!(Copy2D, to) == 56 && size_of::<Copy2D>() == 128);

const HOST: c_uint = 1;
const ON_DEVICE: c_uint = 2;

impl Side {
    fn start(&self) -> Result<u64> {
        let base = match self.kind {
            HOST => self.host,
            ON_DEVICE => self.device,
            _ => return Err(error::NOT_SUPPORTED),
        };
        Ok(base + (self.y * self.pitch + self.x_bytes) as u64)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2DAsync_v2(copy: *const Copy2D, on: Handle) -> u32 {
    // SAFETY: the caller's promise.
    let Copy2D {
        from,
        to,
        bytes,
        rows,
    } = unsafe { *copy };
    within(|device, context| {
        let all = Rows {
            from: from.start()?,
            from_pitch: from.pitch,
            to: to.start()?,
            to_pitch: to.pitch,
            bytes,
            rows,
        };
        let on = stream(on);
        match (from.kind, to.kind) {
            (HOST, ON_DEVICE) => device.upload(context, on, all),
            (ON_DEVICE, HOST) => device.download(context, on, all),
            (ON_DEVICE, ON_DEVICE) => device.copy(context, on, all),
            _ => Err(error::NOT_SUPPORTED),
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2D_v2(copy: *const Copy2D) -> u32 {
    unsafe { cuMemcpy2DAsync_v2(copy, 0) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(to: u64, byte: u8, bytes: usize, on: Handle) -> u32 {
    within(|device, context| device.fill(context, stream(on), to, byte, bytes))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8_v2(to: u64, byte: u8, bytes: usize) -> u32 {
    cuMemsetD8Async(to, byte, bytes, 0)
}

// Streams.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(to: *mut Handle, flags: c_uint) -> u32 {
    within(|device, context| unsafe { write_out(to, device.new_stream(context, flags & 1 == 0)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreateWithPriority(
    to: *mut Handle,
    flags: c_uint,
    _priority: c_int,
) -> u32 {
    unsafe { cuStreamCreate(to, flags) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(on: Handle) -> u32 {
    with(|device| device.end_stream(on))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy(on: Handle) -> u32 {
    cuStreamDestroy_v2(on)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(on: Handle) -> u32 {
    within(|device, context| match stream(on) {
        0 => device.finish_blocking(context),
        on => device.finish(on),
    })
}

/// Does what is left, and says that it was not ready.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(on: Handle) -> u32 {
    within(|device, _| {
        let idle = device.is_idle(stream(on));
        device.finish(stream(on))?;
        idle.then_some(()).ok_or(error::NOT_READY)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(on: Handle, event: Handle, _flags: c_uint) -> u32 {
    within(|device, context| device.await_event(context, stream(on), event))
}

// Events.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(to: *mut Handle, _flags: c_uint) -> u32 {
    within(|device, _| unsafe { write_out(to, device.new_event()) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: Handle) -> u32 {
    with(|device| device.end_event(event))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: Handle, on: Handle) -> u32 {
    within(|device, context| device.record(context, event, stream(on)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: Handle) -> u32 {
    within(|device, _| match device.moment(event)? {
        Some(moment) => device.reach(&moment),
        None => Ok(()),
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: Handle) -> u32 {
    within(|device, _| match device.moment(event)? {
        Some(moment) if moment.past().is_none() => {
            device.reach(&moment)?;
            Err(error::NOT_READY)
        }
        _ => Ok(()),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime_v2(
    milliseconds: *mut f32,
    first: Handle,
    second: Handle,
) -> u32 {
    within(|device, _| {
        let [first, second] = [device.moment(first)?, device.moment(second)?];
        let (Some(first), Some(second)) = (first, second) else {
            return Err(error::INVALID_HANDLE);
        };
        let (Some(first), Some(second)) = (first.past(), second.past()) else {
            return Err(error::NOT_READY);
        };
        let between = second.saturating_duration_since(first).as_secs_f32();
        unsafe { write_out(milliseconds, between * 1000.0) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(
    milliseconds: *mut f32,
    first: Handle,
    second: Handle,
) -> u32 {
    unsafe { cuEventElapsedTime_v2(milliseconds, first, second) }
}

// Modules and kernels.

/// Any image will do: the kernels are those of the emulator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, _image: *const c_void) -> u32 {
    within(|device, context| unsafe { write_out(module, device.new_module(context)?) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: Handle) -> u32 {
    with(|device| device.end_module(module))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut Handle,
    module: Handle,
    name: *const c_char,
) -> u32 {
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned();
    within(|device, _| {
        faststyle_cuda_emulator::parameter_bytes(&name).ok_or(error::NOT_FOUND)?;
        unsafe { write_out(function, device.new_function(module, name)?) }
    })
}

/// The attribute that says how much shared memory a block may have.
const MAX_DYNAMIC_SHARED: c_uint = 8;

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: Handle, attribute: c_uint, value: c_int) -> u32 {
    within(|device, _| {
        let function = device.function(function)?;
        match (attribute, u32::try_from(value)) {
            (MAX_DYNAMIC_SHARED, Ok(bytes)) if bytes <= device::SHARED_AT_MOST => {
                function.shared = bytes;
                Ok(())
            }
            (MAX_DYNAMIC_SHARED, _) => Err(error::INVALID_VALUE),
            _ => Err(error::NOT_SUPPORTED),
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    across: c_uint,
    down: c_uint,
    deep: c_uint,
    threads: c_uint,
    threads_down: c_uint,
    threads_deep: c_uint,
    shared: c_uint,
    on: Handle,
    parameters: *const *const c_void,
    _extra: *const *const c_void,
) -> u32 {
    within(|device, context| {
        let name = device.function(function)?.name.clone();
        let flat = (deep, threads_down, threads_deep) == (1, 1, 1);
        if !flat || across == 0 || down == 0 || down > 65535 || threads == 0 || threads > 1024 {
            return Err(error::INVALID_VALUE);
        }
        let bytes = faststyle_cuda_emulator::parameter_bytes(&name).ok_or(error::NOT_FOUND)?;
        let mut words = vec![0_u64; bytes.div_ceil(8)];
        // SAFETY: our kernels have one parameter, of so many bytes.
        unsafe {
            let from = (*parameters).cast::<u8>();
            from.copy_to_nonoverlapping(words.as_mut_ptr().cast(), bytes);
        }
        let kernel = Kernel {
            name,
            grid: Grid {
                blocks: (across, down),
                threads,
                shared,
                backwards: false,
            },
            parameters: words,
        };
        device.launch(context, stream(on), function, kernel)
    })
}

// Graphs.

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamBeginCapture_v2(on: Handle, _mode: c_uint) -> u32 {
    within(|device, context| device.begin_capture(context, on))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(on: Handle, graph: *mut Handle) -> u32 {
    within(|device, context| unsafe { write_out(graph, device.end_capture(context, on)?) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(on: Handle, captured: *mut c_uint) -> u32 {
    within(|device, context| {
        let is = device.is_captured(context, stream(on))?;
        unsafe { write_out(captured, c_uint::from(is)) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(
    ready: *mut Handle,
    graph: Handle,
    _flags: u64,
) -> u32 {
    within(|device, _| unsafe { write_out(ready, device.copy_graph(graph)?) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphLaunch(graph: Handle, on: Handle) -> u32 {
    within(|device, context| device.launch_graph(context, stream(on), graph))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphDestroy(graph: Handle) -> u32 {
    with(|device| device.end_graph(graph))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphExecDestroy(graph: Handle) -> u32 {
    with(|device| device.end_graph(graph))
}
