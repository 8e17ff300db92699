//! Convolutions, the gradients of their inputs and of their weights.

use super::{images, reference, run, to_f16, to_f32};
use crate::emulated::Emulated;
use crate::numbers::{Random, assert_close, tensor, values};
use gstfaststyle::Padding;
use gstfaststyle::internals::ops::cpu::conv::Conv;
use gstfaststyle::internals::ops::cuda::Gpu;
use gstfaststyle::internals::ops::cuda::training::convolution::{
    self, Operands, Product, input_gradient, weight_gradient,
};
use gstfaststyle::internals::ops::cuda::training::{Scratch, Shape, pixels};
use gstfaststyle::internals::ops::plain;
use std::collections::BTreeSet;

fn conv(
    (batch, height, width): (usize, usize, usize),
    (inputs, outputs): (usize, usize),
    (kernel, stride): (usize, usize),
    padding: Padding,
) -> Conv {
    Conv {
        batch,
        height,
        width,
        inputs,
        outputs,
        kernel,
        stride,
        padding,
    }
}

/// Kernels of all kinds, borders of all kinds, channels of all kinds.
fn cases() -> Vec<Conv> {
    use Padding::{Reflect, Same};
    vec![
        conv((2, 5, 7), (3, 16), (9, 1), Reflect),
        conv((1, 7, 5), (20, 3), (9, 1), Same),
        conv((1, 6, 5), (32, 3), (9, 1), Reflect),
        conv((1, 17, 13), (16, 20), (3, 1), Same),
        conv((3, 17, 13), (20, 16), (3, 2), Reflect),
        conv((2, 9, 8), (64, 64), (3, 1), Reflect),
        conv((1, 9, 8), (16, 64), (3, 2), Same),
        conv((1, 10, 12), (8, 32), (3, 2), Reflect),
        conv((1, 4, 5), (128, 96), (3, 1), Same),
        conv((1, 5, 4), (3, 64), (3, 1), Same),
        conv((1, 5, 4), (20, 36), (3, 1), Same),
        // Pixels enough for several lines of blocks.
        conv((3, 17, 13), (8, 16), (3, 1), Reflect),
        // Mirrored again and again.
        conv((3, 2, 1), (3, 5), (9, 1), Reflect),
        // Some pixels that no tap meets.
        conv((1, 4, 6), (8, 8), (1, 2), Same),
        conv((1, 7, 6), (8, 24), (5, 2), Same),
    ]
}

/// What a convolution and its gradients give: result, gradient of the input,
/// gradient of the weights.
struct Found {
    results: [Vec<f32>; 3],
    kernels: Vec<String>,
}

fn compute(gpu: &Emulated, conv: &Conv, x: &[f32], weights: &[f32], gradient: &[f32]) -> Found {
    let y_len = gradient.len();
    let [x_memory, gradient] = [x, gradient].map(|v| gpu.hold(&to_f16(v)));
    let weight_memory = gpu.hold(weights);
    let [x_at, y_gradient, weights_at] =
        [&x_memory, &gradient, &weight_memory].map(|m| gpu.address(m));
    let [y, x_gradient] = [y_len, x.len()].map(|len| gpu.allocate(2 * len).unwrap());
    let w_gradient = gpu.allocate(4 * weights.len()).unwrap();
    let limits = gpu.limits;
    let mut kernels = run(gpu, |scratch| {
        convolution::forward(conv, (x_at, weights_at), gpu.address(&y), limits, scratch)
    });
    kernels.extend(run(gpu, |scratch| {
        let to = gpu.address(&x_gradient);
        input_gradient(conv, (y_gradient, weights_at), to, limits, scratch)
    }));
    kernels.extend(run(gpu, |scratch| {
        let to = gpu.address(&w_gradient);
        weight_gradient(conv, (x_at, y_gradient), to, limits, scratch)
    }));
    let results = [
        to_f32(&gpu.read(&y, y_len)),
        to_f32(&gpu.read(&x_gradient, x.len())),
        gpu.read(&w_gradient, weights.len()),
    ];
    Found { results, kernels }
}

/// Random input, weights, and gradient of the output.
fn operands(conv: &Conv, seed: u64) -> [Vec<f32>; 3] {
    let mut random = Random::new(seed);
    let (height, width) = conv.output_size();
    [
        images(
            &mut random,
            [conv.batch, conv.height, conv.width, conv.inputs],
            2.0,
        ),
        random.values(conv.outputs * conv.inputs * conv.kernel * conv.kernel, 0.2),
        images(&mut random, [conv.batch, height, width, conv.outputs], 1.0),
    ]
}

#[test]
fn results_and_gradients_are_those_of_plain_operations() {
    let gpu = Emulated::default();
    let mut used = BTreeSet::new();
    for (i, conv) in cases().into_iter().enumerate() {
        let [x, weights, gradient] = operands(&conv, i as u64);
        let found = compute(&gpu, &conv, &x, &weights, &gradient);
        used.extend(found.kernels);
        let (y, gradients) = reference(
            &[
                (&x, &[conv.batch, conv.height, conv.width, conv.inputs]),
                (
                    &weights,
                    &[conv.outputs, conv.inputs, conv.kernel, conv.kernel],
                ),
            ],
            |a| plain::conv2d(&a[0], &a[1], conv.padding, conv.stride).unwrap(),
            |_| gradient,
        );
        let [found_y, found_x, found_weights] = found.results;
        assert_close(&found_y, &y, 1e-3, &format!("{conv:?}"));
        assert_close(&found_x, &gradients[0], 2e-3, &format!("input of {conv:?}"));
        let what = format!("weights of {conv:?}");
        assert_close(&found_weights, &gradients[1], 1e-5, &what);
    }
    for shape in Shape::all() {
        assert!(used.contains(&shape.kernel()), "{shape:?} is not tested");
    }
    assert_eq!(gpu.conflicts(), 0, "rows in the same banks");
}

/// Neither which warp is first matters nor how many run at the same time, but
/// for the sums of the weights' gradients: these are shared out by the latter.
#[test]
fn the_order_of_blocks_does_not_matter() {
    for conv in [
        conv((1, 20, 17), (16, 32), (3, 2), Padding::Reflect),
        conv((1, 13, 20), (3, 16), (3, 1), Padding::Same),
    ] {
        let [x, weights, gradient] = operands(&conv, 3);
        let gpu = Emulated::default();
        let first = compute(&gpu, &conv, &x, &weights, &gradient).results;
        let backwards = Emulated {
            backwards: true,
            ..Emulated::default()
        };
        let again = compute(&backwards, &conv, &x, &weights, &gradient).results;
        assert!(first == again, "{conv:?}");
    }
}

#[test]
fn transposed_convolutions_are_gradients() {
    let gpu = Emulated::default();
    for (size, channels, kernel) in [((2, 5, 3), (16, 8), 3), ((1, 4, 6), (3, 20), 5)] {
        let (batch, height, width) = size;
        // From the larger image to the smaller.
        let large = (batch, 2 * height, 2 * width);
        let conv = conv(large, (channels.1, channels.0), (kernel, 2), Padding::Same);
        let mut random = Random::new(9);
        let x = images(&mut random, [batch, height, width, channels.0], 2.0);
        let weights = random.values(channels.0 * channels.1 * kernel * kernel, 0.2);
        let weight = tensor(&weights, &[channels.0, channels.1, kernel, kernel]);
        let image = tensor(&x, &[batch, height, width, channels.0]);
        let transposed = weight.transpose(0, 1).unwrap().contiguous().unwrap();
        let expected = values(&plain::conv_transpose2x(&image, &transposed).unwrap());
        let (x, weights) = (gpu.hold(&to_f16(&x)), gpu.hold(&weights));
        let y = gpu.allocate(2 * expected.len()).unwrap();
        let at = (gpu.address(&x), gpu.address(&weights));
        run(&gpu, |scratch| {
            input_gradient(&conv, at, gpu.address(&y), gpu.limits, scratch)
        });
        let found = to_f32(&gpu.read(&y, expected.len()));
        assert_close(&found, &expected, 1e-3, &format!("{size:?} {channels:?}"));
    }
}

/// With bias and ReLU, and its gradient by way of [`pixels::gate`].
#[test]
fn frozen_convolutions() {
    let gpu = Emulated::default();
    for (size, channels) in [
        ((2, 5, 7), (3, 64)),
        ((1, 6, 5), (64, 128)),
        ((1, 4, 3), (16, 20)),
    ] {
        let conv = conv(size, channels, (3, 1), Padding::Same);
        let [x, weights, gradient] = operands(&conv, 5);
        let bias = Random::new(6).values(conv.outputs, 1.0);
        let w_shape = [conv.outputs, conv.inputs, 3, 3];
        let (weight, bias_tensor) = (tensor(&weights, &w_shape), tensor(&bias, &[conv.outputs]));
        let (y, gradients) = reference(
            &[(&x, &[conv.batch, conv.height, conv.width, conv.inputs])],
            |a| plain::frozen_conv2d(&a[0], &weight, &bias_tensor).unwrap(),
            |_| gradient.clone(),
        );
        let x_memory = gpu.hold(&to_f16(&x));
        let (weights, bias) = (gpu.hold(&weights), gpu.hold(&bias));
        let y_memory = gpu.allocate(2 * y.len()).unwrap();
        let gradient = gpu.hold(&to_f16(&gradient));
        let x_gradient = gpu.allocate(2 * x.len()).unwrap();
        let at = |m| gpu.address(m);
        let forward = Product::forward(&conv, gpu.limits);
        let [backward] = &Product::input_gradient(&conv, gpu.limits)[..] else {
            panic!("more than one product");
        };
        run(&gpu, |scratch: &mut Scratch| {
            let packed = scratch.take(forward.packed_bytes());
            let mirrored = scratch.take(backward.packed_bytes());
            let gated = scratch.take(2 * y.len());
            vec![
                forward.pack(at(&weights), packed, gpu.limits),
                forward.multiply(Operands {
                    image: at(&x_memory),
                    weights: packed,
                    bias: at(&bias),
                    relu: true,
                    output: at(&y_memory),
                }),
                pixels::gate(y.len(), at(&gradient), at(&y_memory), gated, gpu.limits),
                backward.pack(at(&weights), mirrored, gpu.limits),
                backward.multiply(Operands {
                    image: gated,
                    weights: mirrored,
                    output: at(&x_gradient),
                    ..Operands::default()
                }),
            ]
        });
        let what = format!("{size:?} {channels:?}");
        assert_close(&to_f32(&gpu.read(&y_memory, y.len())), &y, 1e-3, &what);
        let found = to_f32(&gpu.read(&x_gradient, x.len()));
        assert_close(&found, &gradients[0], 1e-3, &what);
    }
}
