//! What the training measures and how it moves, against values by hand and by
//! another implementation.

use candle_core::{DType, Device, Tensor, Var};
use faststyle_train::objective::gradient;
use faststyle_train::objective::layers::{LayerWeights, VggLayer};
use faststyle_train::objective::loss;
use faststyle_train::objective::vgg_weights::VggWeights;
use faststyle_train::objective::vgg19::Vgg19;
use faststyle_train::objective::{LossWeights, Objective};
use faststyle_train::training::optimizer::{Optimizer, OptimizerMethod};
use gstfaststyle::internals::ops::{Products, plain};
use serde_json::Value;

type Result<T = ()> = anyhow::Result<T>;

fn close(found: f64, expected: f64, relative: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(1e-12);
    assert!(error <= relative, "{what}: {found}, expected {expected}");
}

/// Numbers between -1 and 1 without a pattern.
fn noise(shape: &[usize], seed: usize) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|i| (((i + seed) as f32 * 12.9898).sin() * 437.585).fract())
        .collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f32) -> Result {
    assert_eq!(found.dims(), expected.dims());
    let worst = (found - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
    let scale = expected.abs()?.max_all()?.to_scalar::<f32>()?;
    assert!(worst <= tolerance * scale, "differ by {worst} of {scale}");
    Ok(())
}

/// Two images of two channels of 1x2 pixels, channels last.
fn pixels(values: Tensor) -> Result<Tensor> {
    Ok(values.reshape((2, 2, 1, 2))?.permute((0, 2, 3, 1))?)
}

#[test]
fn gram_matrix_by_hand() -> Result {
    // Two channels of 1x2 pixels, two images: divided by 1 * 2 * 2.
    let features = Tensor::new(&[1f32, 2., 3., 4., 0., 1., -1., 2.], &Device::Cpu)?;
    let gram = loss::gram(&pixels(features)?)?;
    assert_eq!(
        gram.to_vec3::<f32>()?,
        [[[1.25, 2.75], [2.75, 6.25]], [[0.25, 0.5], [0.5, 1.25]]]
    );
    Ok(())
}

#[test]
fn content_by_hand() -> Result {
    let features = Var::new(&[[[[1f32, 2.]], [[3., 4.]]]], &Device::Cpu)?;
    let target = Tensor::new(&[[[[1f32, 0.]], [[0., 8.]]]], &Device::Cpu)?;
    let loss = loss::content(&features, &target)?;
    assert_eq!(loss.to_scalar::<f32>()?, (4. + 9. + 16.) / 4.);
    let gradients = (loss * 3.0)?.backward()?;
    let gradient = gradients.get(&features).expect("a gradient");
    assert_eq!(
        gradient.flatten_all()?.to_vec1::<f32>()?,
        [0., 3.0, 4.5, -6.0]
    );
    Ok(())
}

#[test]
fn style_by_hand() -> Result {
    // Gram matrices [[1.25, 2.75], [2.75, 6.25]] and [[0.25, 0.5], [0.5, 1.25]].
    let features = Tensor::new(&[1f32, 2., 3., 4., 0., 1., -1., 2.], &Device::Cpu)?;
    let target = Tensor::new(&[[[0.25f32, 0.75], [0.75, 1.25]]], &Device::Cpu)?;
    let loss = loss::style(&pixels(features)?, &target)?;
    let first = (1. + 4. + 4. + 25.) / 4.;
    let second = (0.0625 + 0.0625) / 4.;
    assert_eq!(loss.to_scalar::<f32>()?, (first + second) / 2.);
    Ok(())
}

#[test]
fn total_variation_by_hand() -> Result {
    // |3-1| + |2-6| across, |6-1| + |2-3| down; the second image is flat.
    let images = Tensor::new(&[1f32, 3., 6., 2., 5., 5., 5., 5.], &Device::Cpu)?;
    let images = Var::from_tensor(&images.reshape((2, 2, 2, 1))?)?;
    let loss = loss::total_variation(&images)?;
    assert_eq!(loss.to_scalar::<f32>()?, (2. + 4. + 5. + 1.) / 2.);
    let gradients = loss.backward()?;
    let gradient = gradients.get(&images).expect("a gradient");
    // Each pixel: +1/2 for every neighbour it is above, -1/2 for every other.
    assert_eq!(
        gradient.flatten_all()?.to_vec1::<f32>()?,
        [-1., 1., 1., -1., 0., 0., 0., 0.]
    );
    let line = loss::total_variation(&images.narrow(1, 0, 1)?)?;
    assert_eq!(line.to_scalar::<f32>()?, 1.);
    Ok(())
}

#[test]
fn gradients_are_those_that_candle_finds() -> Result {
    let x = Var::from_tensor(&noise(&[2, 5, 4, 6], 0)?)?;
    let matrix = noise(&[1, 5, 5], 7)?;
    let matrix = (&matrix + matrix.t()?)?;
    let last = x.permute((0, 2, 3, 1))?.contiguous()?;
    let flat = x.reshape((2, 5, 24))?;
    let gram = (flat.matmul(&flat.t()?.contiguous()?)? / (5. * 24.))?;
    let style = gram.broadcast_sub(&matrix)?.sqr()?.mean_all()?;
    let across = (x.narrow(3, 1, 5)? - x.narrow(3, 0, 5)?)?;
    let down = (x.narrow(2, 1, 3)? - x.narrow(2, 0, 3)?)?;
    let tv = ((across.abs()?.sum_all()? + down.abs()?.sum_all()?)? / 2.)?;
    let features = noise(&[2, 5, 4, 6], 99)?;
    let content = (x.as_tensor() - &features)?.sqr()?.mean_all()?;
    for (ours, candles) in [
        (loss::style(&last, &matrix)?, style),
        (loss::total_variation(&last)?, tv),
        (loss::content(&x, &features)?, content),
    ] {
        assert_close(&ours, &candles, 1e-5)?;
        let (ours, candles) = ((ours * 7.)?.backward()?, (candles * 7.)?.backward()?);
        let (ours, candles) = (ours.get(&x), candles.get(&x));
        assert_close(
            ours.expect("a gradient"),
            candles.expect("a gradient"),
            1e-5,
        )?;
    }
    Ok(())
}

#[test]
fn adam_by_hand() -> Result {
    let device = Device::Cpu;
    let parameters = [
        Var::new(&[1f32, -2.], &device)?,
        Var::new(&[[0.5f32]], &device)?,
    ];
    let shapes = [vec![2], vec![1, 1]];
    let mut adam = Optimizer::new(OptimizerMethod::Adam, &shapes, &device)?;
    // The same in f64, one number at a time.
    let mut expected = [(1f64, 0f64, 0f64), (-2., 0., 0.), (0.5, 0., 0.)];
    for step in 1..=5 {
        // d/dp of p0^2 + 3 p1 + sum(p2^3) by Candle.
        let p0 = parameters[0].narrow(0, 0, 1)?.sqr()?.sum_all()?;
        let p1 = (parameters[0].narrow(0, 1, 1)?.sum_all()? * 3.)?;
        let p2 = parameters[1].powf(3.)?.sum_all()?;
        let gradients = ((p0 + p1)? + p2)?.backward()?;
        let gradient = gradient::flat(&parameters, &gradients)?;
        adam.step(&parameters, &gradient, 0.1)?;

        let slopes = [2. * expected[0].0, 3., 3. * expected[2].0 * expected[2].0];
        for ((p, m, v), g) in expected.iter_mut().zip(slopes) {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            let mean = *m / (1. - 0.9f64.powi(step));
            let square = *v / (1. - 0.999f64.powi(step));
            *p -= 0.1 * mean / (square.sqrt() + 1e-8);
        }
        if step == 1 {
            // The first step is the rate itself, whatever the slope.
            close(expected[1].0, -2.1, 1e-6, "the first step");
        }
    }
    assert_eq!(adam.steps(), 5);
    let found = [
        parameters[0].to_vec1::<f32>()?,
        parameters[1].flatten_all()?.to_vec1()?,
    ]
    .concat();
    for (found, (expected, _, _)) in found.iter().zip(expected) {
        close((*found).into(), expected, 1e-5, "a parameter");
    }
    Ok(())
}

/// Eigenvectors of a symmetric matrix, as columns.
fn eigenvectors([[a, b], [_, d]]: Matrix) -> Matrix {
    let (sin, cos) = (0.5 * (2. * b).atan2(a - d)).sin_cos();
    [[cos, -sin], [sin, cos]]
}

type Matrix = [[f64; 2]; 2];

fn product(a: Matrix, b: Matrix) -> Matrix {
    let entry = |i: usize, j: usize| a[i][0] * b[0][j] + a[i][1] * b[1][j];
    [0, 1].map(|i| [0, 1].map(|j| entry(i, j)))
}

fn transposed([[a, b], [c, d]]: Matrix) -> Matrix {
    [[a, c], [b, d]]
}

/// Of each two entries in one place.
fn each(a: Matrix, b: Matrix, f: impl Fn(f64, f64) -> f64) -> Matrix {
    [0, 1].map(|i| [0, 1].map(|j| f(a[i][j], b[i][j])))
}

#[test]
fn soap_by_hand() -> Result {
    let device = Device::Cpu;
    let parameter = Var::zeros((2, 2, 1, 1), DType::F32, &device)?;
    let mut soap = Optimizer::new(OptimizerMethod::Soap, &[vec![2, 2, 1, 1]], &device)?;
    let gradients: [Matrix; 4] = [
        [[3., 1.], [-2., 0.5]],
        [[2., -1.], [-1., 1.5]],
        [[4., 0.5], [1., -0.25]],
        [[-1., 2.], [0.5, 3.]],
    ];
    // The same in f64: what gradients have in common by rows and by columns, its
    // eigenvectors, and Adam along these.
    let zero = [[0.; 2]; 2];
    let (mut by_rows, mut by_columns) = (zero, zero);
    let (mut left, mut right) = ([[1., 0.], [0., 1.]], [[1., 0.], [0., 1.]]);
    let (mut mean, mut squares, mut expected) = (zero, zero, zero);
    for (step, gradient) in (1..).zip(gradients) {
        let numbers: Vec<f32> = gradient.concat().iter().map(|g| *g as f32).collect();
        let numbers = Tensor::from_vec(numbers, 4, &device)?;
        soap.step(std::slice::from_ref(&parameter), &numbers, 0.1)?;

        let learn = |old: f64, new: f64| 0.99 * old + 0.01 * new;
        by_rows = each(by_rows, product(gradient, transposed(gradient)), learn);
        by_columns = each(by_columns, product(transposed(gradient), gradient), learn);
        let (new_left, new_right) = (eigenvectors(by_rows), eigenvectors(by_columns));
        let squared = |turn: Matrix| each(turn, turn, |a, b| a * b);
        let from_left = squared(product(transposed(new_left), left));
        let from_right = squared(product(transposed(right), new_right));
        squares = product(product(from_left, squares), from_right);
        (left, right) = (new_left, new_right);
        let turned = |x: Matrix| product(product(transposed(left), x), right);

        mean = each(mean, gradient, |m, g| 0.9 * m + 0.1 * g);
        let found = squared(turned(gradient));
        squares = each(squares, found, |s, g| 0.99 * s + 0.01 * g);
        let rate = 0.1 / (1. - 0.9f64.powi(step));
        let fill = 1. - 0.99f64.powi(step);
        let update = each(turned(mean), squares, |m, s| {
            rate * m / ((s / fill).sqrt() + 1e-8)
        });
        let update = product(product(left, update), transposed(right));
        if step > 1 {
            expected = each(expected, update, |p, u| p - u);
        }
    }
    let found: Vec<f32> = parameter.flatten_all()?.to_vec1()?;
    for (found, expected) in found.iter().zip(expected.concat()) {
        close((*found).into(), expected, 1e-4, "a parameter");
    }
    Ok(())
}

#[test]
fn vgg19_matches_the_reference() -> Result {
    // Written by tests/data/vgg19_reference.py, in numpy, from f16 weights.
    let reference: Value = serde_json::from_str(include_str!("data/vgg19_reference.json"))?;
    let device = Device::Cpu;
    let vgg = Vgg19::new(&VggWeights::builtin(&device)?, Products::Exact, &device)?;
    let size = 64;
    let mut image = Vec::with_capacity(3 * size * size);
    for c in 0..3 {
        for y in 0..size {
            image.extend((0..size).map(|x| {
                let value = x * (3 + 2 * c) + y * (7 - 2 * c) + x * y;
                (value % 256) as f32
            }));
        }
    }
    let image = Tensor::from_vec(image, (1, 3, size, size), &device)?;
    let image = plain::channels_last(&image)?;
    let style = LayerWeights::style();
    let layers: Vec<VggLayer> = style.layers().chain([VggLayer::CONTENT]).collect();
    let features = vgg.features(&image, &layers)?;
    for (name, seen) in layers.iter().zip(&features) {
        let layer = &reference[name.to_string()];
        let number = |key: &str| layer[key].as_f64().expect("a number");
        let shape: Vec<usize> = serde_json::from_value(layer["shape"].clone())?;
        let gram = loss::gram(seen)?;
        let seen = &seen.permute((0, 3, 1, 2))?.contiguous()?;
        assert_eq!(seen.dims()[1..], shape, "{name}");
        let value = |t: Tensor| -> Result<f64> { Ok(t.to_scalar::<f32>()?.into()) };
        let last = seen.narrow(1, shape[0] - 1, 1)?.sum_all()?;
        let found = [
            ("mean", value(seen.mean_all()?)?),
            ("mean_square", value(seen.sqr()?.mean_all()?)?),
            ("last", value(last)?),
            ("gram_sum", value(gram.sum_all()?)?),
        ];
        for (key, found) in found {
            close(found, number(key), 1e-3, &format!("{name} {key}"));
        }
    }
    // Alone, and from a shorter walk, it is the same.
    let content = &vgg.features(&image, &[VggLayer::CONTENT])?[0];
    assert_close(content, &features[5], 0.)?;
    Ok(())
}

/// How long `a - b` is beside `b`.
fn relative_difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    let length = |t: &Tensor| -> Result<f64> {
        Ok(f64::from(t.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt())
    };
    Ok(length(&(a - b)?)? / length(b)?)
}

#[test]
fn fast_products_give_the_same_losses_and_gradient() -> Result {
    let device = Device::Cpu;
    let waves = |down: f32, across: f32| -> Result<Tensor> {
        let mut image = Vec::new();
        for c in 0..3 {
            for y in 0..80 {
                image.extend((0..96).map(|x| {
                    let phase = (y as f32 * down + x as f32 * across) * (1.0 + c as f32 / 4.0);
                    // With an edge, and a flat part.
                    128.0 + if x < y { 100.0 * phase.sin() } else { -60.0 }
                }));
            }
        }
        let image = Tensor::from_vec(image, (1, 3, 80, 96), &device)?;
        Ok(plain::channels_last(&image)?)
    };
    let (painting, photo, picture) = (waves(0.9, 0.4)?, waves(0.1, 0.2)?, waves(0.3, 0.1)?);
    let weights = VggWeights::builtin(&device)?;
    let measure = |products| -> Result<_> {
        let vgg = Vgg19::new(&weights, products, &device)?;
        let paintings = [(1.0, painting.clone())];
        let objective = Objective::new(vgg, &paintings, LossWeights::default())?;
        let picture = Var::from_tensor(&picture)?;
        let (total, losses) = objective.measure(&picture, &objective.content(&photo)?)?;
        let gradient = total.backward()?.remove(&picture).expect("a gradient");
        Ok((losses, gradient))
    };
    let (losses, gradient) = measure(Products::Fast)?;
    let (exact, exact_gradient) = measure(Products::Exact)?;
    for (fast, exact) in losses.as_array().into_iter().zip(exact.as_array()) {
        close(fast.into(), exact.into(), 3e-3, "a loss");
    }
    // A hair decides which of nearly equal pixels a maximum is taken from, and
    // on which side of 0 a sum lies: the gradient's direction is what counts.
    let difference = relative_difference(&gradient, &exact_gradient)?;
    assert!(difference < 0.25, "the gradient differs by {difference}");
    Ok(())
}
