//! How exactly the network is computed.

use crate::network::printable;
use crate::ops::cpu::Level;
use std::{fmt, str::FromStr};

/// A choice of arithmetic, written `auto`, `f32`, `f16`, `bf16` or `fast`.
///
/// A CPU computes with 32-bit floats where it is asked for 16-bit ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// The fastest whose result nobody can tell from that of `F32`: on all shipped
    /// styles it differs by at most 0.1 of 255 on average and by at most 3 at any
    /// pixel. `Fast` on a CPU, `F16` on a CUDA device.
    #[default]
    Auto,
    /// 32-bit floats throughout. On a CUDA device by Candle's own operations,
    /// slowly: for comparison.
    F32,
    /// 16-bit floats of 11 significant bits, with 32-bit sums.
    F16,
    /// 16-bit floats of 8 significant bits and as large as 32-bit ones, with
    /// 32-bit sums: for networks whose numbers are too large for `F16`.
    Bf16,
    /// The fastest that is good enough to look at: on a CPU with AVX2 or AVX-512
    /// VNNI, products of 16-bit integers in all layers but the first and the last,
    /// which gain nothing from it; on a CUDA device `F16`; elsewhere `F32`.
    Fast,
}

impl Precision {
    /// All choices.
    const ALL: [Precision; 5] = [
        Precision::Auto,
        Precision::F32,
        Precision::F16,
        Precision::Bf16,
        Precision::Fast,
    ];

    /// What a CPU of this level makes of it: `F32` or `Fast`.
    pub fn on_cpu(self, level: Level) -> Precision {
        match self {
            Precision::Auto | Precision::Fast if level.multiplies_pairs() => Precision::Fast,
            _ => Precision::F32,
        }
    }

    /// What a CUDA device makes of it: `F32`, `F16` or `Bf16`.
    pub fn on_cuda(self) -> Precision {
        match self {
            Precision::F32 | Precision::Bf16 => self,
            Precision::Auto | Precision::F16 | Precision::Fast => Precision::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::Auto => "auto",
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
            Precision::Fast => "fast",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Precision::ALL
            .into_iter()
            .find(|precision| precision.to_string() == text)
            .ok_or_else(|| {
                let text = printable(text);
                format!("`{text}` is not a precision: auto, f32, f16, bf16 or fast")
            })
    }
}
