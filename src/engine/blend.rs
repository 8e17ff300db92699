//! How a repainted picture is blended into the original.

use super::frame::Colorimetry;

/// How a repainted picture is blended into the original.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blend {
    /// How much of the repainted picture shows: 0 nothing, 1 everything.
    pub strength: f32,
    /// Whether the original keeps its colors and takes only the luma of the
    /// repainted picture.
    pub keep_color: bool,
}

impl Blend {
    /// Nothing of the original shows.
    pub const OPAQUE: Blend = Blend {
        strength: 1.0,
        keep_color: false,
    };

    /// Whether the result depends on the original.
    pub fn needs_original(self) -> bool {
        self.keep_color || self.strength < 1.0
    }

    /// Blends the red, green and blue of `new` into those of `old`. The slices
    /// are of one length.
    #[inline(always)]
    pub(super) fn apply(self, mut new: [&mut [f32]; 3], old: [&[f32]; 3]) {
        if self.keep_color {
            keep_color(new.each_mut().map(|plane| &mut **plane), old);
        }
        if self.strength < 1.0 {
            for (new, old) in new.into_iter().zip(old) {
                for (new, old) in new.iter_mut().zip(old) {
                    *new = old + self.strength * (*new - old);
                }
            }
        }
    }
}

impl Default for Blend {
    fn default() -> Self {
        Blend::OPAQUE
    }
}

/// Gives `new` the colors of `old`: each pixel takes the old chroma and keeps
/// its own luma (L. Gatys et al., "Preserving Color in Neural Artistic Style
/// Transfer", 2016, section 4).
///
/// Luma and chroma are those of BT.601 on the values 0..255. Since chroma is
/// what red, green and blue have beyond luma, this adds the difference of the
/// two lumas to each old color. The result is clamped to 0..255, as on the way
/// from YCbCr to RGB.
#[inline(always)]
fn keep_color([red, green, blue]: [&mut [f32]; 3], [old_red, old_green, old_blue]: [&[f32]; 3]) {
    let Colorimetry { kr, kb, .. } = Colorimetry::BT601;
    let luma = |r: f32, g: f32, b: f32| kr * r + (1.0 - kr - kb) * g + kb * b;
    let new = red.iter_mut().zip(green).zip(blue);
    let old = old_red.iter().zip(old_green).zip(old_blue);
    for (((r, g), b), ((&old_r, &old_g), &old_b)) in new.zip(old) {
        let brighter = luma(*r, *g, *b) - luma(old_r, old_g, old_b);
        *r = (old_r + brighter).clamp(0.0, 255.0);
        *g = (old_g + brighter).clamp(0.0, 255.0);
        *b = (old_b + brighter).clamp(0.0, 255.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_COLOR: Blend = Blend {
        strength: 1.0,
        keep_color: true,
    };

    /// `new` blended into `old`, a pixel.
    fn blended(blend: Blend, new: [f32; 3], old: [f32; 3]) -> [f32; 3] {
        let mut result = new;
        blend.apply(
            result.each_mut().map(std::slice::from_mut),
            old.each_ref().map(std::slice::from_ref),
        );
        result
    }

    /// Y, Cb and Cr of BT.601 in full range, without offsets.
    fn ycbcr([r, g, b]: [f32; 3]) -> [f32; 3] {
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        [y, (b - y) / 1.772, (r - y) / 1.402]
    }

    #[test]
    fn luma_is_the_paintings_and_chroma_the_photos() {
        let (photo, painted) = ([200.0, 100.0, 60.0], [30.0, 90.0, 150.0]);
        let pixel = blended(KEEP_COLOR, painted, photo);
        let expected = [ycbcr(painted)[0], ycbcr(photo)[1], ycbcr(photo)[2]];
        for (found, expected) in ycbcr(pixel).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-3, "{pixel:?}");
        }
    }

    #[test]
    fn a_gray_photo_becomes_gray_and_values_stay_in_range() {
        let [r, g, b] = blended(KEEP_COLOR, [10.0, 200.0, 50.0], [90.0; 3]);
        assert!((r - g).abs() < 1e-3 && (g - b).abs() < 1e-3, "{r} {g} {b}");
        let bright = blended(KEEP_COLOR, [255.0; 3], [250.0, 250.0, 10.0]);
        assert_eq!(bright[..2], [255.0; 2]);
        let dark = blended(KEEP_COLOR, [0.0; 3], [0.0, 0.0, 200.0]);
        assert_eq!(dark[..2], [0.0; 2]);
        let all = [bright, dark].concat();
        assert!(all.iter().all(|v| (0.0..=255.0).contains(v)));
    }

    #[test]
    fn strength_goes_from_the_photo_to_the_painting() {
        let (photo, painted) = ([200.0, 100.0, 60.0], [30.0, 90.0, 150.0]);
        let at = |strength| {
            let blend = Blend {
                strength,
                ..Blend::OPAQUE
            };
            blended(blend, painted, photo)
        };
        assert_eq!(at(1.0), painted);
        assert_eq!(at(0.0), photo);
        assert_eq!(at(0.5), [115.0, 95.0, 105.0]);
    }
}
