//! How exactly the network is computed.

use crate::ops::cpu::Level;
use std::{fmt, str::FromStr};

/// A choice of arithmetic, written `f32` or `fast`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats throughout. Not so on CUDA devices, which always compute
    /// with 16-bit floats and 32-bit sums.
    #[default]
    F32,
    /// On a CPU with AVX-512 VNNI, products of 16-bit integers in all layers
    /// but the first and the last, which gain nothing from it; elsewhere the
    /// same as `F32`.
    Fast,
}

impl Precision {
    /// The best that `level` offers of this.
    pub fn on_cpu(self, level: Level) -> Precision {
        match level.multiplies_pairs() {
            true => self,
            false => Precision::F32,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Fast => "fast",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Precision::F32, Precision::Fast]
            .into_iter()
            .find(|precision| precision.to_string() == text)
            .ok_or_else(|| format!("`{text}` is not a precision: f32 or fast"))
    }
}
