//! A tensor in a file that PyTorch wrote.

use anyhow::{Result, bail};
use candle_core::{DType, Device, Tensor};
use std::borrow::Cow;

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// Whole numbers from 0 to 255.
    Byte,
    /// Whole numbers of 64 bits.
    Long,
    /// Real numbers of 16 bits.
    Half,
    /// The first 16 bits of a `Float`.
    BFloat16,
    /// Real numbers of 32 bits.
    Float,
    /// Real numbers of 64 bits.
    Double,
}

impl ElementType {
    /// From the name of a class: `torch FloatStorage`.
    pub(super) fn from_class(class: &str) -> Result<Self> {
        Ok(match class {
            "torch ByteStorage" => ElementType::Byte,
            "torch LongStorage" => ElementType::Long,
            "torch HalfStorage" => ElementType::Half,
            "torch BFloat16Storage" => ElementType::BFloat16,
            "torch FloatStorage" => ElementType::Float,
            "torch DoubleStorage" => ElementType::Double,
            other => bail!("storages of class `{other}` are not expected here"),
        })
    }

    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            ElementType::Byte => 1,
            ElementType::Half | ElementType::BFloat16 => 2,
            ElementType::Float => 4,
            ElementType::Long | ElementType::Double => 8,
        }
    }
}

/// A tensor, its data still in the file's bytes.
#[derive(Debug)]
pub struct SavedTensor<'a> {
    /// The type of its numbers.
    pub element_type: ElementType,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its numbers, row-major and little-endian.
    pub data: Cow<'a, [u8]>,
}

impl SavedTensor<'_> {
    /// The values of a tensor of real numbers.
    ///
    /// # Errors
    /// It is one of whole numbers.
    pub fn floats(&self) -> Result<Vec<f32>> {
        let dtype = match self.element_type {
            ElementType::Half => DType::F16,
            ElementType::BFloat16 => DType::BF16,
            ElementType::Float => DType::F32,
            ElementType::Double => DType::F64,
            ElementType::Byte | ElementType::Long => bail!("it does not hold floats"),
        };
        let count = self.data.len() / self.element_type.bytes();
        let tensor = Tensor::from_raw_buffer(&self.data, dtype, &[count], &Device::Cpu)?;
        Ok(tensor.to_dtype(DType::F32)?.to_vec1()?)
    }
}
