//! Frames as NumPy arrays: `uint8`, of shape (height, width, 3), in the order red, green,
//! blue.

use gstfaststyle::Size;
use numpy::{PyArray1, PyArray3, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Bytes of a pixel.
pub const CHANNELS: usize = 3;

/// Takes the bytes of an array, row by row.
///
/// # Errors
/// `TypeError` if it is no array of `uint8`, `ValueError` if its shape is not a frame's.
pub fn read(frame: &Bound<'_, PyAny>) -> PyResult<(Size, Vec<u8>)> {
    let Ok(array) = frame.cast::<PyUntypedArray>() else {
        let found = frame.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "the frame is a {found}: it must be a numpy array"
        )));
    };
    if array.dtype().to_string() != "uint8" {
        return Err(PyTypeError::new_err(format!(
            "the frame's values are {}: they must be uint8, from 0 to 255",
            array.dtype()
        )));
    }
    let size = match *array.shape() {
        [height, width, CHANNELS] if height > 0 && width > 0 => Size::new(width, height),
        _ => {
            let shape = frame.getattr("shape")?;
            return Err(PyValueError::new_err(format!(
                "the frame's shape is {shape}: it must be (height, width, {CHANNELS})"
            )));
        }
    };
    let array = frame.cast::<PyArray3<u8>>()?.try_readonly()?;
    // A copy: while the frame is painted, other threads of Python may write to the array.
    Ok((size, array.as_array().iter().copied().collect()))
}

/// An array of these bytes.
///
/// # Errors
/// They are not as many as the size says.
pub fn write(py: Python<'_>, size: Size, bytes: Vec<u8>) -> PyResult<Bound<'_, PyArray3<u8>>> {
    PyArray1::from_vec(py, bytes).reshape([size.height, size.width, CHANNELS])
}
