//! Every fast operation against the plain one, forward and backward.

mod common;

use candle_core::{Device, Result, Tensor, Var};
use gstfaststyle::Padding;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::internals::ops::cpu::conv::Conv;
use gstfaststyle::internals::ops::{Backend, FrozenConv2d, Products, plain};

fn random(seed: u64, shape: &[usize]) -> Tensor {
    common::random_tensor(seed, shape, -1.0..1.0)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(what: &str, fast: &Tensor, plain: &Tensor, tolerance: f32) {
    assert_eq!(fast.dims(), plain.dims(), "{what}: shape");
    assert_slices_close(what, &values(fast), &values(plain), tolerance);
}

/// Differences are measured against the largest number, as rounding is.
#[track_caller]
fn assert_slices_close(what: &str, fast: &[f32], plain: &[f32], tolerance: f32) {
    assert_eq!(fast.len(), plain.len(), "{what}: length");
    let largest = plain.iter().fold(1f32, |m, x| m.max(x.abs()));
    for (i, (a, b)) in fast.iter().zip(plain).enumerate() {
        let fine = (a - b).abs() <= tolerance * largest;
        assert!(fine, "{what}: element {i} is {a}, not {b}");
    }
}

/// Compares `op` on both paths, and the gradients of all its variables under
/// a random weighting of the result.
fn compare(what: &str, variables: &[Tensor], op: impl Fn(Backend, &[Tensor]) -> Result<Tensor>) {
    let run = |path| -> Result<(Tensor, Vec<Tensor>)> {
        let vars = variables
            .iter()
            .map(Var::from_tensor)
            .collect::<Result<Vec<_>>>()?;
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let y = op(path, &tensors)?;
        let weighting = random(99, y.dims());
        let gradients = (&y * weighting)?.sum_all()?.backward()?;
        let of = |v: &Var| gradients.get(v).cloned().expect("a gradient");
        Ok((y, vars.iter().map(of).collect()))
    };
    let (fast, fast_gradients) = run(Backend::Fast).unwrap();
    let (plain, plain_gradients) = run(Backend::Plain).unwrap();
    assert_close(what, &fast, &plain, 2e-5);
    for (i, (fast, plain)) in fast_gradients.iter().zip(&plain_gradients).enumerate() {
        assert_close(&format!("{what}, gradient {i}"), fast, plain, 2e-5);
    }
}

#[test]
fn convolution_equals_plain_candle() {
    let shapes = [
        // n, h, w, in, out, kernel, stride. Where the stride is 2, both sides are
        // odd or both even: else Candle's own gradient fails.
        (1, 1, 1, 1, 1, 3, 1),
        (1, 1, 2, 16, 8, 3, 1),
        (2, 5, 7, 8, 17, 3, 1),
        (1, 17, 13, 20, 33, 3, 1),
        (1, 9, 30, 64, 48, 3, 1),
        (2, 6, 10, 3, 5, 3, 2),
        (1, 13, 9, 16, 32, 3, 2),
        (1, 11, 10, 3, 16, 9, 1),
        (1, 4, 3, 3, 4, 9, 1),
        (2, 12, 7, 16, 3, 9, 1),
        (1, 9, 7, 5, 4, 5, 2),
        (1, 3, 4, 7, 9, 1, 1),
    ];
    for (n, h, w, inputs, outputs, kernel, stride) in shapes {
        for padding in [Padding::Reflect, Padding::Same] {
            let x = random(1, &[n, h, w, inputs]);
            let weight = random(2, &[outputs, inputs, kernel, kernel]);
            let what = format!("{h}x{w} {inputs}->{outputs} kernel {kernel}/{stride} {padding:?}");
            compare(&what, &[x, weight], |path, t| {
                path.conv2d(&t[0], &t[1], padding, stride)
            });
        }
    }
}

#[test]
fn zeros_are_where_tensorflow_has_them() {
    // Length, kernel and stride, zeros before and after.
    for (len, kernel, stride, zeros) in [
        (8, 3, 2, (0, 1)),
        (7, 3, 2, (1, 1)),
        (1, 3, 2, (1, 1)),
        (2, 3, 2, (0, 1)),
        (8, 5, 2, (1, 2)),
        (7, 9, 1, (4, 4)),
        (8, 1, 2, (0, 0)),
        (9, 1, 1, (0, 0)),
    ] {
        let found = Padding::Same.around(len, kernel, stride);
        assert_eq!(found, zeros, "{len} by {kernel}/{stride}");
    }
}

/// Numbers of an image or of weights, by four indices; 0 beyond.
struct Numbers(Vec<f32>, Vec<usize>);

impl Numbers {
    fn of(tensor: &Tensor) -> Self {
        Numbers(values(tensor), tensor.dims().to_vec())
    }

    fn at(&self, index: [isize; 4]) -> f32 {
        let inside = |(i, len): (&isize, &usize)| (0..*len as isize).contains(i);
        if !index.iter().zip(&self.1).all(inside) {
            return 0.0;
        }
        let flat = index
            .iter()
            .zip(&self.1)
            .fold(0, |sum, (i, len)| sum * len + *i as usize);
        self.0[flat]
    }
}

/// A tensor of what `value` says of each index.
fn tensor_of(shape: [usize; 4], value: impl Fn([isize; 4]) -> f32) -> Tensor {
    let count: usize = shape.iter().product();
    let index = |mut i: usize| {
        let mut index = [0; 4];
        for (place, len) in index.iter_mut().zip(shape).rev() {
            (*place, i) = ((i % len) as isize, i / len);
        }
        index
    };
    let data = (0..count).map(|i| value(index(i))).collect();
    Tensor::from_vec(data, &shape, &Device::Cpu).unwrap()
}

/// All positions in a kernel of `kernel` by `kernel`, for all of `channels`.
fn taps(kernel: usize, channels: usize) -> impl Iterator<Item = (isize, isize, isize)> {
    let (kernel, channels) = (kernel as isize, channels as isize);
    let rows = (0..kernel).flat_map(move |y| (0..kernel).map(move |x| (y, x)));
    rows.flat_map(move |(y, x)| (0..channels).map(move |c| (y, x, c)))
}

#[test]
fn zero_borders_are_as_defined() {
    for (h, w, inputs, outputs, kernel, stride) in [
        (6, 9, 3, 4, 3, 2),
        (7, 4, 9, 8, 3, 2),
        (1, 2, 2, 3, 3, 2),
        (5, 8, 9, 8, 3, 1),
        (4, 7, 2, 3, 9, 1),
        (8, 5, 2, 3, 5, 2),
    ] {
        let (image, kernels) = (
            random(1, &[1, h, w, inputs]),
            random(2, &[outputs, inputs, kernel, kernel]),
        );
        let (x, weight) = (Numbers::of(&image), Numbers::of(&kernels));
        let (top, _) = Padding::Same.around(h, kernel, stride);
        let (left, _) = Padding::Same.around(w, kernel, stride);
        let shape = [1, h.div_ceil(stride), w.div_ceil(stride), outputs];
        let expected = tensor_of(shape, |[n, row, column, output]| {
            let first_row = row * stride as isize - top as isize;
            let first_column = column * stride as isize - left as isize;
            taps(kernel, inputs)
                .map(|(i, j, input)| {
                    x.at([n, first_row + i, first_column + j, input])
                        * weight.at([output, input, i, j])
                })
                .sum()
        });
        for path in [Backend::Plain, Backend::Fast] {
            let found = path.conv2d(&image, &kernels, Padding::Same, stride);
            let what = format!("{path:?}, {h}x{w}, kernel {kernel}/{stride}");
            assert_close(&what, &found.unwrap(), &expected, 1e-5);
        }
    }
}

#[test]
fn transposed_convolution_is_as_defined() {
    for (h, w, inputs, outputs, kernel) in [
        (1, 1, 1, 1, 3),
        (3, 4, 9, 8, 3),
        (5, 2, 16, 3, 3),
        (2, 3, 4, 3, 5),
        (3, 2, 2, 3, 1),
        (4, 3, 2, 3, 9),
    ] {
        let (image, kernels) = (
            random(1, &[2, h, w, inputs]),
            random(2, &[outputs, inputs, kernel, kernel]),
        );
        let (x, weight) = (Numbers::of(&image), Numbers::of(&kernels));
        // TensorFlow crops 0 in front and 1 at the end of what 3x3 kernels give.
        let front = kernel.saturating_sub(2) as isize / 2;
        // Which input pixel meets place `tap` of the kernel at `pixel`.
        let source = |pixel: isize, tap: isize| match pixel + front - tap {
            odd if odd % 2 != 0 => -1,
            even => even / 2,
        };
        let shape = [2, 2 * h, 2 * w, outputs];
        let expected = tensor_of(shape, |[n, row, column, output]| {
            taps(kernel, inputs)
                .map(|(i, j, input)| {
                    x.at([n, source(row, i), source(column, j), input])
                        * weight.at([output, input, i, j])
                })
                .sum()
        });
        let what = format!("{h}x{w} {inputs}->{outputs} kernel {kernel}");
        for path in [Backend::Plain, Backend::Fast] {
            let found = path.conv_transpose2x(&image, &kernels).unwrap();
            assert_close(&format!("{path:?}, {what}"), &found, &expected, 1e-5);
        }
        compare(&what, &[image, kernels], |path, t| {
            path.conv_transpose2x(&t[0], &t[1])
        });
    }
}

/// `<conv(x), y> = <x, transposed(y)>` for every x and y, where the larger
/// image has even sides.
#[test]
fn transposed_convolution_is_the_gradient_of_the_strided_one() {
    let (large, small) = (random(1, &[1, 10, 6, 5]), random(2, &[1, 5, 3, 7]));
    let weight = random(3, &[7, 5, 3, 3]);
    let mirrored_roles = weight.transpose(0, 1).unwrap();
    for path in [Backend::Plain, Backend::Fast] {
        let down = path.conv2d(&large, &weight, Padding::Same, 2).unwrap();
        let up = path.conv_transpose2x(&small, &mirrored_roles).unwrap();
        let product = |a: &Tensor, b: &Tensor| -> f32 {
            let pairs = values(a).into_iter().zip(values(b));
            pairs.map(|(a, b)| a * b).sum()
        };
        let (below, above) = (product(&down, &small), product(&large, &up));
        assert!((below - above).abs() < 1e-3, "{path:?}: {below}, {above}");
    }
}

#[test]
fn every_cpu_level_convolves_alike() {
    assert!(Level::available().contains(&Level::current()));
    for (height, width, inputs, outputs, kernel, stride) in [
        (1, 1, 17, 3, 3, 1),
        (67, 29, 16, 35, 3, 1),
        (9, 21, 40, 16, 3, 2),
        (10, 37, 3, 40, 9, 1),
        (7, 31, 16, 3, 9, 1),
    ] {
        let conv = Conv {
            batch: 2,
            height,
            width,
            inputs,
            outputs,
            kernel,
            stride,
            padding: Padding::Reflect,
        };
        let size = conv.output_size();
        let (oh, ow) = (size.height, size.width);
        let x = values(&random(1, &[2, height, width, inputs]));
        let weight = values(&random(2, &[outputs, inputs, kernel, kernel]));
        let gradient = values(&random(3, &[2, oh, ow, outputs]));
        let run = |level| {
            [
                conv.forward(level, &x, &weight),
                conv.input_gradient(level, &weight, &gradient),
                conv.weight_gradient(level, &x, &gradient),
            ]
        };
        let plain = run(Level::Plain);
        for level in Level::available() {
            for (pass, (fast, plain)) in run(level).iter().zip(&plain).enumerate() {
                assert_slices_close(
                    &format!("{level}, {conv:?}, pass {pass}"),
                    fast,
                    plain,
                    2e-5,
                );
            }
        }
    }
}

#[test]
fn instance_norm_equals_plain_candle() {
    for (n, h, w, c) in [(1, 1, 1, 1), (2, 5, 3, 7), (1, 40, 31, 16), (2, 33, 32, 20)] {
        for relu in [false, true] {
            let x = (random(1, &[n, h, w, c]) * 3.0).unwrap();
            let (scale, shift) = (random(2, &[c]), random(3, &[c]));
            let what = format!("{n}x{h}x{w}x{c} relu {relu}");
            compare(&what, &[x, scale, shift], |path, t| {
                path.instance_norm(&t[0], &t[1], &t[2], 1e-3, relu)
            });
        }
    }
}

#[test]
fn instance_norm_keeps_a_small_variance_beside_a_large_mean() {
    let x = random(1, &[1, 64, 64, 3]).affine(0.1, 1000.0).unwrap();
    let one = Tensor::ones(3, x.dtype(), x.device()).unwrap();
    let zero = one.zeros_like().unwrap();
    let y = Backend::Fast
        .instance_norm(&x, &one, &zero, 1e-5, false)
        .unwrap();
    let variance: f32 = values(&y).iter().map(|y| y * y).sum::<f32>() / y.elem_count() as f32;
    // 0.1^2 / 3 of variance against an eps of 1e-5, and input rounded to 6e-5.
    assert!((variance - 1.0).abs() < 0.02, "variance {variance}");
}

#[test]
fn resampling_equals_plain_candle() {
    for (n, h, w, c) in [(1, 1, 1, 1), (2, 3, 5, 7), (1, 8, 6, 32)] {
        let x = random(1, &[n, h, w, c]);
        compare("upsample", &[x], |path, t| path.upsample2x(&t[0]));
    }
    for (n, h, w, c) in [(1, 2, 2, 1), (2, 6, 4, 7), (1, 8, 10, 32), (1, 5, 7, 3)] {
        let x = random(1, &[n, h, w, c]);
        compare("max pool", &[x], |path, t| path.max_pool2x2(&t[0]));
    }
}

#[test]
fn fast_products_of_a_frozen_convolution_are_close() {
    for (h, w, inputs, outputs) in [(9, 7, 3, 20), (12, 18, 33, 40), (10, 10, 512, 64)] {
        let weight = random(1, &[outputs, inputs, 3, 3]);
        let bias = random(2, &[outputs]);
        let run = |products| -> Result<(Tensor, Tensor)> {
            let x = Var::from_tensor(&random(3, &[1, h, w, inputs]))?;
            let y = FrozenConv2d::new(&weight, &bias, products)?.forward(&x)?;
            let gradients = (&y * random(99, y.dims()))?.sum_all()?.backward()?;
            Ok((y, gradients.get(&x).cloned().expect("a gradient")))
        };
        let (y, gradient) = run(Products::Fast).unwrap();
        let (exact_y, exact_gradient) = run(Products::Exact).unwrap();
        assert_close("fast products", &y, &exact_y, 1e-2);
        // By its length: ReLU may open where the exact sum is just below 0.
        let length = |t: &Tensor| values(t).iter().map(|x| x * x).sum::<f32>().sqrt();
        let apart = length(&(gradient - &exact_gradient).unwrap()) / length(&exact_gradient);
        assert!(apart < 0.05, "{inputs} channels: gradient off by {apart}");
    }
}

#[test]
fn frozen_convolution_equals_plain_candle() {
    for (h, w, inputs, outputs) in [(1, 1, 3, 64), (9, 7, 3, 20), (12, 18, 32, 40)] {
        let weight = random(1, &[outputs, inputs, 3, 3]);
        let bias = random(2, &[outputs]);
        let frozen = FrozenConv2d::new(&weight, &bias, Products::Exact).unwrap();
        compare(
            "frozen",
            &[random(3, &[2, h, w, inputs])],
            |path, t| match path {
                Backend::Fast => frozen.forward(&t[0]),
                Backend::Plain => plain::frozen_conv2d(&t[0], &weight, &bias),
            },
        );
    }
}

#[test]
fn nothing_is_computed_for_weights_that_nobody_trains() {
    let x = Var::from_tensor(&random(1, &[1, 6, 6, 8])).unwrap();
    let weight = random(2, &[8, 8, 3, 3]);
    let y = Backend::Fast
        .conv2d(&x, &weight, Padding::Reflect, 1)
        .unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&x).is_some());
    assert!(gradients.get(&weight).is_none());
}

/// Gradients against finite differences, without Candle's autograd between.
#[test]
fn gradients_equal_finite_differences() {
    let conv = |t: &[Tensor]| Backend::Fast.conv2d(&t[0], &t[1], Padding::Reflect, 1);
    let strided = |t: &[Tensor]| Backend::Fast.conv2d(&t[0], &t[1], Padding::Reflect, 2);
    let norm = |t: &[Tensor]| Backend::Fast.instance_norm(&t[0], &t[1], &t[2], 1e-3, false);
    let x = random(1, &[1, 5, 7, 8]);
    let weight = random(2, &[4, 8, 3, 3]);
    check_differences("conv", &[x.clone(), weight.clone()], conv);
    check_differences("strided conv", &[x.clone(), weight], strided);
    check_differences("norm", &[x, random(4, &[8]), random(5, &[8])], norm);
}

fn check_differences(what: &str, at: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let weighting = random(99, op(at).unwrap().dims());
    let loss = |t: &[Tensor]| -> f64 {
        let y = values(&op(t).unwrap());
        let terms = y.iter().zip(values(&weighting));
        terms.map(|(y, w)| f64::from(*y) * f64::from(w)).sum()
    };
    let vars: Vec<Var> = at.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = (op(&tensors).unwrap() * &weighting).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    let step = 1e-2;
    for (i, var) in vars.iter().enumerate() {
        let gradient = values(gradients.get(var).unwrap());
        for element in (0..gradient.len()).step_by(gradient.len() / 7 + 1) {
            let moved = |by: f32| {
                let mut t = at.to_vec();
                let mut v = values(&t[i]);
                v[element] += by;
                t[i] = Tensor::from_vec(v, t[i].dims(), &Device::Cpu).unwrap();
                loss(&t)
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let error = (difference - f64::from(gradient[element])).abs();
            let fine = error < 1e-2 * (1.0 + difference.abs());
            assert!(
                fine,
                "{what}, tensor {i}[{element}]: {} vs {difference}",
                gradient[element]
            );
        }
    }
}
