//! The class `Painter`.

use crate::errors::exception;
use crate::frame::{self, CHANNELS};
use gstfaststyle::{
    Blend, Colorimetry, DeviceChoice, EngineError, Format, Frame, FrameInfo, FrameMut, Options,
    Plane, PlaneMut, Precision, Prepared, Size, StyleMix, Threads,
};
use numpy::PyArray3;
use pyo3::exceptions::{PyFileNotFoundError, PyValueError};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The network's sides are multiples of that where the frame is larger.
const SIDE_STEP: f64 = 4.0;

/// Paints pictures, or a film's frames one after the other, in the style of a painting.
#[pyclass(module = "faststyle", frozen)]
pub struct Painter {
    model: Arc<Prepared>,
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    painter: gstfaststyle::Painter,
    style: Option<String>,
    blend: Blend,
    smoothing: f64,
    /// Rows that the network sees at most; 0 for all.
    max_height: usize,
}

#[pymethods]
impl Painter {
    #[new]
    #[pyo3(signature = (
        model = PathBuf::from("scream"), *, style = None, strength = 1.0, smoothing = 0.0,
        keep_color = false, max_height = 0, device = "auto", precision = "auto", threads = 0
    ))]
    #[allow(clippy::too_many_arguments, reason = "Python's keywords")]
    fn new(
        py: Python<'_>,
        model: PathBuf,
        style: Option<String>,
        strength: f64,
        smoothing: f64,
        keep_color: bool,
        max_height: usize,
        device: &str,
        precision: &str,
        threads: usize,
    ) -> PyResult<Self> {
        let found = crate::library(py)?.find(&model);
        let found = found.map_err(|error| PyFileNotFoundError::new_err(error.to_string()))?;
        let device: DeviceChoice = device.parse().map_err(PyValueError::new_err)?;
        let precision: Precision = precision.parse().map_err(PyValueError::new_err)?;
        let options = Options {
            device,
            precision,
            threads,
        };
        let path = found.path;
        let prepare = || {
            let prepared = Prepared::load(&path, options)?;
            let mut painter = gstfaststyle::Painter::new(Threads::new(threads)?);
            painter.set_model(Some(prepared.clone()));
            Ok((prepared, painter))
        };
        let (model, painter) = py.detach(prepare).map_err(exception)?;
        let mut state = State {
            painter,
            style: None,
            blend: Blend {
                strength: share("strength", strength)?,
                keep_color,
            },
            smoothing: 0.0,
            max_height,
        };
        state.smooth(smoothing)?;
        state.choose(&model, style.or(found.style))?;
        Ok(Painter {
            model,
            path,
            state: Mutex::new(state),
        })
    }

    /// Returns the frame, painted, as a new array of its shape.
    #[pyo3(signature = (frame, /))]
    fn paint<'py>(
        &self,
        py: Python<'py>,
        frame: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let (size, bytes) = frame::read(frame)?;
        let painted = self.with(py, |state| state.paint(size, &bytes));
        frame::write(py, size, painted.map_err(exception)?)
    }

    /// Forgets the frames before: the next is the first of another film.
    fn reset(&self, py: Python<'_>) {
        self.with(py, |state| state.painter.reset());
    }

    /// The model's file.
    #[getter]
    fn model(&self) -> PathBuf {
        self.path.clone()
    }

    /// The names of the model's styles.
    #[getter]
    fn styles(&self) -> Vec<String> {
        let styles = self.model.styles().iter();
        styles.map(|style| style.name.clone()).collect()
    }

    /// The style, or a mix such as 'scream:0.7,udnie:0.3'; None is the model's first.
    #[getter]
    fn style(&self, py: Python<'_>) -> Option<String> {
        self.with(py, |state| state.style.clone())
    }

    #[setter]
    fn set_style(&self, py: Python<'_>, style: Option<String>) -> PyResult<()> {
        self.with(py, |state| state.choose(&self.model, style))
    }

    /// How much of the painting shows, from 0 to 1.
    #[getter]
    fn strength(&self, py: Python<'_>) -> f32 {
        self.with(py, |state| state.blend.strength)
    }

    #[setter]
    fn set_strength(&self, py: Python<'_>, strength: f64) -> PyResult<()> {
        let strength = share("strength", strength)?;
        self.with(py, |state| state.blend.strength = strength);
        Ok(())
    }

    /// How calm a film's paintings are, from 0, each by itself, to 1.
    #[getter]
    fn smoothing(&self, py: Python<'_>) -> f64 {
        self.with(py, |state| state.smoothing)
    }

    #[setter]
    fn set_smoothing(&self, py: Python<'_>, smoothing: f64) -> PyResult<()> {
        self.with(py, |state| state.smooth(smoothing))
    }

    /// Whether the picture keeps its own colours.
    #[getter]
    fn keep_color(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.blend.keep_color)
    }

    #[setter]
    fn set_keep_color(&self, py: Python<'_>, keep_color: bool) {
        self.with(py, |state| state.blend.keep_color = keep_color);
    }

    fn __repr__(&self) -> String {
        format!("<faststyle.Painter of {}>", self.path.display())
    }
}

impl Painter {
    /// Works on the state while other threads of Python run.
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut State) -> T + Send) -> T {
        py.detach(|| work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl State {
    fn choose(&mut self, model: &Prepared, style: Option<String>) -> PyResult<()> {
        let mix = match &style {
            Some(text) => StyleMix::parse(text, model.styles()).map_err(PyValueError::new_err)?,
            None => StyleMix::default(),
        };
        self.painter.set_mix(&mix).map_err(exception)?;
        self.style = style;
        Ok(())
    }

    fn smooth(&mut self, smoothing: f64) -> PyResult<()> {
        self.painter.set_smoothing(share("smoothing", smoothing)?);
        self.smoothing = smoothing;
        Ok(())
    }

    fn paint(&mut self, size: Size, bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
        let info = FrameInfo {
            format: Format::Rgb,
            width: size.width,
            height: size.height,
            colorimetry: Colorimetry::SRGB,
        };
        let stride = size.width * CHANNELS;
        let mut painted = vec![0; bytes.len()];
        let data = &mut painted[..];
        let input = Frame::new(
            info,
            [Plane {
                data: bytes,
                stride,
            }],
        )?;
        let mut output = FrameMut::new(info, [PlaneMut { data, stride }])?;
        let network = network_size(size, self.max_height);
        (self.painter).paint(&input, &mut output, network, self.blend)?;
        Ok(painted)
    }
}

/// The size of what the network sees of a frame.
fn network_size(frame: Size, max_height: usize) -> Size {
    if max_height == 0 || frame.height <= max_height {
        return frame;
    }
    let factor = max_height as f64 / frame.height as f64;
    frame.map(|side| {
        let part = (side as f64 * factor / SIDE_STEP).round().max(1.0) * SIDE_STEP;
        side.min(part as usize)
    })
}

/// A number from 0 to 1.
fn share(name: &str, value: f64) -> PyResult<f32> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(value as f32),
        false => Err(PyValueError::new_err(format!(
            "{name}={value}: it must be from 0 to 1"
        ))),
    }
}
