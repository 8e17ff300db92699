//! Where the network runs.

use super::EngineError;
use crate::network::printable;
use candle_core::Device;
use std::{fmt, str::FromStr};

/// A choice of device, written `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// The first CUDA device if one answers, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl DeviceChoice {
    /// Opens the device. `Auto` never fails; builds without the feature `cuda`
    /// have no CUDA device.
    ///
    /// # Errors
    /// [`EngineError::Device`] if the device is not there.
    pub fn open(self) -> Result<Device, EngineError> {
        Ok(self.open_or_fall_back()?.0)
    }

    /// As [`DeviceChoice::open`]. Returns also why there is no CUDA device, where
    /// `Auto` has looked for one.
    pub(super) fn open_or_fall_back(self) -> Result<(Device, Option<String>), EngineError> {
        match self {
            DeviceChoice::Cpu => Ok((Device::Cpu, None)),
            DeviceChoice::Auto => Ok(match open_cuda(0) {
                Ok(device) => (device, None),
                Err(reason) => (Device::Cpu, cfg!(feature = "cuda").then_some(reason)),
            }),
            DeviceChoice::Cuda(ordinal) => match open_cuda(ordinal) {
                Ok(device) => Ok((device, None)),
                Err(reason) => Err(EngineError::Device {
                    device: self.to_string(),
                    reason,
                }),
            },
        }
    }
}

impl DeviceChoice {
    /// The number of the CUDA device that may be meant.
    pub fn cuda_ordinal(self) -> Option<usize> {
        match self {
            DeviceChoice::Auto => Some(0),
            DeviceChoice::Cpu => None,
            DeviceChoice::Cuda(ordinal) => Some(ordinal),
        }
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(ordinal: usize) -> Result<Device, String> {
    let device = super::cuda::open(ordinal).map_err(|error| error.to_string())?;
    Ok(Device::Cuda(device))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_ordinal: usize) -> Result<Device, String> {
    Err("this build has no CUDA support (build with --features cuda)".into())
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => write!(f, "auto"),
            DeviceChoice::Cpu => write!(f, "cpu"),
            DeviceChoice::Cuda(0) => write!(f, "cuda"),
            DeviceChoice::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|ordinal| ordinal.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| format!("`{}` is not auto, cpu, cuda or cuda:N", printable(text))),
        }
    }
}
