//! How the size of a convolution's result compares to its input's.

/// A convolution's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The same size: stride 1.
    Same,
    /// Half the size: stride 2.
    Half,
    /// Twice the size: stride 1 over an image whose pixels have been repeated
    /// twice in both directions, or a transposed convolution of stride 2.
    Double,
}
