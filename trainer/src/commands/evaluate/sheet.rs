//! A picture of pictures, to compare them side by side.

use image::{Rgb, RgbImage, imageops};

/// Pixels between two pictures, and around all.
const GAP: u32 = 8;

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

#[cfg(test)]
mod tests {
    use super::*;

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
