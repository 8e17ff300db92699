//! What the sizes of frame and picture decide: where everything lies in the
//! device's memory, and which kernels run, one after the other.

use super::weights::{CudaWeights, InnerLayer, OuterLayer, PackedNorm, PackedTail};
use crate::engine::{Size, buffers, upsample};
use crate::network::{LayerSpec, Residual, SIDE_MULTIPLE};
use crate::ops::cuda::launches::{self, padded};
use crate::ops::cuda::parameters::{Address, Affine, Parameters, Styled, Tone};
use crate::ops::cuda::{Gpu, Launch, Limits};

/// The sizes that a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The frame.
    pub frame: Size,
    /// What the network sees of it.
    pub picture: Size,
}

impl Sizes {
    /// Where the network sees the frame as it is.
    pub fn same(size: Size) -> Self {
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
    /// The style's row.
    style: Address,
    /// Moments of the largest grid.
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

    /// A number of the style's row.
    fn in_style(&self, at: usize) -> Address {
        self.style.wrapping_add((at * size_of::<f32>()) as Address)
    }

    /// Adds the kernel that makes a normalisation of the moments in `rows`.
    fn finalize(&mut self, norm: &PackedNorm, rows: usize, pixels: usize) -> Affine {
        let channels = norm.channels;
        self.moments_len = self.moments_len.max(rows * channels * 8);
        let affine = Affine {
            factor: self.take(channels * 4),
            offset: self.take(channels * 4),
        };
        let mut launch = launches::finalize_norm(rows, channels, pixels);
        if let Parameters::FinalizeNorm(p) = &mut launch.parameters {
            p.moments = self.moments;
            p.scale = self.in_style(norm.scale);
            p.shift = self.in_style(norm.shift);
            p.eps = norm.eps;
            p.factor = affine.factor;
            p.offset = affine.offset;
        }
        self.launches.push(launch);
        affine
    }

    /// Adds a layer from `input`, of `size`, to `output`; returns what
    /// normalises that.
    fn convolve(
        &mut self,
        layer: &InnerLayer,
        size: Size,
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
        self.finalize(&layer.norm, rows, pixels)
    }

    /// What is still to be done to the result of the first layer or the last.
    fn tail(&mut self, layer: &OuterLayer, rows: usize, pixels: usize) -> Affine {
        match &layer.tail {
            PackedTail::Norm(norm) => self.finalize(norm, rows, pixels),
            PackedTail::Bias { factor, bias } => Affine {
                factor: *factor,
                offset: self.in_style(*bias),
            },
        }
    }

    fn residual(
        &mut self,
        pixels: usize,
        channels: usize,
        (sum, added): (Address, Address),
        affine: Affine,
    ) {
        let replace = sum == added;
        let mut launch = launches::residual(pixels, channels, replace, self.limits);
        if let Parameters::Residual(p) = &mut launch.parameters {
            p.sum = sum;
            p.added = added;
            p.affine = affine;
        }
        self.launches.push(launch);
    }

    fn shrink(&mut self, sizes: Sizes, (picture, small): (Address, Address)) {
        let mut launch = launches::shrink(sizes.frame, sizes.picture);
        if let Parameters::Shrink(p) = &mut launch.parameters {
            p.picture = picture;
            p.small = small;
        }
        self.launches.push(launch);
    }

    /// Adds the kernels that find the tone of a painting of `picture`.
    fn find_tone(&mut self, size: Size, picture: Address) -> Address {
        let mut launches = launches::find_tone(size, self.limits);
        let moments = self.take(launches[0].blocks.0 as usize * 3 * size_of::<u64>());
        let tone = self.take(size_of::<Tone>());
        for launch in &mut launches {
            if let Parameters::FindTone(p) = &mut launch.parameters {
                p.picture = picture;
                p.moments = moments;
                p.tone = tone;
            }
        }
        self.launches.extend(launches);
        tone
    }

    fn find_fields(&mut self, sizes: Sizes, picture: Address, styled: Styled, fields: Address) {
        let mut launch = launches::fields(sizes.picture);
        if let Parameters::Fields(p) = &mut launch.parameters {
            p.picture = picture;
            p.styled = styled;
            p.fields = fields;
            [p.sharpen_row, p.sharpen_column] =
                upsample::second_differences(sizes.picture, sizes.frame);
        }
        self.launches.push(launch);
    }
}

impl Plan {
    /// The plan for frames and pictures of these sizes, in memory that starts
    /// at `start`, with the style's row at `style`.
    pub fn new<G: Gpu>(
        weights: &CudaWeights<G>,
        sizes: Sizes,
        (start, style): (Address, Address),
    ) -> Self {
        // Once to learn how much room the moments need.
        let moments_len = Self::build(weights, sizes, (start, style), 0).1;
        Self::build(weights, sizes, (start, style), moments_len).0
    }

    fn build<G: Gpu>(
        weights: &CudaWeights<G>,
        sizes: Sizes,
        (start, style): (Address, Address),
        moments_len: usize,
    ) -> (Plan, usize) {
        let (layers, limits) = (&weights.layers, weights.gpu.limits());
        let picture = sizes.picture;
        let full = picture.map(|side| side.next_multiple_of(SIDE_MULTIPLE));
        let scaled = |scale| full.map(|side| side / scale);
        let bytes = |size: Size, channels: usize| size.area().saturating_mul(2 * channels);
        let mut planner = Planner {
            limits,
            used: 0,
            start,
            style,
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
        let result = |layer: &LayerSpec| {
            let size = scaled(layer.output_scale());
            (layer.residual, bytes(size, padded(layer.outputs)))
        };
        let inner = layers.inner.iter().map(|layer| result(&layer.spec));
        // The last layer's has four colours.
        let last = (layers.last.spec.residual, bytes(full, 4));
        let results = [result(&layers.first.spec)].into_iter().chain(inner);
        let lengths = buffers::lengths(results.chain([last]));
        let [mut from, mut to] = lengths.map(|length| planner.take(length));

        if !same_size {
            planner.shrink(sizes, (whole, input));
        }
        let tone = planner.find_tone(picture, input);
        let width = padded(layers.first.spec.outputs);
        let (mut launch, rows) = launches::first(picture, full, width, limits);
        if let Parameters::First(p) = &mut launch.parameters {
            p.picture = input;
            p.weights = layers.first.weights;
            p.output = from;
            p.moments = planner.moments;
        }
        planner.launches.push(launch);
        // What is still to be done to the image in `from`, if anything is.
        let mut pending = Some(planner.tail(&layers.first, rows, full.area()));

        // Within a residual block: what is still to be done to its inside.
        let mut inside = Affine::default();
        for layer in &layers.inner {
            let size = scaled(layer.spec.input_scale);
            let pixels = scaled(layer.spec.output_scale()).area();
            // Residual blocks add to the smallest image, so nothing may be pending
            // on it. Without blocks the same is done, which rounds alike.
            if layer.spec.input_scale == SIDE_MULTIPLE
                && let Some(affine) = pending.take()
            {
                planner.residual(size.area(), layer.channels.0, (from, from), affine);
            }
            match layer.spec.residual {
                Residual::Outside => {
                    let input = (from, pending.unwrap_or_default());
                    pending = Some(planner.convolve(layer, size, input, (to, pixels)));
                    std::mem::swap(&mut from, &mut to);
                }
                Residual::First => {
                    let input = (from, Affine::default());
                    inside = planner.convolve(layer, size, input, (to, pixels));
                }
                Residual::Second => {
                    let beside = bytes(size, layer.channels.0) as Address;
                    let result = to.wrapping_add(beside);
                    let affine = planner.convolve(layer, size, (to, inside), (result, pixels));
                    planner.residual(pixels, layer.channels.1, (from, result), affine);
                }
            }
        }

        let (mut launch, rows) = launches::last(full, padded(layers.last.spec.inputs), limits);
        if let Parameters::Last(p) = &mut launch.parameters {
            p.input = from;
            p.weights = layers.last.weights;
            p.output = to;
            p.moments = planner.moments;
            p.pending = pending.unwrap_or_default();
        }
        planner.launches.push(launch);
        let affine = planner.tail(&layers.last, rows, full.area());
        let styled = Styled {
            numbers: to,
            width: full.width as i32,
            affine,
            span: weights.span(),
            tone,
        };
        if !same_size {
            planner.find_fields(sizes, input, styled, fields);
        }
        for launch in &mut planner.launches {
            launch.kernel += weights.half_type.suffix();
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
