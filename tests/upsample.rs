//! Smaller pictures, and back, against slow and obvious references.

mod common;

use gstfaststyle::internals::engine::resize::{shrink, shrink_at};
use gstfaststyle::internals::engine::upsample::Upsampler;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::{Image, Size, Threads};

/// Sizes of a picture, and smaller ones.
const SIZES: [((usize, usize), (usize, usize)); 11] = [
    ((1, 1), (1, 1)),
    ((2, 3), (1, 1)),
    ((64, 48), (32, 24)),
    ((64, 48), (64, 48)),
    ((61, 47), (33, 29)),
    ((40, 30), (39, 29)),
    ((200, 3), (17, 2)),
    ((3, 200), (2, 17)),
    ((100, 1), (7, 1)),
    ((1, 100), (1, 7)),
    ((317, 211), (64, 40)),
];

fn image((width, height): (usize, usize), pixel: impl FnMut(usize) -> f32) -> Image {
    let data = (0..3 * width * height).map(pixel).collect();
    Image {
        width,
        height,
        data,
    }
}

fn noise((width, height): (usize, usize)) -> Image {
    common::noise(3, width, height)
}

/// Waves, some too short for a smaller picture, other ones in each colour.
fn smooth((width, height): (usize, usize)) -> Image {
    image((width, height), |i| {
        let (plane, y, x) = (i / width / height, i / width % height, i % width);
        let (x, y) = (x as f32 * (0.5 + plane as f32), y as f32);
        127.5 + 60.0 * (0.3 * x + 0.2 * y).sin() + 60.0 * (0.05 * x * y).sin()
    })
}

/// Dark to the left of the middle, bright to the right, in each colour.
fn edge(size: (usize, usize)) -> Image {
    image(size, |i| match 2 * (i % size.0) < size.0 {
        true => 60.0,
        false => 180.0,
    })
}

fn at(picture: &Image, c: usize, x: isize, y: isize) -> f64 {
    let x = x.clamp(0, picture.width as isize - 1) as usize;
    let y = y.clamp(0, picture.height as isize - 1) as usize;
    f64::from(picture.data[(c * picture.height + y) * picture.width + x])
}

#[track_caller]
fn assert_close(what: &str, image: &Image, expected: &Image, tolerance: f32) {
    let size = |image: &Image| (image.width, image.height, image.data.len());
    assert_eq!(size(image), size(expected), "{what}");
    let largest = largest_difference(image, expected);
    assert!(largest <= tolerance, "{what}: off by {largest}");
}

fn largest_difference(a: &Image, b: &Image) -> f32 {
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

/// Every pixel weighted by a triangle.
fn shrunk(picture: &Image, (width, height): (usize, usize)) -> Image {
    let weights = |from: usize, to: usize, i: usize| -> Vec<f64> {
        let ratio = from as f64 / to as f64;
        let middle = (i as f64 + 0.5) * ratio;
        let weight = |j: usize| (1.0 - (j as f64 + 0.5 - middle).abs() / ratio).max(0.0);
        let sum: f64 = (0..from).map(weight).sum();
        (0..from).map(|j| weight(j) / sum).collect()
    };
    image((width, height), |i| {
        let (c, y, x) = (i / width / height, i / width % height, i % width);
        let columns = weights(picture.width, width, x);
        let rows = weights(picture.height, height, y);
        let mut sum = 0.0;
        for (y, row) in rows.iter().enumerate() {
            for (x, column) in columns.iter().enumerate() {
                sum += row * column * at(picture, c, x as isize, y as isize);
            }
        }
        sum as f32
    })
}

#[test]
fn shrinking_is_a_triangle_filter() {
    for (from, to) in SIZES {
        let picture = noise(from);
        let expected = shrunk(&picture, to);
        for level in Level::available() {
            let mut small = Image::default();
            shrink_at(level, &picture, Size::new(to.0, to.1), &mut small);
            assert_close(&format!("{level}, {from:?}"), &small, &expected, 0.01);
        }
    }
}

/// Where pixel `i` of `to` lies between those of a line of `from`.
fn between(i: usize, from: usize, to: usize) -> (isize, f64) {
    let at = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let at = at.clamp(0.0, (from - 1) as f64);
    (at.floor() as isize, at - at.floor())
}

/// Enlarged as `engine::upsample` says, pixel by pixel.
fn enlarged(original: &Image, small: &Image, styled: &Image) -> Image {
    let luma = |picture: &Image, x, y| {
        let [r, g, b] = [0, 1, 2].map(|c| at(picture, c, x, y));
        0.299 * r + 0.587 * g + 0.114 * b
    };
    let blur = |from, to| {
        let parts = (0..to).map(|i| between(i, from, to).1);
        parts.map(|part| part * (1.0 - part)).sum::<f64>() / to as f64
    };
    let (width, height) = (original.width, original.height);
    let blur = [blur(small.width, width), blur(small.height, height)];
    let sharp = |of: &dyn Fn(isize, isize) -> f64, x: isize, y: isize| {
        let near = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)].map(|(i, j)| of(x + i, y + j));
        let [middle, left, right, above, below] = near;
        let in_row = left + right - 2.0 * middle;
        let in_column = above + below - 2.0 * middle;
        let least = near.into_iter().fold(f64::INFINITY, f64::min);
        let most = near.into_iter().fold(0.0, f64::max);
        (middle - blur[0] * in_row - blur[1] * in_column).clamp(least, most)
    };
    let gain = |c: usize, x: isize, y: isize| {
        // Clamped before: repeated pixels count as often as they are repeated.
        let window = || (-2..=2).flat_map(|j| (-2..=2).map(move |i| (x + i, y + j)));
        let mean =
            |of: &dyn Fn(isize, isize) -> f64| window().map(|(x, y)| of(x, y)).sum::<f64>() / 25.0;
        let mean_luma = mean(&|x, y| luma(small, x, y));
        let variance = mean(&|x, y| (luma(small, x, y) - mean_luma).powi(2));
        let both = [0, 1, 2].map(|c| {
            let middle = mean(&|x, y| at(styled, c, x, y));
            let covariance =
                mean(&|x, y| (luma(small, x, y) - mean_luma) * (at(styled, c, x, y) - middle));
            (
                covariance,
                mean(&|x, y| (at(styled, c, x, y) - middle).powi(2)),
            )
        });
        let explained: f64 = both.iter().map(|(covariance, _)| covariance.powi(2)).sum();
        let all = variance * both.iter().map(|(_, variance)| variance).sum::<f64>();
        let trust = (1.5 * explained / (all + 1e-3)).min(1.0);
        trust * both[c].0 / (variance + 64.0)
    };
    image((width, height), |i| {
        let (c, y, x) = (i / width / height, i / width % height, i % width);
        let ((left, part_x), (top, part_y)) = (
            between(x, small.width, width),
            between(y, small.height, height),
        );
        // Beyond the last pixel nothing is taken, but asked for.
        let (right, bottom) = (
            (left + 1).min(small.width as isize - 1),
            (top + 1).min(small.height as isize - 1),
        );
        let up = |of: &dyn Fn(isize, isize) -> f64| {
            let row = |y| of(left, y) * (1.0 - part_x) + of(right, y) * part_x;
            row(top) * (1.0 - part_y) + row(bottom) * part_y
        };
        let sharp_luma = |x, y| sharp(&|x, y| luma(small, x, y), x, y);
        let sharp_styled = |x, y| sharp(&|x, y| at(styled, c, x, y), x, y);
        let detail = luma(original, x as isize, y as isize) - up(&sharp_luma);
        (up(&sharp_styled) + up(&|x, y| gain(c, x, y)) * detail) as f32
    })
}

#[test]
fn enlarging_does_what_its_formula_says() {
    for (from, to) in SIZES {
        let (original, picture) = (smooth(from), smooth(to));
        let small = small(&original, to);
        // Follows the picture on one side, and goes its own way on the other.
        let grain = noise(to);
        let styled = image(to, |i| match 2 * (i % to.0) < to.0 {
            true => 200.0 - 0.7 * picture.data[i] + 0.05 * grain.data[i],
            false => grain.data[i],
        });
        let expected = enlarged(&original, &small, &styled);
        for level in Level::available() {
            let mut out = Image::default();
            Upsampler::default().run_at(level, &original, &small, &styled, &mut out);
            assert_close(&format!("{level}, {from:?}"), &out, &expected, 0.02);
        }
    }
}

fn small(picture: &Image, size: (usize, usize)) -> Image {
    let mut small = Image::default();
    shrink(picture, Size::new(size.0, size.1), &mut small);
    small
}

fn upsampled(original: &Image, styled: &Image) -> Image {
    let small = small(original, (styled.width, styled.height));
    let mut out = Image::default();
    Upsampler::default().run(original, &small, styled, &mut out);
    out
}

fn mapped(picture: &Image, map: impl Fn(f32) -> f32) -> Image {
    let size = (picture.width, picture.height);
    image(size, |i| map(picture.data[i]))
}

/// A painting that is the picture, or is its negative, or paler.
#[test]
fn edges_become_those_of_the_frame() {
    for factor in [1.0, -1.0, 0.5] {
        let style = |x: f32| 120.0 + factor * (x - 120.0);
        let original = edge((90, 40));
        let styled = mapped(&small(&original, (50, 25)), style);
        let out = upsampled(&original, &styled);
        let expected = mapped(&original, style);
        assert_close(&format!("times {factor}"), &out, &expected, 2.0);
    }
}

#[test]
fn a_painting_of_full_size_stays_as_it_is() {
    for size in [(64, 48), (33, 1), (1, 1)] {
        let styled = noise(size);
        let out = upsampled(&smooth(size), &styled);
        assert_close(&format!("{size:?}"), &out, &styled, 0.001);
    }
}

/// The noise of a camera is no detail.
#[test]
fn noise_is_not_brought_back() {
    let grain = noise((160, 120));
    let original = image((160, 120), |i| 128.0 + (grain.data[i] - 127.5) * 2.0 / 73.6);
    let picture = noise((88, 66));
    let without = upsampled(&image((160, 120), |_| 128.0), &picture);
    let with = upsampled(&original, &picture);
    let squares = with
        .data
        .iter()
        .zip(&without.data)
        .map(|(a, b)| (a - b).powi(2));
    let deviation = (squares.sum::<f32>() / with.data.len() as f32).sqrt();
    assert!(deviation < 0.5, "{deviation}");
}

#[test]
fn a_flat_painting_stays_flat() {
    for (from, to) in SIZES {
        let out = upsampled(&noise(from), &image(to, |_| 77.0));
        assert_close(&format!("{from:?}"), &out, &image(from, |_| 77.0), 0.05);
    }
}

/// Neither how many they are, nor what was in the buffers before.
#[test]
fn threads_do_not_change_the_picture() {
    let mut upsampler = Upsampler::default();
    let (mut little, mut out) = (Image::default(), Image::default());
    let sizes = [
        ((640, 480), (352, 264)),
        ((640, 480), (320, 264)),
        ((317, 211), (64, 40)),
        ((9, 7), (5, 5)),
    ];
    for (from, to) in sizes {
        let (original, styled) = (smooth(from), noise(to));
        let expected = upsampled(&original, &styled);
        for threads in [1, 2, 5] {
            let threads = Threads::new(threads).unwrap();
            threads.run(|| {
                shrink(&original, Size::new(to.0, to.1), &mut little);
                upsampler.run(&original, &little, &styled, &mut out);
            });
            assert!(out == expected, "{} threads, {from:?}", threads.count());
        }
    }
}
