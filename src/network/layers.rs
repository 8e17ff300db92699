//! The network's layers, in the order in which an image passes through them.
//!
//! This list is the only place that knows the topology. Parameters, the plain
//! network, the plans for CPUs and CUDA devices, estimates of memory and the
//! exported graph all walk it.

use super::Architecture;
use crate::ops::Step;

/// Sides of a picture are rounded up to a multiple of this before the first
/// layer: its square is what the smallest images shrink by.
pub const SIDE_MULTIPLE: usize = 4;

/// One layer: a convolution, what is added to its result, and perhaps ReLU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// What the names of its tensors start with.
    pub name: String,
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Side of the kernel, odd.
    pub kernel: usize,
    /// How the result's size compares to the input's. Layers that double it do so
    /// as [`Upsampling`](super::Upsampling) says.
    pub step: Step,
    /// How many times shorter than the picture's the sides of the input are.
    pub input_scale: usize,
    /// What follows the convolution.
    pub tail: Tail,
    /// Whether ReLU comes last.
    pub relu: bool,
    /// The layer's place in a residual block.
    pub residual: Residual,
    /// How many styles the network paints: the sets of what follows the
    /// convolution.
    pub styles: usize,
}

/// What is done to each channel of a convolution's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Instance normalisation, then a learned scale and shift.
    ///
    /// Each style has its own scale and shift.
    Norm,
    /// A learned bias, one for each style. Layers with a norm have none: the norm
    /// would take it away again.
    Bias,
}

/// A layer's place in a residual block, which has two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// None.
    Outside,
    /// The block's first layer: its input is kept.
    First,
    /// The block's second layer: what was kept is added to its result.
    Second,
}

impl LayerSpec {
    /// Products of weights and numbers, for each pixel of the network's picture.
    pub fn products_per_pixel(&self) -> f64 {
        let products = self.kernel * self.kernel * self.inputs * self.outputs;
        products as f64 / (self.output_scale() * self.output_scale()) as f64
    }

    /// The name of its kernels, `[outputs, inputs, kernel, kernel]`.
    pub fn weight(&self) -> String {
        format!("{}.conv.weight", self.name)
    }

    /// The name of its bias, `[outputs]` or `[styles, outputs]`.
    pub fn bias(&self) -> String {
        format!("{}.conv.bias", self.name)
    }

    /// The name of its norm's scale, `[outputs]` or `[styles, outputs]`.
    pub fn norm_scale(&self) -> String {
        format!("{}.norm.weight", self.name)
    }

    /// The name of its norm's shift, `[outputs]` or `[styles, outputs]`.
    pub fn norm_shift(&self) -> String {
        format!("{}.norm.bias", self.name)
    }

    /// The names of those of its tensors that each style has to itself.
    pub fn style_parameters(&self) -> Vec<String> {
        match self.tail {
            Tail::Norm => vec![self.norm_scale(), self.norm_shift()],
            Tail::Bias => vec![self.bias()],
        }
    }

    /// Name and shape of each of its tensors.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let kernels = vec![self.outputs, self.inputs, self.kernel, self.kernel];
        // Networks of one style, and their files, have no dimension for it.
        let channels = match self.styles {
            1 => vec![self.outputs],
            styles => vec![styles, self.outputs],
        };
        let own = self.style_parameters().into_iter();
        let own = own.map(|name| (name, channels.clone()));
        [(self.weight(), kernels)].into_iter().chain(own).collect()
    }

    /// How many times shorter than the picture's the sides of the result are.
    pub fn output_scale(&self) -> usize {
        match self.step {
            Step::Same => self.input_scale,
            Step::Half => self.input_scale * 2,
            Step::Double => self.input_scale / 2,
        }
    }

    /// The same of the image under the kernel: the input, enlarged if need be.
    pub fn kernel_scale(&self) -> usize {
        self.input_scale.min(self.output_scale())
    }

    /// How many of the picture's pixels, at most, lie in a line from a pixel of
    /// the result to those that it depends on because of this layer.
    pub fn reach(&self) -> usize {
        let kernel = self.kernel / 2 * self.kernel_scale();
        match self.step {
            // Repeated pixels are met as a whole.
            Step::Double => kernel + self.output_scale(),
            Step::Same | Step::Half => kernel,
        }
    }
}

impl Architecture {
    /// The network's layers, first to last.
    pub fn layers(&self) -> Vec<LayerSpec> {
        let c = self.width;
        let (outer, inner) = (self.outer_kernel, self.inner_kernel);
        let layer = |name: &str, (inputs, outputs), kernel, step, input_scale| LayerSpec {
            name: name.into(),
            inputs,
            outputs,
            kernel,
            step,
            input_scale,
            tail: Tail::Norm,
            relu: true,
            residual: Residual::Outside,
            styles: self.styles,
        };
        let mut layers = vec![
            layer("down.0", (3, c), outer, Step::Same, 1),
            layer("down.1", (c, 2 * c), inner, Step::Half, 1),
            layer("down.2", (2 * c, 4 * c), inner, Step::Half, 2),
        ];
        for i in 0..self.residual_blocks {
            let layer = |j| {
                let name = format!("residual.{i}.{j}");
                layer(&name, (4 * c, 4 * c), inner, Step::Same, 4)
            };
            layers.push(LayerSpec {
                residual: Residual::First,
                ..layer(0)
            });
            layers.push(LayerSpec {
                residual: Residual::Second,
                relu: false,
                ..layer(1)
            });
        }
        layers.push(layer("up.0", (4 * c, 2 * c), inner, Step::Double, 4));
        layers.push(layer("up.1", (2 * c, c), inner, Step::Double, 2));
        layers.push(LayerSpec {
            tail: match self.output_norm {
                true => Tail::Norm,
                false => Tail::Bias,
            },
            relu: false,
            ..layer("output", (c, 3), outer, Step::Same, 1)
        });
        layers
    }

    /// Name and shape of every tensor of the network.
    ///
    /// Weights are `[outputs, inputs, k, k]`, those of transposed convolutions
    /// too.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let layers = self.layers();
        layers.iter().flat_map(LayerSpec::parameters).collect()
    }

    /// How many layers are normalised.
    pub fn norms(&self) -> usize {
        let layers = self.layers();
        let normalised = |layer: &&LayerSpec| layer.tail == Tail::Norm;
        layers.iter().filter(normalised).count()
    }

    /// Products of two numbers that each pixel of a picture takes, about: what
    /// a network costs, beside another.
    pub fn products_per_pixel(&self) -> f64 {
        self.layers()
            .iter()
            .map(LayerSpec::products_per_pixel)
            .sum()
    }

    /// How far from a pixel of the result the pixels of the picture can be that
    /// it depends on: a multiple of [`SIDE_MULTIPLE`].
    pub fn reach(&self) -> usize {
        let reach: usize = self.layers().iter().map(LayerSpec::reach).sum();
        reach.next_multiple_of(SIDE_MULTIPLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_takes_what_the_one_before_gives() {
        for (blocks, output_norm) in [(0, true), (5, true), (2, false)] {
            let architecture = Architecture {
                residual_blocks: blocks,
                output_norm,
                ..Architecture::with_width(7)
            };
            let layers = architecture.layers();
            assert_eq!(layers.len(), 6 + 2 * blocks);
            assert_eq!(
                architecture.norms(),
                5 + 2 * blocks + usize::from(output_norm)
            );
            let (mut channels, mut scale) = (3, 1);
            for layer in &layers {
                assert_eq!((layer.inputs, layer.input_scale), (channels, scale));
                (channels, scale) = (layer.outputs, layer.output_scale());
                assert!(scale <= SIDE_MULTIPLE, "{}", layer.name);
            }
            assert_eq!((channels, scale), (3, 1));
        }
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
                let reach = architecture.reach() as isize;
                let farthest = (100..104).map(|i| i - first_source(&architecture, i)).max();
                let farthest = farthest.unwrap_or_default();
                assert!(
                    (farthest..farthest + 4).contains(&reach),
                    "{architecture:?}"
                );
            }
        }
    }
}
