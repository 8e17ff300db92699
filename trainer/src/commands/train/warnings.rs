//! Settings of a training that are allowed, and that people hardly mean.

use crate::objective::painting::Painting;
use crate::training::recipe::Recipe;

/// Fewer photos than this are learned by heart.
const FEW_PHOTOS: usize = 100;

/// No network is known to settle at a higher learning rate.
const HIGH_RATE: f64 = 0.05;

/// How many times a painting is enlarged at most before nothing of its strokes is left.
const ENLARGED: u64 = 2;

/// What is unusual about `recipe` with so many photos.
///
/// # Errors
/// A painting that cannot be read.
pub fn of(recipe: &Recipe, photos: usize) -> anyhow::Result<Vec<String>> {
    let mut warnings = Vec::new();
    if photos < FEW_PHOTOS {
        let photos = match photos {
            1 => "1 photo is".into(),
            photos => format!("{photos} photos are"),
        };
        warnings.push(format!(
            "{photos} little to learn from: a thousand varied ones are enough to begin with \
             (docs/TRAINING.md says where there are free ones)"
        ));
    }
    if recipe.lr > HIGH_RATE {
        warnings.push(format!(
            "--lr {} is far above the usual 0.001: the weights may never settle",
            recipe.lr
        ));
    }
    for style in &recipe.styles {
        let size = style.style_size.unwrap_or(recipe.style_size);
        for painting in &style.paintings {
            warnings.extend(small(painting, size)?);
        }
    }
    Ok(warnings)
}

/// What is said of a painting that is far smaller than `size`, to which it is scaled.
///
/// # Errors
/// It cannot be read.
pub fn small(painting: &Painting, size: u64) -> anyhow::Result<Option<String>> {
    let (width, height) = painting.size()?;
    let shorter = u64::from(width.min(height));
    Ok((ENLARGED * shorter < size).then(|| {
        format!(
            "{} has only {width}x{height} pixels and is enlarged to {size}: its strokes are not \
             in it. Take a larger picture, or a smaller --style-size",
            painting.file.display()
        )
    }))
}
