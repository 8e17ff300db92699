//! The matrix product under every convolution: a few rows of A, anywhere in
//! memory, times one or two vectors of columns of B, summed in registers.

use super::LANES;
use super::arithmetic::{Arithmetic, Floats};
#[cfg(target_arch = "x86_64")]
use super::arithmetic::{MaddPairs, VnniPairs, VnniPairs256};
#[cfg(target_arch = "aarch64")]
use super::simd::Neon;
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Plain, Simd};

/// Matrix products with the vectors of a CPU level, compiled once for each.
pub trait Gemm: Simd {
    /// Computes a matrix product.
    ///
    /// # Safety
    /// All of A, B and C as described must lie in memory that the caller may
    /// read (A, B, bias) and alone may write (C).
    unsafe fn product(self, product: Product);

    /// Computes a matrix product whose elements are two `i16` each.
    ///
    /// # Safety
    /// As for [`Self::product`].
    unsafe fn product_of_pairs(self, product: Product) {
        // SAFETY: the caller's.
        unsafe { product.run_on_pairs() }
    }
}

impl Gemm for Plain {
    #[inline(always)]
    unsafe fn product(self, product: Product) {
        // SAFETY: the caller's.
        unsafe { product.run::<_, Floats>(self) }
    }
}

/// NEON is part of every aarch64 CPU, so no function of its own is needed.
#[cfg(target_arch = "aarch64")]
impl Gemm for Neon {
    #[inline(always)]
    unsafe fn product(self, product: Product) {
        // SAFETY: the caller's.
        unsafe { product.run::<_, Floats>(self) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Gemm for Avx2 {
    #[inline(always)]
    unsafe fn product(self, product: Product) {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn run(simd: Avx2, product: Product) {
            // SAFETY: the caller's.
            unsafe { product.run::<_, Floats>(simd) }
        }
        // SAFETY: the token shows that the CPU has AVX2 and FMA; the rest is
        // the caller's.
        unsafe { run(self, product) }
    }

    #[inline(always)]
    unsafe fn product_of_pairs(self, product: Product) {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn run(simd: Avx2, product: Product) {
            // SAFETY: the caller's.
            unsafe { product.run::<_, MaddPairs>(simd) }
        }
        #[target_feature(enable = "avxvnni,avx2,fma")]
        unsafe fn run_vnni(simd: Avx2, product: Product) {
            // SAFETY: the caller's.
            unsafe { product.run::<_, VnniPairs256>(simd) }
        }
        // SAFETY: as above; the CPU has AVX-VNNI where `run_vnni` is called.
        unsafe {
            match is_x86_feature_detected!("avxvnni") {
                true => run_vnni(self, product),
                false => run(self, product),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Gemm for Avx512 {
    #[inline(always)]
    unsafe fn product(self, product: Product) {
        #[target_feature(enable = "avx512f,avx2,fma")]
        unsafe fn run(simd: Avx512, product: Product) {
            // SAFETY: the caller's.
            unsafe { product.run::<_, Floats>(simd) }
        }
        // SAFETY: the token shows that the CPU has AVX-512F; the rest is the
        // caller's.
        unsafe { run(self, product) }
    }

    #[inline(always)]
    unsafe fn product_of_pairs(self, product: Product) {
        #[target_feature(enable = "avx512f,avx512vnni,avx2,fma")]
        unsafe fn run(simd: Avx512, product: Product) {
            // SAFETY: the caller's.
            unsafe { product.run::<_, VnniPairs>(simd) }
        }
        // SAFETY: as above; the CPU has VNNI where `run` is called.
        unsafe {
            // A branch that is always taken, or never.
            match is_x86_feature_detected!("avx512vnni") {
                true => run(self, product),
                false => product.run_on_pairs(),
            }
        }
    }
}

/// The product `C = A * B` of some rows and up to two vectors of columns.
///
/// The depth (the dimension summed over) is cut into `segments` of `depth`
/// steps, so that A can be a window of an image: one segment a window row.
///
/// Elements of A and B are what an `Arithmetic` multiplies, 32 bits each.
#[derive(Clone, Copy)]
pub struct Product {
    /// Row 0 of A at depth 0.
    pub a: *const f32,
    /// From a row of A to the next.
    pub a_row: usize,
    /// From a step of depth to the next.
    pub a_depth: usize,
    /// From a segment to the next.
    pub a_segment: usize,
    /// Number of segments.
    pub segments: usize,
    /// Steps in a segment.
    pub depth: usize,
    /// Row 0 of B.
    pub b: *const f32,
    /// From a row of B to the next; rows follow on across segments.
    pub b_depth: usize,
    /// Row 0 of C.
    pub c: *mut f32,
    /// From a row of C to the next.
    pub c_row: usize,
    /// Rows of A and C.
    pub rows: usize,
    /// Columns of C that are written, at most two vectors.
    pub columns: usize,
    /// Whether rows of B may be read to the end of the vector, whatever `columns` says.
    pub b_padded: bool,
    /// What C starts from; nothing, unless the elements are `f32`.
    pub start: Start,
    /// What C is multiplied by in the end.
    pub scale: Option<Scale>,
    /// Whether C's negative elements become 0.
    pub relu: bool,
}

/// The height of a strip: `wanted` or a little more, or less where fewer rows
/// are left. Not every height is compiled, to keep the program small.
#[inline(always)]
fn compiled_rows(wanted: usize, left: usize) -> usize {
    let step = match wanted {
        0..=6 => 1,
        7..=16 => 2,
        _ => 4,
    };
    match wanted.next_multiple_of(step) {
        rows if rows <= left => rows,
        _ => wanted / step * step,
    }
}

/// A factor for all of C, and one a column, padded to whole vectors.
#[derive(Clone, Copy)]
pub struct Scale {
    /// The factor for all of C.
    pub all: f32,
    /// One factor for each column.
    pub columns: *const f32,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub enum Start {
    /// Nothing.
    Zero,
    /// One number a column, padded to whole vectors.
    Bias(*const f32),
    /// What C holds.
    Accumulate,
}

impl Product {
    /// Computes it, inlined into [`Gemm::product`].
    ///
    /// # Safety
    /// As for [`Gemm::product`].
    #[inline(always)]
    unsafe fn run<S: Simd, E: Arithmetic<S>>(self, simd: S) {
        // SAFETY: the caller's, and all of the product or parts of it.
        unsafe {
            if S::ROWS_2 == 0 && self.columns > LANES {
                let [first, second] = self.vectors();
                first.run_strips::<S, E>(simd);
                second.run_strips::<S, E>(simd);
            } else {
                self.run_strips::<S, E>(simd);
            }
        }
    }

    /// The products with each of two vectors of columns.
    #[inline(always)]
    fn vectors(self) -> [Self; 2] {
        let first = Product {
            columns: LANES,
            ..self
        };
        let second = Product {
            b: self.b.wrapping_add(LANES),
            c: self.c.wrapping_add(LANES),
            columns: self.columns - LANES,
            start: match self.start {
                Start::Bias(bias) => Start::Bias(bias.wrapping_add(LANES)),
                start => start,
            },
            scale: self.scale.map(|scale| Scale {
                columns: scale.columns.wrapping_add(LANES),
                ..scale
            }),
            ..self
        };
        [first, second]
    }

    /// Computes it, strip by strip of its rows.
    ///
    /// # Safety
    /// As for [`Gemm::product`].
    #[inline(always)]
    unsafe fn run_strips<S: Simd, E: Arithmetic<S>>(mut self, simd: S) {
        let two = self.columns > LANES;
        let limit = if two { S::ROWS_2 } else { E::ROWS_1 };
        // Strips of about equal height: 15 rows are 8 and 7, not 14 and 1.
        let mut left = self.rows;
        while left > 0 {
            let strips = left.div_ceil(limit);
            self.rows = compiled_rows(left.div_ceil(strips), left);
            // SAFETY: a part of what the caller vouches for.
            unsafe {
                match (two, self.a_row == 1) {
                    (true, true) => self.strip::<S, E, 2, true>(simd),
                    (true, false) => self.strip::<S, E, 2, false>(simd),
                    (false, true) => self.strip::<S, E, 1, true>(simd),
                    (false, false) => self.strip::<S, E, 1, false>(simd),
                }
            }
            left -= self.rows;
            self.a = self.a.wrapping_add(self.rows * self.a_row);
            self.c = self.c.wrapping_add(self.rows * self.c_row);
        }
    }

    /// The product of elements that are two `i16` each, whose sum stops at the
    /// ends of 32 bits: on any CPU, slowly.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn run_on_pairs(self) {
        assert_eq!(self.segments, 1);
        // SAFETY: the caller's, for each element.
        let pair = |at: *const f32| unsafe { at.cast::<[i16; 2]>().read().map(i32::from) };
        for row in 0..self.rows {
            for column in 0..self.columns {
                let mut sum = 0i32;
                for k in 0..self.depth {
                    let a = pair(self.a.wrapping_add(row * self.a_row + k * self.a_depth));
                    let b = pair(self.b.wrapping_add(k * self.b_depth + column));
                    sum = sum.saturating_add((a[0] * b[0]).saturating_add(a[1] * b[1]));
                }
                let scale = self.scale.map_or(1.0, |Scale { all, columns }| {
                    // SAFETY: the caller's.
                    all * unsafe { *columns.add(column) }
                });
                // SAFETY: the caller's.
                unsafe { *self.c.add(row * self.c_row + column) = sum as f32 * scale };
            }
        }
    }

    #[inline(always)]
    unsafe fn strip<S, E, const V: usize, const ROWS_ADJACENT: bool>(&self, simd: S)
    where
        S: Simd,
        E: Arithmetic<S>,
    {
        // SAFETY: as for `run`.
        unsafe {
            match self.rows {
                1 => self.kernel_1::<S, E, V, ROWS_ADJACENT>(simd),
                2 => self.kernel_2::<S, E, V, ROWS_ADJACENT>(simd),
                3 => self.kernel_3::<S, E, V, ROWS_ADJACENT>(simd),
                4 => self.kernel_4::<S, E, V, ROWS_ADJACENT>(simd),
                5 => self.kernel_5::<S, E, V, ROWS_ADJACENT>(simd),
                6 => self.kernel_6::<S, E, V, ROWS_ADJACENT>(simd),
                8 => self.kernel_8::<S, E, V, ROWS_ADJACENT>(simd),
                10 => self.kernel_10::<S, E, V, ROWS_ADJACENT>(simd),
                12 => self.kernel_12::<S, E, V, ROWS_ADJACENT>(simd),
                14 => self.kernel_14::<S, E, V, ROWS_ADJACENT>(simd),
                16 => self.kernel_16::<S, E, V, ROWS_ADJACENT>(simd),
                20 => self.kernel_20::<S, E, V, ROWS_ADJACENT>(simd),
                24 => self.kernel_24::<S, E, V, ROWS_ADJACENT>(simd),
                28 => self.kernel_28::<S, E, V, ROWS_ADJACENT>(simd),
                // `compiled_rows` gives no others.
                rows => unreachable!("a strip of {rows} rows"),
            }
        }
    }

    /// What C starts from, at a row and vector.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(always)]
    unsafe fn start<S: Simd>(&self, simd: S, row: usize, v: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe {
            match self.start {
                Start::Zero => simd.splat(0.0),
                Start::Bias(bias) => simd.load(bias.add(v * LANES)),
                Start::Accumulate => {
                    let count = LANES.min(self.columns - v * LANES);
                    simd.load_first(self.c.add(row * self.c_row + v * LANES), count)
                }
            }
        }
    }

    /// What each column of vectors of C is multiplied by.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(always)]
    unsafe fn scales<S: Simd, const V: usize>(&self, simd: S) -> [S::V; V] {
        let mut scales = [simd.splat(1.0); V];
        if let Some(Scale { all, columns }) = self.scale {
            for v in 0..V {
                // SAFETY: the caller's.
                let columns = unsafe { simd.load(columns.add(v * LANES)) };
                scales[v] = simd.mul(columns, simd.splat(all));
            }
        }
        scales
    }

    /// Writes a vector of C.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, simd: S, (row, v): (usize, usize), scale: S::V, y: S::V) {
        let mut y = y;
        if self.scale.is_some() {
            y = simd.mul(y, scale);
        }
        if self.relu {
            y = simd.max(y, simd.splat(0.0));
        }
        let count = LANES.min(self.columns - v * LANES);
        // SAFETY: the caller's.
        unsafe { simd.store_first(self.c.add(row * self.c_row + v * LANES), y, count) };
    }
}

/// A kernel for a number of rows. Rows are written out, not looped over: sums
/// that any loop reaches by an index would live in memory, at half the speed.
macro_rules! kernels {
    ($($name:ident: $count:literal = $($row:literal)*;)*) => {
        impl Product {
            $(
                #[inline(always)]
                unsafe fn $name<S, E, const V: usize, const ROWS_ADJACENT: bool>(&self, simd: S)
                where
                    S: Simd,
                    E: Arithmetic<S>,
                {
                    if $count > if V == 2 { S::ROWS_2 } else { E::ROWS_1 } {
                        return; // Never asked for: spares the code.
                    }
                    // One stride is 1, and the compiler should know.
                    let (a_row, a_depth) = match ROWS_ADJACENT {
                        true => (1, self.a_depth),
                        false => (self.a_row, 1),
                    };
                    debug_assert!(ROWS_ADJACENT || self.a_depth == 1);
                    let last = self.columns - (V - 1) * LANES;
                    let mut sums = [[E::zero(simd); V]; $count];
                    // SAFETY: `run`'s contract.
                    unsafe {
                        if !matches!(self.start, Start::Zero) {
                            $(for v in 0..V {
                                sums[$row][v] = E::start(simd, self.start(simd, $row, v));
                            })*
                        }
                        let mut b = self.b;
                        for segment in 0..self.segments {
                            let mut a = self.a.add(segment * self.a_segment);
                            for _ in 0..self.depth {
                                let mut columns = [E::zero(simd); V];
                                for v in 0..V {
                                    columns[v] = if self.b_padded || v + 1 < V {
                                        E::load(simd, b.add(v * LANES))
                                    } else {
                                        E::load_first(simd, b.add(v * LANES), last)
                                    };
                                }
                                $(
                                    let x = E::broadcast(simd, a.add($row * a_row));
                                    for v in 0..V {
                                        sums[$row][v] = E::multiply_add(simd, x, columns[v], sums[$row][v]);
                                    }
                                )*
                                a = a.wrapping_add(a_depth);
                                b = b.wrapping_add(self.b_depth);
                            }
                        }
                        let scales = self.scales::<S, V>(simd);
                        $(for v in 0..V {
                            let y = E::finish(simd, sums[$row][v]);
                            self.finish(simd, ($row, v), scales[v], y);
                        })*
                    }
                }
            )*
        }
    };
}

kernels! {
    kernel_1: 1 = 0;
    kernel_2: 2 = 0 1;
    kernel_3: 3 = 0 1 2;
    kernel_4: 4 = 0 1 2 3;
    kernel_5: 5 = 0 1 2 3 4;
    kernel_6: 6 = 0 1 2 3 4 5;
    kernel_8: 8 = 0 1 2 3 4 5 6 7;
    kernel_10: 10 = 0 1 2 3 4 5 6 7 8 9;
    kernel_12: 12 = 0 1 2 3 4 5 6 7 8 9 10 11;
    kernel_14: 14 = 0 1 2 3 4 5 6 7 8 9 10 11 12 13;
    kernel_16: 16 = 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15;
    kernel_20: 20 = 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19;
    kernel_24: 24 = 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23;
    kernel_28: 28 = 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27;
}
