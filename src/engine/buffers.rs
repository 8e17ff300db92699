//! Where images lie on their way through the network.
//!
//! Two buffers suffice. A layer reads its input in one and writes its result to
//! the start of the other, and so on, to and fro. What a residual block keeps
//! stays in the one; the results of its two layers lie side by side in the
//! other, and the second is added to what was kept.

use crate::network::Residual;

/// How long the two buffers must be, from each layer's place in a residual block
/// and the length of its result. The first layer writes to the first buffer.
pub fn lengths(layers: impl Iterator<Item = (Residual, usize)>) -> [usize; 2] {
    let mut lengths = [0; 2];
    let (mut from, mut to) = (1, 0);
    let mut input = 0;
    for (residual, result) in layers {
        let needed = match residual {
            Residual::Second => result.saturating_add(input),
            Residual::Outside | Residual::First => result,
        };
        lengths[to] = needed.max(lengths[to]);
        input = result;
        if residual == Residual::Outside {
            std::mem::swap(&mut from, &mut to);
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocks_results_lie_side_by_side() {
        use Residual::{First, Outside, Second};
        let layers = [
            (Outside, 10),
            (Outside, 4),
            (Outside, 3),
            (First, 3),
            (Second, 3),
            (Outside, 5),
        ];
        assert_eq!(lengths(layers.into_iter()), [10, 6]);
    }
}
