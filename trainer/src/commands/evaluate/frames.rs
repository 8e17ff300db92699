//! How restless a network paints a film, frame by frame and smoothed.
//!
//! The *warp error* is how much a painting differs from the one before, carried along the
//! film's motion, where the film itself agrees with its own frame before. The motion is
//! that of the engine's own finder, which smoothing follows, too, but backwards in time:
//! what it misjudges in one direction it need not misjudge in the other. Carrying and
//! agreement are computed here.
//!
//! A painting that is blurred is calm as well. So the gradients show what is left of its
//! detail.

use crate::data::film;
use crate::io::picture;
use anyhow::{Context, Result, ensure};
use candle_core::Device;
use gstfaststyle::internals::engine::motion::{Follower, MotionField};
use gstfaststyle::internals::engine::{self, memory};
use gstfaststyle::{Engine, EngineError, Image, Size};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Places where a color of the film differs by more from the frame before are left out,
/// of 255.
const AGREEMENT: f32 = 20.0;

/// What is known of a film and of one network's paintings of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Pairs of consecutive frames that were compared.
    pub pairs: usize,
    /// Pairs that do not follow each other.
    pub cuts: usize,
    /// Of the film itself.
    pub film: Restlessness,
    /// Of its paintings, each by itself.
    pub by_itself: Restlessness,
    /// Of the same, smoothed.
    pub smoothed: Restlessness,
}

/// Means over the pairs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restlessness {
    /// See above, of 255.
    pub warp_error: f64,
    /// The length of luma's gradient, of 255 a pixel.
    pub gradient: f64,
}

/// The frames in `dir`, in their order. What is left out is reported by `say`.
///
/// # Errors
/// `dir` is not a folder of at least two pictures.
pub fn list(dir: &Path, say: impl Fn(&str)) -> Result<Vec<PathBuf>> {
    let (frames, unread) = film::frames(dir)?;
    for (path, reason) in unread {
        say(&format!("left out {}: {reason}", path.display()));
    }
    ensure!(
        frames.len() >= 2,
        "--frames {}: a film has at least two frames",
        dir.display()
    );
    Ok(frames)
}

/// Paints `frames` by `engine` and compares the paintings; `smoothing` is that of the
/// engine's smoother. `None` if `stop` was set meanwhile.
///
/// # Errors
/// A frame that cannot be read or painted; frames of which none follows another.
pub fn measure(
    frames: &[PathBuf],
    engine: &mut Engine,
    smoothing: f64,
    stop: &AtomicBool,
    mut progress: impl FnMut(),
) -> Result<Option<Measured>> {
    let mut film = Film {
        engine,
        smoothing: smoothing as f32,
        smoother: Follower::default(),
        motion: MotionField::default(),
        last: None,
        sums: Measured::default(),
    };
    for path in frames {
        if stop.load(Ordering::SeqCst) {
            return Ok(None);
        }
        film.add(path)?;
        progress();
    }
    let mut measured = film.sums;
    ensure!(measured.pairs > 0, "no frame follows the one before");
    for kind in [
        &mut measured.film,
        &mut measured.by_itself,
        &mut measured.smoothed,
    ] {
        kind.warp_error /= measured.pairs as f64;
        kind.gradient /= measured.pairs as f64;
    }
    Ok(Some(measured))
}

/// A film that is painted.
struct Film<'a> {
    engine: &'a mut Engine,
    smoothing: f32,
    smoother: Follower,
    motion: MotionField,
    /// The frame before, its folder and its paintings.
    last: Option<(&'a Path, [Image; 3])>,
    sums: Measured,
}

impl<'a> Film<'a> {
    fn add(&mut self, path: &'a Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let frame = picture::planar(&picture::tensor(&picture::read(path)?, &Device::Cpu)?)?;
        let painted = paint(self.engine, &frame)
            .with_context(|| format!("cannot paint {}", path.display()))?;
        let last = self.last.take().filter(|(before, _)| *before == folder);
        if last.is_none() {
            self.smoother.reset();
        }
        let mut smoothed = painted.clone();
        self.smoother.smooth(&frame, &mut smoothed, self.smoothing);
        let now = [frame, painted, smoothed];
        if let Some((_, before)) = &last {
            self.compare(before, &now);
        }
        self.last = Some((folder, now));
        Ok(())
    }

    fn compare(&mut self, before: &[Image; 3], now: &[Image; 3]) {
        // Backwards in time: smoothing has followed the motion forwards, and an error that
        // it made there is not made again here.
        let follows = self.motion.find(&now[0], &before[0]);
        let errors = follows
            .then(|| warp_errors(&self.motion, now, before))
            .flatten();
        let Some(errors) = errors else {
            self.sums.cuts += 1;
            return;
        };
        self.sums.pairs += 1;
        let sums = &mut self.sums;
        let sums = [&mut sums.film, &mut sums.by_itself, &mut sums.smoothed];
        for ((sum, error), now) in sums.into_iter().zip(errors).zip(now) {
            sum.warp_error += error;
            sum.gradient += gradient(now);
        }
    }
}

fn paint(engine: &mut Engine, frame: &Image) -> Result<Image> {
    let (needed, available) = (engine.memory_needed(frame.size()), memory::free());
    ensure!(
        needed <= available,
        EngineError::OutOfMemory {
            needed_mib: needed.div_ceil(1 << 20),
            available_mib: available >> 20,
        }
    );
    let mut painted = Image::default();
    engine.stylize(frame, &mut painted)?;
    Ok(painted)
}

/// The warp errors of pictures, the first of which is the film's; `None` if it agrees
/// nowhere.
fn warp_errors<const N: usize>(
    motion: &MotionField,
    before: &[Image; N],
    now: &[Image; N],
) -> Option<[f64; N]> {
    // Rows are added up in their order: the same sum for any number of threads.
    let rows: Vec<_> = (0..now[0].height)
        .into_par_iter()
        .map(|y| row_errors(motion, before, now, y))
        .collect();
    let (mut count, mut sums) = (0, [0.0; N]);
    for (row_count, row) in rows {
        count += row_count;
        for (sum, row) in sums.iter_mut().zip(row) {
            *sum += row;
        }
    }
    (count > 0).then(|| sums.map(|sum| sum / (3 * count) as f64))
}

/// The pixels of a row at which the film agrees, and the sums of the pictures'
/// differences there.
fn row_errors<const N: usize>(
    motion: &MotionField,
    before: &[Image; N],
    now: &[Image; N],
    y: usize,
) -> (usize, [f64; N]) {
    let Size { width, height } = now[0].size();
    let [right, down] = motion.row(y);
    let (mut count, mut sums) = (0, [0.0; N]);
    for x in 0..width {
        let place = [x as f32 + right[x], y as f32 + down[x]];
        let inside = |at: f32, side: usize| (0.0..=(side - 1) as f32).contains(&at);
        if !inside(place[0], width) || !inside(place[1], height) {
            continue;
        }
        let pixel = |image: &Image, c: usize| image.data[(c * height + y) * width + x];
        let linear = Sample::new(place, linear);
        let agrees = (0..3).all(|c| {
            let difference = linear.of(&before[0], c) - pixel(&now[0], c);
            difference.abs() < AGREEMENT
        });
        if !agrees {
            continue;
        }
        count += 1;
        let cubic = Sample::new(place, cubic);
        for ((sum, before), now) in sums.iter_mut().zip(before).zip(now) {
            for c in 0..3 {
                *sum += f64::from((cubic.of(before, c) - pixel(now, c)).abs());
            }
        }
    }
    (count, sums)
}

/// A place between the pixels of a picture, and the weights of the four nearest in each
/// direction.
struct Sample {
    /// Column and row of the pixel before the place.
    at: [usize; 2],
    weights: [[f32; 4]; 2],
}

impl Sample {
    fn new(place: [f32; 2], kernel: impl Fn(f32) -> [f32; 4]) -> Self {
        Sample {
            at: place.map(|at| at as usize),
            weights: place.map(|at| kernel(at.fract())),
        }
    }

    /// What `image` has there in color `c`; its border is repeated around it.
    fn of(&self, image: &Image, c: usize) -> f32 {
        let [x, y] = self.at;
        let neighbour = |at: usize, i: usize, side: usize| (at + i).saturating_sub(1).min(side - 1);
        let columns: [usize; 4] = std::array::from_fn(|i| neighbour(x, i, image.width));
        let mut sum = 0.0;
        for (j, weight) in self.weights[1]
            .iter()
            .enumerate()
            .filter(|(_, w)| **w != 0.0)
        {
            let row = c * image.height + neighbour(y, j, image.height);
            let row = &image.data[row * image.width..][..image.width];
            for (column, across) in columns.iter().zip(self.weights[0]) {
                sum += weight * across * row[*column];
            }
        }
        sum
    }
}

/// Weights for a place `x` behind the second of four pixels.
fn linear(x: f32) -> [f32; 4] {
    [0.0, 1.0 - x, x, 0.0]
}

/// The same of cubic convolution (R. Keys 1981) with a = -1/2.
fn cubic(x: f32) -> [f32; 4] {
    let y = 1.0 - x;
    let inner = |x: f32| (1.5 * x - 2.5) * x * x + 1.0;
    [-0.5 * x * y * y, inner(x), inner(y), -0.5 * x * x * y]
}

/// The mean length of luma's gradient (BT.601), from each pixel to its neighbours on the
/// right and below.
fn gradient(image: &Image) -> f64 {
    let Size { width, height } = image.size();
    let luma = |x: usize, y: usize| {
        engine::luma([0, 1, 2].map(|c| image.data[(c * height + y) * width + x]))
    };
    let (columns, rows) = (width.saturating_sub(1), height.saturating_sub(1));
    let of_row = |y: usize| -> f64 {
        let lengths = (0..columns).map(|x| {
            let here = luma(x, y);
            (luma(x + 1, y) - here).hypot(luma(x, y + 1) - here)
        });
        lengths.map(f64::from).sum()
    };
    let sums: Vec<f64> = (0..rows).into_par_iter().map(of_row).collect();
    sums.iter().sum::<f64>() / (columns * rows).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture without straight lines, seen from `left`; `change` acts on its values.
    fn view(left: f32, change: impl Fn(f32) -> f32) -> Image {
        let (width, height) = (96, 64);
        let value = |c: usize, x: f32, y: f32| {
            let bend = 4.0 * (x / 41.0 - y / 29.0).sin();
            let waves = (x / 4.7 - y / 6.1 + bend).sin() + (x / 5.3 + y / 3.9 - bend).cos();
            127.0 + 25.0 * waves + 9.0 * (x / 13.0 + c as f32).sin()
        };
        let planes = (0..3).flat_map(|c| (0..height).map(move |y| (c, y)));
        let data = planes.flat_map(|(c, y)| (0..width).map(move |x| (c, x, y)));
        Image {
            width,
            height,
            data: data
                .map(|(c, x, y)| change(value(c, left + x as f32, y as f32)))
                .collect(),
        }
    }

    fn errors<const N: usize>(before: [Image; N], now: [Image; N]) -> Option<[f64; N]> {
        let mut motion = MotionField::default();
        assert!(motion.find(&before[0], &now[0]));
        warp_errors(&motion, &before, &now)
    }

    #[test]
    fn what_moves_with_the_film_has_no_error() {
        let paintings = |left: f32| [view(left, |v| v), view(left, |v| 255.0 - v)];
        let [film, painted] = errors(paintings(0.0), paintings(3.0)).unwrap();
        assert!(film < 0.6 && painted < 0.6, "{film}, {painted}");
        assert_eq!(errors(paintings(0.0), paintings(0.0)), Some([0.0; 2]));
    }

    #[test]
    fn what_does_not_move_with_it_has() {
        let before = [view(0.0, |v| v), view(0.0, |v| v), view(0.0, |v| v)];
        // One rests while the film pans, another becomes brighter.
        let now = [view(3.0, |v| v), view(0.0, |v| v), view(3.0, |v| v + 10.0)];
        let [film, resting, brighter] = errors(before, now).unwrap();
        assert!(resting > 10.0 * film, "{film}, {resting}");
        assert!((brighter - 10.0).abs() < film + 0.1, "{film}, {brighter}");
    }

    #[test]
    fn places_where_the_film_changes_do_not_count() {
        let mut now = [view(0.0, |v| v), view(0.0, |v| v)];
        let before = now.clone();
        // Something covers a corner.
        for image in &mut now {
            for c in 0..3 {
                for y in 0..16 {
                    image.data[(c * 64 + y) * 96..][..16].fill(255.0 * (c % 2) as f32);
                }
            }
        }
        let [film, painted] = errors(before, now).unwrap();
        assert!(film < 0.5 && painted < 0.5, "{film}, {painted}");
    }

    #[test]
    fn a_sample_between_pixels_is_their_mean() {
        let ramp = Image {
            width: 5,
            height: 4,
            data: (0..60).map(|i| (i % 5) as f32).collect(),
        };
        for kernel in [linear, cubic] {
            for (x, expected) in [(1.0, 1.0), (1.5, 1.5), (2.25, 2.25)] {
                let found = Sample::new([x, 1.5], kernel).of(&ramp, 2);
                assert!((found - expected).abs() < 1e-6, "{x}: {found}");
            }
        }
        assert_eq!(Sample::new([4.0, 3.0], cubic).of(&ramp, 0), 4.0);
    }

    #[test]
    fn blur_shows_in_the_gradient() {
        let sharp = view(0.0, |v| v);
        let flat = view(0.0, |v| 127.0 + (v - 127.0) / 2.0);
        let ratio = gradient(&flat) / gradient(&sharp);
        assert!((ratio - 0.5).abs() < 1e-6, "{ratio}");
        assert_eq!(gradient(&view(0.0, |_| 9.0)), 0.0);
    }
}
