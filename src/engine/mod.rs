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
    /// [`EngineError::Candle`] if the device fails, for want of memory say.
    pub fn stylize(&mut self, picture: &Image, styled: &mut Image) -> Result<(), EngineError> {
        match &mut self.runner {
            Runner::Cpu(network) => network.stylize(picture, styled),
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
