//! Video frames in, styled video frames out.
//!
//! [`frame`] describes a frame in memory, [`pixels`] turns it into a planar
//! RGB [`Image`] and back, and [`Engine`] runs the network in between.

pub mod cpu;
pub mod device;
mod error;
pub mod frame;
pub mod pixels;

pub use device::DeviceChoice;
pub use error::EngineError;

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
}

/// A network ready to repaint pictures on one device.
pub struct Engine {
    runner: Runner,
    device: Device,
}

enum Runner {
    /// Our own kernels.
    Cpu(Box<CpuNetwork>),
    /// Candle, on whatever device it runs.
    Candle(Network),
}

impl Engine {
    /// Prepares `model` on the chosen device.
    ///
    /// # Errors
    /// [`EngineError::Device`] if the device is not there.
    pub fn new(model: &Model, device: DeviceChoice) -> Result<Self, EngineError> {
        let device = device.open()?;
        let runner = match device.is_cpu() {
            true => Runner::Cpu(Box::new(CpuNetwork::new(model, Level::current())?)),
            false => Runner::Candle(Network::from_model(model, &device)?),
        };
        Ok(Engine { runner, device })
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
            Runner::Cpu(network) => network.stylize(picture, styled)?,
            Runner::Candle(network) => {
                let shape = (1, 3, picture.height, picture.width);
                let input = Tensor::from_slice(&picture.data, shape, &self.device)?;
                let output = network.forward(&input)?.flatten_all()?;
                (styled.width, styled.height) = (picture.width, picture.height);
                styled.data = output.to_vec1()?;
            }
        }
        Ok(())
    }

    /// Where the network runs.
    pub fn device(&self) -> &Device {
        &self.device
    }
}
