//! Every fast operation against the plain one, forward and backward.

use candle_core::{Device, Result, Tensor, Var};
use gstfaststyle::ops::cpu::Level;
use gstfaststyle::ops::cpu::conv::Conv;
use gstfaststyle::ops::{FrozenConv2d, Padding, Path, plain};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers in -1..1, the same for the same seed.
fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
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
fn compare(what: &str, variables: &[Tensor], op: impl Fn(Path, &[Tensor]) -> Result<Tensor>) {
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
    let (fast, fast_gradients) = run(Path::Fast).unwrap();
    let (plain, plain_gradients) = run(Path::Plain).unwrap();
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
        for padding in [Padding::Reflect(kernel / 2), Padding::Zero(kernel / 2)] {
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
            padding: Padding::Reflect(kernel / 2),
        };
        let (oh, ow) = conv.output_size();
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
    let y = Path::Fast
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
fn frozen_convolution_equals_plain_candle() {
    for (h, w, inputs, outputs) in [(1, 1, 3, 64), (9, 7, 3, 20), (12, 18, 32, 40)] {
        let weight = random(1, &[outputs, inputs, 3, 3]);
        let bias = random(2, &[outputs]);
        let frozen = FrozenConv2d::new(&weight, &bias).unwrap();
        compare(
            "frozen",
            &[random(3, &[2, h, w, inputs])],
            |path, t| match path {
                Path::Fast => frozen.forward(&t[0]),
                Path::Plain => plain::frozen_conv2d(&t[0], &weight, &bias),
            },
        );
    }
}

#[test]
fn nothing_is_computed_for_weights_that_nobody_trains() {
    let x = Var::from_tensor(&random(1, &[1, 6, 6, 8])).unwrap();
    let weight = random(2, &[8, 8, 3, 3]);
    let y = Path::Fast
        .conv2d(&x, &weight, Padding::Reflect(1), 1)
        .unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&x).is_some());
    assert!(gradients.get(&weight).is_none());
}

/// Gradients against finite differences, without Candle's autograd between.
#[test]
fn gradients_equal_finite_differences() {
    let conv = |t: &[Tensor]| Path::Fast.conv2d(&t[0], &t[1], Padding::Reflect(1), 1);
    let strided = |t: &[Tensor]| Path::Fast.conv2d(&t[0], &t[1], Padding::Reflect(1), 2);
    let norm = |t: &[Tensor]| Path::Fast.instance_norm(&t[0], &t[1], &t[2], 1e-3, false);
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
