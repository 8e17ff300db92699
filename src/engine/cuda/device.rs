//! A real device: the devices of this process, and [`Gpu`] on one of them.

use crate::ops::cuda::modules::{Group, Modules};
use crate::ops::cuda::parameters::Address;
use crate::ops::cuda::{Gpu, GpuError, Launch, Limits};
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::result::{self, DriverError};
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaEvent, CudaGraph, CudaStream, sys,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A device, with a stream of its own: threads may take turns with it.
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    kernels: Arc<Modules>,
}

/// Memory of the device.
pub struct Memory {
    address: sys::CUdeviceptr,
    len: usize,
    stream: Arc<CudaStream>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        let context = self.stream.context();
        // What still runs may use it.
        context.record_err(self.stream.synchronize());
        // SAFETY: it is freed once, and nothing uses it any more.
        context.record_err(unsafe { result::free_sync(self.address) });
    }
}

/// Memory of the host, which the system does not move (page-locked).
pub struct Host {
    start: *mut u8,
    len: usize,
    stream: Arc<CudaStream>,
}

// SAFETY: it is plain memory, with one owner.
unsafe impl Send for Host {}

impl Drop for Host {
    fn drop(&mut self) {
        let context = self.stream.context();
        context.record_err(self.stream.synchronize());
        // SAFETY: it is freed once, and nothing uses it any more.
        context.record_err(unsafe { result::free_host(self.start.cast()) });
    }
}

/// Launches in one piece. A network has its own, and is used by one thread at a
/// time.
pub struct Graph(CudaGraph);

// SAFETY: a graph may be used by any thread, only not by several at once. It is
// not `Sync`, and `Device::run` wants it whole.
unsafe impl Send for Graph {}

impl From<DriverError> for GpuError {
    fn from(error: DriverError) -> Self {
        GpuError::Failed(error.to_string())
    }
}

/// The devices that this process has opened, by number. They stay open until it
/// ends: others may have memory in their contexts.
static OPENED: Mutex<BTreeMap<usize, Opened>> = Mutex::new(BTreeMap::new());

/// One of them.
struct Opened {
    candle: CudaDevice,
    /// Made when the first network runs on it.
    device: Option<Arc<Device>>,
}

/// Calls `act` with the device of this number, which is opened if it is not yet.
fn with_opened<T>(
    ordinal: usize,
    act: impl FnOnce(&mut Opened) -> Result<T, GpuError>,
) -> Result<T, GpuError> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = match opened.entry(ordinal) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            // A separate stream: the default one belongs to the calling thread,
            // and a pipeline may call from another thread each time.
            let candle = CudaDevice::new_with_stream(ordinal);
            let candle = candle.map_err(|error| GpuError::Failed(error.to_string()))?;
            entry.insert(Opened {
                candle,
                device: None,
            })
        }
    };
    act(entry)
}

/// Candle's device of this number. All that runs on it shares its context and
/// its stream.
///
/// # Errors
/// If the device is not there.
pub fn open(ordinal: usize) -> Result<CudaDevice, GpuError> {
    with_opened(ordinal, |opened| Ok(opened.candle.clone()))
}

/// The context that all of this process share on a device, and the device's
/// handle.
///
/// # Errors
/// If the device is not there.
pub fn primary_context(ordinal: usize) -> Result<(sys::CUcontext, sys::CUdevice), GpuError> {
    let stream = open(ordinal)?.cuda_stream();
    let context = stream.context();
    Ok((context.cu_ctx(), context.cu_device()))
}

impl Device {
    /// The device of this number: all networks on it share its kernels and its
    /// stream.
    ///
    /// # Errors
    /// If the device is not there, or there is no code for it.
    pub fn shared(ordinal: usize) -> Result<Arc<Self>, GpuError> {
        with_opened(ordinal, |opened| {
            if let Some(device) = &opened.device {
                return Ok(device.clone());
            }
            let device = Arc::new(Device::new(&opened.candle)?);
            opened.device = Some(device.clone());
            Ok(device)
        })
    }

    fn new(device: &CudaDevice) -> Result<Self, GpuError> {
        let stream = device.cuda_stream();
        let context = stream.context().clone();
        Ok(Device {
            kernels: Modules::loaded(&context, Group::Network)?,
            stream,
            context,
        })
    }
}

impl Gpu for Device {
    type Memory = Memory;
    type Host = Host;
    type Graph = Graph;
    type Event = CudaEvent;

    fn allocate(&self, bytes: usize) -> Result<Memory, GpuError> {
        self.context.bind_to_thread()?;
        // SAFETY: nobody has the address before the memory is filled.
        let address = unsafe { result::malloc_sync(bytes.max(1)) };
        let address = address.map_err(|error| match error.0 {
            sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY => GpuError::OutOfMemory {
                needed: bytes,
                available: self.context.mem_get_info().map_or(0, |(free, _)| free),
            },
            _ => error.into(),
        })?;
        Ok(Memory {
            address,
            len: bytes,
            stream: self.stream.clone(),
        })
    }

    fn address(&self, memory: &Memory) -> Address {
        memory.address
    }

    fn upload(&self, bytes: &[u8], memory: &mut Memory) -> Result<(), GpuError> {
        check(bytes.len(), memory.len)?;
        self.context.bind_to_thread()?;
        // SAFETY: there are as many bytes; the source lives until the copy has
        // ended.
        unsafe {
            result::memcpy_htod_async(memory.address, bytes, self.stream.cu_stream())?;
        }
        Ok(self.stream.synchronize()?)
    }

    fn download(&self, memory: &Memory, bytes: &mut [u8]) -> Result<(), GpuError> {
        check(bytes.len(), memory.len)?;
        self.context.bind_to_thread()?;
        // SAFETY: as above.
        unsafe {
            result::memcpy_dtoh_async(bytes, memory.address, self.stream.cu_stream())?;
        }
        Ok(self.stream.synchronize()?)
    }

    fn host(&self, bytes: usize) -> Result<Host, GpuError> {
        self.context.bind_to_thread()?;
        // SAFETY: plain memory, whose address nobody has before it is filled.
        let start = unsafe { result::malloc_host(bytes.max(1), 0)? };
        Ok(Host {
            start: start.cast(),
            len: bytes,
            stream: self.stream.clone(),
        })
    }

    fn pointer(&self, host: &Host) -> *mut u8 {
        host.start
    }

    unsafe fn start_upload(
        &self,
        host: &Host,
        bytes: Range<usize>,
        memory: &mut Memory,
    ) -> Result<(), GpuError> {
        check(bytes.end, memory.len.min(host.len))?;
        self.context.bind_to_thread()?;
        // SAFETY: both have so many bytes; the rest is the caller's promise.
        unsafe {
            let from = std::slice::from_raw_parts(host.start.add(bytes.start), bytes.len());
            let to = memory.address + bytes.start as u64;
            result::memcpy_htod_async(to, from, self.stream.cu_stream())?;
        }
        Ok(())
    }

    unsafe fn start_download(
        &self,
        memory: &Memory,
        bytes: Range<usize>,
        host: &Host,
    ) -> Result<(), GpuError> {
        check(bytes.end, memory.len.min(host.len))?;
        self.context.bind_to_thread()?;
        // SAFETY: as above.
        unsafe {
            let to = std::slice::from_raw_parts_mut(host.start.add(bytes.start), bytes.len());
            let from = memory.address + bytes.start as u64;
            result::memcpy_dtoh_async(to, from, self.stream.cu_stream())?;
        }
        Ok(())
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<(), GpuError> {
        // SAFETY: the caller's promise.
        unsafe { self.kernels.launch(&self.stream, launch) }
    }

    unsafe fn graph(&self, launches: &[Launch]) -> Result<Graph, GpuError> {
        use sys::CUstreamCaptureMode_enum as Mode;
        // Kernels are loaded before, which a capture does not allow.
        for launch in launches {
            self.kernels.function(&launch.kernel, launch.shared)?;
        }
        // Recorded beside the stream that all networks of the device share:
        // nothing of another thread's must come between.
        let recorder = self.context.new_stream()?;
        recorder.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
        // SAFETY: the caller's promise.
        let launched = launches
            .iter()
            .try_for_each(|launch| unsafe { self.kernels.launch(&recorder, launch) });
        let graph = recorder.end_capture(sys::CUgraphInstantiate_flags(0));
        launched?;
        let graph = graph?.ok_or_else(|| GpuError::Failed("an empty graph".into()))?;
        Ok(Graph(graph))
    }

    fn run(&self, graph: &Graph) -> Result<(), GpuError> {
        self.context.bind_to_thread()?;
        // SAFETY: the graph lives, and `&Graph` is this thread's alone.
        unsafe { result::graph::launch(graph.0.cu_graph_exec(), self.stream.cu_stream())? };
        Ok(())
    }

    fn event(&self) -> Result<CudaEvent, GpuError> {
        let timed = sys::CUevent_flags::CU_EVENT_DEFAULT;
        Ok(self.stream.record_event(Some(timed))?)
    }

    fn wait(&self, event: &CudaEvent) -> Result<(), GpuError> {
        Ok(event.synchronize()?)
    }

    fn between(&self, first: &CudaEvent, second: &CudaEvent) -> Result<Duration, GpuError> {
        let milliseconds = first.elapsed_ms(second)?.max(0.0);
        Ok(Duration::from_secs_f32(milliseconds / 1000.0))
    }

    fn limits(&self) -> Limits {
        self.kernels.limits()
    }
}

fn check(bytes: usize, len: usize) -> Result<(), GpuError> {
    match bytes <= len {
        true => Ok(()),
        false => Err(GpuError::Failed(format!(
            "{bytes} bytes do not fit in {len}"
        ))),
    }
}
