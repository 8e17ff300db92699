//! What a style of a network is held to: paintings, or the photo itself.

use crate::objective::loss_values::Losses;
use crate::objective::{Objective, loss};
use candle_core::{Result, Tensor};

/// Weight of the mean squared difference between photo and picture, in which it
/// is about as large as the losses of paintings.
const PHOTO_WEIGHT: f64 = 1e4;

/// Added to a loss before its logarithm is taken, a hundredth of what paintings
/// have: a photo that is shown almost exactly would outweigh them otherwise.
const FLOOR: f64 = 1e5;

/// What a style is held to.
pub enum StyleObjective {
    /// The style of paintings, and the content of the photo.
    Paintings(Objective),
    /// The photo, pixel by pixel.
    Photo,
}

impl StyleObjective {
    /// The loss of `pictures`, painted from `photos`, both RGB `[n, h, w, 3]` in
    /// 0..255: as [`Objective::measure`] gives it.
    pub fn measure(&self, pictures: &Tensor, photos: &Tensor) -> Result<(Tensor, Losses)> {
        match self {
            StyleObjective::Paintings(objective) => {
                objective.measure(pictures, &objective.content(photos)?)
            }
            StyleObjective::Photo => {
                let total = (loss::content(pictures, photos)? * PHOTO_WEIGHT)?;
                let content = total.to_scalar()?;
                let losses = Losses {
                    total: content,
                    content,
                    ..Losses::default()
                };
                Ok((total, losses))
            }
        }
    }
}

/// What several styles make small: the logarithm of each one's loss. Paintings
/// differ in their losses by a factor of ten; like this, a percent of each counts
/// the same.
pub fn balanced(total: &Tensor) -> Result<Tensor> {
    (total + FLOOR)?.log()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn a_photo_shown_as_it_is_has_no_loss() -> Result<()> {
        let photo = Tensor::rand(0f32, 255.0, (1, 16, 16, 3), &Device::Cpu)?;
        let (_, losses) = StyleObjective::Photo.measure(&photo, &photo)?;
        assert_eq!(losses.total, 0.0);
        let (_, losses) = StyleObjective::Photo.measure(&(&photo + 2.0)?, &photo)?;
        assert!((losses.total / 4e4 - 1.0).abs() < 1e-4, "{losses}");
        Ok(())
    }

    #[test]
    fn a_percent_of_each_loss_counts_the_same() -> Result<()> {
        for size in [1e7f32, 1e9] {
            let x = Var::new(1f32, &Device::Cpu)?;
            let gradient = balanced(&(x.as_tensor() * f64::from(size))?)?.backward()?;
            let gradient = gradient.get(&x).expect("a gradient").to_scalar::<f32>()?;
            assert!((gradient - 1.0).abs() < 0.02, "{size}: {gradient}");
        }
        Ok(())
    }
}
