//! The whole network, against the one in f32.

use crate::emulated::Emulated;
use candle_core::{Device, Tensor};
use gstfaststyle::internals::engine::cuda::{CudaNetwork, CudaWeights};
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::internals::ops::cuda::HalfType;
use gstfaststyle::{Architecture, Model, Network, OutputMap, StyleMix};
use gstfaststyle::{EngineError, Image, Size};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[path = "../common/mod.rs"]
pub mod common;

pub fn network(model: &Model) -> CudaNetwork<Emulated> {
    network_of(model, HalfType::F16)
}

fn network_of(model: &Model, half_type: HalfType) -> CudaNetwork<Emulated> {
    let weights = CudaWeights::new(Arc::new(Emulated::default()), model, half_type).unwrap();
    CudaNetwork::new(Arc::new(weights))
}

/// The mean difference of all values of the pictures, of 255.
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
    sum / a.len() as f32
}

pub fn reference(model: &Model, image: &Image) -> Vec<f32> {
    let network = Network::from_model(model, &Device::Cpu).unwrap();
    let shape = (1, 3, image.height, image.width);
    let input = Tensor::from_slice(&image.data, shape, &Device::Cpu).unwrap();
    let output = network.forward(&input).unwrap();
    let mut painted: Vec<f32> = output.flatten_all().unwrap().to_vec1().unwrap();
    Tone::of(image).apply(&mut painted, &image.data);
    painted
}

#[test]
fn networks_paint_as_in_f32() {
    let small = |width, residual_blocks| Architecture {
        residual_blocks,
        ..Architecture::with_width(width)
    };
    let imported = Architecture {
        input_range: [0.0, 255.0],
        output_norm: false,
        output_map: OutputMap::Clamp,
        ..small(16, 1)
    };
    for (architecture, (width, height)) in [
        (small(8, 2), (37, 22)),
        (small(4, 1), (9, 2)),
        (small(4, 0), (5, 61)),
        (small(24, 1), (16, 16)),
        (imported, (20, 13)),
    ] {
        let clamp = architecture.output_map == OutputMap::Clamp;
        let mut model = common::model(architecture);
        if clamp {
            // So that it gives colours and not only black.
            let bias = Tensor::new(&[100f32, 120.0, 140.0], &Device::Cpu).unwrap();
            model.weights.insert("output.conv.bias".into(), bias);
        }
        let image = common::waves(width, height);
        let reference = reference(&model, &image);
        let means = HalfType::ALL.map(|half_type| {
            let mut styled = Image::default();
            let mut network = network_of(&model, half_type);
            network.stylize(&image, &mut styled).unwrap();
            assert_eq!((styled.width, styled.height), (width, height));
            difference(&styled.data, &reference)
        });
        // Three bits less are eight times as far off.
        let [f16, bf16] = means;
        assert!(
            f16 < 0.5 && bf16 < 4.0,
            "{:?}: {means:?}",
            model.architecture
        );
        assert!(f16 < bf16, "{means:?}");
    }
}

/// A normalisation makes much of small differences, and here there are none:
/// rounding to 16 bits must not bring any in.
#[test]
fn one_colour_stays_that() {
    let model = common::model(Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(8)
    });
    for (size, value) in [((1, 1), 200.0), ((21, 18), 0.0), ((40, 9), 77.0)] {
        let (width, height) = size;
        let image = Image {
            width,
            height,
            data: vec![value; 3 * width * height],
        };
        let mut styled = Image::default();
        network(&model).stylize(&image, &mut styled).unwrap();
        for plane in styled.data.chunks(width * height) {
            let largest = plane
                .iter()
                .fold(0f32, |max, x| max.max((x - plane[0]).abs()));
            assert!(largest < 0.5, "{size:?}: {largest}");
        }
        let mean = difference(&styled.data, &reference(&model, &image));
        assert!(mean < 0.5, "{size:?}: {mean}");
    }
}

#[test]
fn sizes_may_change_and_come_back() {
    let model = common::model(Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(4)
    });
    let mut network = network(&model);
    let paint = |network: &mut CudaNetwork<_>, size: (usize, usize)| {
        let mut styled = Image::default();
        let image = common::waves(size.0, size.1);
        network.stylize(&image, &mut styled).unwrap();
        styled
    };
    let first = paint(&mut network, (20, 12));
    paint(&mut network, (9, 30));
    assert_eq!(paint(&mut network, (20, 12)), first);
}

#[test]
fn models_and_sizes_take_turns_in_the_same_memory() {
    let gpu = Arc::new(Emulated::default());
    let architecture = Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(4)
    };
    let one = common::model(architecture.clone());
    let mut two = one.clone();
    for weight in two.weights.values_mut() {
        *weight = (&*weight * 1.5).unwrap();
    }
    let [one, two] = [one, two]
        .map(|model| Arc::new(CudaWeights::new(gpu.clone(), &model, HalfType::F16).unwrap()));
    let sizes = [(20, 12), (12, 12), (8, 20)];
    let paint = |network: &mut CudaNetwork<Emulated>, (width, height)| {
        let mut styled = Image::default();
        let image = common::waves(width, height);
        network.stylize(&image, &mut styled).unwrap();
        styled
    };
    let fresh = |weights: &Arc<CudaWeights<Emulated>>| {
        sizes.map(|size| paint(&mut CudaNetwork::new(weights.clone()), size))
    };
    let (of_one, of_two) = (fresh(&one), fresh(&two));
    assert_ne!(of_one, of_two);

    let mut network = CudaNetwork::new(one.clone());
    assert_eq!(sizes.map(|size| paint(&mut network, size)), of_one);
    let counts = || {
        (
            gpu.allocations.load(Ordering::Relaxed),
            gpu.graphs.load(Ordering::Relaxed),
        )
    };
    let (allocations, graphs) = counts();
    assert_eq!(sizes.map(|size| paint(&mut network, size)), of_one);
    assert_eq!(counts(), (allocations, graphs));
    network.set_weights(two);
    assert_eq!(sizes.map(|size| paint(&mut network, size)), of_two);
    assert_eq!(counts(), (allocations, graphs + sizes.len()));
}

#[test]
fn mixes_of_styles_paint_as_in_f32() {
    for output_norm in [true, false] {
        let model = common::model(Architecture {
            styles: 3,
            residual_blocks: 1,
            output_norm,
            ..Architecture::with_width(4)
        });
        let image = common::waves(20, 13);
        let mixes = [
            StyleMix::default(),
            StyleMix::new(&[(1, 1.0), (2, 3.0)]).unwrap(),
            StyleMix::single(2),
            StyleMix::default(),
        ];
        let gpu = Arc::new(Emulated::default());
        let weights = CudaWeights::new(gpu.clone(), &model, HalfType::F16).unwrap();
        let weights = Arc::new(weights);
        let [mut network, mut other] = [(); 2].map(|()| CudaNetwork::new(weights.clone()));
        other.set_mix(&mixes[1]).unwrap();
        let mut styled = Image::default();
        network.stylize(&image, &mut styled).unwrap();
        other.stylize(&image, &mut styled).unwrap();
        let counts = || {
            let counts = [&gpu.allocations, &gpu.graphs];
            counts.map(|count| count.load(Ordering::Relaxed))
        };
        let before = counts();
        for mix in &mixes {
            network.set_mix(mix).unwrap();
            network.stylize(&image, &mut styled).unwrap();
            let expected = reference(&model.with_mix(mix).unwrap(), &image);
            let mean = difference(&styled.data, &expected);
            assert!(mean < 0.5, "{output_norm}, {mix:?}: off by {mean}");
        }
        // Each network has a mix of its own.
        other.stylize(&image, &mut styled).unwrap();
        let expected = reference(&model.with_mix(&mixes[1]).unwrap(), &image);
        assert!(difference(&styled.data, &expected) < 0.5);
        assert_eq!(counts(), before);
        assert!(network.set_mix(&StyleMix::single(3)).is_err());
    }
}

#[test]
fn too_little_memory_is_reported() {
    let gpu = Arc::new(Emulated::default());
    let model = common::model(Architecture::with_width(4));
    let weights = CudaWeights::new(gpu.clone(), &model, HalfType::F16).unwrap();
    gpu.free.store(100 << 10, Ordering::Relaxed);
    let mut network = CudaNetwork::new(Arc::new(weights));
    assert!(network.memory_needed(Size::new(100, 100), Size::new(100, 100)) > 100 << 10);
    let mut styled = Image::default();
    match network.stylize(&common::waves(100, 100), &mut styled) {
        Err(EngineError::OutOfMemory { .. }) => (),
        other => panic!("{other:?}"),
    }
    // A smaller one still goes.
    network.stylize(&common::waves(8, 8), &mut styled).unwrap();
    assert_eq!(styled.data.len(), 3 * 64);
    assert!(styled.data.iter().all(|x| x.is_finite()));
}
