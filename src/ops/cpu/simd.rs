//! A vector of 16 `f32`, on whatever the CPU has.
//!
//! Values of the types that implement [`Simd`] are tokens: whoever has one
//! may use the instructions it stands for.

use super::LANES;
use half::f16;

/// Arithmetic on vectors of [`WIDTH`](Vectors::WIDTH) numbers.
///
/// # Safety of the loads and stores
/// The caller must own the memory that they read or write.
#[allow(clippy::missing_safety_doc)]
pub trait Vectors: Copy {
    /// A vector.
    type V: Copy;
    /// Numbers in a vector, at most [`LANES`].
    const WIDTH: usize;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// Reads a vector.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// Writes a vector.
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// Reads `count <= WIDTH` numbers; the other lanes are 0.
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::V {
        if count == Self::WIDTH {
            return unsafe { self.load(from) };
        }
        let mut buffer = [0f32; LANES];
        unsafe {
            std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), count);
            self.load(buffer.as_ptr())
        }
    }
    /// Writes the first `count <= WIDTH` numbers.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, v: Self::V, count: usize) {
        if count == Self::WIDTH {
            return unsafe { self.store(to, v) };
        }
        let mut buffer = [0f32; LANES];
        unsafe {
            self.store(buffer.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(buffer.as_ptr(), to, count);
        }
    }
    /// Reads a vector of 16-bit floats.
    #[inline(always)]
    unsafe fn load_half(self, from: *const f16) -> Self::V {
        let mut buffer = [0f32; LANES];
        for (i, x) in buffer.iter_mut().enumerate().take(Self::WIDTH) {
            *x = unsafe { *from.add(i) }.to_f32();
        }
        // SAFETY: the buffer is ours.
        unsafe { self.load(buffer.as_ptr()) }
    }
    /// Writes a vector, rounded to 16-bit floats.
    #[inline(always)]
    unsafe fn store_half(self, to: *mut f16, v: Self::V) {
        let mut buffer = [0f32; LANES];
        unsafe {
            self.store(buffer.as_mut_ptr(), v);
            for (i, x) in buffer.into_iter().enumerate().take(Self::WIDTH) {
                to.add(i).write(f16::from_f32(x));
            }
        }
    }
    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of both, lane by lane.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of both, lane by lane.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `v` where `gate` is above 0, else 0: the gradient of ReLU.
    fn gate(self, v: Self::V, gate: Self::V) -> Self::V;
}

/// Arithmetic on vectors of [`LANES`] numbers.
///
/// # Safety of the loads and stores
/// The caller must own the memory that they read or write.
#[allow(clippy::missing_safety_doc)]
pub trait Simd: Vectors {
    /// The same CPU with narrower vectors, of which more fit in its registers: for
    /// arithmetic on many vectors at a time. `WIDTH` divides [`LANES`].
    type Narrow: Vectors;
    /// Rows of a product that fit in registers beside one vector of columns.
    const ROWS_1: usize;
    /// Rows of a product that fit in registers beside two vectors of columns; 0 where one
    /// at a time is faster, because two leave room for too few rows.
    const ROWS_2: usize;

    /// The token of the narrower vectors.
    fn narrow(self) -> Self::Narrow;
    /// The first 16 numbers of a slice; if it has fewer, the other lanes are 0.
    #[inline(always)]
    fn read(self, from: &[f32]) -> Self::V {
        match from.len() < LANES {
            // SAFETY: the slice has as many numbers, at least.
            true => unsafe { self.load_first(from.as_ptr(), from.len()) },
            false => unsafe { self.load(from.as_ptr()) },
        }
    }
    /// Writes the first 16 numbers of a slice, or all if it has fewer.
    #[inline(always)]
    fn write(self, to: &mut [f32], v: Self::V) {
        match to.len() < LANES {
            // SAFETY: the slice has as many numbers, at least.
            true => unsafe { self.store_first(to.as_mut_ptr(), v, to.len()) },
            false => unsafe { self.store(to.as_mut_ptr(), v) },
        }
    }
    /// `from[steps[i]]` in lane `i`, where `steps` starts at 0 and each is the
    /// one before or one more; with other steps, any numbers.
    ///
    /// # Panics
    /// If `from` has less than 16 numbers.
    #[inline(always)]
    fn spread(self, from: &[f32], steps: &[i32; LANES]) -> Self::V {
        let from = &from[..LANES];
        let mut lanes = [0f32; LANES];
        for (lane, step) in lanes.iter_mut().zip(steps) {
            *lane = from[*step as usize % LANES];
        }
        self.read(&lanes)
    }
    /// Writes 16 numbers between -32767 and 32767 as whole ones.
    #[inline(always)]
    unsafe fn store_whole(self, to: *mut i16, v: Self::V) {
        let mut numbers = [0f32; LANES];
        unsafe {
            self.store(numbers.as_mut_ptr(), v);
            for (i, x) in numbers.into_iter().enumerate() {
                to.add(i).write(x.round_ties_even() as i16);
            }
        }
    }
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The largest of all lanes.
    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        let mut lanes = [0f32; LANES];
        // SAFETY: the buffer is ours.
        unsafe { self.store(lanes.as_mut_ptr(), v) };
        lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
    /// The sum of all lanes.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let mut lanes = [0f32; LANES];
        // SAFETY: the buffer is ours.
        unsafe { self.store(lanes.as_mut_ptr(), v) };
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// Plain Rust, for any CPU.
#[derive(Clone, Copy)]
pub struct Plain;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Vectors for Plain {
    type V = [f32; LANES];
    const WIDTH: usize = LANES;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller owns the 16 numbers; no alignment is assumed.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: as for `load`.
        unsafe { to.cast::<Self::V>().write_unaligned(v) }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| x + y)
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| x - y)
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| x * y)
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Two roundings: a fused one would be a library call here.
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| if x > y { x } else { y })
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| if x < y { x } else { y })
    }
    #[inline(always)]
    fn gate(self, v: Self::V, gate: Self::V) -> Self::V {
        zip(v, gate, |x, g| if g > 0.0 { x } else { 0.0 })
    }
}

impl Simd for Plain {
    type Narrow = Plain;
    const ROWS_1: usize = 4;
    const ROWS_2: usize = 2;

    #[inline(always)]
    fn narrow(self) -> Plain {
        self
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |x, y| x / y)
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Each intrinsic below is safe to call because the token that `self` is was
/// made where the CPU had been checked, and loads and stores pass the duty on.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Simd, Vectors};
    use half::f16;
    use std::arch::x86_64::*;

    /// AVX-512F.
    #[derive(Clone, Copy)]
    pub struct Avx512(());

    impl Avx512 {
        /// # Safety
        /// The CPU must have AVX-512F.
        #[inline(always)]
        pub unsafe fn new() -> Self {
            Avx512(())
        }
    }

    // SAFETY of every block: see the module's comment.
    impl Vectors for Avx512 {
        type V = __m512;
        const WIDTH: usize = LANES;

        #[inline(always)]
        fn splat(self, x: f32) -> __m512 {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, v: __m512) {
            unsafe { _mm512_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn load_first(self, from: *const f32, count: usize) -> __m512 {
            let mask = ((1u32 << count) - 1) as __mmask16;
            unsafe { _mm512_maskz_loadu_ps(mask, from) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, v: __m512, count: usize) {
            if count == LANES {
                return unsafe { self.store(to, v) };
            }
            let mask = ((1u32 << count) - 1) as __mmask16;
            unsafe { _mm512_mask_storeu_ps(to, mask, v) }
        }
        #[inline(always)]
        fn add(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn max(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        fn gate(self, v: __m512, gate: __m512) -> __m512 {
            unsafe {
                let open = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps());
                _mm512_maskz_mov_ps(open, v)
            }
        }
        #[inline(always)]
        unsafe fn load_half(self, from: *const f16) -> __m512 {
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
        }
        #[inline(always)]
        unsafe fn store_half(self, to: *mut f16, v: __m512) {
            unsafe {
                let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v);
                _mm256_storeu_si256(to.cast(), halves);
            }
        }
    }

    impl Simd for Avx512 {
        type Narrow = Avx512;
        const ROWS_1: usize = 28;
        const ROWS_2: usize = 14;

        #[inline(always)]
        fn narrow(self) -> Avx512 {
            self
        }
        #[inline(always)]
        unsafe fn store_whole(self, to: *mut i16, v: __m512) {
            unsafe {
                let whole = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v));
                _mm256_storeu_si256(to.cast(), whole);
            }
        }
        #[inline(always)]
        fn div(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        fn spread(self, from: &[f32], steps: &[i32; LANES]) -> __m512 {
            let from = &from[..LANES];
            unsafe {
                let steps = _mm512_loadu_si512(steps.as_ptr().cast());
                _mm512_permutexvar_ps(steps, _mm512_loadu_ps(from.as_ptr()))
            }
        }
        #[inline(always)]
        fn sum(self, v: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(v) }
        }
    }

    /// AVX2, FMA and F16C: two 256-bit vectors make one of ours.
    #[derive(Clone, Copy)]
    pub struct Avx2(());

    impl Avx2 {
        /// # Safety
        /// The CPU must have AVX2, FMA and F16C.
        #[inline(always)]
        pub unsafe fn new() -> Self {
            Avx2(())
        }
    }

    // SAFETY of every block: see the module's comment.
    impl Vectors for Avx2 {
        type V = [__m256; 2];
        const WIDTH: usize = LANES;

        #[inline(always)]
        fn splat(self, x: f32) -> Self::V {
            unsafe { [_mm256_set1_ps(x); 2] }
        }
        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Self::V {
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, v: Self::V) {
            unsafe {
                _mm256_storeu_ps(to, v[0]);
                _mm256_storeu_ps(to.add(8), v[1]);
            }
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn sub(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe {
                [
                    _mm256_fmadd_ps(a[0], b[0], c[0]),
                    _mm256_fmadd_ps(a[1], b[1], c[1]),
                ]
            }
        }
        #[inline(always)]
        fn max(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn min(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn gate(self, v: Self::V, gate: Self::V) -> Self::V {
            unsafe {
                let zero = _mm256_setzero_ps();
                [
                    _mm256_and_ps(v[0], _mm256_cmp_ps::<_CMP_GT_OQ>(gate[0], zero)),
                    _mm256_and_ps(v[1], _mm256_cmp_ps::<_CMP_GT_OQ>(gate[1], zero)),
                ]
            }
        }
        #[inline(always)]
        unsafe fn load_half(self, from: *const f16) -> Self::V {
            let narrow = self.narrow();
            unsafe { [narrow.load_half(from), narrow.load_half(from.add(8))] }
        }
        #[inline(always)]
        unsafe fn store_half(self, to: *mut f16, v: Self::V) {
            let narrow = self.narrow();
            unsafe {
                narrow.store_half(to, v[0]);
                narrow.store_half(to.add(8), v[1]);
            }
        }
    }

    impl Simd for Avx2 {
        type Narrow = Avx2Narrow;
        const ROWS_1: usize = 6;
        const ROWS_2: usize = 0;

        #[inline(always)]
        fn narrow(self) -> Avx2Narrow {
            Avx2Narrow(())
        }
        #[inline(always)]
        fn div(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn spread(self, from: &[f32], steps: &[i32; LANES]) -> Self::V {
            let from = &from[..LANES];
            // Eight steps reach over eight numbers at most.
            let middle = steps[8].clamp(0, 8);
            unsafe {
                let (first, last) = (from.as_ptr(), from.as_ptr().add(middle as usize));
                let (to_first, to_last) = (steps.as_ptr(), steps.as_ptr().add(8));
                let to_last = _mm256_sub_epi32(
                    _mm256_loadu_si256(to_last.cast()),
                    _mm256_set1_epi32(middle),
                );
                [
                    _mm256_permutevar8x32_ps(
                        _mm256_loadu_ps(first),
                        _mm256_loadu_si256(to_first.cast()),
                    ),
                    _mm256_permutevar8x32_ps(_mm256_loadu_ps(last), to_last),
                ]
            }
        }
        #[inline(always)]
        unsafe fn store_whole(self, to: *mut i16, v: Self::V) {
            unsafe {
                let [first, last] = v.map(|v| _mm256_cvtps_epi32(v));
                // Packed half by half: the middle quarters change places.
                let whole =
                    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(first, last));
                _mm256_storeu_si256(to.cast(), whole);
            }
        }
    }

    /// AVX2, FMA and F16C: one 256-bit vector.
    #[derive(Clone, Copy)]
    pub struct Avx2Narrow(());

    // SAFETY of every block: see the module's comment.
    impl Vectors for Avx2Narrow {
        type V = __m256;
        const WIDTH: usize = 8;

        #[inline(always)]
        fn splat(self, x: f32) -> __m256 {
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, v: __m256) {
            unsafe { _mm256_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn load_half(self, from: *const f16) -> __m256 {
            unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
        }
        #[inline(always)]
        unsafe fn store_half(self, to: *mut f16, v: __m256) {
            unsafe {
                let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v);
                _mm_storeu_si128(to.cast(), halves);
            }
        }
        #[inline(always)]
        fn add(self, a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn max(self, a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_min_ps(a, b) }
        }
        #[inline(always)]
        fn gate(self, v: __m256, gate: __m256) -> __m256 {
            unsafe {
                let open = _mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps());
                _mm256_and_ps(v, open)
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub use arm::Neon;

/// NEON is part of every aarch64 CPU, so its intrinsics need no check.
#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{Simd, Vectors};
    use std::arch::aarch64::*;

    /// NEON: four 128-bit vectors make one of ours.
    #[derive(Clone, Copy)]
    pub struct Neon;

    // SAFETY of every block: see the module's comment; loads and stores pass
    // the duty on to their caller.
    impl Vectors for Neon {
        type V = [float32x4_t; 4];
        const WIDTH: usize = super::LANES;

        #[inline(always)]
        fn splat(self, x: f32) -> Self::V {
            unsafe { [vdupq_n_f32(x); 4] }
        }
        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Self::V {
            unsafe { [0, 4, 8, 12].map(|i| vld1q_f32(from.add(i))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, v: Self::V) {
            unsafe {
                for (i, part) in v.into_iter().enumerate() {
                    vst1q_f32(to.add(4 * i), part);
                }
            }
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [0, 1, 2, 3].map(|i| vaddq_f32(a[i], b[i])) }
        }
        #[inline(always)]
        fn sub(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [0, 1, 2, 3].map(|i| vsubq_f32(a[i], b[i])) }
        }
        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [0, 1, 2, 3].map(|i| vmulq_f32(a[i], b[i])) }
        }
        #[inline(always)]
        fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { [0, 1, 2, 3].map(|i| vfmaq_f32(c[i], a[i], b[i])) }
        }
        #[inline(always)]
        fn max(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [0, 1, 2, 3].map(|i| vmaxq_f32(a[i], b[i])) }
        }
        #[inline(always)]
        fn min(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [0, 1, 2, 3].map(|i| vminq_f32(a[i], b[i])) }
        }
        #[inline(always)]
        fn gate(self, v: Self::V, gate: Self::V) -> Self::V {
            unsafe {
                [0, 1, 2, 3].map(|i| {
                    let open = vcgtzq_f32(gate[i]);
                    vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v[i]), open))
                })
            }
        }
    }

    impl Simd for Neon {
        type Narrow = Neon;
        const ROWS_1: usize = 6;
        const ROWS_2: usize = 0;

        #[inline(always)]
        fn narrow(self) -> Neon {
            self
        }
        #[inline(always)]
        fn div(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [0, 1, 2, 3].map(|i| vdivq_f32(a[i], b[i])) }
        }
    }
}
