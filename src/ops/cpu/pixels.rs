//! The pixels of an image inside the network, in either of two sizes.

use super::SharedMut;
use super::simd::Vectors;
use half::f16;

/// Pixels that are read.
#[derive(Clone, Copy)]
pub enum Pixels<'a> {
    /// 32-bit floats.
    Floats(&'a [f32]),
    /// 16-bit floats: half of the memory.
    Halves(&'a [f16]),
}

/// Pixels that are written.
pub enum PixelsMut<'a> {
    /// 32-bit floats.
    Floats(&'a mut [f32]),
    /// 16-bit floats.
    Halves(&'a mut [f16]),
}

impl Pixels<'_> {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Pixels::Floats(numbers) => numbers.len(),
            Pixels::Halves(numbers) => numbers.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PixelsMut<'_> {
    /// The same to read.
    pub fn read(&self) -> Pixels<'_> {
        match self {
            PixelsMut::Floats(numbers) => Pixels::Floats(numbers),
            PixelsMut::Halves(numbers) => Pixels::Halves(numbers),
        }
    }

    /// The same for a shorter time.
    pub fn reborrow(&mut self) -> PixelsMut<'_> {
        match self {
            PixelsMut::Floats(numbers) => PixelsMut::Floats(numbers),
            PixelsMut::Halves(numbers) => PixelsMut::Halves(numbers),
        }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// To be written by several tasks.
    pub(super) fn share(&mut self) -> SharedPixels<'_> {
        match self {
            PixelsMut::Floats(numbers) => SharedPixels::Floats(SharedMut::new(numbers)),
            PixelsMut::Halves(numbers) => SharedPixels::Halves(SharedMut::new(numbers)),
        }
    }
}

/// Pixels that several tasks write, each its own.
#[derive(Clone, Copy)]
pub(super) enum SharedPixels<'a> {
    Floats(SharedMut<'a, f32>),
    Halves(SharedMut<'a, f16>),
}

/// Memory for `f32` as twice as many 16-bit floats.
pub fn as_halves(numbers: &[f32]) -> &[f16] {
    // SAFETY: the same bytes; `f16` is half as large and less strictly aligned, and
    // any bits are a value of it.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), 2 * numbers.len()) }
}

/// [`as_halves`], to write.
pub fn as_halves_mut(numbers: &mut [f32]) -> &mut [f16] {
    // SAFETY: as above, and any bits are a value of `f32`, too.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), 2 * numbers.len()) }
}

/// A number of a pixel, as vectors read and write it.
///
/// # Safety of its functions
/// The caller must own the `count` numbers, at most a vector, that they read or write.
#[allow(clippy::missing_safety_doc)]
pub trait Element: Copy {
    /// Reads `count` numbers; the other lanes are 0.
    unsafe fn load<S: Vectors>(simd: S, from: *const Self, count: usize) -> S::V;
    /// Writes the first `count` numbers.
    unsafe fn store<S: Vectors>(simd: S, to: *mut Self, v: S::V, count: usize);
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<S: Vectors>(simd: S, from: *const f32, count: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe { simd.load_first(from, count) }
    }
    #[inline(always)]
    unsafe fn store<S: Vectors>(simd: S, to: *mut f32, v: S::V, count: usize) {
        // SAFETY: the caller's.
        unsafe { simd.store_first(to, v, count) }
    }
}

impl Element for f16 {
    #[inline(always)]
    unsafe fn load<S: Vectors>(simd: S, from: *const f16, count: usize) -> S::V {
        if count == S::WIDTH {
            // SAFETY: the caller's.
            return unsafe { simd.load_half(from) };
        }
        let mut buffer = [f16::ZERO; super::LANES];
        // SAFETY: the caller's, and the buffer holds a vector.
        unsafe {
            std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), count);
            simd.load_half(buffer.as_ptr())
        }
    }
    /// What is too large becomes the largest number.
    #[inline(always)]
    unsafe fn store<S: Vectors>(simd: S, to: *mut f16, v: S::V, count: usize) {
        let largest = f16::MAX.to_f32();
        let v = simd.min(simd.max(v, simd.splat(-largest)), simd.splat(largest));
        if count == S::WIDTH {
            // SAFETY: the caller's.
            return unsafe { simd.store_half(to, v) };
        }
        let mut buffer = [f16::ZERO; super::LANES];
        // SAFETY: the caller's, and the buffer holds a vector.
        unsafe {
            simd.store_half(buffer.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(buffer.as_ptr(), to, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cpu::simd::Simd;
    use crate::ops::cpu::{Kernel, LANES, Level};

    /// Numbers to 16 bits and back, by wide and by narrow vectors.
    struct Through<'a>(&'a [f32; LANES]);

    impl Kernel for Through<'_> {
        type Output = [[f32; LANES]; 2];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            [through(simd, self.0), through(simd.narrow(), self.0)]
        }
    }

    #[inline(always)]
    fn through<S: Vectors>(simd: S, numbers: &[f32; LANES]) -> [f32; LANES] {
        let (mut halves, mut back) = ([f16::ZERO; LANES], [0.0; LANES]);
        for at in (0..LANES).step_by(S::WIDTH) {
            // One number less than there is room for, the first time.
            let count = if at == 0 { S::WIDTH - 1 } else { S::WIDTH };
            // SAFETY: within the arrays.
            unsafe {
                let v = simd.load(numbers.as_ptr().add(at));
                f16::store(simd, halves.as_mut_ptr().add(at), v, count);
                let v = f16::load(simd, halves.as_ptr().add(at), S::WIDTH);
                f32::store(simd, back.as_mut_ptr().add(at), v, S::WIDTH);
            }
        }
        back
    }

    #[test]
    fn every_level_rounds_to_16_bits() {
        let mut numbers = std::array::from_fn(|i| (i as f32 - 7.3) * 1.37);
        (numbers[1], numbers[2], numbers[3]) = (1e9, -1e9, 1e-9);
        for level in Level::available() {
            for (back, skipped) in level.run(Through(&numbers)).into_iter().zip([15, 7]) {
                assert_eq!(back[1..4], [65504.0, -65504.0, 0.0], "{level}");
                for i in (4..LANES).filter(|i| ![7, 15].contains(i)) {
                    let off = (back[i] - numbers[i]).abs();
                    assert!(off <= numbers[i].abs() / 2048.0, "{level}: {off}");
                }
                if level != Level::Avx2 {
                    assert_eq!(back[15], 0.0, "{level}: beyond the count");
                } else {
                    assert_eq!(back[skipped], 0.0, "{level}: beyond the count");
                }
            }
        }
    }
}
