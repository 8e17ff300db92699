//! The products that are compiled: `kernels/training/product_tilings.h` in Rust.

use crate::ops::cuda::Limits;
use std::sync::LazyLock;

/// What a product is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductKind {
    /// A convolution, or the gradient of its input.
    Product,
    /// The gradient of its weights.
    WeightGradient,
}

/// What a kernel computes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductTiling {
    /// What for.
    pub kind: ProductKind,
    /// Whether channels must be multiples of 8.
    pub aligned: bool,
    /// Columns of a block.
    pub columns: usize,
    warps_down: usize,
    warps_across: usize,
    /// Groups of 16 rows of a warp.
    groups: usize,
}

/// Numbers of the inner dimension that are multiplied at a time.
pub const CHUNK: usize = 32;

/// How many of them are in shared memory.
const STAGES: usize = 3;

/// Lines `KIND(alignment, number, ...)`.
static SHAPES: LazyLock<Vec<ProductTiling>> = LazyLock::new(|| {
    let table = include_str!("../kernels/training/product_tilings.h");
    table.lines().filter_map(ProductTiling::parse).collect()
});

impl ProductTiling {
    fn parse(line: &str) -> Option<ProductTiling> {
        let (kind, rest) = match line.strip_prefix("PRODUCT(") {
            Some(rest) => (ProductKind::Product, rest),
            None => (
                ProductKind::WeightGradient,
                line.strip_prefix("WEIGHT_GRADIENT(")?,
            ),
        };
        let (alignment, numbers) = rest.strip_suffix(')')?.split_once(',')?;
        let numbers: Vec<usize> = numbers
            .split(',')
            .map(|number| number.trim().parse().ok())
            .collect::<Option<_>>()?;
        let [columns, warps_down, warps_across, groups, _] = numbers[..] else {
            return None;
        };
        Some(ProductTiling {
            kind,
            aligned: alignment == "ALIGNED",
            columns,
            warps_down,
            warps_across,
            groups,
        })
    }

    /// All that are compiled.
    pub fn all() -> &'static [ProductTiling] {
        &SHAPES
    }

    /// The narrowest that has all columns in one block, or the widest there is.
    pub fn fitting(
        kind: ProductKind,
        aligned: bool,
        columns: usize,
        limits: Limits,
    ) -> ProductTiling {
        let mut fitting: Vec<ProductTiling> = ProductTiling::all()
            .iter()
            .filter(|s| s.kind == kind && s.aligned == aligned)
            .filter(|s| s.shared() <= limits.shared as usize)
            .copied()
            .collect();
        fitting.sort_by_key(|shape| shape.columns);
        let wide_enough = fitting.iter().find(|shape| shape.columns >= columns);
        // The narrowest ones fit in 48 KiB, which every device has.
        *wide_enough
            .or(fitting.last())
            .unwrap_or(&ProductTiling::all()[0])
    }

    /// The kernel's name.
    pub fn kernel(self) -> String {
        let kind = match self.kind {
            ProductKind::Product => "multiply",
            ProductKind::WeightGradient => "weight_gradient",
        };
        let alignment = if self.aligned { "ALIGNED" } else { "ANY" };
        format!("{kind}_{alignment}_{}", self.columns)
    }

    /// Rows of a block.
    pub fn rows(self) -> usize {
        self.warps_down * self.groups * 16
    }

    /// Threads of a block.
    pub fn threads(self) -> u32 {
        (32 * self.warps_down * self.warps_across) as u32
    }

    /// Bytes of shared memory, as `ProductShape::SHARED` and
    /// `WeightShape::SHARED` in `kernels/training/`.
    pub fn shared(self) -> usize {
        match self.kind {
            ProductKind::Product => {
                STAGES * (self.rows() + self.columns) * (2 * CHUNK + 16) + self.rows() * 12
            }
            ProductKind::WeightGradient => {
                STAGES * CHUNK * ((2 * self.rows() + 16) + (2 * self.columns + 16))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = include_str!("../kernels/training/product_tilings.h").lines();
        let is_shape = |l: &&str| l.starts_with("PRODUCT") || l.starts_with("WEIGHT_GRADIENT");
        assert_eq!(ProductTiling::all().len(), lines.filter(is_shape).count());
    }

    #[test]
    fn every_device_has_a_kernel_for_all_channels() {
        // Compute capability 9.0, 8.0 and 8.6.
        for shared in [227 << 10, 163 << 10, 99 << 10] {
            let limits = Limits {
                multiprocessors: 1,
                shared,
            };
            for kind in [ProductKind::Product, ProductKind::WeightGradient] {
                for (aligned, columns, expected) in [
                    (true, 3, 16),
                    (true, 20, 32),
                    (true, 64, 64),
                    (true, 96, 128),
                    (true, 512, 128),
                    (false, 3, 16),
                    (false, 128, 64),
                ] {
                    let shape = ProductTiling::fitting(kind, aligned, columns, limits);
                    assert_eq!((shape.kind, shape.aligned), (kind, aligned));
                    assert_eq!(shape.columns, expected, "{kind:?} {aligned} {columns}");
                }
            }
        }
    }

    #[test]
    fn two_blocks_fit_on_a_multiprocessor() {
        for shape in ProductTiling::all() {
            assert!(2 * shape.shared() <= 163 << 10, "{shape:?}");
        }
    }
}
