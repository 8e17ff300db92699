//! How much a network flickers: whether pictures that differ by noise alone are
//! repainted alike.
//!
//! A camera's noise is different in each frame, and a network that answers to
//! it paints a restless video of a scene at rest. The measure is how much
//! consecutive frames differ after repainting, compared with how much they
//! differ before; a move of the scene is undone first.
//!
//! A second fault has its figure here: that the whole picture pumps, in
//! brightness or colour, when something comes into view at one side.

use anyhow::Result;
use gstfaststyle::Image;
use image::RgbImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// Frames of a clip.
const FRAMES: u32 = 10;

/// Standard deviation of the noise, of 255.
const NOISE: f32 = 2.0;

/// Pixels at each border that are not compared.
const BORDER: usize = 8;

/// Pixels that the scene moves from one frame to the next, across and down.
pub type Move = (u32, u32);

/// A scene at rest.
pub const STILL: Move = (0, 0);

/// A camera that pans slowly.
pub const PAN: Move = (3, 1);

/// Width and height of a picture across which a square of side `size` can pan.
pub fn room(size: u32) -> (u32, u32) {
    (size + (FRAMES - 1) * PAN.0, size + (FRAMES - 1) * PAN.1)
}

/// The flicker of `paint` over ten noisy frames of side `size`, cut out of
/// `picture`, each by `by` further on: the mean absolute difference of what
/// consecutive frames show of the same place, painted over as they are. 1 for
/// a painter that changes nothing; `size` is at least 32.
///
/// # Errors
/// The errors of `paint`.
pub fn flicker(
    picture: &RgbImage,
    size: u32,
    by: Move,
    paint: impl FnMut(&Image) -> Result<Image>,
) -> Result<f64> {
    with_noise(NOISE, picture, size, by, paint).map(|[frames, painted]| painted / frames)
}

/// The mean absolute difference of consecutive frames, as they are and painted.
fn with_noise(
    deviation: f32,
    picture: &RgbImage,
    size: u32,
    by: Move,
    mut paint: impl FnMut(&Image) -> Result<Image>,
) -> Result<[f64; 2]> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let noise = Normal::new(0.0, deviation)?;
    let mut last: Option<[Image; 2]> = None;
    let mut sums = [0.0; 2];
    for number in 0..FRAMES {
        let mut frame = cut(picture, size, (number * by.0, number * by.1));
        for value in &mut frame.data {
            *value = (*value + noise.sample(&mut random)).clamp(0.0, 255.0);
        }
        let painted = paint(&frame)?;
        let pair = [frame, painted];
        if let Some(last) = &last {
            for ((sum, before), after) in sums.iter_mut().zip(last).zip(&pair) {
                *sum += difference(before, after, by);
            }
        }
        last = Some(pair);
    }
    Ok(sums.map(|sum| sum / f64::from(FRAMES - 1)))
}

/// How much `paint` changes the right of `picture`, a square, when a black or a
/// white card comes in from the left and covers three eighths of it: the mean
/// absolute difference, of 255, over the right three eighths.
///
/// # Errors
/// The errors of `paint`.
pub fn pumping(picture: &RgbImage, mut paint: impl FnMut(&Image) -> Result<Image>) -> Result<f64> {
    let size = picture.width().min(picture.height());
    let open = cut(picture, size, (0, 0));
    let side = open.width;
    let painted = paint(&open)?;
    let far = |image: &Image| -> Vec<f32> {
        let rows = image.data.chunks_exact(side);
        rows.flat_map(|row| row[side - 3 * side / 8..].to_vec())
            .collect()
    };
    let before = far(&painted);
    let mut sum = 0.0;
    for card in [0.0, 255.0] {
        let mut covered = open.clone();
        for row in covered.data.chunks_exact_mut(side) {
            row[..3 * side / 8].fill(card);
        }
        let after = far(&paint(&covered)?);
        let changes = before.iter().zip(&after).map(|(a, b)| (a - b).abs());
        sum += f64::from(changes.sum::<f32>()) / before.len().max(1) as f64;
    }
    Ok(sum / 2.0)
}

/// The square of side `size` of `picture` that begins at (left, top).
fn cut(picture: &RgbImage, size: u32, (left, top): (u32, u32)) -> Image {
    let planes = (0..3).flat_map(|channel| {
        let places = (0..size).flat_map(|y| (0..size).map(move |x| (left + x, top + y)));
        places.map(move |(x, y)| f32::from(picture.get_pixel(x, y).0[channel]))
    });
    Image {
        width: size as usize,
        height: size as usize,
        data: planes.collect(),
    }
}

/// The mean absolute difference of two frames, of which the second shows the
/// scene `by` further on, where both show the same and are not at the border.
fn difference(before: &Image, after: &Image, by: Move) -> f64 {
    let (across, down) = (by.0 as usize, by.1 as usize);
    let (width, height) = (after.width, after.height);
    let columns = BORDER..width - BORDER - across;
    let rows = BORDER..height - BORDER - down;
    let mut sum = 0.0;
    for plane in 0..3 {
        for y in rows.clone() {
            let start = (plane * height + y) * width;
            let after = &after.data[start..][columns.clone()];
            let before = &before.data[start + down * width + across..][columns.clone()];
            let row: f32 = after.iter().zip(before).map(|(a, b)| (a - b).abs()).sum();
            sum += f64::from(row);
        }
    }
    sum / (3 * rows.len() * columns.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    const SIZE: u32 = 48;

    /// A busy picture, away from black and white.
    fn picture() -> RgbImage {
        let (width, height) = room(SIZE);
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([x * 31 + y * 17, x * y, x * 5 + y * 77].map(|v| (60 + v % 120) as u8))
        })
    }

    fn scaled(by: f32) -> impl FnMut(&Image) -> Result<Image> {
        move |frame| {
            let mut painted = frame.clone();
            painted.data.iter_mut().for_each(|v| *v *= by);
            Ok(painted)
        }
    }

    #[test]
    fn a_painter_that_changes_nothing_keeps_the_noise() -> Result<()> {
        for by in [STILL, PAN] {
            let flicker = flicker(&picture(), SIZE, by, scaled(1.0))?;
            assert!((flicker - 1.0).abs() < 1e-6, "{by:?}: {flicker}");
        }
        Ok(())
    }

    #[test]
    fn contrast_scales_the_flicker() -> Result<()> {
        for by in [STILL, PAN] {
            let flicker = flicker(&picture(), SIZE, by, scaled(2.0))?;
            assert!((flicker - 2.0).abs() < 1e-5, "{by:?}: {flicker}");
        }
        Ok(())
    }

    #[test]
    fn pumping_is_the_change_of_the_far_side() -> Result<()> {
        let still = pumping(&picture(), scaled(0.5))?;
        assert_eq!(still, 0.0);
        // Every frame brought to the same mean.
        let mean = |frame: &Image| frame.data.iter().sum::<f32>() / frame.data.len() as f32;
        let level = |frame: &Image| {
            let mut painted = frame.clone();
            painted.data.iter_mut().for_each(|v| *v -= mean(frame));
            Ok(painted)
        };
        let photo = cut(&picture(), SIZE, (0, 0));
        let change = |card: f32| {
            let mut covered = photo.clone();
            for row in covered.data.chunks_exact_mut(SIZE as usize) {
                row[..18].fill(card);
            }
            f64::from((mean(&covered) - mean(&photo)).abs())
        };
        let square = image::imageops::crop_imm(&picture(), 0, 0, SIZE, SIZE).to_image();
        let found = pumping(&square, level)?;
        let expected = (change(0.0) + change(255.0)) / 2.0;
        assert!((found / expected - 1.0).abs() < 1e-3, "{found}, {expected}");
        Ok(())
    }

    #[test]
    fn the_noise_has_the_stated_strength_and_is_independent() -> Result<()> {
        let [frames, _] = with_noise(NOISE, &picture(), SIZE, STILL, scaled(1.0))?;
        // Two independent errors: a deviation of sqrt(2) * 2, of which the mean
        // absolute value is sqrt(2 / pi) times as much.
        let expected = f64::sqrt(2.0) * 2.0 * f64::sqrt(2.0 / std::f64::consts::PI);
        assert!(
            (frames / expected - 1.0).abs() < 0.02,
            "{frames}, expected {expected}"
        );
        Ok(())
    }

    #[test]
    fn motion_is_compensated() -> Result<()> {
        for by in [STILL, PAN] {
            let differences = with_noise(0.0, &picture(), SIZE, by, scaled(1.0))?;
            assert_eq!(differences, [0.0; 2], "{by:?}");
        }
        // What sticks to the frame and does not move with the scene shows.
        let screen_door = |frame: &Image| {
            let mut painted = frame.clone();
            painted.data.iter_mut().step_by(2).for_each(|v| *v += 10.0);
            Ok(painted)
        };
        let still = flicker(&picture(), SIZE, STILL, screen_door)?;
        assert!((still - 1.0).abs() < 1e-5, "{still}");
        let pan = flicker(&picture(), SIZE, PAN, screen_door)?;
        assert!(pan > 4.0, "{pan}");
        Ok(())
    }
}
