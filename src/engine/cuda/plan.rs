//! What the sizes of frame and picture decide: where everything lies in the
//! device's memory, and which kernels run, one after the other.

use super::weights::{Layer, Norm, Tail, Weights};
use crate::engine::upsample;
use crate::ops::cuda::parameters::{Address, Affine, Parameters, Styled};
use crate::ops::cuda::shapes;
use crate::ops::cuda::{Gpu, Launch, Limits};

/// Sizes (height, width) in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of the frame.
    pub frame: (usize, usize),
    /// Of what the network sees of it.
    pub picture: (usize, usize),
}

impl Sizes {
    /// Where the network sees the frame as it is.
    pub fn same(size: (usize, usize)) -> Self {
        Sizes {
            frame: size,
            picture: size,
        }
    }
}

/// The network for frames of one size.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Bytes of memory.
    pub len: usize,
    /// Where the frame is to go, as a picture.
    pub picture: Address,
    /// What the network makes of it.
    pub styled: Styled,
    /// From which it is interpolated, if that is not of the frame's size.
    pub fields: Address,
    /// From the picture to the result.
    pub launches: Vec<Launch>,
}

/// Puts a plan together.
struct Planner {
    limits: Limits,
    /// What is in use: counted in a first pass, addresses in the second.
    used: usize,
    start: Address,
    /// Of the largest grid.
    moments: Address,
    moments_len: usize,
    launches: Vec<Launch>,
}

impl Planner {
    fn take(&mut self, bytes: usize) -> Address {
        let at = self.used;
        // Saturating: what is too large is more than any device has.
        self.used = at.saturating_add(bytes).saturating_add(255) & !255;
        self.start.wrapping_add(at as Address)
    }

    /// Adds the kernel that makes a normalisation of the moments in `rows`.
    fn settle(&mut self, norm: &Norm, rows: usize, pixels: usize) -> Affine {
        let channels = norm.channels;
        self.moments_len = self.moments_len.max(rows * channels * 8);
        let affine = Affine {
            factor: self.take(channels * 4),
            offset: self.take(channels * 4),
        };
        let mut launch = shapes::settle(rows, channels, pixels);
        if let Parameters::Settle(p) = &mut launch.parameters {
            p.moments = self.moments;
            p.scale = norm.scale;
            p.shift = norm.shift;
            p.eps = norm.eps;
            p.factor = affine.factor;
            p.offset = affine.offset;
        }
        self.launches.push(launch);
        affine
    }

    /// Adds a layer from `input`, of `size` (height, width), to `output`; tells
    /// what normalises that.
    fn convolve(
        &mut self,
        layer: &Layer,
        size: (usize, usize),
        (input, pending): (Address, Affine),
        (output, pixels): (Address, usize),
    ) -> Affine {
        let (mut launch, rows) = layer.shape.launch(size, layer.channels, self.limits);
        if let Parameters::Convolution(p) = &mut launch.parameters {
            p.input = input;
            p.weights = layer.weights;
            p.output = output;
            p.moments = self.moments;
            p.pending = pending;
        }
        self.launches.push(launch);
        self.settle(&layer.norm, rows, pixels)
    }

    fn residual(
        &mut self,
        pixels: usize,
        channels: usize,
        (sum, added): (Address, Address),
        affine: Affine,
    ) {
        let replace = sum == added;
        let mut launch = shapes::residual(pixels, channels, replace, self.limits);
        if let Parameters::Residual(p) = &mut launch.parameters {
            p.sum = sum;
            p.added = added;
            p.affine = affine;
        }
        self.launches.push(launch);
    }

    fn shrink(&mut self, sizes: Sizes, (picture, small): (Address, Address)) {
        let mut launch = shapes::shrink(sizes.frame, sizes.picture);
        if let Parameters::Shrink(p) = &mut launch.parameters {
            p.picture = picture;
            p.small = small;
        }
        self.launches.push(launch);
    }

    fn find_fields(&mut self, sizes: Sizes, picture: Address, styled: Styled, fields: Address) {
        let across = |(height, width)| (width, height);
        let mut launch = shapes::fields(sizes.picture);
        if let Parameters::Fields(p) = &mut launch.parameters {
            p.picture = picture;
            p.styled = styled;
            p.fields = fields;
            [p.sharpen_row, p.sharpen_column] =
                upsample::second_differences(across(sizes.picture), across(sizes.frame));
        }
        self.launches.push(launch);
    }
}

impl Plan {
    /// The plan for frames and pictures of these sizes, in memory that starts
    /// at `start`.
    pub fn new<G: Gpu>(weights: &Weights<G>, sizes: Sizes, start: Address) -> Self {
        // Once to learn how much room the moments need.
        let moments_len = Self::build(weights, sizes, start, 0).1;
        Self::build(weights, sizes, start, moments_len).0
    }

    fn build<G: Gpu>(
        weights: &Weights<G>,
        sizes: Sizes,
        start: Address,
        moments_len: usize,
    ) -> (Plan, usize) {
        let (layers, limits) = (&weights.layers, weights.gpu.limits());
        let picture = sizes.picture;
        let full = (picture.0.next_multiple_of(4), picture.1.next_multiple_of(4));
        let half = (full.0 / 2, full.1 / 2);
        let quarter = (full.0 / 4, full.1 / 4);
        let area = |(height, width): (usize, usize)| height.saturating_mul(width);
        let bytes = |size, channels: usize| area(size).saturating_mul(2 * channels);
        let [c, c2, c4] = [
            layers.down[0].channels.0,
            layers.down[0].channels.1,
            layers.down[1].channels.1,
        ];

        let mut planner = Planner {
            limits,
            used: 0,
            start,
            moments: 0,
            moments_len: 0,
            launches: Vec::new(),
        };
        planner.moments = planner.take(moments_len);
        let input = planner.take(bytes(picture, 4));
        let same_size = sizes.frame == picture;
        let (whole, fields) = match same_size {
            true => (input, 0),
            false => (
                planner.take(bytes(sizes.frame, 4)),
                planner.take(bytes(picture, 8)),
            ),
        };
        // An image of full size, then one of a quarter of that which the
        // blocks add to.
        let large = planner.take(bytes(full, c).max(bytes(quarter, c4)));
        // An image of half the size, then two of the blocks' insides, in the
        // end the result.
        let inner_len = bytes(quarter, c4);
        let small_len = bytes(half, c2).max(inner_len.saturating_mul(2));
        let small = planner.take(small_len.max(bytes(full, 4)));
        let (inner, result) = (small, small.wrapping_add(inner_len as Address));
        let done = Affine::default();

        if !same_size {
            planner.shrink(sizes, (whole, input));
        }
        let (mut launch, rows) = shapes::first(picture, full, c, limits);
        if let Parameters::First(p) = &mut launch.parameters {
            p.picture = input;
            p.weights = layers.first.weights;
            p.output = large;
            p.moments = planner.moments;
        }
        planner.launches.push(launch);
        let pending = match &layers.first.tail {
            Tail::Norm(norm) => planner.settle(norm, rows, area(full)),
            Tail::Bias(affine) => *affine,
        };

        let to = (small, area(half));
        let pending = planner.convolve(&layers.down[0], full, (large, pending), to);
        let to = (large, area(quarter));
        let pending = planner.convolve(&layers.down[1], half, (small, pending), to);
        // The blocks add to it, so nothing may be pending.
        planner.residual(area(quarter), c4, (large, large), pending);
        for [first, second] in &layers.residual {
            let to = (inner, area(quarter));
            let pending = planner.convolve(first, quarter, (large, done), to);
            let to = (result, area(quarter));
            let affine = planner.convolve(second, quarter, (inner, pending), to);
            planner.residual(area(quarter), c4, (large, result), affine);
        }
        let to = (small, area(half));
        let pending = planner.convolve(&layers.up[0], quarter, (large, done), to);
        let to = (large, area(full));
        let pending = planner.convolve(&layers.up[1], half, (small, pending), to);

        let (mut launch, rows) = shapes::last(full, c, limits);
        if let Parameters::Last(p) = &mut launch.parameters {
            p.input = large;
            p.weights = layers.last.weights;
            p.output = small;
            p.moments = planner.moments;
            p.pending = pending;
        }
        planner.launches.push(launch);
        let affine = match &layers.last.tail {
            Tail::Norm(norm) => planner.settle(norm, rows, area(full)),
            Tail::Bias(affine) => *affine,
        };
        let styled = Styled {
            numbers: small,
            width: full.1 as i32,
            affine,
            span: weights.span(),
        };
        if !same_size {
            planner.find_fields(sizes, input, styled, fields);
        }
        for launch in &mut planner.launches {
            launch.kernel += weights.numbers.suffix();
        }
        let plan = Plan {
            len: planner.used,
            picture: whole,
            styled,
            fields,
            launches: planner.launches,
        };
        (plan, planner.moments_len)
    }
}
