//! The convolutions inside the network.

use crate::emulated::Emulated;
use crate::numbers::{Random, assert_close, pad, rounded, tensor, unpad, values};
use candle_core::Tensor;
use gstfaststyle::internals::ops::cuda::launches::{ConvTiling, padded};
use gstfaststyle::internals::ops::cuda::pack;
use gstfaststyle::internals::ops::cuda::parameters::{Affine, Parameters};
use gstfaststyle::internals::ops::cuda::{Gpu, HalfType, Limits};
use gstfaststyle::internals::ops::{Step, plain};
use gstfaststyle::{Padding, Size};
use half::f16;

#[derive(Clone, Copy, Debug)]
struct Case {
    step: Step,
    /// Size of the input.
    size: (usize, usize),
    channels: (usize, usize),
    /// Whether a normalisation is due.
    pending: bool,
}

/// What the kernel should give: the result, and sum and sum of squares of each
/// channel.
fn expected(case: Case, x: &Tensor, weight: &Tensor, affine: &[Vec<f32>; 2]) -> Vec<f32> {
    let channels = case.channels.0;
    let mut x = x.clone();
    if case.pending {
        let [factor, offset] = affine
            .each_ref()
            .map(|v| tensor(&v[..channels], &[channels]));
        let y = x.broadcast_mul(&factor).unwrap();
        x = y.broadcast_add(&offset).unwrap().relu().unwrap();
    }
    let conv = |x: &Tensor, stride| plain::conv2d(x, weight, Padding::Reflect, stride).unwrap();
    values(&match case.step {
        Step::Same => conv(&x, 1),
        Step::Half => conv(&x, 2),
        Step::Double => conv(&plain::upsample2x(&x).unwrap(), 1),
    })
}

/// The kernel's result, and its moments as it wrote them.
fn run(gpu: &Emulated, shape: ConvTiling, case: Case, seed: u64) -> (Vec<f16>, Vec<f32>) {
    let Case {
        step,
        size: (height, width),
        channels: (inputs, outputs),
        pending,
    } = case;
    let mut random = Random::new(seed);
    let x = random.values(height * width * inputs, 2.0);
    let weights = random.values(outputs * inputs * 9, 0.2);
    let mut affine = [random.values(inputs, 1.0), random.values(inputs, 1.0)];
    affine
        .iter_mut()
        .for_each(|v| v.resize(padded(inputs), 0.0));

    let scales = pack::scales(&weights, outputs);
    let packed = pack::convolution(shape, &weights, (outputs, inputs), &scales, HalfType::F16);
    let wide = (padded(inputs), padded(outputs));
    let (mut launch, rows) = shape.launch(Size::new(width, height), wide, gpu.limits);
    let (out_height, out_width) = match step {
        Step::Same => (height, width),
        Step::Half => (height / 2, width / 2),
        Step::Double => (2 * height, 2 * width),
    };
    let pixels = out_height * out_width;
    let output = gpu.allocate(2 * pixels * wide.1).unwrap();
    let moments = gpu.allocate(8 * rows * wide.1).unwrap();
    let (x_memory, packed) = (gpu.hold(&pad(&x, inputs)), gpu.hold(&rounded(&packed)));
    let [factor, offset] = affine.each_ref().map(|v| gpu.hold(v));
    let Parameters::Convolution(p) = &mut launch.parameters else {
        unreachable!()
    };
    p.input = gpu.address(&x_memory);
    p.weights = gpu.address(&packed);
    p.output = gpu.address(&output);
    p.moments = gpu.address(&moments);
    if pending {
        p.pending = Affine {
            factor: gpu.address(&factor),
            offset: gpu.address(&offset),
        };
    }
    // SAFETY: all memory is as large as the launch says.
    unsafe { gpu.launch(&launch) }.unwrap();
    let found: Vec<f16> = gpu.read(&output, pixels * wide.1);
    let moments: Vec<f32> = gpu.read(&moments, rows * wide.1 * 2);

    let what = format!("{case:?} {shape:?}");
    let x = tensor(&x, &[1, height, width, inputs]);
    let scaled: Vec<f32> = weights
        .chunks(inputs * 9)
        .zip(&scales)
        .flat_map(|(own, scale)| own.iter().map(move |w| w * scale))
        .collect();
    let weight = tensor(&scaled, &[outputs, inputs, 3, 3]);
    let expected = expected(case, &x, &weight, &affine);
    let tolerance = match step {
        Step::Same | Step::Half => 1e-3,
        // All its taps are rounded to a step of the largest sum's.
        Step::Double => 4e-3,
    };
    assert_close(&unpad(&found, outputs), &expected, tolerance, &what);

    let total = |column: usize, i: usize| -> f32 {
        let places = (0..rows).map(|row| (row * wide.1 + column) * 2 + i);
        places.map(|at| moments[at]).sum()
    };
    for column in 0..wide.1 {
        let own = found
            .iter()
            .skip(column)
            .step_by(wide.1)
            .map(|x| x.to_f32());
        let (sum, squares) = own.fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
        let near = |a: f32, b: f32, scale: f32| (a - b).abs() <= 1e-5 * scale + 1e-4;
        assert!(near(total(column, 1), squares, squares), "{what} {column}");
        assert!(near(total(column, 0), sum, squares), "{what} {column}");
    }
    (found, moments)
}

const STEPS: [Step; 3] = [Step::Same, Step::Half, Step::Double];

#[test]
fn every_kernel_gives_what_plain_operations_give() {
    let gpu = Emulated::default();
    for (i, &shape) in ConvTiling::all().iter().enumerate() {
        let outputs = (shape.columns / shape.phases()).max(16);
        // Two chunks, and a tile that ends within the image.
        for (size, inputs, pending) in [
            ((18, 20), 2 * shape.chunk, true),
            ((2, 6), shape.chunk, false),
        ] {
            let case = Case {
                step: shape.step,
                size,
                channels: (inputs, outputs),
                pending,
            };
            run(&gpu, shape, case, i as u64);
        }
    }
    assert_eq!(gpu.conflicts(), 0, "rows in the same banks");
}

#[test]
fn all_sizes_and_channels() {
    let gpu = Emulated::default();
    for step in STEPS {
        // Sizes from one pixel up, and channels that are no multiples of 16.
        let sizes = [(2, 2), (2, 34), (36, 2), (16, 16), (10, 66)];
        let odd = [(1, 1), (1, 2), (3, 1), (17, 33), (7, 5)];
        let all = sizes
            .into_iter()
            .chain(odd.into_iter().filter(|_| step != Step::Half));
        for (size, channels) in all.zip([(8, 16), (16, 8), (4, 12), (24, 40)].into_iter().cycle()) {
            let wide = (padded(channels.0), padded(channels.1));
            let shape = ConvTiling::fitting(step, wide, gpu.limits).unwrap();
            let case = Case {
                step,
                size,
                channels,
                pending: true,
            };
            run(&gpu, shape, case, 7);
        }
    }
}

/// Neither which warp is first nor how the tiles are shared out matters for a
/// result; the former not for the moments either.
#[test]
fn the_order_of_blocks_does_not_matter() {
    for step in STEPS {
        let case = Case {
            step,
            size: (34, 20),
            channels: (32, 32),
            pending: true,
        };
        let forwards = Emulated::default();
        let shape = ConvTiling::fitting(step, case.channels, forwards.limits).unwrap();
        let (result, moments) = run(&forwards, shape, case, 3);
        let backwards = Emulated {
            backwards: true,
            ..Emulated::default()
        };
        let again = run(&backwards, shape, case, 3);
        assert!(again == (result.clone(), moments), "{step:?}");
        let wide = Emulated {
            limits: Limits {
                multiprocessors: 100,
                ..forwards.limits
            },
            ..Emulated::default()
        };
        assert!(run(&wide, shape, case, 3).0 == result, "{step:?}");
    }
}

/// For an image of one colour all results are rounded alike, so that next to no
/// variance is left.
#[test]
fn one_colour_has_no_variance() {
    let gpu = Emulated::default();
    let shape = ConvTiling::fitting(Step::Same, (16, 16), gpu.limits).unwrap();
    let (mut launch, rows) = shape.launch(Size::new(16, 16), (16, 16), gpu.limits);
    let x = gpu.hold(&[f16::from_f32(0.3); 16 * 16 * 16]);
    let weights = Random::new(1).values(16 * 16 * 9, 1.0);
    let packed = pack::convolution(shape, &weights, (16, 16), &[1.0; 16], HalfType::F16);
    let packed = gpu.hold(&rounded(&packed));
    let output = gpu.allocate(2 * 16 * 16 * 16).unwrap();
    let moments = gpu.allocate(8 * rows * 16).unwrap();
    let Parameters::Convolution(p) = &mut launch.parameters else {
        unreachable!()
    };
    p.input = gpu.address(&x);
    p.weights = gpu.address(&packed);
    p.output = gpu.address(&output);
    p.moments = gpu.address(&moments);
    // SAFETY: all memory is as large as the launch says.
    unsafe { gpu.launch(&launch) }.unwrap();
    assert_eq!(rows, 1);
    for pair in gpu.read::<f32>(&moments, 32).chunks(2) {
        let (mean, square) = (f64::from(pair[0]) / 256.0, f64::from(pair[1]) / 256.0);
        assert!((square - mean * mean).abs() <= 1e-6 * square, "{pair:?}");
    }
}
