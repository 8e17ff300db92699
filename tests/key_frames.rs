//! Films painted frame by frame: key frames, and what is carried between them.

mod common;

use gstfaststyle::internals::engine::cpu::{CpuNetwork, CpuWeights};
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::{Architecture, Image, Options, Painter, Precision, Prepared, StyleMix, Threads};
use gstfaststyle::{Blend, Colorimetry, Format, Frame, FrameInfo, FrameMut, Plane, PlaneMut};
use std::sync::Arc;

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

fn architecture() -> Architecture {
    Architecture {
        residual_blocks: 1,
        styles: 2,
        ..Architecture::with_width(4)
    }
}

/// A picture of waves, `x` pixels to the right; with `seed`, in another arrangement.
fn picture(x: usize, seed: usize) -> Vec<u8> {
    let pixels = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |column| (column + x, y)));
    let values = pixels.flat_map(|(x, y)| {
        (0..3).map(move |c| common::wave(x * (1 + seed) + 7 * seed, y + 50 * seed, c) as u8)
    });
    values.collect()
}

/// A painter with what it told of the frame painted last.
struct Film {
    painter: Painter,
    key_frames: Vec<bool>,
    repaired: Vec<Option<f32>>,
}

impl Film {
    fn new(every: usize, threads: usize) -> Self {
        let model = common::model(architecture());
        let options = Options {
            threads,
            ..Options::default()
        };
        let prepared = Prepared::new(&model, options).unwrap();
        let mut painter = Painter::new(Threads::new(threads).unwrap());
        painter.set_model(Some(Arc::new(prepared)));
        painter.set_network_every(every);
        Film {
            painter,
            key_frames: Vec::new(),
            repaired: Vec::new(),
        }
    }

    fn paint(&mut self, picture: &[u8]) -> Vec<u8> {
        let info = FrameInfo {
            format: Format::Rgb,
            width: WIDTH,
            height: HEIGHT,
            colorimetry: Colorimetry::SRGB,
        };
        let stride = 3 * WIDTH;
        let input = Frame::new(
            info,
            [Plane {
                data: picture,
                stride,
            }],
        )
        .unwrap();
        let mut painting = vec![0; picture.len()];
        let data = &mut painting[..];
        let mut output = FrameMut::new(info, [PlaneMut { data, stride }]).unwrap();
        (self.painter)
            .paint(&input, &mut output, info.size(), Blend::OPAQUE)
            .unwrap();
        self.key_frames.push(self.painter.key_frame());
        self.repaired.push(self.painter.repaired());
        painting
    }

    /// Which frames were key frames.
    fn keys(&self) -> Vec<usize> {
        let frames = 0..self.key_frames.len();
        frames.filter(|&i| self.key_frames[i]).collect()
    }
}

/// A picture's painting by itself.
fn alone(picture: &[u8]) -> Vec<u8> {
    Film::new(1, 2).paint(picture)
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    let off = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)));
    off.sum::<f64>() / a.len() as f64
}

#[test]
fn all_frames_are_key_frames_unless_asked() {
    let mut film = Film::new(1, 2);
    for x in 0..4 {
        let picture = picture(4 * x, 0);
        assert_eq!(film.paint(&picture), alone(&picture));
    }
    assert_eq!(film.keys(), [0, 1, 2, 3]);
    assert_eq!(film.repaired, [None; 4]);
}

#[test]
fn frames_between_key_frames_are_carried() {
    let mut film = Film::new(3, 2);
    for x in 0..7 {
        let picture = picture(4 * x, 0);
        let shown = film.paint(&picture);
        let wanted = alone(&picture);
        match x % 3 {
            0 => assert_eq!(shown, wanted, "{x}"),
            _ => {
                let off = difference(&shown, &wanted);
                let stale = difference(&alone(&self::picture(4 * (x - x % 3), 0)), &wanted);
                assert!(off < 0.6 * stale, "{x}: {off}, stale {stale}");
            }
        }
    }
    assert_eq!(film.keys(), [0, 3, 6]);
    assert!(film.repaired[1].is_some_and(|share| share < 0.1));
}

#[test]
fn spread_key_frames_are_finished_in_time_and_join() {
    let mut film = Film::new(3, 2);
    film.painter.set_spread(true);
    let resting = picture(0, 0);
    let wanted = alone(&resting);
    for i in 0..8 {
        let off = difference(&film.paint(&resting), &wanted);
        assert!(off < 0.01, "{i}: {off}");
    }
    // The first whole, the others in frames 1 to 3 and 4 to 6.
    assert_eq!(film.keys(), [0, 3, 6]);
    assert_eq!(film.repaired[1..], [Some(0.0); 7]);

    // What is new comes with the key frame: a style.
    film.painter.set_mix(&StyleMix::single(1)).unwrap();
    let mut styled = Film::new(1, 1);
    styled.painter.set_mix(&StyleMix::single(1)).unwrap();
    let wanted = styled.paint(&resting);
    let shown: Vec<_> = (0..8).map(|_| film.paint(&resting)).collect();
    assert!(difference(&shown[0], &wanted) > 1.0);
    assert!(difference(&shown[7], &wanted) < 0.01);
}

#[test]
fn cuts_and_resets_are_painted_by_themselves() {
    for spread in [false, true] {
        let mut film = Film::new(60, 2);
        film.painter.set_spread(spread);
        for seed in [0, 0, 3, 3] {
            film.paint(&picture(0, seed));
        }
        assert_eq!(film.keys(), [0, 2], "spread: {spread}");
        assert_eq!(film.paint(&picture(2, 0)), alone(&picture(2, 0)));
        film.painter.reset();
        assert_eq!(film.paint(&picture(3, 0)), alone(&picture(3, 0)));
        film.painter.set_model(film.painter.model().cloned());
        assert_eq!(film.paint(&picture(4, 0)), alone(&picture(4, 0)));
        assert_eq!(film.keys(), [0, 2, 4, 5, 6], "spread: {spread}");
    }
}

#[test]
fn a_change_of_style_is_soon_seen() {
    let mut film = Film::new(60, 2);
    for _ in 0..5 {
        film.paint(&picture(0, 0));
    }
    film.painter.set_mix(&StyleMix::single(1)).unwrap();
    for _ in 0..5 {
        film.paint(&picture(0, 0));
    }
    assert_eq!(film.keys(), [0, 5]);
}

#[test]
fn threads_change_nothing() {
    let show = |threads, spread| {
        let mut film = Film::new(3, threads);
        film.painter.set_smoothing(0.8);
        film.painter.set_spread(spread);
        let frames = (0..8).map(|x| film.paint(&picture(3 * x, usize::from(x > 5))));
        frames.collect::<Vec<_>>()
    };
    for spread in [false, true] {
        assert_eq!(show(1, spread), show(3, spread), "spread: {spread}");
    }
}

#[test]
fn parts_make_the_same_as_the_whole() {
    let model = common::model(architecture());
    let weights = CpuWeights::new(&model, Level::current(), Precision::F32).unwrap();
    let mut network = CpuNetwork::new(Arc::new(weights));
    let image = common::waves(61, 47);
    let mut whole = Image::default();
    network
        .stylize(&image, Tone::of(&image), &mut whole)
        .unwrap();
    for parts in [1, 2, 3, 7, 50] {
        let mut styled = Image::default();
        network.begin();
        for part in 1..=parts {
            let share = f64::from(part) / f64::from(parts);
            let done = network.advance(&image, share, &mut styled).unwrap();
            assert!(done || part < parts);
        }
        assert_eq!(styled, whole, "{parts} parts");
    }
    // Another picture on the way gives up the first.
    network.begin();
    let mut styled = Image::default();
    assert!(!network.advance(&image, 0.5, &mut styled).unwrap());
    network.begin();
    let other = common::waves(40, 30);
    assert!(network.advance(&other, 1.0, &mut styled).unwrap());
    assert_eq!(styled.size(), other.size());
}
