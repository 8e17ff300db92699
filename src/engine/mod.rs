//! Video frames in, styled video frames out.
//!
//! [`frame`] describes a frame in memory, [`pixels`] turns it into a planar
//! RGB [`Image`] and back, and [`Engine`] runs the network in between. A
//! [`Painter`] does all of that, if need be on a picture that [`resize`] made
//! smaller and whose result [`upsample`] brings back.

mod area;
mod blend;
mod buffers;
pub mod cpu;
pub mod cuda;
pub mod device;
mod error;
mod film;
pub mod frame;
mod image;
pub mod memory;
pub mod motion;
mod painter;
pub mod pixels;
mod precision;
mod prepared;
pub mod resize;
mod styles;
mod threads;
mod tiles;
mod timings;
pub mod tone;
pub mod upsample;

pub use crate::ops::Size;
pub use area::Area;
pub use blend::Blend;
pub use device::DeviceChoice;
pub use error::{EngineError, error_chain};
pub use image::{Image, luma};
pub use painter::Painter;
pub use precision::Precision;
pub use prepared::{Options, Prepared};
pub use threads::Threads;
pub use tiles::Canvas;
pub use timings::FrameTimings;

use crate::network::{Model, Network, StyleMix};
use crate::ops::Backend;
use candle_core::Tensor;
use cpu::CpuNetwork;
use prepared::Weights;
use std::sync::Arc;
use tone::Tone;

#[cfg(feature = "cuda")]
type CudaNetwork = cuda::CudaNetwork<cuda::Device>;

/// A network ready to repaint pictures on one device.
pub struct Engine {
    prepared: Arc<Prepared>,
    runner: Runner,
}

enum Runner {
    /// Our own kernels.
    Cpu(Box<CpuNetwork>),
    /// The same on a CUDA device.
    #[cfg(feature = "cuda")]
    Cuda(Box<CudaNetwork>),
    /// One operation after the other: on other devices, and on the CPU for
    /// networks that have no [`cpu::CpuWeights`].
    Candle(Arc<Network>, StyleMix),
}

impl Engine {
    /// Prepares `model` on the chosen device, with the other options' defaults.
    ///
    /// # Errors
    /// [`EngineError::Device`] if the device is not there.
    pub fn new(model: &Model, device: DeviceChoice) -> Result<Self, EngineError> {
        let options = Options {
            device,
            ..Options::default()
        };
        Engine::with_options(model, options)
    }

    /// Prepares `model`.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub fn with_options(model: &Model, options: Options) -> Result<Self, EngineError> {
        let prepared = Prepared::new(model, options)?;
        Ok(Engine::of(Arc::new(prepared)))
    }

    /// Runs a model that has been prepared, in the first of its styles.
    pub fn of(prepared: Arc<Prepared>) -> Self {
        let runner = match &prepared.weights {
            Weights::Cpu(weights) => Runner::Cpu(Box::new(CpuNetwork::new(weights.clone()))),
            #[cfg(feature = "cuda")]
            Weights::Cuda(weights) => Runner::Cuda(Box::new(CudaNetwork::new(weights.clone()))),
            Weights::Candle(network) => Runner::Candle(network.clone(), StyleMix::default()),
        };
        Engine { prepared, runner }
    }

    /// Runs this model from now on, in the first of its styles, and in the memory
    /// of the one before where both run by the same kernels.
    pub fn set_model(&mut self, prepared: Arc<Prepared>) {
        match (&mut self.runner, &prepared.weights) {
            (Runner::Cpu(network), Weights::Cpu(weights)) => {
                network.set_weights(weights.clone());
                self.prepared = prepared;
            }
            #[cfg(feature = "cuda")]
            (Runner::Cuda(network), Weights::Cuda(weights)) => {
                network.set_weights(weights.clone());
                self.prepared = prepared;
            }
            _ => *self = Engine::of(prepared),
        }
    }

    /// Paints in this mix of the model's styles from now on. That takes no memory
    /// and next to no time: a mix can change with every frame.
    ///
    /// # Errors
    /// [`EngineError::NoStyle`], and what the device reports.
    pub fn set_mix(&mut self, mix: &StyleMix) -> Result<(), EngineError> {
        match &mut self.runner {
            Runner::Cpu(network) => network.set_mix(mix),
            #[cfg(feature = "cuda")]
            Runner::Cuda(network) => network.set_mix(mix),
            Runner::Candle(network, current) => {
                styles::check(mix, network.architecture().styles)?;
                current.clone_from(mix);
                Ok(())
            }
        }
    }

    /// Repaints `picture` into `styled`, which takes its size. A dark picture gives
    /// a dark painting, a pale one a pale painting, and one without contrast stays
    /// as it is.
    ///
    /// # Errors
    /// [`EngineError::Picture`] if there is no picture of the size it claims,
    /// [`EngineError::OutOfMemory`] or [`EngineError::Candle`] if it is too
    /// large for the device.
    pub fn stylize(&mut self, picture: &Image, styled: &mut Image) -> Result<(), EngineError> {
        picture.check()?;
        match &mut self.runner {
            Runner::Cpu(network) => self
                .prepared
                .threads
                .run(|| network.stylize(picture, Tone::of(picture), styled))?,
            #[cfg(feature = "cuda")]
            Runner::Cuda(network) => network.stylize(picture, styled)?,
            Runner::Candle(network, mix) => {
                let shape = (1, 3, picture.height, picture.width);
                let input = Tensor::from_slice(&picture.data, shape, &self.prepared.device)?;
                let threads = &self.prepared.threads;
                let output = threads.run(|| network.forward_mix(&input, mix, Backend::Fast))?;
                *styled = Image {
                    data: output.flatten_all()?.to_vec1()?,
                    ..*picture
                };
                let tone = threads.run(|| Tone::of(picture));
                tone.apply(&mut styled.data, &picture.data);
            }
        }
        Ok(())
    }

    /// Begins with a picture, of which [`Self::advance`] does a part at a time. What has
    /// been begun before is given up.
    pub(crate) fn begin(&mut self) {
        if let Runner::Cpu(network) = &mut self.runner {
            network.begin();
        }
    }

    /// Goes on to repaint `picture`, the same since [`Self::begin`], until `share` of the
    /// work is done, from 0 to 1: layer by layer with our kernels on the CPU, else all at
    /// the end. Whether all is done, and `styled` the result.
    ///
    /// # Errors
    /// As [`Self::stylize`].
    pub(crate) fn advance(
        &mut self,
        picture: &Image,
        share: f64,
        styled: &mut Image,
    ) -> Result<bool, EngineError> {
        picture.check()?;
        match &mut self.runner {
            Runner::Cpu(network) => self
                .prepared
                .threads
                .run(|| network.advance(picture, share, styled)),
            _ if share < 1.0 => Ok(false),
            _ => self.stylize(picture, styled).map(|()| true),
        }
    }

    /// Repaints `canvas`: at once or, if that takes more than `memory` bytes,
    /// in tiles, which take many times as long and give the same picture up to
    /// rounding. On other devices than the CPU, and with networks that
    /// [`CpuNetwork`] cannot be, always at once.
    ///
    /// # Errors
    /// As [`Engine::stylize`], and the errors of `canvas`;
    /// [`EngineError::MemoryLimit`] if `memory` is too little even for tiles,
    /// [`EngineError::NoTiles`] if it is too little and there are none.
    pub fn paint<C: Canvas>(&mut self, canvas: &mut C, memory: usize) -> Result<(), C::Error> {
        let size = canvas.size();
        if size.is_empty() {
            return Err(EngineError::Picture { size, numbers: 0 })?;
        }
        match &mut self.runner {
            Runner::Cpu(network) if tiles::memory_needed(network, size) > memory => {
                return tiles::paint(network, &self.prepared.threads, canvas, memory);
            }
            Runner::Candle(network, _) if self.prepared.device.is_cpu() => {
                let pictures = tiles::pictures_memory(size);
                let needed = pictures.saturating_add(network.memory_needed(size));
                if needed > memory {
                    return Err(EngineError::NoTiles {
                        limit_mib: memory >> 20,
                        needed_mib: needed.div_ceil(1 << 20),
                    })?;
                }
            }
            _ => (),
        }
        let whole = Area::whole(size);
        let (mut picture, mut styled) = (Image::default(), Image::default());
        canvas.progress(0.0)?;
        canvas.read(whole, &mut picture)?;
        self.stylize(&picture, &mut styled)?;
        canvas.write(whole, &mut styled)
    }

    /// The network if it takes frames in any format itself.
    #[cfg(feature = "cuda")]
    fn on_cuda(&mut self) -> Option<&mut CudaNetwork> {
        match &mut self.runner {
            Runner::Cuda(network) => Some(network),
            _ => None,
        }
    }

    /// What it runs, and where.
    pub fn prepared(&self) -> &Arc<Prepared> {
        &self.prepared
    }

    /// Bytes that repainting a picture of this size takes, pictures included.
    /// With our kernels on a CUDA device, the pictures alone, for the rest is
    /// not main memory.
    pub fn memory_needed(&self, size: Size) -> usize {
        let network = match &self.runner {
            Runner::Cpu(network) => network.memory_needed(size),
            #[cfg(feature = "cuda")]
            Runner::Cuda(_) => 0,
            Runner::Candle(network, _) => network.memory_needed(size),
        };
        network.saturating_add(tiles::pictures_memory(size))
    }
}
