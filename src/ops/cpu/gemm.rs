//! The matrix product under every convolution: a few rows of A, anywhere in
//! memory, times one or two vectors of columns of B, summed in registers.

use super::LANES;
use super::simd::Simd;

/// The product `C = A * B` of some rows and up to two vectors of columns.
///
/// The depth (the dimension summed over) is cut into `segments` of `depth`
/// steps, so that A can be a window of an image: one segment a window row.
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
    /// What C starts from.
    pub start: Start,
    /// Whether C's negative elements become 0.
    pub relu: bool,
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
    /// Computes it.
    ///
    /// # Safety
    /// All of A, B and C as described must lie in memory that the caller may
    /// read (A, B, bias) and alone may write (C).
    #[inline(always)]
    pub unsafe fn run<S: Simd>(mut self, simd: S) {
        let two = self.columns > LANES;
        let limit = if two { S::ROWS_2 } else { S::ROWS_1 };
        // Strips of equal height: 15 rows are 8 and 7, not 14 and 1.
        let strips = self.rows.div_ceil(limit).max(1);
        let (mut left, height) = (self.rows, self.rows.div_ceil(strips));
        while left > 0 {
            self.rows = height.min(left);
            // SAFETY: a part of what the caller vouches for.
            unsafe {
                match (two, self.a_row == 1) {
                    (true, true) => self.strip::<S, 2, true>(simd),
                    (true, false) => self.strip::<S, 2, false>(simd),
                    (false, true) => self.strip::<S, 1, true>(simd),
                    (false, false) => self.strip::<S, 1, false>(simd),
                }
            }
            left -= self.rows;
            self.a = self.a.wrapping_add(self.rows * self.a_row);
            self.c = self.c.wrapping_add(self.rows * self.c_row);
        }
    }

    #[inline(always)]
    unsafe fn strip<S: Simd, const V: usize, const ROWS_ADJACENT: bool>(&self, simd: S) {
        macro_rules! by_rows {
            ($($rows:literal)*) => {
                match self.rows {
                    // SAFETY: as for `run`.
                    $($rows => unsafe { self.kernel::<S, $rows, V, ROWS_ADJACENT>(simd) },)*
                    _ => unreachable!("a strip has 1 to 28 rows"),
                }
            };
        }
        if V == 2 {
            by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
        } else {
            by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28)
        }
    }

    #[inline(always)]
    unsafe fn kernel<S: Simd, const R: usize, const V: usize, const ROWS_ADJACENT: bool>(
        &self,
        simd: S,
    ) {
        if R > if V == 2 { S::ROWS_2 } else { S::ROWS_1 } {
            return; // Never asked for: spares the code.
        }
        // One stride is 1, and the compiler should know.
        let (a_row, a_depth) = match ROWS_ADJACENT {
            true => (1, self.a_depth),
            false => (self.a_row, 1),
        };
        debug_assert!(ROWS_ADJACENT || self.a_depth == 1);
        let last = self.columns - (V - 1) * LANES;
        // SAFETY: `run`'s contract.
        unsafe {
            let mut sums = self.start_sums::<S, R, V>(simd, last);
            let mut b = self.b;
            for segment in 0..self.segments {
                let mut a = self.a.add(segment * self.a_segment);
                for _ in 0..self.depth {
                    let mut columns = [simd.splat(0.0); V];
                    for v in 0..V {
                        columns[v] = if self.b_padded || v + 1 < V {
                            simd.load(b.add(v * LANES))
                        } else {
                            simd.load_first(b.add(v * LANES), last)
                        };
                    }
                    for r in 0..R {
                        let x = simd.splat(*a.add(r * a_row));
                        for v in 0..V {
                            sums[r][v] = simd.fma(x, columns[v], sums[r][v]);
                        }
                    }
                    a = a.wrapping_add(a_depth);
                    b = b.wrapping_add(self.b_depth);
                }
            }
            for r in 0..R {
                for v in 0..V {
                    let mut y = sums[r][v];
                    if self.relu {
                        y = simd.max(y, simd.splat(0.0));
                    }
                    let to = self.c.add(r * self.c_row + v * LANES);
                    simd.store_first(to, y, if v + 1 < V { LANES } else { last });
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn start_sums<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        last: usize,
    ) -> [[S::V; V]; R] {
        let mut sums = [[simd.splat(0.0); V]; R];
        for r in 0..R {
            for v in 0..V {
                // SAFETY: `run`'s contract.
                unsafe {
                    match self.start {
                        Start::Zero => {}
                        Start::Bias(bias) => sums[r][v] = simd.load(bias.add(v * LANES)),
                        Start::Accumulate => {
                            let c = self.c.add(r * self.c_row + v * LANES);
                            let count = if v + 1 < V { LANES } else { last };
                            sums[r][v] = simd.load_first(c, count);
                        }
                    }
                }
            }
        }
        sums
    }
}
