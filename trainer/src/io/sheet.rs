//! A picture of pictures, to compare them side by side.

use font8x8::{BASIC_FONTS, UnicodeFonts};
use image::{Rgb, RgbImage, imageops};

/// Pixels between two pictures, and around all.
const GAP: u32 = 8;

/// Side of a letter in the font, and height of a label, in pixels. Letters are drawn at
/// twice their size where the label has room for them.
const LETTER: u32 = 8;
const LABEL: u32 = 24;

/// The rows below one another on white, each row's pictures side by side.
pub fn sheet(rows: &[Vec<RgbImage>]) -> RgbImage {
    let row_width = |row: &Vec<RgbImage>| row.iter().map(|p| p.width() + GAP).sum::<u32>();
    let row_height = |row: &Vec<RgbImage>| row.iter().map(|p| p.height()).max().unwrap_or(0);
    let width = GAP + rows.iter().map(row_width).max().unwrap_or(0);
    let height = GAP + rows.iter().map(|row| row_height(row) + GAP).sum::<u32>();
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    let mut top = GAP;
    for row in rows {
        let mut left = GAP;
        for picture in row {
            imageops::replace(&mut sheet, picture, left.into(), top.into());
            left += picture.width() + GAP;
        }
        top += row_height(row) + GAP;
    }
    sheet
}

/// `picture` with `text` below it. Characters beyond ASCII show as `?`.
pub fn labelled(picture: &RgbImage, text: &str) -> RgbImage {
    let (width, height) = picture.dimensions();
    let mut labelled = RgbImage::from_pixel(width, height + LABEL, Rgb([255; 3]));
    imageops::replace(&mut labelled, picture, 0, 0);
    let length = text.chars().count() as u32;
    let scale = if 2 * LETTER * length <= width { 2 } else { 1 };
    let top = height + (LABEL - scale * LETTER) / 2;
    for (i, character) in text.chars().enumerate() {
        let glyph = BASIC_FONTS.get(character).or(BASIC_FONTS.get('?'));
        let pixels = glyph
            .into_iter()
            .flat_map(|rows| (0..64).map(move |at| (rows, at)));
        for (_, at) in pixels.filter(|(rows, at)| rows[at / 8] >> (at % 8) & 1 == 1) {
            let (x, y) = (LETTER * i as u32 + at as u32 % 8, at as u32 / 8);
            for (dx, dy) in (0..scale).flat_map(|dx| (0..scale).map(move |dy| (dx, dy))) {
                let x = scale * x + dx;
                if x < width {
                    labelled.put_pixel(x, top + scale * y + dy, Rgb([0; 3]));
                }
            }
        }
    }
    labelled
}

/// `pictures` in rows of equal length, about as many as each has pictures.
pub fn grid(pictures: Vec<RgbImage>) -> RgbImage {
    let columns = columns(pictures.len());
    let rows: Vec<Vec<RgbImage>> = pictures.chunks(columns).map(<[_]>::to_vec).collect();
    sheet(&rows)
}

/// How many of `count` pictures [`grid`] puts side by side.
pub fn columns(count: usize) -> usize {
    (1..=count)
        .find(|columns| columns * columns >= count)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_below_and_never_wider() {
        let picture = RgbImage::from_pixel(40, 10, Rgb([9; 3]));
        let shown = labelled(&picture, "scream \u{fc}");
        assert_eq!(shown.dimensions(), (40, 34));
        let dark = |from: u32, to: u32| {
            let pixels = shown.enumerate_pixels();
            let dark = pixels.filter(|(_, y, p)| (from..to).contains(y) && p.0[0] == 0);
            dark.count()
        };
        assert_eq!((dark(0, 12), dark(32, 34)), (0, 0));
        assert!(dark(12, 32) > 50);
    }

    #[test]
    fn a_grid_is_about_square() {
        for (count, expected) in [(0, 1), (1, 1), (2, 2), (4, 2), (5, 3), (14, 4)] {
            assert_eq!(columns(count), expected, "{count}");
        }
        let flat = RgbImage::from_pixel(2, 2, Rgb([9; 3]));
        assert_eq!(grid(vec![flat; 5]).dimensions(), (8 + 3 * 10, 8 + 2 * 10));
    }

    #[test]
    fn pictures_are_placed_in_rows() {
        let flat = |w, h, value| RgbImage::from_pixel(w, h, Rgb([value; 3]));
        let rows = [vec![flat(9, 3, 1)], vec![flat(5, 4, 2), flat(6, 2, 3)]];
        let sheet = sheet(&rows);
        assert_eq!(sheet.dimensions(), (8 + 5 + 8 + 6 + 8, 8 + 3 + 8 + 4 + 8));
        let value = |x, y| sheet.get_pixel(x, y).0[0];
        assert_eq!((value(8, 8), value(16, 10), value(17, 8)), (1, 1, 255));
        assert_eq!((value(8, 19), value(12, 22), value(13, 19)), (2, 2, 255));
        assert_eq!((value(21, 19), value(26, 20), value(26, 21)), (3, 3, 255));
    }
}
