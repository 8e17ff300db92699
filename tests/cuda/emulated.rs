//! A device that is none: it runs the kernels on the host.

use faststyle_cuda_emulator::Grid;
use gstfaststyle::internals::ops::cuda::parameters::Address;
use gstfaststyle::internals::ops::cuda::{Gpu, GpuError, Launch, Limits};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub struct Emulated {
    pub limits: Limits,
    /// Whether the last warps of blocks go first.
    pub backwards: bool,
    /// Pairs of rows that lay in the same banks of shared memory.
    pub conflicts: AtomicU64,
    /// Bytes that can still be had.
    pub free: AtomicUsize,
    /// How often memory was taken, and a graph prepared.
    pub allocations: AtomicUsize,
    pub graphs: AtomicUsize,
}

impl Default for Emulated {
    fn default() -> Self {
        Emulated {
            limits: Limits {
                multiprocessors: 2,
                shared: 227 << 10,
            },
            backwards: false,
            conflicts: AtomicU64::new(0),
            free: AtomicUsize::new(1 << 30),
            allocations: AtomicUsize::new(0),
            graphs: AtomicUsize::new(0),
        }
    }
}

/// Words, so that it is aligned as a device's memory. Kernels write to it.
pub struct Memory {
    words: Box<[UnsafeCell<u128>]>,
}

// SAFETY: only the kernels of one launch write to it, whose threads are one.
unsafe impl Sync for Memory {}

impl Memory {
    fn bytes(&self) -> usize {
        self.words.len() * size_of::<u128>()
    }
}

impl Gpu for Emulated {
    type Memory = Memory;
    type Host = Memory;
    type Graph = Vec<Launch>;
    type Event = Instant;

    fn allocate(&self, bytes: usize) -> Result<Memory, GpuError> {
        let available = self.free.load(Ordering::Relaxed);
        if bytes > available {
            return Err(GpuError::OutOfMemory {
                needed: bytes,
                available,
            });
        }
        self.allocations.fetch_add(1, Ordering::Relaxed);
        let words = bytes.div_ceil(size_of::<u128>());
        // What has not been written is NaN in either width of float.
        let words = (0..words).map(|_| UnsafeCell::new(u128::MAX)).collect();
        Ok(Memory { words })
    }

    fn address(&self, memory: &Memory) -> Address {
        memory.words.as_ptr() as Address
    }

    fn upload(&self, bytes: &[u8], memory: &mut Memory) -> Result<(), GpuError> {
        assert!(bytes.len() <= memory.bytes());
        let to = memory.words.as_mut_ptr().cast::<u8>();
        // SAFETY: there are as many bytes.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn download(&self, memory: &Memory, bytes: &mut [u8]) -> Result<(), GpuError> {
        assert!(bytes.len() <= memory.bytes());
        let from = memory.words.as_ptr().cast::<u8>();
        // SAFETY: there are as many bytes, and no kernel runs.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn host(&self, bytes: usize) -> Result<Memory, GpuError> {
        self.allocate(bytes)
    }

    fn pointer(&self, host: &Memory) -> *mut u8 {
        self.address(host) as *mut u8
    }

    unsafe fn start_upload(
        &self,
        host: &Memory,
        bytes: Range<usize>,
        memory: &mut Memory,
    ) -> Result<(), GpuError> {
        assert!(bytes.end <= memory.bytes().min(host.bytes()));
        let (from, to) = (self.pointer(host), self.pointer(memory));
        // SAFETY: there are as many bytes.
        unsafe {
            to.add(bytes.start)
                .copy_from(from.add(bytes.start), bytes.len())
        };
        Ok(())
    }

    unsafe fn start_download(
        &self,
        memory: &Memory,
        bytes: Range<usize>,
        host: &Memory,
    ) -> Result<(), GpuError> {
        assert!(bytes.end <= memory.bytes().min(host.bytes()));
        let (from, to) = (self.pointer(memory), self.pointer(host));
        // SAFETY: there are as many bytes.
        unsafe {
            to.add(bytes.start)
                .copy_from(from.add(bytes.start), bytes.len())
        };
        Ok(())
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<(), GpuError> {
        assert!(launch.shared <= self.limits.shared);
        let grid = Grid {
            blocks: launch.blocks,
            threads: launch.threads,
            shared: launch.shared,
            backwards: self.backwards,
        };
        let pointer = launch.parameters.pointer();
        // SAFETY: the caller's promise.
        let conflicts = unsafe { faststyle_cuda_emulator::launch(&launch.kernel, grid, pointer) };
        let conflicts = conflicts.map_err(GpuError::Failed)?;
        self.conflicts.fetch_add(conflicts, Ordering::Relaxed);
        Ok(())
    }

    unsafe fn graph(&self, launches: &[Launch]) -> Result<Vec<Launch>, GpuError> {
        self.graphs.fetch_add(1, Ordering::Relaxed);
        Ok(launches.to_vec())
    }

    fn run(&self, graph: &Vec<Launch>) -> Result<(), GpuError> {
        // SAFETY: promised when the graph was made.
        graph.iter().try_for_each(|l| unsafe { self.launch(l) })
    }

    fn event(&self) -> Result<Instant, GpuError> {
        Ok(Instant::now())
    }

    fn wait(&self, _: &Instant) -> Result<(), GpuError> {
        Ok(())
    }

    fn between(&self, first: &Instant, second: &Instant) -> Result<Duration, GpuError> {
        Ok(*second - *first)
    }

    fn limits(&self) -> Limits {
        self.limits
    }
}

impl Emulated {
    /// [`Emulated::conflicts`] so far.
    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// Memory with these numbers.
    pub fn hold<T: Copy>(&self, values: &[T]) -> Memory {
        let mut memory = self.allocate(size_of_val(values)).unwrap();
        // SAFETY: plain numbers.
        let bytes =
            unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) };
        self.upload(bytes, &mut memory).unwrap();
        memory
    }

    /// The first `len` numbers of memory.
    pub fn read<T: Copy + Default>(&self, memory: &Memory, len: usize) -> Vec<T> {
        let mut values = vec![T::default(); len];
        // SAFETY: plain numbers.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), len * size_of::<T>())
        };
        self.download(memory, bytes).unwrap();
        values
    }
}
