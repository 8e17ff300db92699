//! The operations of the network: convolution with mirrored or zero borders,
//! transposed convolution, instance normalisation and nearest-neighbour
//! upsampling, with their gradients.
//!
//! Each operation exists twice. [`plain`] writes it in ordinary Candle
//! operations: slow, obvious, on any device. [`Backend::Fast`] runs custom
//! operations with hand-written kernels on the CPU and, in builds with feature
//! `cuda`, on CUDA devices; elsewhere it falls back to [`plain`]. Both take the same arguments and give the same numbers up to rounding, gradients
//! included.
//!
//! All images are tensors of shape `[batch, height, width, channels]`: with a
//! pixel's channels side by side, every kernel works on whole vectors of them.
//! They are `f32`; only our kernels for CUDA devices take any floats and give
//! `f16`, in which their gradients are then, too. Weights are `f32` `[outputs,
//! inputs, height, width]`, as everywhere else.

mod backend;
pub mod cpu;
pub mod cuda;
mod fast;
mod padding;
pub mod plain;
mod size;
mod step;

pub use backend::{Backend, FrozenConv2d};
pub use fast::Products;
pub use padding::{Padding, reflect};
pub use size::Size;
pub use step::Step;
