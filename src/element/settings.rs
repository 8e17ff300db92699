//! The element's properties, and the model that they name.

use super::pace::SizePolicy;
use crate::engine::{
    DeviceChoice, EngineError, Options, Precision, Prepared, Threads, error_chain, motion,
};
use crate::network::{Found, Library, ModelError, printable, printable_path};
use gst::glib;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The element's properties.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Path or bare name of the model file, whose bytes need not be Unicode.
    pub model: Option<PathBuf>,
    /// Text of a [`DeviceChoice`].
    pub device: Option<String>,
    /// How exactly to compute.
    pub precision: FastStylePrecision,
    /// CPU threads to use; 0 for one per core.
    pub threads: u32,
    /// How much of the style shows, 0..1.
    pub strength: f64,
    /// Whether the frame keeps its colours.
    pub keep_color: bool,
    /// See [`Painter::set_smoothing`](crate::engine::Painter::set_smoothing).
    pub smoothing: f64,
    /// See [`SizePolicy`].
    pub network_every: u32,
    /// A style's name, or a mix of several; none for the model's first.
    pub style: Option<String>,
    /// Milliseconds that a change of style takes.
    pub style_fade: u32,
    /// Place along the styles; -1 for none.
    pub style_position: f64,
    /// See [`SizePolicy`].
    pub scale: f64,
    /// See [`SizePolicy`].
    pub max_height: u32,
    /// See [`SizePolicy`].
    pub stroke_scale: f64,
    /// Frames a second to keep up with; 0 for the stream's own.
    pub target_fps: f64,
    /// Nanoseconds between two messages; 0 for none.
    pub stats_interval: u64,
}

/// The settings that apply to each frame, as they are when it comes.
#[derive(Clone, Copy, Debug)]
pub struct FrameSettings {
    /// How much of the style shows, 0..1.
    pub strength: f32,
    /// Whether the frame keeps its colours.
    pub keep_color: bool,
    /// How much of the painting before is kept, 0..1.
    pub smoothing: f32,
    /// How long a change of style takes.
    pub style_fade: Duration,
    /// Place along the styles; -1 for none.
    pub style_position: f64,
    /// How the size of the network's picture and its key frames are chosen.
    pub size: SizePolicy,
    /// Frames a second to keep up with; 0 for the stream's own.
    pub target_fps: f64,
}

/// [`Precision`] as applications see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFastStylePrecision")]
#[repr(i32)]
pub enum FastStylePrecision {
    /// [`Precision::Auto`]
    #[default]
    #[enum_value(
        name = "The fastest that looks like f32: fast on a CPU, f16 on a CUDA device",
        nick = "auto"
    )]
    Auto,
    /// [`Precision::F32`]
    #[enum_value(name = "32-bit floats", nick = "f32")]
    F32,
    /// [`Precision::F16`]
    #[enum_value(name = "16-bit floats, on CUDA devices", nick = "f16")]
    F16,
    /// [`Precision::Bf16`]
    #[enum_value(
        name = "16-bit floats of fewer digits and wider range, on CUDA devices",
        nick = "bf16"
    )]
    Bf16,
    /// [`Precision::Fast`]
    #[enum_value(
        name = "16-bit integers where the CPU is faster with them, f16 on CUDA devices",
        nick = "fast"
    )]
    Fast,
}

impl From<FastStylePrecision> for Precision {
    fn from(precision: FastStylePrecision) -> Self {
        match precision {
            FastStylePrecision::Auto => Precision::Auto,
            FastStylePrecision::F32 => Precision::F32,
            FastStylePrecision::F16 => Precision::F16,
            FastStylePrecision::Bf16 => Precision::Bf16,
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
            keep_color: false,
            smoothing: motion::DEFAULT_SMOOTHING,
            network_every: 1,
            style: None,
            style_fade: 1000,
            style_position: -1.0,
            scale: 0.0,
            max_height: 0,
            stroke_scale: 0.0,
            target_fps: 0.0,
            stats_interval: 0,
        }
    }
}

impl Settings {
    /// The settings that apply to each frame.
    pub fn frame(&self) -> FrameSettings {
        FrameSettings {
            strength: share(self.strength),
            keep_color: self.keep_color,
            smoothing: share(self.smoothing),
            style_fade: Duration::from_millis(self.style_fade.into()),
            style_position: self.style_position,
            size: SizePolicy {
                scale: self.scale,
                max_height: self.max_height,
                stroke_scale: self.stroke_scale,
                network_every: self.network_every,
            },
            target_fps: self.target_fps,
        }
    }

    /// The CPU threads to run on.
    pub fn threads(&self) -> Result<Threads, Fault> {
        Threads::new(self.threads as usize).map_err(|error| Fault::failed(error_chain(&error)))
    }

    /// Loads the model, if one is set, and prepares it on the device.
    /// `plugin` is the plugin's file, beside which bare names are looked up.
    pub fn load(&self, plugin: Option<&Path>) -> Result<Option<Loaded>, Fault> {
        let options = Options {
            device: self.device_choice()?,
            precision: self.precision.into(),
            threads: self.threads as usize,
        };
        let Some(model) = self
            .model
            .as_deref()
            .filter(|model| !model.as_os_str().is_empty())
        else {
            return Ok(None);
        };
        let not_found = |text| Fault::new(gst::ResourceError::NotFound, text);
        let library = match plugin {
            Some(plugin) => Library::beside(Some(plugin)),
            // Linked into the program.
            None => Library::of_executable(),
        };
        let found = library.find(model);
        let Found { path, style } = found.map_err(|error| not_found(error.to_string()))?;
        let prepared = Prepared::load(&path, options).map_err(|error| fault(error, &path))?;
        let default_style = match style {
            None => 0,
            Some(style) => (prepared.styles().iter())
                .position(|other| other.name == style)
                .ok_or_else(|| {
                    let (path, style) = (printable_path(&path), printable(style));
                    not_found(format!("{path}: no style `{style}`"))
                })?,
        };
        Ok(Some(Loaded {
            prepared,
            name: printable_path(model).to_string(),
            default_style,
        }))
    }

    /// The device to run on.
    pub fn device_choice(&self) -> Result<DeviceChoice, Fault> {
        match self.device.as_deref() {
            None => Ok(DeviceChoice::default()),
            Some(text) => text.parse().map_err(|fault| {
                let text = format!("Property `device`: {fault}");
                Fault::new(gst::ResourceError::Settings, text)
            }),
        }
    }
}

/// A number from 0 to 1. NaN is 0.
fn share(number: f64) -> f32 {
    match number > 0.0 {
        true => number.min(1.0) as f32,
        false => 0.0,
    }
}

/// A model ready to run.
pub struct Loaded {
    pub prepared: Arc<Prepared>,
    /// The name that the application set, as it can be shown.
    pub name: String,
    /// The style to paint in where none is set.
    pub default_style: usize,
}

/// Why the settings cannot be applied.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: gst::ResourceError,
    text: String,
}

impl Fault {
    /// A fault: `kind` is for applications, `text` for people. Whatever the text
    /// quotes, a bus, a log and a terminal can take it.
    pub fn new(kind: gst::ResourceError, text: String) -> Self {
        let text = printable(text).to_string();
        Fault { kind, text }
    }

    /// A fault of no particular kind.
    pub fn failed(text: String) -> Self {
        Fault::new(gst::ResourceError::Failed, text)
    }

    /// The error to post as a warning.
    pub fn error(&self) -> glib::Error {
        glib::Error::new(self.kind, &self.text)
    }
}

impl From<Fault> for gst::ErrorMessage {
    fn from(Fault { kind, text }: Fault) -> Self {
        gst::error_msg!(kind, ("{text}"))
    }
}

fn fault(error: EngineError, path: &Path) -> Fault {
    let text = error_chain(&error);
    let kind = match &error {
        EngineError::Model(ModelError::Read { source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            gst::ResourceError::NotFound
        }
        EngineError::Model(_) => gst::ResourceError::OpenRead,
        EngineError::Device { .. } => gst::ResourceError::NotFound,
        _ => return Fault::failed(format!("{}: {text}", printable_path(path))),
    };
    Fault::new(kind, text)
}
