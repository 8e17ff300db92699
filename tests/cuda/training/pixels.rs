//! Halving and doubling, and their gradients. (ReLU's and mirrored borders' are
//! tested with convolutions.)

use super::{images, run, to_f16, to_f32};
use crate::emulated::Emulated;
use crate::numbers::Random;
use gstfaststyle::internals::ops::cpu::pool;
use gstfaststyle::internals::ops::cuda::training::pixels::{self, Size};
use gstfaststyle::internals::ops::cuda::{Gpu, Launch};

const SIZES: [Size; 4] = [[2, 6, 8, 3], [1, 17, 13, 16], [3, 5, 4, 20], [1, 2, 3, 64]];

/// What a launch makes, `len` numbers of those arguments.
fn compute(
    gpu: &Emulated,
    arguments: &[&[f32]],
    len: usize,
    launch: impl Fn(&[u64], u64) -> Launch,
) -> Vec<f32> {
    let memory: Vec<_> = arguments.iter().map(|v| gpu.hold(&to_f16(v))).collect();
    let addresses: Vec<_> = memory.iter().map(|m| gpu.address(m)).collect();
    let result = gpu.allocate(2 * len).unwrap();
    run(gpu, |_| vec![launch(&addresses, gpu.address(&result))]);
    to_f32(&gpu.read(&result, len))
}

#[test]
fn pooling() {
    let gpu = Emulated::default();
    let limits = gpu.limits;
    for size in SIZES {
        let [batch, height, width, channels] = size;
        // Small whole numbers: many are equally large.
        let x = images(&mut Random::new(1), size, 4.0);
        let x: Vec<f32> = x.iter().map(|x| x.round()).collect();
        let of_image = (height, width, channels);
        let expected = pool::max_pool(&x, of_image);
        let y = compute(&gpu, &[&x], expected.len(), |at, y| {
            pixels::max_pool(size, at[0], y, limits)
        });
        assert_eq!(y, expected, "{size:?}");
        let small = [batch, height / 2, width / 2, channels];
        let gradient = images(&mut Random::new(2), small, 1.0);
        let expected = pool::max_pool_gradient(&x, of_image, &y, &gradient);
        let found = compute(&gpu, &[&x, &y, &gradient], x.len(), |at, to| {
            pixels::max_pool_gradient(size, (at[0], at[1]), (at[2], to), limits)
        });
        assert_eq!(found, expected, "gradient of {size:?}");
    }
}

#[test]
fn upsampling() {
    let gpu = Emulated::default();
    let limits = gpu.limits;
    for [batch, height, width, channels] in SIZES {
        let large = [batch, 2 * height, 2 * width, channels];
        let x = images(&mut Random::new(1), [batch, height, width, channels], 4.0);
        let expected = pool::upsample(&x, (height, width, channels));
        let y = compute(&gpu, &[&x], expected.len(), |at, y| {
            pixels::upsample(large, at[0], y, limits)
        });
        assert_eq!(y, expected, "{large:?}");
        // Whole numbers, whose sums are exact.
        let gradient = images(&mut Random::new(2), large, 9.0);
        let gradient: Vec<f32> = gradient.iter().map(|g| g.round()).collect();
        let expected = pool::upsample_gradient(&gradient, (height, width, channels));
        let found = compute(&gpu, &[&gradient], x.len(), |at, to| {
            pixels::upsample_gradient(large, at[0], to, limits)
        });
        assert_eq!(found, expected, "gradient of {large:?}");
    }
}
