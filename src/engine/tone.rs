//! Black stays black: the picture's brightness and contrast, which the network
//! forgets, given back to the painting.
//!
//! Instance normalisation paints a picture, a darker copy of it and one of less
//! contrast all alike. A fade to black would end in the painting's mean colour,
//! and noise in the dark as strokes. So the painting is made darker or lighter
//! with the picture, and where there is next to no contrast the picture itself
//! is shown:
//!
//! ```text
//! out   = paint * toned + (1 - paint) * picture
//! toned = 255 - white * (255 - black * painted)
//! black = gain(high)      white = gain(255 - low)      gain(x) = 1 - (1 - x / BRIGHT)^4
//! paint = smoothstep((high - low) / CONTRAST)
//! ```
//!
//! `low` and `high` are the picture's dark and bright level: those of a picture
//! of only two levels that has the same mean, deviation and skewness of luma
//! (Gauss's quadrature with two nodes). They lie within the picture's range,
//! scale with it, and move smoothly with each of its pixels. Unlike the mean and
//! a multiple of the deviation, they find what is bright in a picture that is
//! mostly black: letterboxed films, titles, night scenes. Unlike percentiles,
//! they do not jump when something small comes or goes.
//!
//! Luma is averaged over blocks of 4x4 pixels, which leaves little of noise and
//! nearly all of fog.

use super::image::LUMA;
use super::{Area, Image};
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, LANES, Level};
use rayon::prelude::*;

/// From which bright level on the painting is as bright as it was painted. Half
/// of all photos have a level above 154, where the gain is 0.9998; at 88 it is
/// 0.94.
const BRIGHT: f64 = 176.0;

/// From which contrast on nothing of the picture is shown: that of any photo is
/// larger, that of noise smaller.
const CONTRAST: f64 = 16.0;

/// Added to the variance under the skewness, so that a few bright pixels among
/// black ones do not count as a bright level.
const SKEW_VARIANCE: f64 = 16.0;

/// Rows and columns of a block.
const BLOCK: usize = 4;

/// What block means are rounded to.
const UNIT: f64 = 1.0 / 16.0;

/// Fewer rows of blocks than these are not worth waking a thread for.
const STRIPS_PER_TASK: usize = 16;

/// What becomes of a painting's values: `painted * factor + offset + keep *
/// picture`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// On what the network has painted.
    pub factor: f32,
    /// Added to it.
    pub offset: f32,
    /// How much of the picture shows.
    pub keep: f32,
}

impl Tone {
    /// Leaves the painting as it is.
    pub const NONE: Tone = Tone {
        factor: 1.0,
        offset: 0.0,
        keep: 0.0,
    };

    /// The tone for a painting of `picture`.
    pub fn of(picture: &Image) -> Self {
        LumaMoments::of(picture).tone()
    }

    /// The tone for a picture of these levels, dark and bright.
    fn between([low, high]: [f64; 2]) -> Self {
        let gain = |x: f64| 1.0 - (1.0 - (x / BRIGHT).clamp(0.0, 1.0)).powi(4);
        let (black, white) = (gain(high), gain(255.0 - low));
        let contrast = ((high - low) / CONTRAST).clamp(0.0, 1.0);
        let paint = contrast * contrast * (3.0 - 2.0 * contrast);
        Tone {
            factor: (paint * black * white) as f32,
            offset: (paint * (1.0 - white) * 255.0) as f32,
            keep: (1.0 - paint) as f32,
        }
    }

    /// Applies the tone to values of a painting, of which `picture` has as many.
    #[inline(always)]
    pub fn apply(self, painted: &mut [f32], picture: &[f32]) {
        let Tone {
            factor,
            offset,
            keep,
        } = self;
        if self == Tone::NONE {
            return;
        }
        for (y, x) in painted.iter_mut().zip(picture) {
            *y = *y * factor + offset + keep * x;
        }
    }
}

/// Moments of a picture's luma: sums of the blocks' means and of their second and
/// third powers, where each block counts once for each of its pixels.
///
/// Whole numbers, so that the order in which they are added does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LumaMoments {
    pixels: u64,
    /// In [`UNIT`]s.
    sums: [u128; 3],
}

impl LumaMoments {
    /// Those of a whole picture. Works on the current rayon pool.
    pub fn of(picture: &Image) -> Self {
        let mut moments = LumaMoments::default();
        moments.measure(picture, Area::whole(picture.size()));
        moments
    }

    /// Adds those of `area` of `picture`, which starts at multiples of 4 and ends
    /// at such or at the picture's end.
    pub fn measure(&mut self, picture: &Image, area: Area) {
        self.measure_at(Level::current(), picture, area);
    }

    fn measure_at(&mut self, level: Level, picture: &Image, area: Area) {
        let moments = (0..area.height.div_ceil(BLOCK))
            .into_par_iter()
            .with_min_len(STRIPS_PER_TASK)
            .map(|i| {
                let first = i * BLOCK;
                level.run(Strip {
                    picture,
                    area: Area {
                        y: area.y + first,
                        height: BLOCK.min(area.height - first),
                        ..area
                    },
                })
            })
            .reduce(LumaMoments::default, LumaMoments::add);
        *self = self.add(moments);
    }

    fn add(self, other: Self) -> Self {
        let sum = |i: usize| self.sums[i] + other.sums[i];
        LumaMoments {
            pixels: self.pixels + other.pixels,
            sums: [sum(0), sum(1), sum(2)],
        }
    }

    /// The dark and the bright level.
    fn levels(&self) -> [f64; 2] {
        let mean_power =
            |n: i32| self.sums[n as usize - 1] as f64 / self.pixels as f64 * UNIT.powi(n);
        let (mean, square, cube) = (mean_power(1), mean_power(2), mean_power(3));
        let variance = (square - mean * mean).max(0.0);
        let third = cube - mean * (3.0 * square - 2.0 * mean * mean);
        let skewness = third / (variance + SKEW_VARIANCE).powf(1.5);
        let (deviation, root) = (variance.sqrt(), (skewness * skewness + 4.0).sqrt());
        [skewness - root, skewness + root].map(|side| mean + deviation * side / 2.0)
    }

    /// The tone for a painting of the picture.
    pub fn tone(&self) -> Tone {
        match self.pixels {
            0 => Tone::NONE,
            _ => Tone::between(self.levels()),
        }
    }
}

/// A row of blocks.
struct Strip<'a> {
    picture: &'a Image,
    area: Area,
}

impl Kernel for Strip<'_> {
    type Output = LumaMoments;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> LumaMoments {
        let Strip { picture, area } = self;
        let [of_r, of_g, of_b] = LUMA;
        let (of_r, of_g, of_b) = (simd.splat(of_r), simd.splat(of_g), simd.splat(of_b));
        let mut moments = [0; 3];
        for x in (0..area.width).step_by(LANES) {
            let columns = area.x + x..area.x + area.width;
            let mut luma = simd.splat(0.0);
            for y in area.y..area.y + area.height {
                let [r, g, b] = picture.rows(y);
                luma = simd.fma(simd.read(&r[columns.clone()]), of_r, luma);
                luma = simd.fma(simd.read(&g[columns.clone()]), of_g, luma);
                luma = simd.fma(simd.read(&b[columns.clone()]), of_b, luma);
            }
            let mut sums = [0.0; LANES];
            simd.write(&mut sums, luma);
            for (sums, x) in sums.as_chunks::<BLOCK>().0.iter().zip((x..).step_by(BLOCK)) {
                let pixels = area.height * area.width.saturating_sub(x).min(BLOCK);
                add_block(&mut moments, sums, pixels);
            }
        }
        LumaMoments {
            pixels: (area.width * area.height) as u64,
            sums: moments.map(u128::from),
        }
    }
}

/// Adds a block of so many pixels, whose columns have these sums.
#[inline(always)]
fn add_block(moments: &mut [u64; 3], [a, b, c, d]: &[f32; BLOCK], pixels: usize) {
    if pixels == 0 {
        return;
    }
    let mean = ((a + b) + (c + d)) / (pixels as f32 * UNIT as f32);
    let mean = (mean.clamp(0.0, 255.0 / UNIT as f32) + 0.5) as u64;
    let mut power = pixels as u64;
    for moment in moments {
        power *= mean;
        *moment += power;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Size;

    /// A picture whose pixel (x, y) is this gray.
    fn gray(size: Size, value: impl Fn(usize, usize) -> f32) -> Image {
        let (width, height) = (size.width, size.height);
        let plane = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let plane: Vec<f32> = plane.map(|(x, y)| value(x, y)).collect();
        Image {
            width,
            height,
            data: plane.repeat(3),
        }
    }

    /// A number for each pixel, spread over 0..1 without order.
    fn hash(x: usize, y: usize) -> f32 {
        let mixed = (x * 7919 + y * 104_729 + 12_345).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as f32 / (1 << 24) as f32
    }

    /// Large forms with grain.
    fn scene(size: Size, darker: f32) -> Image {
        gray(size, |x, y| {
            let form = 120.0 + 70.0 * (x as f32 / 9.0).sin() * (y as f32 / 7.0).cos();
            darker * (form + 30.0 * hash(x, y))
        })
    }

    /// As [`LumaMoments::levels`], from numbers that are not rounded.
    fn plain_levels(picture: &Image) -> [f64; 2] {
        let Size { width, height } = picture.size();
        let mut blocks = Vec::new();
        for top in (0..height).step_by(4) {
            for left in (0..width).step_by(4) {
                let rows = top..height.min(top + 4);
                let pixels: Vec<f64> = rows
                    .flat_map(|y| (left..width.min(left + 4)).map(move |x| (x, y)))
                    .map(|(x, y)| {
                        let [r, g, b] = picture.rows(y).map(|row| f64::from(row[x]));
                        0.299 * r + 0.587 * g + 0.114 * b
                    })
                    .collect();
                let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
                blocks.extend(vec![mean; pixels.len()]);
            }
        }
        let count = blocks.len() as f64;
        let mean = blocks.iter().sum::<f64>() / count;
        let central = |n| blocks.iter().map(|x| (x - mean).powi(n)).sum::<f64>() / count;
        let (variance, third) = (central(2), central(3));
        let skewness = third / (variance + 16.0).powf(1.5);
        let root = (skewness * skewness + 4.0).sqrt();
        [-root, root].map(|root| mean + variance.sqrt() * (skewness + root) / 2.0)
    }

    #[test]
    fn levels_are_those_of_the_formula_at_every_level_of_the_cpu() {
        for size in [(1, 1), (5, 2), (3, 9), (64, 48), (131, 77)] {
            let size = Size::new(size.0, size.1);
            for darker in [1.0, 0.3, 0.02] {
                let mut picture = scene(size, darker);
                let (_, blue) = picture.data.split_at_mut(2 * size.area());
                blue.iter_mut()
                    .for_each(|x| *x = 0.8 * darker * (255.0 - *x));
                let expected = plain_levels(&picture);
                for level in Level::available() {
                    let mut moments = LumaMoments::default();
                    moments.measure_at(level, &picture, Area::whole(size));
                    assert_eq!(moments.pixels, size.area() as u64);
                    for (found, expected) in moments.levels().iter().zip(expected) {
                        let off = (found - expected).abs();
                        assert!(off < 0.05, "{level}, {size}: {found}, not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let picture = scene(Size::new(61, 42), 1.0);
        let mut parts = LumaMoments::default();
        for (x, width) in [(0, 20), (20, 41)] {
            for (y, height) in [(0, 4), (4, 24), (28, 14)] {
                let area = Area {
                    x,
                    y,
                    width,
                    height,
                };
                parts.measure(&picture, area);
            }
        }
        assert_eq!(parts, LumaMoments::of(&picture));
    }

    #[test]
    fn the_levels_of_two_levels_are_these() {
        let size = Size::new(80, 80);
        for (bright_rows, low, high) in [(40, 10.0, 240.0), (4, 0.0, 255.0), (76, 30.0, 200.0)] {
            let picture = gray(size, |_, y| if y < bright_rows { high } else { low });
            let [found_low, found_high] = LumaMoments::of(&picture).levels();
            assert!(
                (found_low - f64::from(low)).abs() < 4.0,
                "{found_low}, not {low}"
            );
            assert!(
                (found_high - f64::from(high)).abs() < 4.0,
                "{found_high}, not {high}"
            );
        }
    }

    #[test]
    fn what_is_black_and_white_has_no_tone() {
        let size = Size::new(40, 40);
        let halves = gray(size, |x, _| if x < 20 { 20.0 } else { 230.0 });
        assert_eq!(Tone::of(&halves), Tone::NONE);
        let mut painted = [0.1, 254.3];
        Tone::NONE.apply(&mut painted, &[f32::NAN; 2]);
        assert_eq!(painted, [0.1, 254.3]);
        assert_eq!(LumaMoments::default().tone(), Tone::NONE);
    }

    /// Letterboxed films and titles are mostly black, fog is mostly gray.
    #[test]
    fn little_light_and_little_contrast_suffice() {
        let size = Size::new(128, 96);
        let titles = gray(size, |x, y| if y / 8 == 6 && x < 64 { 250.0 } else { 0.0 });
        let letterboxed = gray(size, |x, y| match y {
            20..76 => 60.0 + 80.0 * hash(x / 8, y / 8),
            _ => 0.0,
        });
        let fog = gray(size, |x, y| 138.0 + 44.0 * hash(x / 8, y / 8));
        for picture in [titles, letterboxed, fog] {
            let tone = Tone::of(&picture);
            assert!(tone.factor > 0.9 && tone.keep < 0.02, "{tone:?}");
        }
    }

    #[test]
    fn without_contrast_the_picture_stays() {
        for size in [(1, 1), (4, 4), (50, 31)] {
            for value in [0.0, 1.0, 90.0, 255.0] {
                let flat = gray(Size::new(size.0, size.1), |_, _| value);
                let tone = Tone::of(&flat);
                let mut painted = [77.0; 4];
                tone.apply(&mut painted, &flat.data);
                assert!(painted[0] == value, "{size:?}, {value}: {tone:?}");
            }
        }
        let size = Size::new(128, 96);
        let noise = gray(size, |x, y| 12.0 * hash(x, y));
        let star = gray(size, |x, y| if (x, y) == (50, 50) { 255.0 } else { 0.0 });
        for picture in [noise, star] {
            let tone = Tone::of(&picture);
            assert!(tone.keep > 0.9, "{tone:?}");
        }
    }

    /// Through fades of all kinds of pictures.
    #[test]
    fn the_bright_level_falls_without_a_jump() {
        let size = Size::new(64, 64);
        let spots = |spot, ground| {
            gray(size, move |x, y| match hash(x / 4, y / 4) < 0.02 {
                true => spot,
                false => ground,
            })
        };
        for picture in [scene(size, 1.0), spots(255.0, 0.0), spots(0.0, 255.0)] {
            let mut before = 255.0;
            for step in 0..=100 {
                let mut darker = picture.clone();
                let share = (100 - step) as f32 / 100.0;
                darker.data.iter_mut().for_each(|x| *x *= share);
                let [_, high] = LumaMoments::of(&darker).levels();
                let fall = before - high;
                assert!(
                    step == 0 || fall > 0.0 && fall < 8.0,
                    "{step}: {before}, {high}"
                );
                before = high;
            }
            assert_eq!(before, 0.0);
        }
    }

    #[test]
    fn tones_have_no_jumps() {
        let tone = |high: f64, contrast: f64| Tone::between([high - contrast, high]);
        for i in 0..=2550 {
            let high = f64::from(i) / 10.0;
            for contrast in [0.0, 3.0, 10.0, 30.0] {
                let (now, next) = (tone(high, contrast), tone(high + 0.1, contrast + 0.1));
                let changes = [
                    next.factor - now.factor,
                    (next.offset - now.offset) / 255.0,
                    next.keep - now.keep,
                ];
                assert!(changes.iter().all(|change| change.abs() < 0.012), "{high}");
            }
        }
    }
}
