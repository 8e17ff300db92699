//! What a picture's size decides: where every convolution finds its pixels.

use crate::network::Architecture;
use crate::ops::cpu::conv::border;
use crate::ops::{Padding, reflect};

/// The source row of each padded row, the source column of each padded column.
#[derive(Default)]
pub struct Border {
    pub rows: Vec<i32>,
    pub columns: Vec<i32>,
}

impl Border {
    fn new((height, width): (usize, usize), table: impl Fn(usize) -> Vec<i32>) -> Self {
        Border {
            rows: table(height),
            columns: table(width),
        }
    }
}

/// The network for pictures of one size.
#[derive(Default)]
pub struct Plan {
    /// Height and width of the picture.
    picture: (usize, usize),
    /// Height and width inside the network at full, half and quarter size:
    /// the picture's, rounded up to what divides by 4.
    pub sizes: [(usize, usize); 3],
    /// Around the picture: for the first layer.
    pub first: Border,
    /// The two of stride 2.
    pub down: [Border; 2],
    /// The residual blocks.
    pub residual: Border,
    /// The two that enlarge.
    pub up: [Border; 2],
    /// The last layer.
    pub last: Border,
}

impl Plan {
    /// The plan for pictures of `picture` (height, width), where the outer
    /// convolutions want `outer` pixels beyond the picture in all.
    pub fn new(architecture: &Architecture, outer: usize, picture: (usize, usize)) -> Self {
        let full = full_size(picture);
        let sizes = [1, 2, 4].map(|divisor| (full.0 / divisor, full.1 / divisor));
        let inner_reach = architecture.inner_kernel / 2;
        let inner = |len| border(len, Padding::Reflect, (inner_reach, inner_reach));
        let enlarged = |len| enlarged_border(len, inner_reach);
        let outer_reach = architecture.outer_kernel / 2;
        let outer = |len| outer_border(len, outer_reach, outer);
        let [full, half, quarter] = sizes;
        let mirrored = |table: Vec<i32>, len| {
            let mirror = |i| reflect(i as isize, len) as i32;
            table.into_iter().map(mirror).collect()
        };
        Plan {
            picture,
            sizes,
            first: Border {
                rows: mirrored(outer(full.0), picture.0),
                columns: mirrored(outer(full.1), picture.1),
            },
            down: [Border::new(full, inner), Border::new(half, inner)],
            residual: Border::new(quarter, inner),
            up: [Border::new(quarter, enlarged), Border::new(half, enlarged)],
            last: Border::new(full, outer),
        }
    }

    /// Whether this is the plan for pictures of `picture` (height, width).
    pub fn fits(&self, picture: (usize, usize)) -> bool {
        self.picture == picture
    }
}

/// Height and width inside the network for a picture of `picture`.
pub fn full_size(picture: (usize, usize)) -> (usize, usize) {
    (picture.0.next_multiple_of(4), picture.1.next_multiple_of(4))
}

/// How far from a pixel of the result the pixels of the picture can be that it
/// depends on, rounded up to a multiple of 4.
///
/// With a reach of `outer` and `inner` pixels of the two kinds of kernels: each
/// block's two reach `4 * inner` pixels at full size, the enlarging ones
/// `inner` and `2 * inner` and, since they take whole pixels of half the size,
/// up to 1 and 2 more; the shrinking ones `2 * inner` and `inner`.
pub fn reach(architecture: &Architecture) -> usize {
    let outer = architecture.outer_kernel / 2;
    let inner = architecture.inner_kernel / 2;
    let blocks = 8 * architecture.residual_blocks * inner;
    (2 * outer + 6 * inner + 3 + blocks).next_multiple_of(4)
}

/// A border of `reach` before and as much after that as makes it `outer` pixels.
fn outer_border(len: usize, reach: usize, outer: usize) -> Vec<i32> {
    let mut table = border(len, Padding::Reflect, (reach, reach));
    // What zeros in the kernel meet.
    table.resize(len + outer, 0);
    table
}

/// A line of `len` pixels, each of which counts twice, mirrored `reach` pixels
/// beyond both ends. With a reach of one, nothing but whole pixels: the mirror
/// of a doubled pixel's second half is its first.
fn enlarged_border(len: usize, reach: usize) -> Vec<i32> {
    if reach == 1 {
        let last = len as i32 - 1;
        return (-1..=last + 1).map(|i| i.clamp(0, last)).collect();
    }
    let table = border(2 * len, Padding::Reflect, (reach, reach));
    table.into_iter().map(|i| i / 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_mirror() {
        assert_eq!(outer_border(4, 3, 8), [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 0, 0]);
        assert_eq!(enlarged_border(3, 1), [0, 0, 1, 2, 2]);
        assert_eq!(enlarged_border(2, 2), [1, 0, 0, 0, 1, 1, 1, 0]);
    }

    /// From the result's pixel `first` back to the first pixel of the picture
    /// that it depends on, layer by layer.
    fn first_source(architecture: &Architecture, first: isize) -> isize {
        let outer = (architecture.outer_kernel / 2) as isize;
        let inner = (architecture.inner_kernel / 2) as isize;
        let mut pixel = first - outer;
        for _ in 0..2 {
            pixel = (pixel - inner).div_euclid(2);
        }
        pixel -= 2 * inner * architecture.residual_blocks as isize;
        for _ in 0..2 {
            pixel = 2 * pixel - inner;
        }
        pixel - outer
    }

    #[test]
    fn nothing_is_beyond_reach() {
        for residual_blocks in [0, 1, 5] {
            for (outer_kernel, inner_kernel) in [(9, 3), (3, 1), (15, 5), (1, 15)] {
                let architecture = Architecture {
                    residual_blocks,
                    outer_kernel,
                    inner_kernel,
                    ..Architecture::default()
                };
                let reach = reach(&architecture) as isize;
                let farthest = (100..104).map(|i| i - first_source(&architecture, i)).max();
                let farthest = farthest.unwrap_or_default();
                assert!(
                    (farthest..farthest + 4).contains(&reach),
                    "{architecture:?}"
                );
            }
        }
    }

    #[test]
    fn the_first_layer_sees_the_picture_mirrored_to_a_multiple_of_4() {
        let plan = Plan::new(&Architecture::with_width(4), 8, (3, 5));
        assert_eq!(plan.sizes, [(4, 8), (2, 4), (1, 2)]);
        assert_eq!(plan.first.rows, [2, 1, 2, 1, 0, 1, 2, 1, 2, 1, 0, 1]);
        assert!(plan.fits((3, 5)) && !plan.fits((5, 3)));
    }
}
