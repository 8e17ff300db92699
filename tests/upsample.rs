//! Smaller pictures, and back, against slow and obvious references.

use gstfaststyle::engine::resize::{shrink, shrink_at};
use gstfaststyle::engine::upsample::Upsampler;
use gstfaststyle::engine::{Image, Threads};
use gstfaststyle::ops::cpu::Level;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

fn noise(size: (usize, usize)) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    image(size, |_| rng.random_range(0.0..255.0))
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
            shrink_at(level, &picture, to, &mut small);
            assert_close(&format!("{level}, {from:?}"), &small, &expected, 0.01);
        }
    }
}

fn small(picture: &Image, size: (usize, usize)) -> Image {
    let mut small = Image::default();
    shrink(picture, size, &mut small);
    small
}

fn upsampled(original: &Image, styled: &Image, style: impl Fn(f32) -> f32) -> Image {
    let size = (styled.width, styled.height);
    let styled = image(size, |i| style(styled.data[i]));
    let mut out = Image::default();
    Upsampler::default().run(original, &small(original, size), &styled, &mut out);
    out
}

#[test]
fn a_picture_that_is_not_repainted_stays_sharp() {
    for factor in [1.0, -1.0, 0.5] {
        let original = edge((90, 40));
        let style = |x: f32| 120.0 + factor * (x - 120.0);
        let out = upsampled(&original, &small(&original, (50, 25)), style);
        let expected = image((90, 40), |i| style(original.data[i]));
        assert_close(&format!("times {factor}"), &out, &expected, 4.0);
    }
}

#[test]
fn a_flat_painting_stays_flat() {
    for (from, to) in SIZES {
        let out = upsampled(&noise(from), &noise(to), |_| 77.0);
        assert_close(&format!("{from:?}"), &out, &image(from, |_| 77.0), 0.05);
    }
}

/// However many they are, and whatever was in the buffers.
#[test]
fn threads_and_levels_do_not_change_the_picture() {
    let mut upsampler = Upsampler::default();
    let (mut little, mut out) = (Image::default(), Image::default());
    for (from, to) in [
        ((640, 480), (352, 264)),
        ((317, 211), (64, 40)),
        ((9, 7), (5, 5)),
    ] {
        let original = noise(from);
        let styled = noise(to);
        let expected = upsampled(&original, &styled, |x| x);
        for threads in [1, 2, 5] {
            let threads = Threads::new(threads).unwrap();
            for level in Level::available() {
                threads.run(|| {
                    shrink_at(level, &original, to, &mut little);
                    upsampler.run_at(level, &original, &little, &styled, &mut out);
                });
                let what = format!("{level}, {} threads, {from:?}", threads.count());
                assert!(out == expected, "{what}");
            }
        }
    }
}
