//! Kernels for CUDA devices and their parameters.
//!
//! `kernels/` holds them in CUDA C++. With feature `cuda` nvcc compiles them
//! for NVIDIA's devices; `testing/cuda-emulator` compiles the same files for the
//! host. Here is what both share: the kernels' [parameters], the [launches] of each
//! layer, and how they want weights to be [packed](pack).
//!
//! Images are [16-bit floats](HalfType) `[height, width, channels]`, with as many
//! channels of zeros behind the true ones as make their number a multiple of 16; sums
//! are 32-bit floats. [`training`] has kernels of its own.

mod half_type;
pub mod launches;
#[cfg(feature = "cuda")]
pub mod modules;
pub mod pack;
pub mod parameters;
pub mod training;

pub use half_type::HalfType;

use parameters::{Address, Parameters};
use std::ops::Range;
use std::time::Duration;
use thiserror::Error;

/// A kernel over a grid of blocks.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel's name.
    pub kernel: String,
    /// Blocks in both directions.
    pub blocks: (u32, u32),
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of shared memory of a block.
    pub shared: u32,
    /// The kernel's arguments.
    pub parameters: Parameters,
}

/// What a device has for blocks.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Multiprocessors: how many blocks run at the same time, at least.
    pub multiprocessors: u32,
    /// Bytes of shared memory that a block can have.
    pub shared: u32,
}

/// Why a device failed.
#[derive(Clone, Debug, Error)]
pub enum GpuError {
    /// It does not have enough memory left.
    #[error("out of device memory: {needed} bytes needed, {available} available")]
    OutOfMemory {
        /// Bytes.
        needed: usize,
        /// Bytes.
        available: usize,
    },
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// Something that runs kernels, one after the other.
pub trait Gpu {
    /// Memory of the device. What was started has ended when it is dropped.
    type Memory;
    /// Memory of the host that the device reaches by itself. What was started
    /// has ended when it is dropped.
    type Host;
    /// Launches that are prepared to run often.
    type Graph;
    /// A moment in the order of what is started.
    type Event;

    /// Takes memory, of any contents.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`].
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, GpuError>;

    /// Where memory starts, for kernels.
    fn address(&self, memory: &Self::Memory) -> Address;

    /// Copies to the start of memory. What was started before does not see it,
    /// what is started later does.
    ///
    /// # Errors
    /// If there is less memory, or the device fails.
    fn upload(&self, bytes: &[u8], memory: &mut Self::Memory) -> Result<(), GpuError>;

    /// Copies from the start of memory what is there when all that was started
    /// has ended.
    ///
    /// # Errors
    /// If there is less memory, or the device fails.
    fn download(&self, memory: &Self::Memory, bytes: &mut [u8]) -> Result<(), GpuError>;

    /// Takes memory of the host, of any contents.
    ///
    /// # Errors
    /// If the system does not have enough.
    fn host(&self, bytes: usize) -> Result<Self::Host, GpuError>;

    /// Where memory of the host starts.
    fn pointer(&self, host: &Self::Host) -> *mut u8;

    /// Starts to copy bytes from the host to the same place in memory.
    ///
    /// # Safety
    /// The bytes are not written before the copy has ended.
    ///
    /// # Errors
    /// If either has fewer bytes, or the device fails.
    unsafe fn start_upload(
        &self,
        host: &Self::Host,
        bytes: Range<usize>,
        memory: &mut Self::Memory,
    ) -> Result<(), GpuError>;

    /// Starts to copy bytes of memory to the same place on the host.
    ///
    /// # Safety
    /// The bytes are neither read nor written before the copy has ended.
    ///
    /// # Errors
    /// If either has fewer bytes, or the device fails.
    unsafe fn start_download(
        &self,
        memory: &Self::Memory,
        bytes: Range<usize>,
        host: &Self::Host,
    ) -> Result<(), GpuError>;

    /// Starts a kernel.
    ///
    /// # Safety
    /// Its parameters' addresses lie in memory that is large enough for what
    /// the kernel does and that lives until it has ended.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn launch(&self, launch: &Launch) -> Result<(), GpuError>;

    /// Prepares launches that are to run one after the other.
    ///
    /// # Safety
    /// As for [`Gpu::launch`], whenever the graph runs.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn graph(&self, launches: &[Launch]) -> Result<Self::Graph, GpuError>;

    /// Starts what was prepared.
    ///
    /// # Errors
    /// If the device fails.
    fn run(&self, graph: &Self::Graph) -> Result<(), GpuError>;

    /// Marks the moment when all that was started has ended.
    ///
    /// # Errors
    /// If the device fails.
    fn event(&self) -> Result<Self::Event, GpuError>;

    /// Waits for that moment.
    ///
    /// # Errors
    /// If the device fails.
    fn wait(&self, event: &Self::Event) -> Result<(), GpuError>;

    /// The time between two moments, both past.
    ///
    /// # Errors
    /// If the device fails.
    fn between(&self, first: &Self::Event, second: &Self::Event) -> Result<Duration, GpuError>;

    /// What it has for blocks.
    fn limits(&self) -> Limits;
}
