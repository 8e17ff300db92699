//! Which instructions the kernels use, decided when the program runs.

use super::gemm::Gemm;
use super::simd::Plain;
use std::{fmt, sync::OnceLock};

/// A set of CPU instructions that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Whatever the compiler's baseline for the architecture has.
    Plain,
    /// 128-bit Arm vectors.
    Neon,
    /// 256-bit x86 vectors with fused multiply-add and 16-bit floats in memory.
    Avx2,
    /// 512-bit x86 vectors.
    Avx512,
}

/// Work that can be done at any level.
pub trait Kernel {
    /// What it computes.
    type Output;
    /// Does the work. Implementations are `#[inline(always)]`, so that they
    /// are compiled with the instructions of the level that calls them; vector
    /// arithmetic inside a closure would not be.
    fn run<S: Gemm>(self, simd: S) -> Self::Output;
}

impl Level {
    /// The best level of this CPU, or a lower one that the environment
    /// variable `FASTSTYLE_CPU` names (`plain`, `neon`, `avx2`, `avx512`).
    pub fn current() -> Level {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| {
            let best = Level::best();
            let wanted = std::env::var("FASTSTYLE_CPU").unwrap_or_default();
            Level::available()
                .into_iter()
                .find(|level| level.to_string() == wanted)
                .unwrap_or(best)
        })
    }

    /// Every level that this CPU can run, the lowest first.
    pub fn available() -> Vec<Level> {
        [Level::Plain, Level::Neon, Level::Avx2, Level::Avx512]
            .into_iter()
            .filter(|level| level.is_available())
            .collect()
    }

    fn best() -> Level {
        Level::available().pop().unwrap_or(Level::Plain)
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        match self {
            Level::Plain => true,
            Level::Neon => false,
            Level::Avx2 => avx2,
            Level::Avx512 => avx2 && is_x86_feature_detected!("avx512f"),
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn is_available(self) -> bool {
        matches!(self, Level::Plain | Level::Neon)
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn is_available(self) -> bool {
        self == Level::Plain
    }

    /// Whether products of pairs of 16-bit integers are faster here than those
    /// of floats.
    pub fn multiplies_pairs(self) -> bool {
        match self {
            Level::Avx2 => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => is_x86_feature_detected!("avx512vnni"),
            _ => false,
        }
    }

    /// Runs `kernel` with this level's instructions.
    ///
    /// # Panics
    /// If this CPU does not have them.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        assert!(self.is_available(), "this CPU has no {self}");
        match self {
            // SAFETY: the CPU has the level's instructions, as just checked.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::run_avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::run_avx2(kernel) },
            #[cfg(target_arch = "aarch64")]
            Level::Neon => kernel.run(super::simd::Neon),
            _ => kernel.run(Plain),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Kernel;
    use crate::ops::cpu::simd::{Avx2, Avx512};

    #[target_feature(enable = "avx512f,avx2,fma,f16c")]
    pub fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: this function runs only where the CPU has AVX-512.
        kernel.run(unsafe { Avx512::new() })
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: this function runs only where the CPU has AVX2, FMA and F16C.
        kernel.run(unsafe { Avx2::new() })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Plain => "plain",
            Level::Neon => "neon",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        })
    }
}
