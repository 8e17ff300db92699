//! The CPU engine against the plain network.

mod common;

use candle_core::{Device, Tensor};
use common::model;
use gstfaststyle::internals::engine::cpu::{CpuNetwork, CpuWeights};
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::internals::ops::Backend;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::{Architecture, Model, Network, OutputMap, Padding, StyleMix, Upsampling};
use gstfaststyle::{DeviceChoice, Engine, EngineError, Image, Options, Precision, Prepared};
use std::sync::Arc;

fn picture(width: usize, height: usize) -> Image {
    common::noise(7, width, height)
}

fn cpu_network(model: &Model, level: Level, precision: Precision) -> CpuNetwork {
    CpuNetwork::new(Arc::new(CpuWeights::new(model, level, precision).unwrap()))
}

fn plain(model: &Model, picture: &Image) -> Vec<f32> {
    plain_mix(model, picture, &StyleMix::default())
}

fn plain_mix(model: &Model, picture: &Image, mix: &StyleMix) -> Vec<f32> {
    let network = Network::from_model(model, &Device::Cpu).unwrap();
    let shape = (1, 3, picture.height, picture.width);
    let x = Tensor::from_slice(&picture.data, shape, &Device::Cpu).unwrap();
    let y = network.forward_mix(&x, mix, Backend::Plain).unwrap();
    y.flatten_all().unwrap().to_vec1().unwrap()
}

/// What an engine makes of a painting of `picture`.
fn in_tone(mut painted: Vec<f32>, picture: &Image) -> Vec<f32> {
    Tone::of(picture).apply(&mut painted, &picture.data);
    painted
}

#[track_caller]
fn assert_same_picture(what: &str, styled: &[f32], plain: &[f32]) {
    assert_eq!(styled.len(), plain.len(), "{what}");
    let largest = styled
        .iter()
        .zip(plain)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(largest < 0.1, "{what}: off by {largest} of 255");
}

#[test]
fn every_level_equals_the_plain_network() {
    // An eps that keeps norms over a handful of pixels from magnifying rounding.
    let norm_eps = 1e-2;
    let architectures = [
        Architecture {
            norm_eps,
            ..Architecture::with_width(16)
        },
        Architecture {
            residual_blocks: 1,
            output_norm: false,
            ..Architecture::with_width(5)
        },
        Architecture {
            residual_blocks: 0,
            inner_kernel: 5,
            outer_kernel: 7,
            output_norm: false,
            output_map: OutputMap::Clamp,
            input_range: [-1.0, 1.0],
            ..Architecture::with_width(18)
        },
    ];
    // From two pixels at a quarter of the size: see below.
    let pictures = [(5, 1), (1, 5), (3, 5), (16, 12), (29, 31), (67, 129)];
    for architecture in architectures {
        let model = model(architecture);
        for (width, height) in pictures {
            let picture = picture(width, height);
            let reference = plain(&model, &picture);
            for level in Level::available() {
                let mut network = cpu_network(&model, level, Precision::F32);
                let mut styled = Image::default();
                network.stylize(&picture, Tone::NONE, &mut styled).unwrap();
                assert_eq!((styled.width, styled.height), (width, height));
                let what = format!("{level}, {width}x{height}, {:?}", model.architecture);
                assert_same_picture(&what, &styled.data, &reference);
            }
        }
    }
}

/// From the first style on, that of a fresh network.
fn mixes() -> [StyleMix; 4] {
    [
        StyleMix::default(),
        StyleMix::single(2),
        StyleMix::new(&[(2, 1.0), (0, 3.0)]).unwrap(),
        StyleMix::new(&[(0, 0.2), (1, 0.5), (2, 0.3)]).unwrap(),
    ]
}

#[test]
fn mixes_of_styles_equal_the_plain_network() {
    let architectures = [
        Architecture {
            styles: 3,
            ..Architecture::with_width(17)
        },
        Architecture {
            styles: 3,
            residual_blocks: 1,
            output_norm: false,
            ..Architecture::with_width(5)
        },
    ];
    for architecture in architectures {
        let model = model(architecture);
        let picture = picture(67, 33);
        let references = mixes().map(|mix| plain_mix(&model, &picture, &mix));
        assert_ne!(references[0], references[1]);
        for level in Level::available() {
            let mut exact = cpu_network(&model, level, Precision::F32);
            let mut fast = cpu_network(&model, level, Precision::Fast);
            let mut styled = Image::default();
            for (mix, reference) in mixes().iter().zip(&references) {
                let what = format!("{level}, {mix:?}");
                exact.set_mix(mix).unwrap();
                exact.stylize(&picture, Tone::NONE, &mut styled).unwrap();
                assert_same_picture(&what, &styled.data, reference);
                fast.set_mix(mix).unwrap();
                fast.stylize(&picture, Tone::NONE, &mut styled).unwrap();
                let differences = styled.data.iter().zip(reference);
                let sum: f32 = differences.map(|(a, b)| (a - b).abs()).sum();
                let mean = sum / reference.len() as f32;
                assert!(mean < 0.5, "{what}: off by {mean}");
            }
        }
    }
}

#[test]
fn engines_of_one_model_have_mixes_of_their_own() {
    let three = |architecture| Architecture {
        styles: 3,
        residual_blocks: 1,
        ..architecture
    };
    for architecture in [
        three(Architecture::with_width(4)),
        three(of_tensorflow().architecture),
    ] {
        let model = model(architecture);
        let prepared = Arc::new(Prepared::new(&model, common::EXACT).unwrap());
        let names = prepared.styles().iter().map(|style| style.name.as_str());
        assert!(names.eq(["style-0", "style-1", "style-2"]));
        let mut engines = [(); 4].map(|()| Engine::of(prepared.clone()));
        for (engine, mix) in engines.iter_mut().zip(mixes()) {
            engine.set_mix(&mix).unwrap();
        }
        let picture = picture(21, 18);
        let mut styled = Image::default();
        for (engine, mix) in engines.iter_mut().zip(mixes()) {
            let error = engine.set_mix(&StyleMix::single(3)).unwrap_err();
            assert!(matches!(error, EngineError::NoStyle { style: 3, .. }));
            engine.stylize(&picture, &mut styled).unwrap();
            let reference = in_tone(plain_mix(&model, &picture, &mix), &picture);
            assert_same_picture(&format!("{mix:?}"), &styled.data, &reference);
        }
        // With another model, even if that is the same, all begin anew.
        engines[1].set_model(prepared);
        engines[1].stylize(&picture, &mut styled).unwrap();
        let reference = in_tone(plain(&model, &picture), &picture);
        assert_same_picture("anew", &styled.data, &reference);
    }
}

/// A network that the kernels are not made for: as lengstrom's are.
fn of_tensorflow() -> Model {
    model(Architecture {
        residual_blocks: 1,
        norm_eps: 1e-3,
        output_map: OutputMap::Tanh150,
        upsampling: Upsampling::Transposed,
        padding: Padding::Same,
        ..Architecture::with_width(5)
    })
}

#[test]
fn networks_without_kernels_run_all_the_same() {
    let model = of_tensorflow();
    assert!(CpuWeights::new(&model, Level::current(), Precision::F32).is_err());
    let options = Options {
        precision: Precision::Fast,
        threads: 2,
        ..Options::default()
    };
    let mut engine = Engine::with_options(&model, options).unwrap();
    assert_eq!(engine.prepared().precision(), Precision::F32);
    for (width, height) in [(32, 20), (29, 31)] {
        let picture = picture(width, height);
        let mut styled = Image::default();
        engine.stylize(&picture, &mut styled).unwrap();
        assert_eq!((styled.width, styled.height), (width, height));
        let what = format!("{width}x{height}");
        let reference = in_tone(plain(&model, &picture), &picture);
        assert_same_picture(&what, &styled.data, &reference);
    }
}

/// In a flat picture (and in one of up to 4x4, which is a single pixel at a
/// quarter of the size) there is no variance, so that norms only magnify
/// rounding and no two programs agree, the reference included. What is sure is
/// that ours keeps flat what is flat.
#[test]
fn a_flat_picture_stays_flat() {
    let model = model(Architecture::with_width(16));
    for (width, height) in [(1, 1), (2, 2), (37, 22)] {
        let picture = Image {
            width,
            height,
            data: vec![90.0; 3 * width * height],
        };
        let precisions = [Precision::F32, Precision::Fast];
        let levels = Level::available().into_iter();
        for (level, precision) in levels.flat_map(|l| precisions.map(|p| (l, p))) {
            let mut network = cpu_network(&model, level, precision);
            let mut styled = Image::default();
            network.stylize(&picture, Tone::NONE, &mut styled).unwrap();
            for plane in styled.data.chunks(width * height) {
                assert!(plane.iter().all(|x| (0.0..=255.0).contains(x)));
                let same = plane.iter().all(|x| *x == plane[0]);
                assert!(same, "{level}, {width}x{height}: {plane:?}");
            }
        }
    }
}

/// Rounded products, on every CPU whether fast there or not: close to the
/// reference, though far from its last bits, and just as flat.
#[test]
fn fast_products_paint_nearly_the_same() {
    let model = model(Architecture::with_width(17));
    for (width, height) in [(67, 33), (129, 67)] {
        let picture = picture(width, height);
        let reference = plain(&model, &picture);
        for level in Level::available() {
            let mut network = cpu_network(&model, level, Precision::Fast);
            let mut styled = Image::default();
            network.stylize(&picture, Tone::NONE, &mut styled).unwrap();
            let differences: Vec<f32> = styled
                .data
                .iter()
                .zip(&reference)
                .map(|(a, b)| (a - b).abs())
                .collect();
            let mean = differences.iter().sum::<f32>() / differences.len() as f32;
            assert!(0.0 < mean && mean < 0.5, "{level}: off by {mean}");
            let largest = differences.into_iter().fold(0.0, f32::max);
            assert!(largest < 8.0, "{level}: off by up to {largest}");
        }
    }
}

/// Images of 16-bit floats hold results of any size, and those of pictures with little
/// contrast.
#[test]
fn fast_networks_may_have_large_and_small_weights() {
    let Image { data, .. } = picture(61, 43);
    let pictures = [1.0, 0.1].map(|contrast| Image {
        width: 61,
        height: 43,
        data: data.iter().map(|x| 20.0 + x * contrast).collect(),
    });
    for factor in [1e-3, 1e5] {
        let mut model = model(Architecture {
            residual_blocks: 1,
            output_norm: false,
            ..Architecture::with_width(9)
        });
        let last = model.architecture.layers().pop().unwrap().weight();
        for (name, shape) in model.architecture.parameters() {
            if shape.len() == 4 && name != last {
                let scaled = (&model.weights[&name] * factor).unwrap();
                model.weights.insert(name, scaled);
            }
        }
        for picture in &pictures {
            let reference = plain(&model, picture);
            for level in Level::available() {
                let mut network = cpu_network(&model, level, Precision::Fast);
                let mut styled = Image::default();
                network.stylize(picture, Tone::NONE, &mut styled).unwrap();
                let differences = styled.data.iter().zip(&reference);
                let sum: f32 = differences.map(|(a, b)| (a - b).abs()).sum();
                let mean = sum / reference.len() as f32;
                assert!(mean < 0.5, "{level}, times {factor}: off by {mean}");
            }
        }
    }
}

#[test]
fn precision_is_what_the_device_makes_of_it() {
    let model = model(Architecture::with_width(2));
    let faster = Level::current().multiplies_pairs();
    for (text, on_cuda) in [
        ("auto", Precision::F16),
        ("f32", Precision::F32),
        ("f16", Precision::F16),
        ("bf16", Precision::Bf16),
        ("fast", Precision::F16),
    ] {
        let precision: Precision = text.parse().unwrap();
        assert_eq!(precision.to_string(), text);
        assert_eq!(precision.on_cuda(), on_cuda);
        let options = Options {
            device: DeviceChoice::Cpu,
            precision,
            threads: 1,
        };
        let engine = Engine::with_options(&model, options).unwrap();
        let expected = match precision {
            Precision::Auto | Precision::Fast if faster => Precision::Fast,
            _ => Precision::F32,
        };
        assert_eq!(engine.prepared().precision(), expected, "{text}");
        assert_eq!(engine.prepared().threads().count(), 1);
    }
    assert!("f8".parse::<Precision>().is_err());
}

/// Buffers go from frame to frame: none may leak into the next picture.
#[test]
fn frames_do_not_depend_on_the_frames_before() {
    let model = model(Architecture::with_width(4));
    let mut engine = Engine::new(&model, DeviceChoice::Cpu).unwrap();
    let mut styled = Image::default();
    for (width, height) in [(40, 24), (9, 7), (24, 40), (1, 1), (40, 24)] {
        let picture = picture(width, height);
        engine.stylize(&picture, &mut styled).unwrap();
        let mut fresh = Image::default();
        let mut other = Engine::new(&model, DeviceChoice::Cpu).unwrap();
        other.stylize(&picture, &mut fresh).unwrap();
        assert_eq!(styled, fresh, "{width}x{height}");
    }
}

#[test]
fn a_picture_that_is_none_is_an_error() {
    let model = model(Architecture::with_width(2));
    let mut engine = Engine::new(&model, DeviceChoice::Cpu).unwrap();
    for (width, height, numbers) in [(0, 0, 0), (4, 4, 47), (usize::MAX, 2, 6)] {
        let data = vec![0.0; numbers];
        let picture = Image {
            width,
            height,
            data,
        };
        let error = engine.stylize(&picture, &mut Image::default()).unwrap_err();
        assert!(matches!(error, EngineError::Picture { .. }), "{error}");
    }
}

#[test]
fn devices_are_named_as_users_write_them() {
    for text in ["auto", "cpu", "cuda", "cuda:3"] {
        assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
    }
    assert_eq!("cuda:0".parse(), Ok(DeviceChoice::Cuda(0)));
    for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
        assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
    }
}
