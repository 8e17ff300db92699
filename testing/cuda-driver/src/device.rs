//! The device: memory, streams of work, and the order in which it is done.
//!
//! Work is done as late as it may be: when somebody waits for it. So what lacks
//! a wait shows.

use faststyle_cuda_emulator::Grid;
use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BTreeMap, VecDeque};
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};
use std::time::Instant;

/// Numbers of the driver's errors.
pub mod error {
    pub const INVALID_VALUE: u32 = 1;
    pub const OUT_OF_MEMORY: u32 = 2;
    pub const NOT_INITIALIZED: u32 = 3;
    pub const DEVICE_UNAVAILABLE: u32 = 46;
    pub const NO_DEVICE: u32 = 100;
    pub const INVALID_DEVICE: u32 = 101;
    pub const INVALID_CONTEXT: u32 = 201;
    pub const INVALID_HANDLE: u32 = 400;
    pub const NOT_FOUND: u32 = 500;
    pub const NOT_READY: u32 = 600;
    pub const ILLEGAL_ADDRESS: u32 = 700;
    pub const LAUNCH_FAILED: u32 = 719;
    pub const NOT_SUPPORTED: u32 = 801;
    pub const STREAM_CAPTURE_UNSUPPORTED: u32 = 900;

    pub const NAMES: [(u32, &std::ffi::CStr); 15] = [
        (0, c"CUDA_SUCCESS"),
        (INVALID_VALUE, c"CUDA_ERROR_INVALID_VALUE"),
        (OUT_OF_MEMORY, c"CUDA_ERROR_OUT_OF_MEMORY"),
        (NOT_INITIALIZED, c"CUDA_ERROR_NOT_INITIALIZED"),
        (DEVICE_UNAVAILABLE, c"CUDA_ERROR_DEVICE_UNAVAILABLE"),
        (NO_DEVICE, c"CUDA_ERROR_NO_DEVICE"),
        (INVALID_DEVICE, c"CUDA_ERROR_INVALID_DEVICE"),
        (INVALID_CONTEXT, c"CUDA_ERROR_INVALID_CONTEXT"),
        (INVALID_HANDLE, c"CUDA_ERROR_INVALID_HANDLE"),
        (NOT_FOUND, c"CUDA_ERROR_NOT_FOUND"),
        (NOT_READY, c"CUDA_ERROR_NOT_READY"),
        (ILLEGAL_ADDRESS, c"CUDA_ERROR_ILLEGAL_ADDRESS"),
        (LAUNCH_FAILED, c"CUDA_ERROR_LAUNCH_FAILED"),
        (NOT_SUPPORTED, c"CUDA_ERROR_NOT_SUPPORTED"),
        (
            STREAM_CAPTURE_UNSUPPORTED,
            c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        ),
    ];
}

pub type Result<T> = std::result::Result<T, u32>;

/// A context, stream, event and so on: never 0, and none twice.
pub type Handle = usize;

/// Rows of bytes to copy, either side on the device or not.
#[derive(Clone, Copy)]
pub struct Rows {
    pub from: u64,
    pub from_pitch: usize,
    pub to: u64,
    pub to_pitch: usize,
    pub bytes: usize,
    pub rows: usize,
}

impl Rows {
    pub fn linear(from: u64, to: u64, bytes: usize) -> Self {
        Rows {
            from,
            from_pitch: bytes,
            to,
            to_pitch: bytes,
            bytes,
            rows: 1,
        }
    }

    /// Bytes from the first to the last, rows being `pitch` apart.
    fn extent(&self, pitch: usize) -> usize {
        match self.rows {
            0 => 0,
            rows => pitch * (rows - 1) + self.bytes,
        }
    }

    pub fn total(&self) -> usize {
        self.bytes * self.rows
    }

    /// # Safety
    /// Both sides are there.
    unsafe fn copy(&self) {
        for row in 0..self.rows {
            // SAFETY: the caller's promise.
            unsafe {
                ptr::copy(
                    (self.from as *const u8).add(row * self.from_pitch),
                    (self.to as *mut u8).add(row * self.to_pitch),
                    self.bytes,
                );
            }
        }
    }
}

/// A launch with its parameters.
#[derive(Clone)]
pub struct Kernel {
    pub name: String,
    pub grid: Grid,
    /// Words, so that they are aligned.
    pub parameters: Vec<u64>,
}

/// A moment in a stream.
pub struct Moment {
    stream: Handle,
    past: OnceLock<Instant>,
}

#[derive(Clone)]
pub enum Work {
    Kernel(Kernel),
    Graph(Arc<Vec<Kernel>>),
    /// Within the device, or from or to pinned memory.
    Copy(Rows),
    /// From pageable memory, which was read at once.
    Write(Rows, Arc<Vec<u8>>),
    Fill {
        to: u64,
        byte: u8,
        len: usize,
    },
    Free(u64),
    Reach(Arc<Moment>),
    Await(Arc<Moment>),
}

struct Stream {
    context: Handle,
    /// Whether it waits for the default stream, and that for it.
    blocking: bool,
    work: VecDeque<Work>,
    capture: Option<(ThreadId, Vec<Kernel>)>,
}

struct Allocation {
    context: Handle,
    layout: Layout,
}

pub struct Function {
    module: Handle,
    pub name: String,
    /// Shared memory that it may have.
    pub shared: u32,
}

/// What tests ask for.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Counts {
    /// Bytes copied from the host's memory to the device's.
    pub uploaded: u64,
    /// And back.
    pub downloaded: u64,
    /// Bytes copied within the device.
    pub moved: u64,
    /// Kernels that have run.
    pub kernels: u64,
    /// Contexts that have been made, primary ones included.
    pub contexts: u64,
    /// Bytes of the device in use.
    pub used: u64,
}

pub struct Device {
    /// Bytes in all, and those in use.
    pub total: usize,
    pub used: usize,
    pub counts: Counts,
    last_handle: Handle,
    contexts: Vec<Handle>,
    /// And how often it is retained.
    primary: Option<(Handle, usize)>,
    allocations: BTreeMap<u64, Allocation>,
    /// Memory of the host that streams copy from and to directly.
    pinned: BTreeMap<u64, Layout>,
    streams: BTreeMap<Handle, Stream>,
    events: BTreeMap<Handle, Option<Arc<Moment>>>,
    modules: BTreeMap<Handle, Handle>,
    functions: BTreeMap<Handle, Function>,
    graphs: BTreeMap<Handle, Arc<Vec<Kernel>>>,
    /// The first failure of a kernel or copy: all that follows fails too.
    failed: Option<u32>,
}

/// The one device there is.
pub static DEVICE: Mutex<Device> = Mutex::new(Device::new());

/// The size on an H200.
pub const SHARED_AT_MOST: u32 = 227 << 10;
const SHARED_UNASKED: u32 = 48 << 10;

impl Device {
    const fn new() -> Self {
        Device {
            total: 0,
            used: 0,
            counts: Counts {
                uploaded: 0,
                downloaded: 0,
                moved: 0,
                kernels: 0,
                contexts: 0,
                used: 0,
            },
            last_handle: 0x1000,
            contexts: Vec::new(),
            primary: None,
            allocations: BTreeMap::new(),
            pinned: BTreeMap::new(),
            streams: BTreeMap::new(),
            events: BTreeMap::new(),
            modules: BTreeMap::new(),
            functions: BTreeMap::new(),
            graphs: BTreeMap::new(),
            failed: None,
        }
    }
}

/// Rounds up: what a device starts allocations at.
const ALIGNMENT: usize = 512;

impl Device {
    pub fn new_handle(&mut self) -> Handle {
        self.last_handle += 0x10;
        self.last_handle
    }

    // Contexts

    pub fn new_context(&mut self) -> Handle {
        let handle = self.new_handle();
        self.contexts.push(handle);
        self.counts.contexts += 1;
        handle
    }

    pub fn has_context(&self, context: Handle) -> bool {
        self.contexts.contains(&context)
    }

    pub fn end_context(&mut self, context: Handle) -> Result<()> {
        if !self.has_context(context) {
            return Err(error::INVALID_CONTEXT);
        }
        self.finish_all()?;
        self.contexts.retain(|other| *other != context);
        self.streams.retain(|_, stream| stream.context != context);
        self.modules.retain(|_, owner| *owner != context);
        let of_context =
            |(at, memory): (&u64, &Allocation)| (memory.context == context).then_some(*at);
        let lost: Vec<u64> = self.allocations.iter().filter_map(of_context).collect();
        lost.into_iter().for_each(|at| self.release(at));
        Ok(())
    }

    pub fn retain_primary(&mut self) -> Handle {
        let (handle, times) = match self.primary {
            Some(primary) => primary,
            None => (self.new_context(), 0),
        };
        self.primary = Some((handle, times + 1));
        handle
    }

    pub fn release_primary(&mut self) -> Result<()> {
        match self.primary {
            Some((handle, 1)) => {
                self.primary = None;
                self.end_context(handle)
            }
            Some((handle, times)) => {
                self.primary = Some((handle, times - 1));
                Ok(())
            }
            None => Err(error::INVALID_CONTEXT),
        }
    }

    // Memory

    pub fn allocate(&mut self, context: Handle, bytes: usize) -> Result<u64> {
        self.refuse_in_capture()?;
        if bytes == 0 {
            return Err(error::INVALID_VALUE);
        }
        let layout = Layout::from_size_align(bytes.next_multiple_of(ALIGNMENT), ALIGNMENT);
        let layout = layout.map_err(|_| error::OUT_OF_MEMORY)?;
        if layout.size() > self.total.saturating_sub(self.used) {
            return Err(error::OUT_OF_MEMORY);
        }
        // SAFETY: it is not empty.
        let at = unsafe { alloc(layout) };
        if at.is_null() {
            return Err(error::OUT_OF_MEMORY);
        }
        // SAFETY: there are as many bytes. All bits set are NaN in either width
        // of float.
        unsafe { at.write_bytes(0xff, layout.size()) };
        self.used += layout.size();
        self.allocations
            .insert(at as u64, Allocation { context, layout });
        Ok(at as u64)
    }

    pub fn free(&mut self, at: u64) -> Result<()> {
        self.refuse_in_capture()?;
        if !self.allocations.contains_key(&at) {
            return Err(error::INVALID_VALUE);
        }
        self.finish_all()?;
        self.release(at);
        Ok(())
    }

    fn release(&mut self, at: u64) {
        if let Some(memory) = self.allocations.remove(&at) {
            self.used -= memory.layout.size();
            // SAFETY: it came from `alloc`, with this layout.
            unsafe { dealloc(at as *mut u8, memory.layout) };
        }
    }

    pub fn pin(&mut self, bytes: usize) -> Result<u64> {
        let layout = Layout::from_size_align(bytes.max(1), 4096);
        let layout = layout.map_err(|_| error::OUT_OF_MEMORY)?;
        // SAFETY: it is not empty.
        let at = unsafe { alloc(layout) };
        if at.is_null() {
            return Err(error::OUT_OF_MEMORY);
        }
        self.pinned.insert(at as u64, layout);
        Ok(at as u64)
    }

    pub fn unpin(&mut self, at: u64) -> Result<()> {
        self.finish_all()?;
        let layout = self.pinned.remove(&at).ok_or(error::INVALID_VALUE)?;
        // SAFETY: it came from `alloc`, with this layout.
        unsafe { dealloc(at as *mut u8, layout) };
        Ok(())
    }

    /// The memory that an address lies in, and bytes from there to its end.
    fn around(&self, at: u64) -> Option<(&Allocation, usize)> {
        let (start, memory) = self.allocations.range(..=at).next_back()?;
        let end = start + memory.layout.size() as u64;
        (at < end).then(|| (memory, (end - at) as usize))
    }

    fn is_pinned(&self, at: u64, bytes: usize) -> bool {
        let before = self.pinned.range(..=at).next_back();
        before.is_some_and(|(start, layout)| at + bytes as u64 <= start + layout.size() as u64)
    }

    fn check_on_device(&self, at: u64, bytes: usize) -> Result<()> {
        match self.around(at) {
            Some((_, left)) if bytes <= left => Ok(()),
            _ => {
                eprintln!("faststyle-cuda-driver: {bytes} bytes at {at:#x} are not on the device");
                Err(error::INVALID_VALUE)
            }
        }
    }

    // Streams

    pub fn new_stream(&mut self, context: Handle, blocking: bool) -> Handle {
        let handle = self.new_handle();
        let stream = Stream {
            context,
            blocking,
            work: VecDeque::new(),
            capture: None,
        };
        self.streams.insert(handle, stream);
        handle
    }

    pub fn end_stream(&mut self, stream: Handle) -> Result<()> {
        self.finish(stream)?;
        self.streams.remove(&stream);
        Ok(())
    }

    /// The stream, if it is one of the context's.
    fn stream(&mut self, context: Handle, handle: Handle) -> Result<&mut Stream> {
        match self.streams.get_mut(&handle) {
            Some(stream) if stream.context == context => Ok(stream),
            _ => Err(error::INVALID_HANDLE),
        }
    }

    /// Appends work; that of the default stream, 0, is done at once, once other
    /// streams have ended that wait for it.
    fn push(&mut self, context: Handle, stream: Handle, work: Work) -> Result<()> {
        self.check()?;
        if stream == 0 {
            self.finish_blocking(context)?;
            return self.work(work);
        }
        let stream = self.stream(context, stream)?;
        match (&mut stream.capture, work) {
            (None, work) => stream.work.push_back(work),
            (Some((_, kernels)), Work::Kernel(kernel)) => kernels.push(kernel),
            (Some(_), _) => return Err(error::STREAM_CAPTURE_UNSUPPORTED),
        }
        Ok(())
    }

    pub fn fill(
        &mut self,
        context: Handle,
        stream: Handle,
        to: u64,
        byte: u8,
        len: usize,
    ) -> Result<()> {
        self.check_on_device(to, len)?;
        self.push(context, stream, Work::Fill { to, byte, len })
    }

    pub fn free_later(&mut self, context: Handle, stream: Handle, at: u64) -> Result<()> {
        self.check_on_device(at, 0)?;
        self.push(context, stream, Work::Free(at))
    }

    /// To the device. Pageable memory is read before this returns, pinned
    /// memory when it is this copy's turn.
    pub fn upload(&mut self, context: Handle, stream: Handle, rows: Rows) -> Result<()> {
        self.check_on_device(rows.to, rows.extent(rows.to_pitch))?;
        let work = if self.is_pinned(rows.from, rows.extent(rows.from_pitch)) {
            Work::Copy(rows)
        } else {
            let mut bytes = vec![0; rows.total()];
            let read = Rows {
                to: bytes.as_mut_ptr() as u64,
                to_pitch: rows.bytes,
                ..rows
            };
            // SAFETY: the caller's memory, and as many bytes.
            unsafe { read.copy() };
            Work::Write(rows, Arc::new(bytes))
        };
        self.push(context, stream, work)?;
        self.counts.uploaded += rows.total() as u64;
        Ok(())
    }

    /// From the device. Pageable memory is written before this returns.
    pub fn download(&mut self, context: Handle, stream: Handle, rows: Rows) -> Result<()> {
        self.check_on_device(rows.from, rows.extent(rows.from_pitch))?;
        self.push(context, stream, Work::Copy(rows))?;
        self.counts.downloaded += rows.total() as u64;
        match self.is_pinned(rows.to, rows.extent(rows.to_pitch)) {
            true => Ok(()),
            false => self.finish(stream),
        }
    }

    /// Within the device.
    pub fn copy(&mut self, context: Handle, stream: Handle, rows: Rows) -> Result<()> {
        self.check_on_device(rows.from, rows.extent(rows.from_pitch))?;
        self.check_on_device(rows.to, rows.extent(rows.to_pitch))?;
        self.push(context, stream, Work::Copy(rows))?;
        self.counts.moved += rows.total() as u64;
        Ok(())
    }

    pub fn launch(
        &mut self,
        context: Handle,
        stream: Handle,
        function: Handle,
        kernel: Kernel,
    ) -> Result<()> {
        let Some(Function { module, shared, .. }) = self.functions.get(&function) else {
            return Err(error::INVALID_HANDLE);
        };
        if self.modules.get(module) != Some(&context) {
            return Err(error::INVALID_HANDLE);
        }
        if kernel.grid.shared > *shared {
            return Err(error::INVALID_VALUE);
        }
        // Whatever looks like an address must be one of this context's memory.
        let foreign = |word: &u64| {
            self.around(*word)
                .is_some_and(|(memory, _)| memory.context != context)
        };
        if let Some(word) = kernel.parameters.iter().find(|word| foreign(word)) {
            eprintln!(
                "faststyle-cuda-driver: {}: {word:#x} is another context's",
                kernel.name
            );
            return Err(error::ILLEGAL_ADDRESS);
        }
        self.push(context, stream, Work::Kernel(kernel))
    }

    // Work

    /// An error if anything has failed before.
    pub fn check(&self) -> Result<()> {
        self.failed.map_or(Ok(()), Err)
    }

    /// Whether nothing is left to do.
    pub fn is_idle(&self, stream: Handle) -> bool {
        let stream = self.streams.get(&stream);
        stream.is_none_or(|stream| stream.work.is_empty())
    }

    pub fn finish(&mut self, stream: Handle) -> Result<()> {
        self.check()?;
        if let Some(Stream {
            capture: Some(_), ..
        }) = self.streams.get(&stream)
        {
            return Err(error::STREAM_CAPTURE_UNSUPPORTED);
        }
        while let Some(work) = self
            .streams
            .get_mut(&stream)
            .and_then(|s| s.work.pop_front())
        {
            self.work(work)?;
        }
        Ok(())
    }

    pub fn finish_all(&mut self) -> Result<()> {
        let idle = |stream: &Stream| stream.capture.is_some();
        let all = self.streams.iter().filter(|(_, stream)| !idle(stream));
        let all: Vec<Handle> = all.map(|(handle, _)| *handle).collect();
        all.into_iter().try_for_each(|stream| self.finish(stream))
    }

    pub fn finish_blocking(&mut self, context: Handle) -> Result<()> {
        let waits = |stream: &Stream| stream.blocking && stream.context == context;
        let all = self.streams.iter().filter(|(_, stream)| waits(stream));
        let all: Vec<Handle> = all.map(|(handle, _)| *handle).collect();
        all.into_iter().try_for_each(|stream| self.finish(stream))
    }

    /// Works on a stream until the moment is past.
    pub fn reach(&mut self, moment: &Moment) -> Result<()> {
        while moment.past.get().is_none() {
            let stream = self.streams.get_mut(&moment.stream);
            let Some(work) = stream.and_then(|s| s.work.pop_front()) else {
                break;
            };
            self.work(work)?;
        }
        Ok(())
    }

    fn work(&mut self, work: Work) -> Result<()> {
        self.check()?;
        match work {
            Work::Kernel(kernel) => return self.run(&kernel),
            Work::Graph(kernels) => return kernels.iter().try_for_each(|k| self.run(k)),
            // SAFETY: checked, or the caller's memory.
            Work::Copy(rows) => unsafe { rows.copy() },
            Work::Write(rows, bytes) => {
                let rows = Rows {
                    from: bytes.as_ptr() as u64,
                    from_pitch: rows.bytes,
                    ..rows
                };
                // SAFETY: as above.
                unsafe { rows.copy() };
            }
            // SAFETY: checked.
            Work::Fill { to, byte, len } => unsafe { (to as *mut u8).write_bytes(byte, len) },
            Work::Free(at) => self.release(at),
            Work::Reach(moment) => drop(moment.past.set(Instant::now())),
            Work::Await(moment) => self.reach(&moment)?,
        }
        Ok(())
    }

    fn run(&mut self, kernel: &Kernel) -> Result<()> {
        self.counts.kernels += 1;
        let parameters = kernel.parameters.as_ptr().cast();
        // SAFETY: as many bytes as the kernel takes; the rest is the caller's
        // promise.
        let result =
            unsafe { faststyle_cuda_emulator::launch(&kernel.name, kernel.grid, parameters) };
        result.map(drop).map_err(|reason| {
            eprintln!("faststyle-cuda-driver: {reason}");
            self.failed = Some(error::LAUNCH_FAILED);
            error::LAUNCH_FAILED
        })
    }

    // Events

    pub fn new_event(&mut self) -> Handle {
        let handle = self.new_handle();
        self.events.insert(handle, None);
        handle
    }

    pub fn end_event(&mut self, event: Handle) -> Result<()> {
        self.events
            .remove(&event)
            .map(drop)
            .ok_or(error::INVALID_HANDLE)
    }

    pub fn record(&mut self, context: Handle, event: Handle, stream: Handle) -> Result<()> {
        let slot = self.events.get_mut(&event).ok_or(error::INVALID_HANDLE)?;
        let past = OnceLock::new();
        let moment = Arc::new(Moment { stream, past });
        *slot = Some(moment.clone());
        self.push(context, stream, Work::Reach(moment))
    }

    /// What an event stands for, if it has been recorded.
    pub fn moment(&self, event: Handle) -> Result<Option<Arc<Moment>>> {
        self.events
            .get(&event)
            .cloned()
            .ok_or(error::INVALID_HANDLE)
    }

    pub fn await_event(&mut self, context: Handle, stream: Handle, event: Handle) -> Result<()> {
        match self.moment(event)? {
            Some(moment) => self.push(context, stream, Work::Await(moment)),
            None => Ok(()),
        }
    }

    // Modules

    pub fn new_module(&mut self, context: Handle) -> Result<Handle> {
        self.refuse_in_capture()?;
        let handle = self.new_handle();
        self.modules.insert(handle, context);
        Ok(handle)
    }

    pub fn end_module(&mut self, module: Handle) -> Result<()> {
        self.functions
            .retain(|_, function| function.module != module);
        self.modules
            .remove(&module)
            .map(drop)
            .ok_or(error::INVALID_HANDLE)
    }

    pub fn new_function(&mut self, module: Handle, name: String) -> Result<Handle> {
        if !self.modules.contains_key(&module) {
            return Err(error::INVALID_HANDLE);
        }
        let handle = self.new_handle();
        let shared = SHARED_UNASKED;
        let function = Function {
            module,
            name,
            shared,
        };
        self.functions.insert(handle, function);
        Ok(handle)
    }

    pub fn function(&mut self, function: Handle) -> Result<&mut Function> {
        self.functions
            .get_mut(&function)
            .ok_or(error::INVALID_HANDLE)
    }

    // Graphs

    /// An error if this thread is recording a stream: then it must not do what
    /// concerns all of the device.
    fn refuse_in_capture(&self) -> Result<()> {
        let here = thread::current().id();
        let captures = |stream: &Stream| {
            stream
                .capture
                .as_ref()
                .is_some_and(|(thread, _)| *thread == here)
        };
        match self.streams.values().any(captures) {
            true => Err(error::STREAM_CAPTURE_UNSUPPORTED),
            false => Ok(()),
        }
    }

    pub fn begin_capture(&mut self, context: Handle, stream: Handle) -> Result<()> {
        let stream = self.stream(context, stream)?;
        stream.capture = Some((thread::current().id(), Vec::new()));
        Ok(())
    }

    pub fn is_captured(&mut self, context: Handle, stream: Handle) -> Result<bool> {
        Ok(stream != 0 && self.stream(context, stream)?.capture.is_some())
    }

    /// A graph of what has been recorded.
    pub fn end_capture(&mut self, context: Handle, stream: Handle) -> Result<Handle> {
        let capture = self.stream(context, stream)?.capture.take();
        let (_, kernels) = capture.ok_or(error::INVALID_VALUE)?;
        Ok(self.new_graph(Arc::new(kernels)))
    }

    fn new_graph(&mut self, kernels: Arc<Vec<Kernel>>) -> Handle {
        let handle = self.new_handle();
        self.graphs.insert(handle, kernels);
        handle
    }

    pub fn copy_graph(&mut self, graph: Handle) -> Result<Handle> {
        let kernels = self.graphs.get(&graph).cloned();
        kernels
            .map(|kernels| self.new_graph(kernels))
            .ok_or(error::INVALID_HANDLE)
    }

    pub fn end_graph(&mut self, graph: Handle) -> Result<()> {
        self.graphs
            .remove(&graph)
            .map(drop)
            .ok_or(error::INVALID_HANDLE)
    }

    pub fn launch_graph(&mut self, context: Handle, stream: Handle, graph: Handle) -> Result<()> {
        let kernels = self
            .graphs
            .get(&graph)
            .cloned()
            .ok_or(error::INVALID_HANDLE)?;
        self.push(context, stream, Work::Graph(kernels))
    }
}

impl Moment {
    /// When it was, if it is past.
    pub fn past(&self) -> Option<Instant> {
        self.past.get().copied()
    }
}
