//! Black stays black: fades, noise in the dark and dark scenes, through the engine
//! and the painter.

mod common;

use candle_core::{Device, Tensor};
use common::{model, random, waves};
use gstfaststyle::internals::engine::cpu::{CpuNetwork, CpuWeights};
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::internals::ops::Backend;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::{
    Architecture, Blend, ColorRange, Colorimetry, DeviceChoice, Engine, Format, Frame, FrameInfo,
    FrameMut, Image, Model, Network, Options, Painter, Plane, PlaneMut, Precision, Prepared, Size,
    Threads,
};
use std::sync::Arc;

const SIZE: Size = Size::new(96, 64);

fn models() -> [Model; 2] {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/models/scream.safetensors");
    let random = model(Architecture {
        residual_blocks: 2,
        ..Architecture::with_width(8)
    });
    [Model::load(shipped).unwrap(), random]
}

fn painted(engine: &mut Engine, picture: &Image) -> Image {
    let mut painted = Image::default();
    engine.stylize(picture, &mut painted).unwrap();
    painted
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn mean_difference(a: &Image, b: &Image) -> f32 {
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs());
    mean(&differences.collect::<Vec<_>>())
}

/// A picture faded to a colour, rounded to bytes as in a video: the rest that is
/// left of it is `share`.
fn faded(picture: &Image, to: f32, share: f32) -> Image {
    let fade = |value: &f32| (to + share * (value - to)).round();
    Image {
        data: picture.data.iter().map(fade).collect(),
        ..*picture
    }
}

/// Noise around a gray, rounded to bytes.
fn noise(seed: u64, gray: f32, most: f32) -> Image {
    let noise = random(seed, 3 * SIZE.area(), -most..most);
    Image {
        width: SIZE.width,
        height: SIZE.height,
        data: noise.iter().map(|x| (gray + x).round().max(0.0)).collect(),
    }
}

/// Through a fade to `to`, the means of the frames and of their paintings.
fn fade(to: f32, mut paint: impl FnMut(&Image) -> Image) -> Vec<[f32; 2]> {
    let scene = waves(SIZE.width, SIZE.height);
    (0..=40)
        .map(|i| {
            let frame = faded(&scene, to, 1.0 - i as f32 / 40.0);
            [mean(&frame.data), mean(&paint(&frame).data)]
        })
        .collect()
}

/// Checks that the painting's mean follows the frame's, without a jump.
#[track_caller]
fn assert_follows(fade: &[[f32; 2]], sign: f32) {
    for pair in fade.windows(2) {
        let [frame, painting] = [0, 1].map(|i| sign * (pair[1][i] - pair[0][i]));
        assert!(painting > -0.2, "{painting} against {frame}: {fade:?}");
        assert!(painting < 8.0 * frame, "a jump by {painting}: {fade:?}");
    }
}

#[test]
fn fades_end_in_black_and_white() {
    for model in models() {
        let mut engine = Engine::new(&model, DeviceChoice::Cpu).unwrap();
        let to_black = fade(0.0, |frame| painted(&mut engine, frame));
        assert_follows(&to_black, -1.0);
        assert_eq!(to_black.last(), Some(&[0.0; 2]));
        let to_white = fade(255.0, |frame| painted(&mut engine, frame));
        assert_follows(&to_white, 1.0);
        assert_eq!(to_white.last(), Some(&[255.0; 2]));
    }
}

#[test]
fn a_painters_fades_do_so_at_any_size() {
    let info = FrameInfo {
        format: Format::Rgb,
        width: SIZE.width,
        height: SIZE.height,
        colorimetry: Colorimetry {
            range: ColorRange::Full,
            ..Colorimetry::BT601
        },
    };
    for model in models() {
        let prepared = Prepared::new(&model, Options::default()).unwrap();
        let mut painter = Painter::new(Threads::new(1).unwrap());
        painter.set_model(Some(Arc::new(prepared)));
        for size in [SIZE, Size::new(48, 32)] {
            let mut paint = |picture: &Image| {
                let area = SIZE.area();
                let bytes = (0..3 * area).map(|i| picture.data[i % 3 * area + i / 3] as u8);
                let (bytes, mut result) = (bytes.collect::<Vec<_>>(), vec![0; 3 * area]);
                let stride = 3 * SIZE.width;
                let plane = Plane {
                    data: &bytes,
                    stride,
                };
                let input = Frame::new(info, [plane]).unwrap();
                let plane = PlaneMut {
                    data: &mut result,
                    stride,
                };
                let mut output = FrameMut::new(info, [plane]).unwrap();
                painter
                    .paint(&input, &mut output, size, Blend::OPAQUE)
                    .unwrap();
                Image {
                    data: result.into_iter().map(f32::from).collect(),
                    ..*picture
                }
            };
            let to_black = fade(0.0, &mut paint);
            assert_follows(&to_black, -1.0);
            assert!(to_black[40][1] < 8.0, "{size}: {to_black:?}");
            let to_white = fade(255.0, &mut paint);
            assert_follows(&to_white, 1.0);
            assert!(to_white[40][1] > 240.0, "{size}: {to_white:?}");
        }
    }
}

#[test]
fn noise_stays_noise() {
    for model in models() {
        let mut engine = Engine::new(&model, DeviceChoice::Cpu).unwrap();
        for (gray, most) in [(2.0, 3.0), (8.0, 8.0), (20.0, 10.0), (128.0, 8.0)] {
            let frames = [1, 2].map(|seed| noise(seed, gray, most));
            let [one, other] = frames.each_ref().map(|frame| painted(&mut engine, frame));
            let before = mean_difference(&frames[0], &frames[1]);
            let after = mean_difference(&one, &other);
            assert!(after < 1.2 * before, "{gray}: {after}, not {before}");
        }
    }
}

#[test]
fn dark_scenes_are_hardly_dulled() {
    for model in models() {
        let mut engine = Engine::new(&model, DeviceChoice::Cpu).unwrap();
        let scene = waves(SIZE.width, SIZE.height);
        let bright = mean(&painted(&mut engine, &scene).data);
        let dark = painted(&mut engine, &faded(&scene, 0.0, 0.5));
        let dark = mean(&dark.data);
        assert!(dark > 0.9 * bright, "{dark} of {bright}");
    }
}

/// The plain network and the formula, against every path: in pictures of which
/// something shows, brighter and darker.
#[test]
fn every_path_follows_the_formula() {
    let [_, model] = models();
    let network = Network::from_model(&model, &Device::Cpu).unwrap();
    let scene = waves(61, 38);
    for (to, share) in [(0.0, 0.3), (0.0, 0.1), (255.0, 0.12), (120.0, 0.07)] {
        let picture = faded(&scene, to, share);
        let tone = Tone::of(&picture);
        assert_ne!(tone, Tone::NONE);
        let shape = (1, 3, picture.height, picture.width);
        let input = Tensor::from_slice(&picture.data, shape, &Device::Cpu).unwrap();
        let output = network.forward_by(&input, Backend::Plain).unwrap();
        let mut expected = Image {
            data: output.flatten_all().unwrap().to_vec1().unwrap(),
            ..picture
        };
        tone.apply(&mut expected.data, &picture.data);

        let mut engine = Engine::with_options(&model, common::EXACT).unwrap();
        let by_engine = painted(&mut engine, &picture);
        let by_levels = Level::available().into_iter().map(|level| {
            let weights = CpuWeights::new(&model, level, Precision::F32).unwrap();
            let mut painted = Image::default();
            CpuNetwork::new(Arc::new(weights))
                .stylize(&picture, tone, &mut painted)
                .unwrap();
            painted
        });
        for found in by_levels.chain([by_engine]) {
            let pairs = found.data.iter().zip(&expected.data);
            let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest < 0.1, "{to}, {share}: off by {largest}");
        }
    }
}
