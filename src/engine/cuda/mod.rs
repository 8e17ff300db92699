//! The network on a CUDA device, one frame at a time.
//!
//! Weights are packed once; memory is laid out, and the kernels are put into
//! one graph, once for each picture size. As on the [CPU](super::cpu), only the
//! raw result of a convolution is stored: its normalisation and ReLU, the
//! border and the upsampling happen where the next one loads its input.
//!
//! All of it is written against [`Gpu`], so that tests run it without a device.

mod direct;
pub mod layout;
mod plan;
mod staging;
mod stand_in;
mod weights;

#[cfg(feature = "cuda")]
mod device;

#[cfg(feature = "cuda")]
pub use device::{Device, open, primary_context};
pub use direct::{DeviceFrame, Source, Target};
pub use weights::CudaWeights;

use super::styles::MixedStyle;
use super::{Blend, EngineError, Image, Precision, Size};
use crate::network::StyleMix;
use crate::ops::cuda::launches;
use crate::ops::cuda::parameters::{Enter, FrameLayout, Leave, Parameters};
use crate::ops::cuda::{Gpu, GpuError, HalfType, Launch};
use plan::{Plan, Sizes};
use staging::Staging;
use stand_in::StandIn;
use std::sync::Arc;

impl From<GpuError> for EngineError {
    fn from(error: GpuError) -> Self {
        match error {
            GpuError::OutOfMemory { needed, available } => EngineError::OutOfMemory {
                needed_mib: needed.div_ceil(1 << 20),
                available_mib: available >> 20,
            },
            GpuError::Failed(reason) => EngineError::Device {
                device: "cuda".into(),
                reason,
            },
        }
    }
}

/// The floats of 16 bits that a device computes with, where those do.
pub fn half_type(precision: Precision) -> Option<HalfType> {
    match precision.on_cuda() {
        Precision::F32 => None,
        Precision::Bf16 => Some(HalfType::Bf16),
        _ => Some(HalfType::F16),
    }
}

/// A network on a CUDA device: weights, a mix of their styles, and memory for a
/// picture.
pub struct CudaNetwork<G: Gpu> {
    weights: Arc<CudaWeights<G>>,
    style: MixedStyle,
    /// The style's row on the device, and whether it is still to go there.
    row: Option<(G::Memory, usize)>,
    row_due: bool,
    /// The sizes that were there last, the last one at the end.
    ready: Vec<Ready<G>>,
    /// What their graphs run in.
    arena: Option<(G::Memory, usize)>,
    /// The frame before and after, on the device.
    before: Option<(G::Memory, usize)>,
    after: Option<(G::Memory, usize)>,
    staging: Staging<G>,
    /// In the place of frames, before and after, in formats that the kernels do not
    /// know.
    stand_ins: [StandIn; 2],
}

/// All that frames of one size need.
struct Ready<G: Gpu> {
    sizes: Sizes,
    plan: Plan,
    graph: G::Graph,
}

/// So many sizes are kept ready: those among which a live picture's may change
/// from time to time.
const MOST_READY: usize = 8;

impl<G: Gpu> CudaNetwork<G> {
    /// A network with these weights in the first of their styles, and no memory
    /// yet.
    pub fn new(weights: Arc<CudaWeights<G>>) -> Self {
        CudaNetwork {
            style: MixedStyle::new(&weights.styles),
            weights,
            row: None,
            row_due: true,
            ready: Vec::new(),
            arena: None,
            before: None,
            after: None,
            staging: Staging::default(),
            stand_ins: Default::default(),
        }
    }

    /// Takes the place of the network before, in its first style, and in its
    /// memory if that is the same device's.
    pub fn set_weights(&mut self, weights: Arc<CudaWeights<G>>) {
        match Arc::ptr_eq(&self.weights.gpu, &weights.gpu) {
            true => {
                self.ready.clear();
                self.style.reset(&weights.styles);
                self.row_due = true;
                self.weights = weights;
            }
            false => *self = CudaNetwork::new(weights),
        }
    }

    /// Paints in this mix of styles from now on.
    ///
    /// # Errors
    /// [`EngineError::NoStyle`].
    pub fn set_mix(&mut self, mix: &StyleMix) -> Result<(), EngineError> {
        self.row_due |= self.style.set(&self.weights.styles, mix)?;
        Ok(())
    }

    /// Repaints `picture` into `styled`, which takes its size.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] if the device has too little, else
    /// [`EngineError::Device`] if it fails.
    pub fn stylize(&mut self, picture: &Image, styled: &mut Image) -> Result<(), EngineError> {
        let (layout, planes) = layout::of_image(picture.size());
        let weights = self.weights.clone();
        let gpu = &*weights.gpu;
        let from = at_least(gpu, &mut self.before, planes.len)?;
        gpu.upload(layout::image_bytes(picture), from)?;
        let before = layout::at(layout, &planes, gpu.address(from));
        let to = at_least(gpu, &mut self.after, planes.len)?;
        let after = layout::at(layout, &planes, gpu.address(to));
        let sizes = Sizes::same(picture.size());
        self.run(sizes, [before, after], Blend::OPAQUE, false)?;
        styled.resize(picture.size());
        match &self.after {
            Some((after, _)) => Ok(gpu.download(after, layout::image_bytes_mut(styled))?),
            None => Ok(()),
        }
    }

    /// Starts the kernels for one frame. Returns events at their start and end.
    fn run(
        &mut self,
        sizes: Sizes,
        [before, after]: [FrameLayout; 2],
        blend: Blend,
        keep_opacity: bool,
    ) -> Result<[G::Event; 2], EngineError> {
        let weights = self.weights.clone();
        let gpu = &*weights.gpu;
        let Ready { plan, graph, .. } = self.prepare(sizes)?;
        let suffix = weights.half_type.suffix();
        let enter = Launch {
            kernel: format!("enter_network{suffix}"),
            blocks: launches::grid(sizes.frame.width, sizes.frame.height),
            threads: 256,
            shared: 0,
            parameters: Parameters::Enter(Enter {
                frame: before,
                picture: plan.picture,
            }),
        };
        let leave = Launch {
            kernel: format!("leave_network{suffix}"),
            blocks: launches::grid(
                sizes
                    .frame
                    .width
                    .div_ceil(after.group_width.max(1) as usize),
                sizes
                    .frame
                    .height
                    .div_ceil(after.group_height.max(1) as usize),
            ),
            threads: 256,
            shared: 0,
            parameters: Parameters::Leave(Leave {
                before,
                after,
                styled: plan.styled,
                fields: plan.fields,
                fields_height: sizes.picture.height as i32,
                fields_width: sizes.picture.width as i32,
                strength: blend.strength,
                keep_color: i32::from(blend.keep_color),
                keep_opacity: i32::from(keep_opacity),
            }),
        };
        // SAFETY: there is room for both frames, `prepare` has made it for the
        // rest; all of it lives as long as this.
        let start = gpu.event()?;
        unsafe {
            gpu.launch(&enter)?;
            gpu.run(graph)?;
            gpu.launch(&leave)?;
        }
        Ok([start, gpu.event()?])
    }

    /// Bytes on the device that frames of size `frame` take where the network
    /// sees pictures of `size`, the frames themselves left out.
    pub fn memory_needed(&self, frame: Size, size: Size) -> usize {
        let sizes = Sizes {
            frame,
            picture: size,
        };
        Plan::new(&self.weights, sizes, (0, 0)).len
    }

    /// Lays out memory for these sizes, and brings the style there.
    fn prepare(&mut self, sizes: Sizes) -> Result<&Ready<G>, EngineError> {
        let ready = match self.ready.iter().position(|ready| ready.sizes == sizes) {
            Some(found) => self.ready.remove(found),
            None => self.lay_out(sizes)?,
        };
        self.ready.push(ready);
        if let Some((row, _)) = &mut self.row
            && self.row_due
        {
            (self.weights.gpu).upload(layout::bytes(self.style.row()), row)?;
            self.row_due = false;
        }
        let last = self.ready.len() - 1;
        Ok(&self.ready[last])
    }

    fn lay_out(&mut self, sizes: Sizes) -> Result<Ready<G>, EngineError> {
        let gpu = &*self.weights.gpu;
        let needed = Plan::new(&self.weights, sizes, (0, 0)).len;
        let fits = self.arena.as_ref().is_some_and(|(_, len)| *len >= needed);
        if !fits {
            // What runs in the old memory goes with it.
            self.ready.clear();
        } else if self.ready.len() >= MOST_READY {
            self.ready.remove(0);
        }
        let memory = at_least(gpu, &mut self.arena, needed)?;
        let row = at_least(gpu, &mut self.row, size_of_val(self.style.row()))?;
        let starts = (gpu.address(memory), gpu.address(row));
        let plan = Plan::new(&self.weights, sizes, starts);
        // SAFETY: the plan's addresses lie in the arena and the style's row, which
        // stay as long as `ready`, and in the memory of the weights.
        let graph = unsafe { gpu.graph(&plan.launches)? };
        Ok(Ready { sizes, plan, graph })
    }
}

/// Memory of at least so many bytes.
fn at_least<'a, G: Gpu>(
    gpu: &G,
    slot: &'a mut Option<(G::Memory, usize)>,
    bytes: usize,
) -> Result<&'a mut G::Memory, EngineError> {
    let held = match slot.take() {
        Some(held) if held.1 >= bytes => held,
        other => {
            drop(other);
            (gpu.allocate(bytes)?, bytes)
        }
    };
    Ok(&mut slot.insert(held).0)
}
