//! The first layer and the last, the sums of residual blocks, and what
//! normalises.

use crate::emulated::Emulated;
use crate::numbers::{Random, assert_close, pad, rounded, tensor, unpad, values};
use gstfaststyle::internals::ops::cuda::Gpu;
use gstfaststyle::internals::ops::cuda::launches::{self, padded};
use gstfaststyle::internals::ops::cuda::pack;
use gstfaststyle::internals::ops::cuda::parameters::{Affine, Parameters};
use gstfaststyle::internals::ops::plain;
use gstfaststyle::{Padding, Size};
use half::f16;

/// Around tiles of 16 by 16 and of 56 by 8 pixels, and smaller than a border.
const SIZES: [(usize, usize); 5] = [(1, 1), (4, 4), (8, 60), (20, 36), (16, 112)];

/// Weights times their scales, as a tensor `[outputs, inputs, 9, 9]`.
fn scaled(weights: &[f32], scales: &[f32], inputs: usize) -> candle_core::Tensor {
    let own = weights.chunks(weights.len() / scales.len()).zip(scales);
    let scaled: Vec<f32> = own
        .flat_map(|(own, scale)| own.iter().map(move |w| w * scale))
        .collect();
    tensor(&scaled, &[scales.len(), inputs, 9, 9])
}

fn sized((height, width): (usize, usize)) -> Size {
    Size::new(width, height)
}

#[test]
fn the_first_layer() {
    let gpu = Emulated::default();
    for (i, size) in SIZES.into_iter().enumerate() {
        let outputs = [8, 16, 32, 48, 64][i];
        // A picture that is mirrored up to a multiple of 4 first.
        let picture = (
            size.0 - usize::from(size.0 > 1),
            size.1 - usize::from(size.1 > 1),
        );
        let mut random = Random::new(i as u64);
        let x = random.values(picture.0 * picture.1 * 3, 1.0);
        let weights = random.values(outputs * 3 * 81, 0.1);
        let scales = pack::scales(&weights, outputs);
        let wide = padded(outputs);
        let (mut launch, rows) = launches::first(sized(picture), sized(size), wide, gpu.limits);
        let pixels = size.0 * size.1;
        let output = gpu.allocate(2 * pixels * wide).unwrap();
        let moments = gpu.allocate(8 * rows * wide).unwrap();
        let of_four = |pixel: &[f32]| [pixel[0], pixel[1], pixel[2], 0.0].map(f16::from_f32);
        let four: Vec<f16> = x.chunks(3).flat_map(of_four).collect();
        let four = gpu.hold(&four);
        let packed = gpu.hold(&rounded(&pack::first(&weights, outputs, &scales)));
        let Parameters::First(p) = &mut launch.parameters else {
            unreachable!()
        };
        p.picture = gpu.address(&four);
        p.weights = gpu.address(&packed);
        p.output = gpu.address(&output);
        p.moments = gpu.address(&moments);
        // SAFETY: all memory is as large as the launch says.
        unsafe { gpu.launch(&launch) }.unwrap();
        let found: Vec<f16> = gpu.read(&output, pixels * wide);

        let mut x = tensor(&x, &[1, picture.0, picture.1, 3]);
        for (dim, more) in [(1, size.0 - picture.0), (2, size.1 - picture.1)] {
            x = plain::reflect_to(&x, dim, 0, more).unwrap();
        }
        let weight = scaled(&weights, &scales, 3);
        let expected = plain::conv2d(&x, &weight, Padding::Reflect, 1).unwrap();
        let what = format!("{size:?} {outputs}");
        assert_close(&unpad(&found, outputs), &values(&expected), 1e-3, &what);
        let moments: Vec<f32> = gpu.read(&moments, rows * wide * 2);
        let squares: f32 = moments.iter().skip(1).step_by(2).sum();
        let expected: f32 = found.iter().map(|x| x.to_f32().powi(2)).sum();
        assert!((squares / expected - 1.0).abs() < 1e-4, "{what}");
    }
    assert_eq!(gpu.conflicts(), 0, "rows in the same banks");
}

#[test]
fn the_last_layer() {
    for (i, size) in SIZES.into_iter().enumerate() {
        let mut gpu = Emulated::default();
        let inputs = [8, 64, 32, 48, 32][i];
        if i == 4 {
            // Too little for 32 channels at a time.
            gpu.limits.shared = 99 << 10;
        }
        let mut random = Random::new(i as u64);
        let x = random.values(size.0 * size.1 * inputs, 2.0);
        let weights = random.values(3 * inputs * 81, 0.1);
        let mut affine = [random.values(inputs, 1.0), random.values(inputs, 1.0)];
        affine
            .iter_mut()
            .for_each(|v| v.resize(padded(inputs), 0.0));
        let scales = pack::scales(&weights, 3);
        let wide = padded(inputs);
        let (mut launch, rows) = launches::last(sized(size), wide, gpu.limits);
        let pixels = size.0 * size.1;
        let output = gpu.allocate(8 * pixels).unwrap();
        let moments = gpu.allocate(8 * rows * 4).unwrap();
        let x_memory = gpu.hold(&pad(&x, inputs));
        let chunk = launches::last_chunk(wide, gpu.limits);
        let packed = gpu.hold(&rounded(&pack::last(&weights, inputs, &scales, chunk)));
        let [factor, offset] = affine.each_ref().map(|v| gpu.hold(v));
        let Parameters::Last(p) = &mut launch.parameters else {
            unreachable!()
        };
        p.input = gpu.address(&x_memory);
        p.weights = gpu.address(&packed);
        p.output = gpu.address(&output);
        p.moments = gpu.address(&moments);
        p.pending = Affine {
            factor: gpu.address(&factor),
            offset: gpu.address(&offset),
        };
        // SAFETY: all memory is as large as the launch says.
        unsafe { gpu.launch(&launch) }.unwrap();
        let found: Vec<f16> = gpu.read(&output, pixels * 4);

        let mut x = tensor(&x, &[1, size.0, size.1, inputs]);
        let [factor, offset] = affine.each_ref().map(|v| tensor(&v[..inputs], &[inputs]));
        x = x.broadcast_mul(&factor).unwrap();
        x = x.broadcast_add(&offset).unwrap().relu().unwrap();
        let weight = scaled(&weights, &scales, inputs);
        let expected = plain::conv2d(&x, &weight, Padding::Reflect, 1).unwrap();
        let what = format!("{size:?} {inputs}");
        let colours: Vec<f32> = found
            .chunks(4)
            .flat_map(|pixel| [0, 1, 2].map(|c| pixel[c].to_f32()))
            .collect();
        assert_close(&colours, &values(&expected), 1e-3, &what);
        let moments: Vec<f32> = gpu.read(&moments, rows * 8);
        for c in 0..3 {
            let total = |i: usize| -> f32 { moments.iter().skip(2 * c + i).step_by(8).sum() };
            let own = colours.iter().skip(c).step_by(3);
            let (sum, squares) = own.fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
            assert!((total(0) - sum).abs() <= 1e-4 * squares + 1e-3, "{what}");
            assert!((total(1) - squares).abs() <= 1e-4 * squares, "{what}");
        }
        assert_eq!(gpu.conflicts(), 0, "rows in the same banks");
    }
}

#[test]
fn sums_of_residual_blocks() {
    let gpu = Emulated::default();
    let (pixels, channels) = (300, 48);
    let mut random = Random::new(1);
    let [x, y] = [(); 2].map(|()| random.values(pixels * channels, 3.0));
    let [factor, offset] = [(); 2].map(|()| random.values(channels, 1.0));
    for replace in [false, true] {
        let (sum, added) = (gpu.hold(&pad(&x, channels)), gpu.hold(&pad(&y, channels)));
        let affine = [&factor, &offset].map(|v| gpu.hold(v));
        let mut launch = launches::residual(pixels, channels, replace, gpu.limits);
        let Parameters::Residual(p) = &mut launch.parameters else {
            unreachable!()
        };
        p.sum = gpu.address(&sum);
        p.added = gpu.address(&added);
        p.affine = Affine {
            factor: gpu.address(&affine[0]),
            offset: gpu.address(&affine[1]),
        };
        // SAFETY: all memory is as large as the launch says.
        unsafe { gpu.launch(&launch) }.unwrap();
        let found: Vec<f16> = gpu.read(&sum, pixels * channels);
        let expected: Vec<f32> = (0..pixels * channels)
            .map(|i| {
                let y = y[i] * factor[i % channels] + offset[i % channels];
                if replace { y.max(0.0) } else { x[i] + y }
            })
            .collect();
        assert_close(&unpad(&found, channels), &expected, 1e-3, "sum");
    }
}

#[test]
fn norms_of_moments() {
    let gpu = Emulated::default();
    let (rows, channels, pixels) = (75, 20, 1000);
    let mut random = Random::new(2);
    let means = random.values(channels, 50.0);
    // In each row: 1000 / 75 pixels at either side of the mean, 0.5 away.
    let share = pixels as f32 / rows as f32;
    let row = means
        .iter()
        .flat_map(|m| [m * share, (m * m + 0.25) * share]);
    let row: Vec<f32> = row.collect();
    let moments = gpu.hold(&row.repeat(rows));
    let [scale, shift] = [(); 2].map(|()| random.values(channels, 2.0));
    let parameters = [&scale, &shift, &vec![0.11; channels]].map(|v| gpu.hold(v));
    let [factor, offset] = [(); 2].map(|()| gpu.allocate(4 * channels).unwrap());
    let mut launch = launches::finalize_norm(rows, channels, pixels);
    let Parameters::FinalizeNorm(p) = &mut launch.parameters else {
        unreachable!()
    };
    p.moments = gpu.address(&moments);
    [p.scale, p.shift, p.eps] = parameters.each_ref().map(|m| gpu.address(m));
    [p.factor, p.offset] = [&factor, &offset].map(|m| gpu.address(m));
    // SAFETY: all memory is as large as the launch says.
    unsafe { gpu.launch(&launch) }.unwrap();
    let [factor, offset] = [factor, offset].map(|m| gpu.read::<f32>(&m, channels));
    for c in 0..channels {
        let expected = scale[c] / 0.6;
        assert!((factor[c] - expected).abs() < 1e-2, "{c}");
        let shifted = shift[c] - means[c] * factor[c];
        assert!((offset[c] - shifted).abs() < 1e-3, "{c}");
    }
}

#[test]
fn parameters_are_laid_out_alike() {
    let sizes = [
        Parameters::Convolution(Default::default()),
        Parameters::First(Default::default()),
        Parameters::Last(Default::default()),
        Parameters::Residual(Default::default()),
        Parameters::FinalizeNorm(Default::default()),
        Parameters::Enter(Default::default()),
        Parameters::FindTone(Default::default()),
        Parameters::Shrink(Default::default()),
        Parameters::Fields(Default::default()),
        Parameters::Leave(Default::default()),
        Parameters::Product(Default::default()),
        Parameters::PackWeights(Default::default()),
        Parameters::WeightGradient(Default::default()),
        Parameters::SumWeightGradient(Default::default()),
        Parameters::Norm(Default::default()),
        Parameters::Resize(Default::default()),
        Parameters::Gate(Default::default()),
        Parameters::Fold(Default::default()),
    ]
    .map(|p| p.size());
    assert_eq!(sizes, faststyle_cuda_emulator::parameter_sizes());
}
