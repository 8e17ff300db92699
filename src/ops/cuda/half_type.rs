//! Floats of 16 bits.

use half::{bf16, f16};

/// How floats of 16 bits are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HalfType {
    /// 5 bits of exponent: 11 significant bits, up to 65504.
    #[default]
    F16,
    /// 8 bits of exponent: 8 significant bits, up to 3e38.
    Bf16,
}

impl HalfType {
    /// Both.
    pub const ALL: [HalfType; 2] = [HalfType::F16, HalfType::Bf16];

    /// Bits that count, the leading one included.
    pub fn significant_bits(self) -> f32 {
        match self {
            HalfType::F16 => 11.0,
            HalfType::Bf16 => 8.0,
        }
    }

    /// At the end of the names of the kernels that compute with them.
    pub fn suffix(self) -> &'static str {
        match self {
            HalfType::F16 => "",
            HalfType::Bf16 => "_bf16",
        }
    }

    /// The bits of the number next to `x`.
    pub fn bits_of(self, x: f32) -> u16 {
        match self {
            HalfType::F16 => f16::from_f32(x).to_bits(),
            HalfType::Bf16 => bf16::from_f32(x).to_bits(),
        }
    }

    /// The number of these bits.
    pub fn of_bits(self, bits: u16) -> f32 {
        match self {
            HalfType::F16 => f16::from_bits(bits).to_f32(),
            HalfType::Bf16 => bf16::from_bits(bits).to_f32(),
        }
    }
}
