//! The stability loss, which reduces flicker in video: two views of the same
//! scene should be painted alike.
//!
//! From one video frame to the next, the scene moves a little, the light changes
//! a little, and the noise is different. A network trained on single photos
//! answers with different strokes. Training therefore paints every photo twice,
//! the second time as a [`View`] that simulates the next frame. The loss is the
//! difference of the two results after motion compensation. Simulated motion
//! works as well as optical flow, which photos do not have (arXiv 2102.05822).
//!
//! Half of the views simulate a still scene, where only the noise is new. Its
//! differences are much smaller than those of motion, but viewers notice flicker
//! in still scenes first, so these views have a higher weight.

use candle_core::{Device, Result, Tensor};
use gstfaststyle::internals::ops::plain;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// How many pixels of a photo lie beside each pixel of the view at most, either
/// way: how much larger or smaller the view shows things.
const ZOOM: f64 = 0.06;

/// How far the light is off at most, as a factor's difference from 1 and as an
/// offset of 255.
const GAIN: f64 = 0.05;
const OFFSET: f64 = 5.0;

/// The strongest noise: a standard deviation, of 255.
const NOISE: f64 = 5.0;

/// What part of a view's side is not compared at either end: what lies beyond
/// the border is invented, and differs.
const BORDER: usize = 16;

/// A photo seen once more: with another noise, and half of the times moved, at
/// times a little larger or smaller, in another light.
pub struct View {
    /// `[side, size]`: what of the photo's rows is in each of the view's.
    rows: Tensor,
    /// The same for columns.
    columns: Tensor,
    gain: f64,
    offset: f64,
    noise: f64,
    at_rest: bool,
    random: ChaCha8Rng,
}

impl View {
    /// A view of photos of side `size`, of at least 32, that follows from
    /// `seed` and `step` alone.
    pub fn random(size: usize, seed: u64, step: u64, device: &Device) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // An independent random sequence for every step.
        random.set_stream(step);
        match random.random() {
            true => Self::at_rest(size, random, device),
            false => Self::of_a_move(size, random, device),
        }
    }

    fn at_rest(size: usize, mut random: ChaCha8Rng, device: &Device) -> Result<Self> {
        let all = resampling(size, size, 0.0, 1.0, device)?;
        Ok(View {
            rows: all.clone(),
            columns: all,
            gain: 1.0,
            offset: 0.0,
            noise: random.random_range(0.0..NOISE),
            at_rest: true,
            random,
        })
    }

    fn of_a_move(size: usize, mut random: ChaCha8Rng, device: &Device) -> Result<Self> {
        let side = side(size);
        // Moves by whole pixels keep pictures sharp: they are half of all.
        let zoom = match random.random() {
            true => 1.0,
            false => random.random_range(1.0 - ZOOM..1.0 + ZOOM),
        };
        let room = (size - 1) as f64 - zoom * (side - 1) as f64;
        let mut rows = || {
            let start = match zoom == 1.0 {
                true => random.random_range(0..=size - side) as f64,
                false => random.random_range(0.0..=room),
            };
            resampling(side, size, start, zoom, device)
        };
        let (rows, columns) = (rows()?, rows()?);
        Ok(View {
            rows,
            columns,
            gain: random.random_range(1.0 - GAIN..1.0 + GAIN),
            offset: random.random_range(-OFFSET..OFFSET),
            noise: random.random_range(0.0..NOISE),
            at_rest: false,
            random,
        })
    }

    /// What a camera would see of `photos`, RGB `[n, size, size, 3]` in 0..255, which are
    /// those of the batch from place `first` on. The noise of each depends on its place
    /// alone, not on the others that are seen with it.
    pub fn of(&self, photos: &Tensor, first: usize) -> Result<Tensor> {
        let seen = self
            .moved_planes(&photos.detach())?
            .affine(self.gain, self.offset)?;
        let count = photos.dim(0)?;
        let each = seen.elem_count() / count.max(1);
        let noise = (first..first + count).flat_map(|place| self.noise(place).take(each));
        let noise = Tensor::from_vec(noise.collect::<Vec<_>>(), seen.shape(), seen.device())?;
        plain::channels_last(&(seen + noise)?.clamp(0f32, 255f32)?)
    }

    /// The noise of the photo at `place` of the batch, pixel by pixel.
    fn noise(&self, place: usize) -> impl Iterator<Item = f32> + use<> {
        let mut random = self.random.clone();
        if place > 0 {
            // Far from what the photos before it draw.
            random.set_word_pos((place as u128) << 32);
        }
        let deviation = self.noise as f32;
        let noise = random.sample_iter::<f32, _>(StandardNormal);
        noise.map(move |value| value * deviation)
    }

    /// The move alone, of `pictures` `[n, size, size, 3]`.
    pub fn moved(&self, pictures: &Tensor) -> Result<Tensor> {
        plain::channels_last(&self.moved_planes(pictures)?)
    }

    /// The move alone, of `pictures` `[n, size, size, 3]`, as planes `[n, 3,
    /// side, side]`: products of matrices with whole rows and columns.
    fn moved_planes(&self, pictures: &Tensor) -> Result<Tensor> {
        let pictures = plain::channels_first(pictures)?;
        let (n, c, h, w) = pictures.dims4()?;
        let (side, _) = self.rows.dims2()?;
        let across = pictures
            .reshape((n * c * h, w))?
            .matmul(&self.columns.t()?)?
            .reshape((n * c, h, side))?;
        self.rows
            .broadcast_matmul(&across)?
            .reshape((n, c, side, side))
    }

    /// How differently the two are painted: the mean squared difference of
    /// `again`, painted from the view, and `painted`, from the photos, once it
    /// is moved as the view is.
    pub fn difference(&self, painted: &Tensor, again: &Tensor) -> Result<Tensor> {
        let difference = (self.moved_planes(painted)? - plain::channels_first(again)?)?;
        let side = difference.dim(2)?;
        let border = side / BORDER;
        let rest = side - 2 * border;
        difference
            .narrow(2, border, rest)?
            .narrow(3, border, rest)?
            .sqr()?
            .mean_all()
    }

    /// What that difference counts, for a mean over many views of the mean of
    /// those that move plus `at_rest` times the mean of those at rest.
    pub fn weight(&self, at_rest: f64) -> f64 {
        // Either kind is half of all views.
        match self.at_rest {
            true => 2.0 * at_rest,
            false => 2.0,
        }
    }
}

/// The side of moved views of photos of side `size`: as much smaller as they
/// may move and zoom, and a multiple of 4.
fn side(size: usize) -> usize {
    (size - size / 8) / 4 * 4
}

/// The matrix `[side, size]` that takes `side` samples of `size`, from `start`
/// on, `pitch` apart: linear between neighbours.
fn resampling(side: usize, size: usize, start: f64, pitch: f64, device: &Device) -> Result<Tensor> {
    let mut matrix = vec![0f32; side * size];
    for (index, row) in matrix.chunks_exact_mut(size).enumerate() {
        let place = (start + pitch * index as f64).clamp(0.0, (size - 1) as f64);
        let first = (place as usize).min(size - 2);
        let part = (place - first as f64) as f32;
        row[first] = 1.0 - part;
        row[first + 1] = part;
    }
    Tensor::from_vec(matrix, (side, size), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;

    type Result<T = ()> = anyhow::Result<T>;

    /// A photo whose pixels tell where they are: 2 across and 3 down.
    fn slope(size: usize) -> Result<Tensor> {
        let down = (Tensor::arange(0f32, size as f32, &Device::Cpu)? * 3.0)?;
        let across = (Tensor::arange(0f32, size as f32, &Device::Cpu)? * 2.0)?;
        let plane = down.reshape((size, 1))?.broadcast_add(&across)?;
        let pixels = plane.reshape((1, size, size, 1))?;
        Ok(pixels.broadcast_as((1, size, size, 3))?.contiguous()?)
    }

    fn pixels(image: &Tensor) -> Result<Vec<Vec<f32>>> {
        Ok(image.get(0)?.get_on_dim(2, 0)?.to_vec2()?)
    }

    #[test]
    fn views_are_still_or_move_and_zoom_slightly() -> Result {
        let photo = slope(64)?;
        let (mut at_rest, mut whole) = (0, 0);
        for step in 0..80 {
            let view = View::random(64, 7, step, &Device::Cpu)?;
            let seen = pixels(&view.moved(&photo)?)?;
            if seen.len() == 64 {
                at_rest += 1;
                assert_eq!(seen, pixels(&photo)?);
                continue;
            }
            assert_eq!((seen.len(), seen[0].len()), (56, 56));
            let zoom = (seen[0][55] - seen[0][0]) / 110.0;
            let down = (seen[55][0] - seen[0][0]) / 165.0;
            assert!((zoom - down).abs() < 1e-4, "{zoom} across, {down} down");
            assert!((0.94..=1.06).contains(&zoom), "{zoom}");
            assert!(seen[0][0] >= 0.0 && seen[55][55] <= 63.0 * 5.0);
            if zoom == 1.0 {
                whole += 1;
                assert_eq!(seen[0][0].fract(), 0.0, "not by whole pixels");
            }
        }
        assert!((25..=55).contains(&at_rest), "{at_rest} of 80 at rest");
        assert!((10..=30).contains(&whole), "{whole} by whole pixels");
        Ok(())
    }

    #[test]
    fn a_still_view_only_adds_noise() -> Result {
        let grey = Tensor::full(120f32, (1, 64, 64, 3), &Device::Cpu)?;
        let view = View::at_rest(64, ChaCha8Rng::seed_from_u64(5), &Device::Cpu)?;
        let mean = view.of(&grey, 0)?.mean_all()?.to_scalar::<f32>()?;
        assert!((mean - 120.0).abs() < 0.2, "{mean}");
        Ok(())
    }

    #[test]
    fn noise_depends_on_the_place_in_the_batch() -> Result {
        let grey = Tensor::full(120f32, (3, 32, 32, 3), &Device::Cpu)?;
        let view = View::random(32, 1, 2, &Device::Cpu)?;
        let whole = view.of(&grey, 0)?;
        for place in 0..3 {
            let one = view.of(&grey.narrow(0, place, 1)?, place)?;
            assert_eq!(pixels(&one)?, pixels(&whole.narrow(0, place, 1)?)?);
        }
        Ok(())
    }

    #[test]
    fn seed_and_step_determine_the_view() -> Result {
        let photo = slope(32)?;
        let view = |seed, step| -> Result<_> {
            pixels(&View::random(32, seed, step, &Device::Cpu)?.of(&photo, 0)?)
        };
        assert_eq!(view(1, 2)?, view(1, 2)?);
        assert_ne!(view(1, 2)?, view(1, 3)?);
        assert_ne!(view(1, 2)?, view(2, 2)?);
        Ok(())
    }

    #[test]
    fn light_and_noise_change_slightly() -> Result {
        let grey = Tensor::full(120f32, (2, 64, 64, 3), &Device::Cpu)?;
        for step in 0..10 {
            let seen = View::random(64, 3, step, &Device::Cpu)?.of(&grey, 0)?;
            let mean = seen.mean_all()?.to_scalar::<f32>()?;
            assert!((mean - 120.0).abs() < 120.0 * 0.05 + 5.1, "{mean}");
            let noise = (&seen - f64::from(mean))?.sqr()?.mean_all()?;
            let noise = noise.to_scalar::<f32>()?.sqrt();
            assert!(noise < 5.1, "{noise}");
            // Each picture of the batch has its own.
            let apart = (seen.get(0)? - seen.get(1)?)?.abs()?.max_all()?;
            assert!(apart.to_scalar::<f32>()? > noise);
        }
        Ok(())
    }

    #[test]
    fn a_pixelwise_painter_is_stable() -> Result {
        let photo = (slope(48)? / 2.0)?;
        let painter = |image: &Tensor| (255.0 - image)?.affine(0.5, 20.0);
        for step in 0..6 {
            let view = View::random(48, 0, step, &Device::Cpu)?;
            let again = painter(&view.moved(&photo)?)?;
            let apart = view.difference(&painter(&photo)?, &again)?;
            assert!(apart.to_scalar::<f32>()? < 1e-6);
            // And one that adds 3 the second time is off by 9.
            let apart = view.difference(&painter(&photo)?, &(again + 3.0)?)?;
            assert!((apart.to_scalar::<f32>()? - 9.0).abs() < 1e-3);
        }
        Ok(())
    }

    #[test]
    fn still_views_have_the_requested_weight() -> Result {
        for step in 0..6 {
            let view = View::random(32, 0, step, &Device::Cpu)?;
            let at_rest = view.moved(&slope(32)?)?.dim(1)? == 32;
            // Either kind is drawn half of the times.
            let expected = if at_rest { 2.0 * 5.0 } else { 2.0 };
            assert_eq!(view.weight(5.0), expected);
        }
        Ok(())
    }

    #[test]
    fn both_pictures_get_a_gradient() -> Result {
        let painted = Var::from_tensor(&slope(32)?)?;
        let view = View::of_a_move(32, ChaCha8Rng::seed_from_u64(0), &Device::Cpu)?;
        let again = Var::from_tensor(&(view.moved(&painted)? + 1.0)?)?;
        let gradients = view.difference(&painted, &again)?.backward()?;
        let sum = |var: &Var| -> Result<f32> {
            let gradient = gradients.get(var).expect("a gradient");
            Ok(gradient.sum_all()?.to_scalar()?)
        };
        // The derivative of the mean of (a - b)^2 where a - b = -1 everywhere.
        assert!((sum(&again)? - 2.0).abs() < 1e-3);
        assert!((sum(&painted)? + 2.0).abs() < 1e-3);
        Ok(())
    }
}
