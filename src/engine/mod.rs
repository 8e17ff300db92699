//! Video frames in, styled video frames out.
//!
//! [`frame`] describes a frame in memory, [`pixels`] turns it into a planar
//! RGB [`Image`] and back, and [`Engine`] runs the network in between: on the
//! picture as it is, or on one that [`resize`] made smaller and whose result
//! [`upsample`] brings back.

pub mod colour;
pub mod cpu;
pub mod device;
mod error;
pub mod frame;
pub mod pixels;
mod precision;
pub mod resize;
mod threads;
mod tiles;
pub mod upsample;

pub use device::DeviceChoice;
pub use error::EngineError;
pub use precision::Precision;
pub use threads::Threads;
pub use tiles::{Area, Canvas};

use crate::network::{Model, Network};
use crate::ops::cpu::Level;
use candle_core::{Device, Tensor};
use cpu::CpuNetwork;

/// An RGB picture, `f32` in 0..255: three planes of `height` rows of `width`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red plane, green plane, blue plane: `3 * height * width` numbers.
    pub data: Vec<f32>,
}

impl Image {
    fn check(&self) -> Result<(), EngineError> {
        let pixels = self.width.checked_mul(self.height);
        match pixels.and_then(|pixels| pixels.checked_mul(3)) {
            Some(numbers) if numbers > 0 && numbers == self.data.len() => Ok(()),
            _ => Err(EngineError::Picture {
                width: self.width,
                height: self.height,
                numbers: self.data.len(),
            }),
        }
    }

    /// Keeps `area` alone.
    fn crop(&mut self, area: Area) {
        let Image {
            width,
            height,
            data,
        } = self;
        let mut to = 0;
        for (plane, y) in (0..3).flat_map(|c| (0..area.height).map(move |y| (c, y))) {
            let from = (plane * *height + area.y + y) * *width + area.x;
            data.copy_within(from..from + area.width, to);
            to += area.width;
        }
        data.truncate(to);
        (*width, *height) = (area.width, area.height);
    }
}

/// A network ready to repaint pictures on one device.
pub struct Engine {
    runner: Runner,
    device: Device,
    precision: Precision,
    threads: Threads,
}

/// How an [`Engine`] is to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Where.
    pub device: DeviceChoice,
    /// How exactly.
    pub precision: Precision,
    /// On how many threads of the CPU; 0 for one a core.
    pub threads: usize,
}

enum Runner {
    /// Our own kernels.
    Cpu(Box<CpuNetwork>),
    /// One operation after the other: on other devices, and on the CPU for
    /// networks that [`CpuNetwork`] cannot be.
    Candle(Network),
}

impl Engine {
    /// Prepares `model` on the chosen device, with the other options' defaults.
    ///
    /// # Errors
    /// [`EngineError::Device`] if the device is not there.
    pub fn new(model: &Model, device: DeviceChoice) -> Result<Self, EngineError> {
        Engine::with_options(
            model,
            Options {
                device,
                ..Options::default()
            },
        )
    }

    /// Prepares `model`.
    ///
    /// # Errors
    /// [`EngineError::Device`] if the device is not there,
    /// [`EngineError::Threads`] if the system has no more threads.
    pub fn with_options(model: &Model, options: Options) -> Result<Self, EngineError> {
        let device = options.device.open()?;
        let threads = Threads::new(options.threads)?;
        let level = Level::current();
        let (runner, precision) = match device.is_cpu() && CpuNetwork::can_be(&model.architecture) {
            true => {
                let precision = options.precision.on_cpu(level);
                let network = threads.run(|| CpuNetwork::new(model, level, precision))?;
                (Runner::Cpu(Box::new(network)), precision)
            }
            false => {
                let network = Network::from_model(model, &device)?;
                (Runner::Candle(network), Precision::F32)
            }
        };
        Ok(Engine {
            runner,
            device,
            precision,
            threads,
        })
    }

    /// Repaints `picture` into `styled`, which takes its size.
    ///
    /// # Errors
    /// [`EngineError::Picture`] if there is no picture of the size it claims,
    /// [`EngineError::OutOfMemory`] or [`EngineError::Candle`] if it is too
    /// large for the device.
    pub fn stylize(&mut self, picture: &Image, styled: &mut Image) -> Result<(), EngineError> {
        picture.check()?;
        match &mut self.runner {
            Runner::Cpu(network) => self.threads.run(|| network.stylize(picture, styled))?,
            Runner::Candle(network) => {
                let shape = (1, 3, picture.height, picture.width);
                let input = Tensor::from_slice(&picture.data, shape, &self.device)?;
                let output = self.threads.run(|| network.forward(&input))?;
                (styled.width, styled.height) = (picture.width, picture.height);
                styled.data = output.flatten_all()?.to_vec1()?;
            }
        }
        Ok(())
    }

    /// Repaints `canvas`: at once or, if that takes more than `memory` bytes,
    /// in tiles, which take many times as long and give the same picture up to
    /// rounding. On other devices than the CPU, and with networks that
    /// [`CpuNetwork`] cannot be, always at once.
    ///
    /// # Errors
    /// Those of [`Engine::stylize`] and of `canvas`;
    /// [`EngineError::MemoryLimit`] if `memory` is too little even for tiles,
    /// [`EngineError::NoTiles`] if it is too little and there are none.
    pub fn paint<C: Canvas>(&mut self, canvas: &mut C, memory: usize) -> Result<(), C::Error> {
        let (width, height) = canvas.size();
        if width == 0 || height == 0 {
            let numbers = 0;
            return Err(EngineError::Picture {
                width,
                height,
                numbers,
            })?;
        }
        match &mut self.runner {
            Runner::Cpu(network) if tiles::memory_needed(network, (width, height)) > memory => {
                return tiles::paint(network, &self.threads, canvas, memory);
            }
            Runner::Candle(network) if self.device.is_cpu() => {
                let pictures = tiles::pictures_memory((width, height));
                let needed = pictures.saturating_add(network.memory_needed((width, height)));
                if needed > memory {
                    return Err(EngineError::NoTiles {
                        limit_mib: memory >> 20,
                        needed_mib: needed.div_ceil(1 << 20),
                    })?;
                }
            }
            _ => (),
        }
        let (x, y) = (0, 0);
        let whole = Area {
            x,
            y,
            width,
            height,
        };
        let (mut picture, mut styled) = (Image::default(), Image::default());
        canvas.progress(0.0)?;
        canvas.read(whole, &mut picture)?;
        self.stylize(&picture, &mut styled)?;
        canvas.write(whole, &mut styled)
    }

    /// How exactly the network runs, which is what was asked for where that
    /// is faster than `f32`.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The threads that the network runs on.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Where the network runs.
    pub fn device(&self) -> &Device {
        &self.device
    }
}
