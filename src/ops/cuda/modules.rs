//! Kernels on a real device: modules of machine code, loaded once a device.

use super::{GpuError, Launch, Limits};
use candle_core::cuda_backend::cudarc::driver::result;
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaStream, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared memory that a block has without asking for more.
const SHARED_UNASKED: u32 = 48 << 10;

/// What `build.rs` has compiled: machine code for several devices, and code
/// that later ones compile.
macro_rules! modules {
    ($($name:literal),+) => {
        &[$(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".fatbin")).as_slice()),+]
    };
}

const NETWORK: &[&[u8]] = modules!(
    "convolution",
    "convolution_bf16",
    "finalize_norm",
    "finalize_norm_bf16",
    "first",
    "first_bf16",
    "frame",
    "frame_bf16",
    "last",
    "last_bf16",
    "residual",
    "residual_bf16",
    "resize",
    "resize_bf16",
    "tone",
    "tone_bf16"
);

const TRAINING: &[&[u8]] = modules!(
    "training/norm",
    "training/pixels",
    "training/product",
    "training/weights"
);

/// Kernels that are loaded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The kernels that run a network on frames.
    Network,
    /// The kernels of training alone.
    Training,
}

/// What this process has loaded, by the device's number. It stays loaded until
/// the process ends, as the devices stay open.
static LOADED: Mutex<BTreeMap<(usize, Group), Arc<Modules>>> = Mutex::new(BTreeMap::new());

/// Modules that a device has loaded.
pub struct Modules {
    context: Arc<CudaContext>,
    modules: Vec<Arc<CudaModule>>,
    limits: Limits,
    /// Those in use, by name, and the shared memory that they may have.
    functions: Mutex<HashMap<String, (CudaFunction, u32)>>,
}

impl Modules {
    /// The kernels of a group on a device, loaded when they are first asked
    /// for.
    ///
    /// # Errors
    /// If there is no code for the device.
    pub fn loaded(context: &Arc<CudaContext>, group: Group) -> Result<Arc<Self>, GpuError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (context.ordinal(), group);
        if let Some(modules) = loaded.get(&key) {
            return Ok(modules.clone());
        }
        let images = match group {
            Group::Network => NETWORK,
            Group::Training => TRAINING,
        };
        let modules = Arc::new(Modules::load(context, images)?);
        loaded.insert(key, modules.clone());
        Ok(modules)
    }

    fn load(context: &Arc<CudaContext>, images: &[&[u8]]) -> Result<Self, GpuError> {
        use sys::CUdevice_attribute_enum as Attribute;
        let load = |image: &&[u8]| {
            context
                .load_module(Ptx::from_binary(image.to_vec()))
                .map_err(|error| {
                    let (major, minor) = context.compute_capability().unwrap_or_default();
                    GpuError::Failed(format!(
                        "no kernels for compute capability {major}.{minor}: {error}"
                    ))
                })
        };
        let modules = images.iter().map(load).collect::<Result<_, _>>()?;
        let number = |attribute| -> Result<u32, GpuError> {
            Ok(context.attribute(attribute)?.max(0) as u32)
        };
        let shared = Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        let limits = Limits {
            multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            shared: number(shared)?,
        };
        Ok(Modules {
            context: context.clone(),
            modules,
            limits,
            functions: Mutex::default(),
        })
    }

    /// What the device has for blocks.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The kernel of that name, allowed to have so much shared memory.
    ///
    /// # Errors
    /// If there is none, or the device has not so much.
    pub fn function(&self, name: &str, shared: u32) -> Result<CudaFunction, GpuError> {
        use sys::CUfunction_attribute_enum as Attribute;
        let mut functions = self
            .functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((function, allowed)) = functions.get(name)
            && shared <= *allowed
        {
            return Ok(function.clone());
        }
        let found = self.modules.iter().find_map(|m| m.load_function(name).ok());
        let function =
            found.ok_or_else(|| GpuError::Failed(format!("there is no kernel {name}")))?;
        if shared > SHARED_UNASKED {
            let attribute = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(attribute, shared as i32)?;
        }
        let allowed = shared.max(SHARED_UNASKED);
        functions.insert(name.to_owned(), (function.clone(), allowed));
        Ok(function)
    }

    /// Starts a kernel.
    ///
    /// # Safety
    /// As for [`Gpu::launch`](super::Gpu::launch).
    ///
    /// # Errors
    /// If the device fails.
    pub unsafe fn launch(&self, stream: &CudaStream, launch: &Launch) -> Result<(), GpuError> {
        let function = self.function(&launch.kernel, launch.shared)?;
        self.context.bind_to_thread()?;
        let mut arguments = [launch.parameters.pointer() as *mut c_void];
        // SAFETY: the kernel takes this structure by value; the rest is the
        // caller's promise.
        unsafe {
            result::launch_kernel(
                function.cu_function(),
                (launch.blocks.0, launch.blocks.1, 1),
                (launch.threads, 1, 1),
                launch.shared,
                stream.cu_stream(),
                &mut arguments,
            )?;
        }
        Ok(())
    }
}
