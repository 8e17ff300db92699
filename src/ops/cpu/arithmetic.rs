//! What a matrix product multiplies and adds: `f32`, or pairs of 16-bit
//! integers, of which a CPU can do twice as many at a time.

use super::simd::Simd;

/// Arithmetic on vectors of [`LANES`](super::LANES) elements of 32 bits each.
pub trait Arithmetic<S: Simd> {
    /// A vector.
    type V: Copy;
    /// Rows of a product that fit in registers beside one vector of columns.
    const ROWS_1: usize = S::ROWS_1;

    /// Zero in every lane.
    fn zero(simd: S) -> Self::V;
    /// One element in every lane.
    ///
    /// # Safety
    /// The caller must own it.
    unsafe fn broadcast(simd: S, from: *const f32) -> Self::V;
    /// A vector of elements.
    ///
    /// # Safety
    /// The caller must own them.
    unsafe fn load(simd: S, from: *const f32) -> Self::V;
    /// `count <= 16` elements; the other lanes are zero.
    ///
    /// # Safety
    /// The caller must own them.
    unsafe fn load_first(simd: S, from: *const f32, count: usize) -> Self::V;
    /// `a * b + sum`
    fn multiply_add(simd: S, a: Self::V, b: Self::V, sum: Self::V) -> Self::V;
    /// A sum to start from.
    fn start(simd: S, sum: S::V) -> Self::V;
    /// A sum as numbers.
    fn finish(simd: S, sum: Self::V) -> S::V;
}

/// Elements are `f32`.
pub struct Floats;

impl<S: Simd> Arithmetic<S> for Floats {
    type V = S::V;

    #[inline(always)]
    fn zero(simd: S) -> S::V {
        simd.splat(0.0)
    }
    #[inline(always)]
    unsafe fn broadcast(simd: S, from: *const f32) -> S::V {
        // SAFETY: the caller's.
        simd.splat(unsafe { *from })
    }
    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32) -> S::V {
        // SAFETY: the caller's.
        unsafe { simd.load(from) }
    }
    #[inline(always)]
    unsafe fn load_first(simd: S, from: *const f32, count: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe { simd.load_first(from, count) }
    }
    #[inline(always)]
    fn multiply_add(simd: S, a: S::V, b: S::V, sum: S::V) -> S::V {
        simd.fma(a, b, sum)
    }
    #[inline(always)]
    fn start(_: S, sum: S::V) -> S::V {
        sum
    }
    #[inline(always)]
    fn finish(_: S, sum: S::V) -> S::V {
        sum
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{MaddPairs, VnniPairs, VnniPairs256};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Arithmetic;
    use crate::ops::cpu::simd::{Avx2, Avx512, Vectors};
    use std::arch::x86_64::*;

    /// Elements are two `i16`; both products are added to a sum of 32 bits,
    /// which stops at the ends of its range. To be used only where the CPU has
    /// AVX-512 VNNI.
    pub struct VnniPairs;

    // SAFETY of every block: the CPU has AVX-512F, as the token says, and
    // VNNI; loads pass the duty on to their caller.
    impl Arithmetic<Avx512> for VnniPairs {
        type V = __m512i;

        #[inline(always)]
        fn zero(_: Avx512) -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }
        #[inline(always)]
        unsafe fn broadcast(_: Avx512, from: *const f32) -> __m512i {
            unsafe { _mm512_set1_epi32(from.cast::<i32>().read()) }
        }
        #[inline(always)]
        unsafe fn load(_: Avx512, from: *const f32) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn load_first(_: Avx512, from: *const f32, count: usize) -> __m512i {
            let mask = ((1u32 << count) - 1) as __mmask16;
            unsafe { _mm512_maskz_loadu_epi32(mask, from.cast()) }
        }
        #[inline(always)]
        fn multiply_add(_: Avx512, a: __m512i, b: __m512i, sum: __m512i) -> __m512i {
            unsafe { _mm512_dpwssds_epi32(sum, a, b) }
        }
        #[inline(always)]
        fn start(_: Avx512, _: __m512) -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }
        #[inline(always)]
        fn finish(_: Avx512, sum: __m512i) -> __m512 {
            unsafe { _mm512_cvtepi32_ps(sum) }
        }
    }

    /// The same with AVX2: multiplied and added in two steps.
    pub struct MaddPairs;

    /// The same with AVX-VNNI, and to be used only where the CPU has it.
    pub struct VnniPairs256;

    /// What both do alike; they differ in how they multiply and add.
    macro_rules! pairs_256 {
        ($name:ident, $rows:literal: |$a:ident, $b:ident, $sum:ident| $multiply_add:expr) => {
            // SAFETY of every block: the CPU has AVX2, as the token says, and what
            // `$name` asks for; loads pass the duty on to their caller.
            impl Arithmetic<Avx2> for $name {
                type V = [__m256i; 2];
                const ROWS_1: usize = $rows;

                #[inline(always)]
                fn zero(_: Avx2) -> Self::V {
                    unsafe { [_mm256_setzero_si256(); 2] }
                }
                #[inline(always)]
                unsafe fn broadcast(_: Avx2, from: *const f32) -> Self::V {
                    unsafe { [_mm256_set1_epi32(from.cast::<i32>().read()); 2] }
                }
                #[inline(always)]
                unsafe fn load(_: Avx2, from: *const f32) -> Self::V {
                    unsafe {
                        [
                            _mm256_loadu_si256(from.cast()),
                            _mm256_loadu_si256(from.add(8).cast()),
                        ]
                    }
                }
                #[inline(always)]
                unsafe fn load_first(simd: Avx2, from: *const f32, count: usize) -> Self::V {
                    unsafe { simd.load_first(from, count).map(|v| _mm256_castps_si256(v)) }
                }
                #[inline(always)]
                fn multiply_add(_: Avx2, a: Self::V, b: Self::V, sum: Self::V) -> Self::V {
                    #[inline(always)]
                    fn half($a: __m256i, $b: __m256i, $sum: __m256i) -> __m256i {
                        unsafe { $multiply_add }
                    }
                    [half(a[0], b[0], sum[0]), half(a[1], b[1], sum[1])]
                }
                #[inline(always)]
                fn start(simd: Avx2, _: [__m256; 2]) -> Self::V {
                    Self::zero(simd)
                }
                #[inline(always)]
                fn finish(_: Avx2, sum: Self::V) -> [__m256; 2] {
                    sum.map(|sum| unsafe { _mm256_cvtepi32_ps(sum) })
                }
            }
        };
    }

    // One row less: products need registers before they are added.
    pairs_256!(MaddPairs, 5: |a, b, sum| _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)));
    pairs_256!(VnniPairs256, 6: |a, b, sum| _mm256_dpwssds_avx_epi32(sum, a, b));
}
