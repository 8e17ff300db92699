//! Instance normalisation and its gradients.

use super::{images, reference, run, to_f16, to_f32};
use crate::emulated::Emulated;
use crate::numbers::{Random, assert_close};
use gstfaststyle::internals::ops::cuda::Gpu;
use gstfaststyle::internals::ops::cuda::training::norm::{InstanceNorm, Places};
use gstfaststyle::internals::ops::plain;

/// Result, and gradients of input, scale and shift.
fn compute(
    gpu: &Emulated,
    norm: InstanceNorm,
    [x, scale, shift, gradient]: [&[f32]; 4],
) -> [Vec<f32>; 4] {
    let [x_memory, gradient] = [x, gradient].map(|v| gpu.hold(&to_f16(v)));
    let [scale, shift] = [scale, shift].map(|v| gpu.hold(v));
    let [y, x_gradient] = [(); 2].map(|()| gpu.allocate(2 * x.len()).unwrap());
    let statistics = gpu.allocate(4 * norm.statistics_len()).unwrap();
    let sums = gpu.allocate(4 * norm.sums_len()).unwrap();
    let at = Places {
        x: gpu.address(&x_memory),
        scale: gpu.address(&scale),
        shift: gpu.address(&shift),
        statistics: gpu.address(&statistics),
        y: gpu.address(&y),
        y_gradient: gpu.address(&gradient),
        sums: gpu.address(&sums),
        x_gradient: gpu.address(&x_gradient),
    };
    run(gpu, |scratch| norm.statistics(at, gpu.limits, scratch));
    run(gpu, |_| vec![norm.normalise(at, gpu.limits)]);
    run(gpu, |scratch| norm.sums(at, gpu.limits, scratch));
    run(gpu, |_| vec![norm.gradient(at, gpu.limits)]);
    let sums: Vec<f32> = gpu.read(&sums, 2 * norm.channels);
    let (of_scale, of_shift) = sums.split_at(norm.channels);
    [
        to_f32(&gpu.read(&y, x.len())),
        to_f32(&gpu.read(&x_gradient, x.len())),
        of_scale.to_vec(),
        of_shift.to_vec(),
    ]
}

#[test]
fn results_and_gradients_are_those_of_plain_operations() {
    let gpu = Emulated::default();
    for (i, (shape, relu)) in [
        ([2, 5, 7, 3], true),
        ([1, 17, 13, 16], false),
        ([3, 17, 13, 20], true),
        ([2, 4, 5, 264], true),
        ([1, 9, 9, 40], false),
    ]
    .into_iter()
    .enumerate()
    {
        let [batch, height, width, channels] = shape;
        let mut random = Random::new(i as u64);
        // Far from 0, as what a first layer gives may be.
        let x: Vec<f32> = images(&mut random, shape, 4.0);
        let x: Vec<f32> = x.iter().map(|x| x + 16.0).collect();
        let x = to_f32(&to_f16(&x));
        let [scale, shift] = [(); 2].map(|()| random.values(channels, 2.0));
        let gradient = images(&mut random, shape, 1.0);
        let norm = InstanceNorm {
            batch,
            pixels: height * width,
            channels,
            eps: 1e-3,
            relu,
        };
        let found = compute(&gpu, norm, [&x, &scale, &shift, &gradient]);
        let channels = [channels];
        let (y, gradients) = reference(
            &[(&x, &shape), (&scale, &channels), (&shift, &channels)],
            |a| plain::instance_norm(&a[0], &a[1], &a[2], 1e-3, relu).unwrap(),
            |_| gradient,
        );
        let what = |of: &str| format!("{of} of {shape:?}, relu {relu}");
        assert_close(&found[0], &y, 1e-3, &what("result"));
        assert_close(&found[1], &gradients[0], 1e-3, &what("input's gradient"));
        assert_close(&found[2], &gradients[1], 1e-4, &what("scale's gradient"));
        assert_close(&found[3], &gradients[2], 1e-4, &what("shift's gradient"));
    }
}

#[test]
fn one_colour_has_no_variance() {
    let gpu = Emulated::default();
    let norm = InstanceNorm {
        batch: 1,
        pixels: 200,
        channels: 16,
        eps: 1e-5,
        relu: false,
    };
    let x = to_f32(&to_f16(&[300.3; 200 * 16]));
    let gradient = vec![1.0; x.len()];
    let shift = Random::new(1).values(16, 1.0);
    let [y, of_x, ..] = compute(&gpu, norm, [&x, &[1.0; 16], &shift, &gradient]);
    assert_eq!(y, shift.repeat(200));
    assert!(of_x.iter().all(|&g| g == 0.0));
}
