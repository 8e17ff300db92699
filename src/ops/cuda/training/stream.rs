//! Runs launches on Candle's device, in the order of its stream, and makes
//! tensors of what they leave.

use super::Scratch;
use crate::ops::cuda::modules::{Group, Modules};
use crate::ops::cuda::parameters::Address;
use crate::ops::cuda::{Launch, Limits};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, CudaStream, DevicePtr, DevicePtrMut, DeviceRepr, SyncOnDrop,
};
use candle_core::cuda_backend::{CudaDType, CudaDevice};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Error, Layout, Result, Shape, Storage, Tensor, bail};
use half::f16;
use std::sync::Arc;

fn modules(device: &CudaDevice) -> Result<Arc<Modules>> {
    let stream = device.cuda_stream();
    Modules::loaded(stream.context(), Group::Training).map_err(Error::wrap)
}

/// What an operation reads: numbers side by side.
pub type Input<'a> = (&'a CudaStorage, &'a Layout);

/// What is to be launched, given where the inputs and the result lie.
pub trait Plan: Fn(&[Address], Address, Limits, &mut Scratch) -> Vec<Launch> {}

impl<F: Fn(&[Address], Address, Limits, &mut Scratch) -> Vec<Launch>> Plan for F {}

/// The result of a plan, `len` numbers of type `dtype`.
pub fn compute(inputs: &[Input], len: usize, dtype: DType, plan: impl Plan) -> Result<CudaStorage> {
    match dtype {
        DType::F16 => compute_as::<f16>(inputs, len, plan),
        DType::F32 => compute_as::<f32>(inputs, len, plan),
        _ => bail!("no kernel gives {dtype:?}"),
    }
}

fn compute_as<T: CudaDType + DeviceRepr>(
    inputs: &[Input],
    len: usize,
    plan: impl Plan,
) -> Result<CudaStorage> {
    let Some((first, _)) = inputs.first() else {
        bail!("an operation on nothing");
    };
    let device = first.device().clone();
    let kernels = modules(&device)?;
    let (stream, limits) = (device.cuda_stream(), kernels.limits());
    // What is read and written is marked so until all is launched.
    let inputs = inputs
        .iter()
        .map(|(storage, layout)| address(storage, layout, &stream))
        .collect::<Result<Vec<_>>>()?;
    let (inputs, _read): (Vec<Address>, Vec<SyncOnDrop>) = inputs.into_iter().unzip();
    // SAFETY: the plan's launches fill it.
    let mut result = unsafe { device.alloc::<T>(len) }?;
    {
        let (output, _written) = result.device_ptr_mut(&stream);
        let mut measured = Scratch::default();
        plan(&inputs, output, limits, &mut measured);
        // SAFETY: launches read of it only what others have written.
        let mut scratch = unsafe { device.alloc::<u8>(measured.used().max(1)) }?;
        let (start, _used) = scratch.device_ptr_mut(&stream);
        for launch in plan(&inputs, output, limits, &mut Scratch::from(start)) {
            // SAFETY: the plan got the addresses of the inputs, which live longer
            // than this, and memory is given back in the order of the stream.
            unsafe { kernels.launch(&stream, &launch) }.map_err(Error::wrap)?;
        }
    }
    Ok(CudaStorage::wrap_cuda_slice(result, device))
}

/// The result of a plan as a tensor, which no gradients flow through.
pub fn tensor(
    inputs: &[&Tensor],
    shape: impl Into<Shape>,
    dtype: DType,
    plan: impl Plan,
) -> Result<Tensor> {
    let shape = shape.into();
    let storages: Vec<_> = inputs.iter().map(|t| t.storage_and_layout()).collect();
    let inputs = storages
        .iter()
        .map(|(storage, layout)| match &**storage {
            Storage::Cuda(storage) => Ok((storage, *layout)),
            _ => bail!("tensor is not on a CUDA device"),
        })
        .collect::<Result<Vec<_>>>()?;
    let result = compute(&inputs, shape.elem_count(), dtype, plan)?;
    let storage = Storage::Cuda(result);
    Ok(Tensor::from_storage(
        storage,
        shape,
        BackpropOp::none(),
        false,
    ))
}

/// Where the numbers of a tensor lie.
fn address<'a>(
    storage: &'a CudaStorage,
    layout: &Layout,
    stream: &'a CudaStream,
) -> Result<(Address, SyncOnDrop<'a>)> {
    let Some((start, _)) = layout.contiguous_offsets() else {
        bail!("tensor is not contiguous");
    };
    let (address, read) = match &storage.slice {
        CudaStorageSlice::F16(slice) => at(slice, start, stream),
        CudaStorageSlice::F32(slice) => at(slice, start, stream),
        _ => bail!("no kernel takes {:?}", storage.dtype()),
    };
    match address.is_multiple_of(16) {
        true => Ok((address, read)),
        false => bail!("tensor is not aligned"),
    }
}

fn at<'a, T>(
    slice: &'a CudaSlice<T>,
    start: usize,
    stream: &'a CudaStream,
) -> (Address, SyncOnDrop<'a>) {
    let (address, read) = slice.device_ptr(stream);
    (address + (start * size_of::<T>()) as Address, read)
}

/// How much the device has for blocks.
pub fn limits(tensor: &Tensor) -> Result<Limits> {
    let device = tensor.device().as_cuda_device()?;
    Ok(modules(device)?.limits())
}
