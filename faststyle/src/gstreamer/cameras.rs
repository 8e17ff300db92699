//! The cameras of this machine.

use anyhow::{Result, bail};
use gst::prelude::*;

/// A camera.
pub struct Camera {
    /// What it is called.
    pub name: String,
    /// Its device file, where it has one.
    pub path: Option<String>,
    device: gst::Device,
}

impl Camera {
    /// The element that reads it.
    ///
    /// # Errors
    /// The camera is gone.
    pub fn element(&self) -> Result<gst::Element> {
        Ok(self.device.create_element(None)?)
    }
}

impl std::fmt::Display for Camera {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} ({path})", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// The cameras there are.
pub fn all() -> Vec<Camera> {
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some("Video/Source"), None);
    if monitor.start().is_err() {
        return Vec::new();
    }
    let devices = monitor.devices();
    let cameras = devices.into_iter().map(|device| {
        let properties = device.properties();
        let path = properties.and_then(|properties| {
            let names = ["api.v4l2.path", "device.path"];
            names
                .iter()
                .find_map(|name| properties.get::<String>(*name).ok())
        });
        Camera {
            name: device.display_name().into(),
            path,
            device,
        }
    });
    let cameras = cameras.collect();
    monitor.stop();
    cameras
}

/// The camera that `wanted` means: its number from 1, its device file, or a part of
/// its name.
///
/// # Errors
/// There is none such; the message lists those that are there.
pub fn find(wanted: &str) -> Result<Camera> {
    let cameras = all();
    let number = wanted.parse::<usize>().ok();
    let named = wanted.to_lowercase();
    let place = cameras.iter().zip(1..).position(|(camera, place)| {
        number == Some(place)
            || camera.path.as_deref() == Some(wanted)
            || (number.is_none() && camera.name.to_lowercase().contains(&named))
    });
    match place {
        Some(place) => Ok(cameras.into_iter().nth(place).expect("it was found there")),
        None if cameras.is_empty() => {
            bail!("--camera {wanted}: there is no camera; without --camera a clip is shown")
        }
        None => bail!(
            "--camera {wanted}: not found. There are: {}",
            list(&cameras)
        ),
    }
}

/// The cameras with their numbers, in a line.
pub fn list(cameras: &[Camera]) -> String {
    let numbered = cameras
        .iter()
        .zip(1..)
        .map(|(camera, place)| format!("{place}: {camera}"));
    numbered.collect::<Vec<_>>().join(", ")
}
