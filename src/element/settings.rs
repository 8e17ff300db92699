//! What the application has asked for.

use crate::engine::{DeviceChoice, Engine, EngineError, Options, Precision};
use crate::network::{Model, ModelError};
use gst::glib;
use std::io;

/// The element's properties.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Path of the model file.
    pub model: Option<String>,
    /// Text of a [`DeviceChoice`].
    pub device: Option<String>,
    /// How exactly to compute.
    pub precision: FastStylePrecision,
    /// Threads of the CPU to use; 0 for one a core.
    pub threads: u32,
    /// How much of the style shows, 0..1.
    pub strength: f64,
}

/// [`Precision`] as applications see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFastStylePrecision")]
#[repr(i32)]
pub enum FastStylePrecision {
    /// [`Precision::F32`]
    #[default]
    #[enum_value(name = "32-bit floats", nick = "f32")]
    F32,
    /// [`Precision::Fast`]
    #[enum_value(
        name = "16-bit integers where the CPU is faster with them",
        nick = "fast"
    )]
    Fast,
}

impl From<FastStylePrecision> for Precision {
    fn from(precision: FastStylePrecision) -> Self {
        match precision {
            FastStylePrecision::F32 => Precision::F32,
            FastStylePrecision::Fast => Precision::Fast,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            model: None,
            device: Some(DeviceChoice::default().to_string()),
            precision: FastStylePrecision::default(),
            threads: 0,
            strength: 1.0,
        }
    }
}

impl Settings {
    /// The strength as the pixel code wants it; what is not a number is 0.
    pub fn strength(&self) -> f32 {
        match self.strength > 0.0 {
            true => self.strength.min(1.0) as f32,
            false => 0.0,
        }
    }

    /// Loads the model and prepares it on the device.
    pub fn open(&self) -> Result<Engine, gst::ErrorMessage> {
        let device = self.device_choice()?;
        let path = self.model.as_deref().unwrap_or_default();
        if path.is_empty() {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("No model: set the property `model` to a model file (*.safetensors)")
            ));
        }
        let model = Model::load(path).map_err(model_message)?;
        let options = Options {
            device,
            precision: self.precision.into(),
            threads: self.threads as usize,
        };
        Engine::with_options(&model, options).map_err(|error| match error {
            EngineError::Device { .. } => {
                gst::error_msg!(gst::ResourceError::NotFound, ("{error}"))
            }
            _ => gst::error_msg!(gst::LibraryError::Init, ("{path}: {error}")),
        })
    }

    fn device_choice(&self) -> Result<DeviceChoice, gst::ErrorMessage> {
        match self.device.as_deref() {
            None => Ok(DeviceChoice::default()),
            Some(text) => text.parse().map_err(|fault| {
                gst::error_msg!(gst::ResourceError::Settings, ("Property `device`: {fault}"))
            }),
        }
    }
}

fn model_message(error: ModelError) -> gst::ErrorMessage {
    match &error {
        ModelError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{error}"))
        }
        _ => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
    }
}
