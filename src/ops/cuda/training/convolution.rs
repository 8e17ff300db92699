//! Convolutions and their gradients, as products of matrices.

use super::product_tiling::{CHUNK, ProductKind, ProductTiling};
use super::{Scratch, pixels, pointwise};
use crate::ops::cpu::conv::Conv;
use crate::ops::cuda::parameters::{
    self, Address, Gather, PackWeights, Parameters, SumWeightGradient, WeightGradient,
};
use crate::ops::cuda::{Launch, Limits};
use crate::ops::{Padding, Size};

/// One product: a convolution, or the gradient of its input at every
/// `stride`th pixel.
#[derive(Clone, Debug)]
pub struct Product {
    shape: ProductTiling,
    gather: Gather,
    weights: PackWeights,
    /// Without what it is to be multiplied.
    rest: parameters::Product,
}

/// Where a product finds what it multiplies, and leaves the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands {
    /// The image, in 16 bits.
    pub image: Address,
    /// As [`Product::pack`] left them.
    pub weights: Address,
    /// In 32 bits, for each channel of the result; 0 for none.
    pub bias: Address,
    /// Whether ReLU follows.
    pub relu: bool,
    /// The result, in 16 bits.
    pub output: Address,
}

impl Product {
    /// The convolution itself.
    pub fn forward(conv: &Conv, limits: Limits) -> Product {
        let side = conv.kernel;
        let Size { width, height } = conv.output_size();
        let before = |len| conv.padding.around(len, side, conv.stride).0 as i32;
        let gather = Gather {
            down: height as i32,
            across: width as i32,
            stride: conv.stride as i32,
            before_y: before(conv.height),
            before_x: before(conv.width),
            taps_down: side as i32,
            taps_across: side as i32,
            mirrored: i32::from(conv.padding == Padding::Reflect),
            ..image(conv, Size::new(conv.width, conv.height), conv.inputs)
        };
        let weights = PackWeights {
            column_stride: (conv.inputs * side * side) as i32,
            channel_stride: (side * side) as i32,
            step: 1,
            ..PackWeights::default()
        };
        let rest = parameters::Product {
            output_height: height as i32,
            output_width: width as i32,
            outputs: conv.outputs as i32,
            step: 1,
            ..parameters::Product::default()
        };
        Product::new(gather, weights, rest, side, limits)
    }

    /// The gradient of the input, mirrored borders included where there are
    /// such: one product for each pixel of `stride` by `stride`.
    pub fn input_gradient(conv: &Conv, limits: Limits) -> Vec<Product> {
        let (side, stride) = (conv.kernel, conv.stride);
        let rows = Phase::all(conv, conv.height);
        let columns = Phase::all(conv, conv.width);
        let (height, width) = (reached(conv, conv.height), reached(conv, conv.width));
        let one = |y: &Phase, x: &Phase| {
            let gather = Gather {
                down: y.count as i32,
                across: x.count as i32,
                stride: 1,
                before_y: y.before,
                before_x: x.before,
                taps_down: y.taps as i32,
                taps_across: x.taps as i32,
                mirrored: 0,
                ..image(conv, conv.output_size(), conv.outputs)
            };
            let weights = PackWeights {
                column_stride: (side * side) as i32,
                channel_stride: (conv.inputs * side * side) as i32,
                first_y: y.last_tap as i32,
                first_x: x.last_tap as i32,
                step: -(stride as i32),
                ..PackWeights::default()
            };
            let rest = parameters::Product {
                output_height: height as i32,
                output_width: width as i32,
                outputs: conv.inputs as i32,
                step: stride as i32,
                first_y: y.first as i32,
                first_x: x.first as i32,
                ..parameters::Product::default()
            };
            Product::new(gather, weights, rest, side, limits)
        };
        let pairs = rows
            .iter()
            .flat_map(|y| columns.iter().map(move |x| (y, x)));
        pairs.map(|(y, x)| one(y, x)).collect()
    }

    fn new(
        mut gather: Gather,
        weights: PackWeights,
        rest: parameters::Product,
        side: usize,
        limits: Limits,
    ) -> Product {
        let channels = gather.channels as usize;
        // All taps of some channels before the next channels: what a block
        // reads then stays in the cache until the last tap.
        gather.block = match channels.is_multiple_of(CHUNK) {
            true => CHUNK as i32,
            false => gather.channels,
        };
        let aligned = channels.is_multiple_of(8);
        let shape =
            ProductTiling::fitting(ProductKind::Product, aligned, rest.outputs as usize, limits);
        let inner = gather.taps_down * gather.taps_across * gather.channels;
        let weights = PackWeights {
            side: side as i32,
            taps_down: gather.taps_down,
            taps_across: gather.taps_across,
            channels: gather.channels,
            block: gather.block,
            columns: rest.outputs,
            padded_columns: (rest.outputs as usize).next_multiple_of(shape.columns) as i32,
            chunks: (inner as usize).div_ceil(CHUNK) as i32,
            ..weights
        };
        Product {
            shape,
            gather,
            weights,
            rest,
        }
    }

    /// Numbers of the weights as it wants them.
    fn packed(&self) -> usize {
        self.weights.chunks as usize * self.weights.padded_columns as usize * CHUNK
    }

    /// Bytes of the weights as it wants them.
    pub fn packed_bytes(&self) -> usize {
        2 * self.packed()
    }

    /// Makes `packed` of the convolution's weights, `[outputs, inputs, kernel,
    /// kernel]` in 32 bits.
    pub fn pack(&self, weights: Address, packed: Address, limits: Limits) -> Launch {
        let parameters = PackWeights {
            weights,
            packed,
            ..self.weights
        };
        let parameters = Parameters::PackWeights(parameters);
        pointwise("pack_weights".into(), self.packed(), limits, parameters)
    }

    /// Multiplies.
    pub fn multiply(&self, at: Operands) -> Launch {
        let gather = Gather {
            image: at.image,
            ..self.gather
        };
        let rows = (gather.batch * gather.down * gather.across) as usize;
        let beside = self.weights.padded_columns as usize / self.shape.columns;
        let parameters = parameters::Product {
            gather,
            weights: at.weights,
            bias: at.bias,
            output: at.output,
            relu: i32::from(at.relu),
            ..self.rest
        };
        Launch {
            kernel: self.shape.kernel(),
            blocks: ((rows.div_ceil(self.shape.rows()) * beside) as u32, 1),
            threads: self.shape.threads(),
            shared: self.shape.shared() as u32,
            parameters: Parameters::Product(parameters),
        }
    }
}

/// What is gathered from: a batch of images of that size.
fn image(conv: &Conv, Size { width, height }: Size, channels: usize) -> Gather {
    Gather {
        height: height as i32,
        width: width as i32,
        channels: channels as i32,
        batch: conv.batch as i32,
        ..Gather::default()
    }
}

/// Pixels in a line that a convolution of `len` pixels gives a gradient to:
/// those that are mirrored as well.
fn reached(conv: &Conv, len: usize) -> usize {
    match conv.padding {
        Padding::Reflect => len + 2 * (conv.kernel / 2),
        Padding::Same => len,
    }
}

/// Every `stride`th pixel of a line of the input's gradient: all of them meet
/// the same taps of the kernel.
///
/// Pixel i of the output has seen pixel u = stride * i + j of the input, counted
/// from where the padding begins, by tap j. So u gets gradients by the taps
/// j = u mod stride, + stride, + 2 stride, ..., from pixels one before the other.
struct Phase {
    /// The first pixel.
    first: usize,
    count: usize,
    taps: usize,
    /// The tap of the kernel that meets the first output.
    last_tap: usize,
    /// How far that output lies before the pixel's index in the phase.
    before: i32,
}

impl Phase {
    fn all(conv: &Conv, len: usize) -> Vec<Phase> {
        let padding = match conv.padding {
            // What is mirrored gets its own gradient first.
            Padding::Reflect => 0,
            Padding::Same => conv.padding.around(len, conv.kernel, conv.stride).0,
        };
        let reached = reached(conv, len);
        (0..conv.stride.min(reached))
            .map(|first| {
                let place = first + padding;
                let tap = place % conv.stride;
                // Where no tap meets, one beyond the kernel does.
                let taps = conv.kernel.saturating_sub(tap).div_ceil(conv.stride).max(1);
                Phase {
                    first,
                    count: (reached - first).div_ceil(conv.stride),
                    taps,
                    last_tap: tap + conv.stride * (taps - 1),
                    before: taps as i32 - 1 - (place / conv.stride) as i32,
                }
            })
            .collect()
    }
}

/// `y`, the convolution of `x` with `weights`.
pub fn forward(
    conv: &Conv,
    (x, weights): (Address, Address),
    y: Address,
    limits: Limits,
    scratch: &mut Scratch,
) -> Vec<Launch> {
    let product = Product::forward(conv, limits);
    let packed = scratch.take(product.packed_bytes());
    let operands = Operands {
        image: x,
        weights: packed,
        output: y,
        ..Operands::default()
    };
    vec![
        product.pack(weights, packed, limits),
        product.multiply(operands),
    ]
}

/// `x_gradient` of the gradient of the output and the weights.
pub fn input_gradient(
    conv: &Conv,
    (y_gradient, weights): (Address, Address),
    x_gradient: Address,
    limits: Limits,
    scratch: &mut Scratch,
) -> Vec<Launch> {
    let mut launches = Vec::new();
    let reached = (reached(conv, conv.height), reached(conv, conv.width));
    let folded = reached != (conv.height, conv.width);
    let output = match folded {
        true => scratch.take(2 * conv.batch * reached.0 * reached.1 * conv.inputs),
        false => x_gradient,
    };
    for product in Product::input_gradient(conv, limits) {
        let packed = scratch.take(product.packed_bytes());
        launches.push(product.pack(weights, packed, limits));
        launches.push(product.multiply(Operands {
            image: y_gradient,
            weights: packed,
            output,
            ..Operands::default()
        }));
    }
    if folded {
        let size = [conv.batch, conv.height, conv.width, conv.inputs];
        let reach = conv.kernel / 2;
        launches.push(pixels::fold(size, reach, output, x_gradient, limits));
    }
    launches
}

/// `gradient` of the weights, in 32 bits, of the input and the gradient of the
/// output.
pub fn weight_gradient(
    conv: &Conv,
    (x, y_gradient): (Address, Address),
    gradient: Address,
    limits: Limits,
    scratch: &mut Scratch,
) -> Vec<Launch> {
    let gather = Gather {
        image: x,
        block: conv.inputs as i32,
        ..Product::forward(conv, limits).gather
    };
    let aligned = conv.inputs.is_multiple_of(8) && conv.outputs.is_multiple_of(8);
    let shape = ProductTiling::fitting(ProductKind::WeightGradient, aligned, conv.outputs, limits);
    let taps = conv.kernel * conv.kernel;
    let padded_rows = (taps * conv.inputs).next_multiple_of(shape.rows());
    let padded_columns = conv.outputs.next_multiple_of(shape.columns);
    let blocks = padded_rows / shape.rows() * (padded_columns / shape.columns);
    let pixels = (gather.batch * gather.down * gather.across) as usize;
    // Two blocks a multiprocessor, but no less than 8 chunks of pixels each.
    let lines = (2 * limits.multiprocessors as usize).div_ceil(blocks);
    let lines = lines.min(pixels.div_ceil(8 * CHUNK)).max(1);
    let pixels_of_line = pixels.div_ceil(lines).next_multiple_of(CHUNK);
    let lines = pixels.div_ceil(pixels_of_line);
    let sums = scratch.take(4 * lines * padded_rows * padded_columns);

    let parameters = WeightGradient {
        gather,
        gradient: y_gradient,
        outputs: conv.outputs as i32,
        sums,
        padded_rows: padded_rows as i32,
        padded_columns: padded_columns as i32,
        pixels_of_line: pixels_of_line as i32,
    };
    let multiply = Launch {
        kernel: shape.kernel(),
        blocks: (blocks as u32, lines as u32),
        threads: shape.threads(),
        shared: shape.shared() as u32,
        parameters: Parameters::WeightGradient(parameters),
    };
    let parameters = SumWeightGradient {
        sums,
        gradient,
        lines: lines as i32,
        padded_rows: padded_rows as i32,
        padded_columns: padded_columns as i32,
        outputs: conv.outputs as i32,
        channels: conv.inputs as i32,
        taps: taps as i32,
    };
    let parameters = Parameters::SumWeightGradient(parameters);
    let count = taps * conv.inputs * conv.outputs;
    let sum = pointwise("sum_weight_gradient".into(), count, limits, parameters);
    vec![multiply, sum]
}
