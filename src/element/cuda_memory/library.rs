//! `libgstcuda-1.0.so.0` of GStreamer 1.22 and later, opened when it is first
//! needed: machines without an NVIDIA GPU do not need it.

use gst::ffi::{GstBufferPool, GstContext, GstElement, GstMemory, GstObject, GstQuery};
use gst::glib::ffi::gboolean;
use libloading::os::unix::{Library as File, Symbol};
use std::ffi::{c_int, c_void};
use std::sync::LazyLock;

const NAME: &str = "libgstcuda-1.0.so.0";

/// The functions in use. `GstCudaContext` is a `GstObject`.
pub struct Library {
    pub is_cuda_memory: Symbol<unsafe extern "C" fn(*mut GstMemory) -> gboolean>,
    /// Wraps a context and device of the driver.
    pub context_new_wrapped: Symbol<unsafe extern "C" fn(*mut c_void, c_int) -> *mut GstObject>,
    pub context_get_handle: Symbol<unsafe extern "C" fn(*mut GstObject) -> *mut c_void>,
    pub handle_context_query:
        Symbol<unsafe extern "C" fn(*mut GstElement, *mut GstQuery, *mut GstObject) -> gboolean>,
    /// `gst_context_new_cuda_context`.
    pub context_new: Symbol<unsafe extern "C" fn(*mut GstObject) -> *mut GstContext>,
    pub buffer_pool_new: Symbol<unsafe extern "C" fn(*mut GstObject) -> *mut GstBufferPool>,
    /// Waits for writes to memory. It does not exist before 1.24, where the writer
    /// waits.
    pub memory_sync: Option<Symbol<unsafe extern "C" fn(*mut GstMemory)>>,
    // Keeps the functions where they are.
    _file: File,
}

/// The start of `GstCudaMemory`, the same from 1.22 on.
#[repr(C)]
pub struct CudaMemory {
    pub memory: GstMemory,
    pub context: *mut GstObject,
}

/// Maps the device's memory instead of a copy of it: `GST_MAP_CUDA`.
pub const MAP_CUDA: gst::ffi::GstMapFlags = gst::ffi::GST_MAP_FLAG_LAST << 1;

impl Library {
    /// The library, if the system has it and CUDA's driver.
    pub fn get() -> Option<&'static Library> {
        static LIBRARY: LazyLock<Option<Library>> = LazyLock::new(|| {
            // SAFETY: opening GStreamer's libraries does nothing but register
            // types.
            let file = unsafe { File::new(NAME) }.ok()?;
            Library::of(file).ok()
        });
        LIBRARY.as_ref()
    }

    fn of(file: File) -> Result<Self, libloading::Error> {
        // SAFETY: the types are those of gst/cuda/*.h, from 1.22 to 1.26.
        unsafe {
            let load: Symbol<unsafe extern "C" fn() -> gboolean> =
                file.get(b"gst_cuda_load_library")?;
            let init: Symbol<unsafe extern "C" fn()> = file.get(b"gst_cuda_memory_init_once")?;
            if load() == 0 {
                return Err(libloading::Error::DlOpenUnknown);
            }
            init();
            Ok(Library {
                is_cuda_memory: file.get(b"gst_is_cuda_memory")?,
                context_new_wrapped: file.get(b"gst_cuda_context_new_wrapped")?,
                context_get_handle: file.get(b"gst_cuda_context_get_handle")?,
                handle_context_query: file.get(b"gst_cuda_handle_context_query")?,
                context_new: file.get(b"gst_context_new_cuda_context")?,
                buffer_pool_new: file.get(b"gst_cuda_buffer_pool_new")?,
                memory_sync: file.get(b"gst_cuda_memory_sync").ok(),
                _file: file,
            })
        }
    }
}
