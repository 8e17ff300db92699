//! What is done with the colours of a repainted picture.

use super::Image;
use super::frame::Colorimetry;
use rayon::prelude::*;

/// Pixels that one task handles.
const CHUNK: usize = 1 << 14;

/// Gives `styled` the colours of `original`, a picture of the same size: each
/// pixel takes the original's chroma and keeps its own luma (L. Gatys et al.,
/// "Preserving Color in Neural Artistic Style Transfer", 2016, section 4).
///
/// Luma and chroma are those of BT.601 on the values 0..255. Chroma being what
/// red, green and blue have beyond luma, the exchange is the same as adding the
/// difference of the two lumas to each of the original's colours. What leads
/// out of 0..255 is cut off, as on the way from YCbCr to RGB.
///
/// # Panics
/// If the sizes differ.
pub fn keep_colours(original: &Image, styled: &mut Image) {
    assert_eq!(
        (original.width, original.height, original.data.len()),
        (styled.width, styled.height, styled.data.len()),
    );
    let Colorimetry { kr, kb, .. } = Colorimetry::BT601;
    let luma = |r: f32, g: f32, b: f32| kr * r + (1.0 - kr - kb) * g + kb * b;
    let plane = styled.width * styled.height;
    let (red, rest) = styled.data.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    let (old_red, rest) = original.data.split_at(plane);
    let (old_green, old_blue) = rest.split_at(plane);
    let new = red
        .par_chunks_mut(CHUNK)
        .zip(green.par_chunks_mut(CHUNK))
        .zip(blue.par_chunks_mut(CHUNK));
    let old = old_red
        .par_chunks(CHUNK)
        .zip(old_green.par_chunks(CHUNK))
        .zip(old_blue.par_chunks(CHUNK));
    new.zip(old)
        .for_each(|(((red, green), blue), ((old_red, old_green), old_blue))| {
            let new = red.iter_mut().zip(green).zip(blue);
            let old = old_red.iter().zip(old_green).zip(old_blue);
            for (((r, g), b), ((&old_r, &old_g), &old_b)) in new.zip(old) {
                let brighter = luma(*r, *g, *b) - luma(old_r, old_g, old_b);
                *r = (old_r + brighter).clamp(0.0, 255.0);
                *g = (old_g + brighter).clamp(0.0, 255.0);
                *b = (old_b + brighter).clamp(0.0, 255.0);
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels in a row.
    fn image(pixels: &[[f32; 3]]) -> Image {
        Image {
            width: pixels.len(),
            height: 1,
            data: (0..3)
                .flat_map(|c| pixels.iter().map(move |pixel| pixel[c]))
                .collect(),
        }
    }

    /// Y, Cb and Cr of BT.601 in full range, without offsets.
    fn ycbcr([r, g, b]: [f32; 3]) -> [f32; 3] {
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        [y, (b - y) / 1.772, (r - y) / 1.402]
    }

    #[test]
    fn luma_is_the_paintings_and_chroma_the_photos() {
        let (photo, painted) = ([200.0, 100.0, 60.0], [30.0, 90.0, 150.0]);
        let many = 2 * CHUNK + 5;
        let mut styled = image(&vec![painted; many]);
        keep_colours(&image(&vec![photo; many]), &mut styled);
        for i in [0, CHUNK, many - 1] {
            let pixel = [0, 1, 2].map(|c| styled.data[c * many + i]);
            let [y, cb, cr] = ycbcr(pixel);
            let expected = [ycbcr(painted)[0], ycbcr(photo)[1], ycbcr(photo)[2]];
            for (found, expected) in [y, cb, cr].into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-3, "{pixel:?}");
            }
        }
    }

    #[test]
    fn a_grey_photo_becomes_grey_and_no_value_is_impossible() {
        let photo = image(&[[90.0; 3], [250.0, 250.0, 10.0], [0.0, 0.0, 200.0]]);
        let mut styled = image(&[[10.0, 200.0, 50.0], [255.0; 3], [0.0; 3]]);
        keep_colours(&photo, &mut styled);
        let [r, g, b] = [0, 3, 6].map(|i| styled.data[i]);
        assert!((r - g).abs() < 1e-3 && (g - b).abs() < 1e-3, "{r} {g} {b}");
        assert!(styled.data.iter().all(|v| (0.0..=255.0).contains(v)));
        assert_eq!([1, 4].map(|i| styled.data[i]), [255.0; 2]);
        assert_eq!([2, 5].map(|i| styled.data[i]), [0.0; 2]);
    }
}
