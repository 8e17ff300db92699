//! Instance normalisation and its gradients.

use super::{Scratch, at_a_time, pointwise};
use crate::ops::cuda::parameters::{Address, Norm, Parameters};
use crate::ops::cuda::{Launch, Limits};

/// What is normalised, and how.
#[derive(Clone, Copy, Debug)]
pub struct InstanceNorm {
    /// Images.
    pub batch: usize,
    /// Pixels of each.
    pub pixels: usize,
    /// Channels of each.
    pub channels: usize,
    /// Added to variances.
    pub eps: f32,
    /// Whether ReLU follows.
    pub relu: bool,
}

/// Where everything lies: images in 16 bits, all else in 32. Each step needs
/// what it names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    /// What is normalised.
    pub x: Address,
    /// Each channel's scale.
    pub scale: Address,
    /// Each channel's shift.
    pub shift: Address,
    /// Mean, and 1 by the deviation, of each channel of each image:
    /// `[batch, channels, 2]`.
    pub statistics: Address,
    /// The result.
    pub y: Address,
    /// Its gradient.
    pub y_gradient: Address,
    /// The gradients of scale and shift, `[2, channels]`, then what the gradient
    /// of `x` depends on of the whole image, `[batch, channels, 2]`.
    pub sums: Address,
    /// The gradient of `x`.
    pub x_gradient: Address,
}

/// Groups of channels of a line of blocks that sums, as `NORM_GROUPS` in
/// `norm.cu`.
const GROUPS: usize = 32;

/// Pixels of a slice, at least.
const SLICE: usize = 64;

impl InstanceNorm {
    /// Numbers of [`Places::statistics`].
    pub fn statistics_len(&self) -> usize {
        2 * self.batch * self.channels
    }

    /// Numbers of [`Places::sums`].
    pub fn sums_len(&self) -> usize {
        2 * self.channels + self.statistics_len()
    }

    /// `statistics` of `x`.
    pub fn statistics(&self, at: Places, limits: Limits, scratch: &mut Scratch) -> Vec<Launch> {
        let (parts, p) = self.parts(at, limits, scratch);
        vec![
            self.sum("sum_norm", parts, p),
            self.finalize("finalize_statistics", self.batch * self.channels, p),
        ]
    }

    /// `y` of `x`, `scale`, `shift` and `statistics`.
    pub fn normalise(&self, at: Places, limits: Limits) -> Launch {
        self.apply("normalise", self.parameters(at), limits)
    }

    /// `sums` of `x`, `y`, `y_gradient` and `statistics`.
    pub fn sums(&self, at: Places, limits: Limits, scratch: &mut Scratch) -> Vec<Launch> {
        let (parts, p) = self.parts(at, limits, scratch);
        vec![
            self.sum("sum_norm_gradient", parts, p),
            self.finalize("finalize_norm_gradient", self.channels, p),
        ]
    }

    /// `x_gradient` of `x`, `scale`, `statistics`, `y`, `y_gradient` and `sums`.
    pub fn gradient(&self, at: Places, limits: Limits) -> Launch {
        self.apply("normalise_gradient", self.parameters(at), limits)
    }

    /// Slices of each image, and the parameters of their kernels.
    fn parts(&self, at: Places, limits: Limits, scratch: &mut Scratch) -> (usize, Norm) {
        let blocks = 4 * limits.multiprocessors as usize;
        let slices = blocks.div_ceil(self.batch * self.lines());
        let slices = slices.min(self.pixels.div_ceil(SLICE)).max(1);
        let pixels_of_slice = self.pixels.div_ceil(slices);
        let slices = self.pixels.div_ceil(pixels_of_slice);
        let parameters = Norm {
            sums: scratch.take(8 * self.batch * slices * self.channels),
            slices: slices as i32,
            pixels_of_slice: pixels_of_slice as i32,
            ..self.parameters(at)
        };
        (slices, parameters)
    }

    fn parameters(&self, at: Places) -> Norm {
        let of_scale = at.sums;
        let of_shift = of_scale + 4 * self.channels as Address;
        Norm {
            x: at.x,
            scale: at.scale,
            shift: at.shift,
            y: at.y,
            y_gradient: at.y_gradient,
            x_gradient: at.x_gradient,
            scale_gradient: of_scale,
            shift_gradient: of_shift,
            means: of_shift + 4 * self.channels as Address,
            statistics: at.statistics,
            eps: self.eps,
            relu: i32::from(self.relu),
            batch: self.batch as i32,
            pixels: self.pixels as i32,
            channels: self.channels as i32,
            ..Norm::default()
        }
    }

    fn groups(&self) -> usize {
        self.channels / at_a_time(self.channels)
    }

    /// Lines of blocks for the channels of an image.
    fn lines(&self) -> usize {
        self.groups().div_ceil(GROUPS)
    }

    fn kernel(&self, name: &str) -> String {
        format!("{name}_{}", at_a_time(self.channels))
    }

    fn sum(&self, name: &str, slices: usize, p: Norm) -> Launch {
        Launch {
            kernel: self.kernel(name),
            blocks: (slices as u32, (self.batch * self.lines()) as u32),
            threads: super::THREADS,
            shared: super::THREADS * at_a_time(self.channels) as u32 * 8,
            parameters: Parameters::Norm(p),
        }
    }

    /// A thread for each.
    fn finalize(&self, kernel: &str, threads: usize, p: Norm) -> Launch {
        Launch {
            kernel: kernel.into(),
            blocks: (threads.div_ceil(super::THREADS as usize) as u32, 1),
            threads: super::THREADS,
            shared: 0,
            parameters: Parameters::Norm(p),
        }
    }

    fn apply(&self, name: &str, p: Norm, limits: Limits) -> Launch {
        let count = self.batch * self.pixels * self.groups();
        pointwise(self.kernel(name), count, limits, Parameters::Norm(p))
    }
}
