//! What training runs on CUDA devices: the operations of `ops`
//! and their gradients as launches of kernels.
//!
//! Between operations images and their gradients are 16-bit floats
//! `[batch, height, width, channels]` with the true number of channels, weights
//! and what is learned 32-bit ones; so are all sums. Images lie at multiples of
//! 16 bytes.
//!
//! Functions here say what to launch, given where everything lies. The memory
//! that launches need beside that they take from a [`Scratch`].

pub mod convolution;
#[cfg(feature = "cuda")]
pub mod custom;
pub mod norm;
pub mod pixels;
mod product_tiling;
#[cfg(feature = "cuda")]
mod stream;

use super::parameters::{Address, Parameters};
use super::{Launch, Limits};

pub use product_tiling::{ProductKind, ProductTiling};

/// Memory that is given out piece by piece, none of it ever back.
#[derive(Debug, Default)]
pub struct Scratch {
    start: Address,
    used: usize,
}

impl Scratch {
    /// Gives out what lies from `start` on. With [`Scratch::default`] nothing
    /// does: that is to learn how much will be [used](Scratch::used).
    pub fn from(start: Address) -> Self {
        Scratch { start, used: 0 }
    }

    /// Bytes given out.
    pub fn used(&self) -> usize {
        self.used
    }

    /// So many bytes.
    pub fn take(&mut self, bytes: usize) -> Address {
        let address = self.start + self.used as Address;
        self.used += bytes.next_multiple_of(256);
        address
    }
}

/// Threads of the kernels that go through numbers one by one.
const THREADS: u32 = 256;

/// As many blocks as fit, or as there is work for, side by side.
fn pointwise(kernel: String, count: usize, limits: Limits, parameters: Parameters) -> Launch {
    let blocks = count.div_ceil(THREADS as usize).max(1);
    Launch {
        kernel,
        blocks: (blocks.min(limits.multiprocessors as usize * 8) as u32, 1),
        threads: THREADS,
        shared: 0,
        parameters,
    }
}

/// Channels that a kernel takes at a time.
fn at_a_time(channels: usize) -> usize {
    match channels.is_multiple_of(8) {
        true => 8,
        false => 1,
    }
}
