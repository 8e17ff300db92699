//! The random crop of pictures that a training step measures.
//!
//! VGG-19's zero padding acts like a grey frame around pictures. If whole pictures
//! were measured, the network would learn to paint garish stripes along its
//! borders. If a fixed border were left out, it would learn nothing about it.

use candle_core::{Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A square in square pictures, seven eighths as wide as they are.
pub struct RandomCrop {
    top: usize,
    left: usize,
    side: usize,
}

impl RandomCrop {
    /// A random crop of pictures of side `size`, determined by `seed` and `step`.
    pub fn random(size: usize, seed: u64, step: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Far from the sequences that other things draw from.
        random.set_stream(!step);
        let room = size / 8;
        RandomCrop {
            top: random.random_range(0..=room),
            left: random.random_range(0..=room),
            side: size - room,
        }
    }

    /// The crop of `pictures` `[n, size, size, 3]`.
    pub fn of(&self, pictures: &Tensor) -> Result<Tensor> {
        pictures
            .narrow(1, self.top, self.side)?
            .narrow(2, self.left, self.side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn crops_cover_every_pixel_over_time() -> Result<()> {
        let pictures = Tensor::arange(0f32, 64.0 * 64.0, &Device::Cpu)?.reshape((1, 64, 64, 1))?;
        let mut seen = vec![0; 64 * 64];
        for step in 0..400 {
            let part = RandomCrop::random(64, 3, step).of(&pictures)?;
            assert_eq!(part.dims(), [1, 56, 56, 1]);
            for pixel in part.flatten_all()?.to_vec1::<f32>()? {
                seen[pixel as usize] += 1;
            }
        }
        let (corner, edge, middle) = (seen[0], seen[32], seen[32 * 64 + 32]);
        assert!(corner > 0 && corner < edge && edge < 100, "{corner} {edge}");
        assert_eq!(middle, 400);
        assert!(seen.iter().all(|times| *times > 0));
        let again = RandomCrop::random(64, 3, 7);
        let same = RandomCrop::random(64, 3, 7);
        assert_eq!((again.top, again.left), (same.top, same.left));
        Ok(())
    }
}
