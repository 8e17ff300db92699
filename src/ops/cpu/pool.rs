//! Changes of size by two: nearest-neighbour upsampling and max pooling, over
//! `[n, height, width, channels]`.

use rayon::prelude::*;

/// Height, width and channels of each image of a batch.
pub type ImageShape = (usize, usize, usize);

/// Repeats each pixel twice in both directions.
pub fn upsample(data: &[f32], (_, width, channels): ImageShape) -> Vec<f32> {
    let row_len = width * channels;
    let mut out = vec![0.0; 4 * data.len()];
    out.par_chunks_mut(4 * row_len)
        .zip(data.par_chunks(row_len))
        .for_each(|(out, row)| {
            let (first, second) = out.split_at_mut(2 * row_len);
            for (out, pixel) in first
                .chunks_exact_mut(2 * channels)
                .zip(row.chunks_exact(channels))
            {
                out[..channels].copy_from_slice(pixel);
                out[channels..].copy_from_slice(pixel);
            }
            second.copy_from_slice(first);
        });
    out
}

/// The gradient of [`upsample`]: the sum of each pixel's four copies. `size`
/// is that of the small image.
pub fn upsample_gradient(gradient: &[f32], (_, width, channels): ImageShape) -> Vec<f32> {
    let row_len = width * channels;
    let mut out = vec![0.0; gradient.len() / 4];
    out.par_chunks_mut(row_len)
        .zip(gradient.par_chunks(4 * row_len))
        .for_each(|(out, gradient)| {
            let (first, second) = gradient.split_at(2 * row_len);
            let pairs = first
                .chunks_exact(2 * channels)
                .zip(second.chunks_exact(2 * channels));
            for (out, (first, second)) in out.chunks_exact_mut(channels).zip(pairs) {
                for c in 0..channels {
                    out[c] = first[c] + first[channels + c] + second[c] + second[channels + c];
                }
            }
        });
    out
}

/// The largest of each 2x2 pixels; a lone last row or column is left out.
pub fn max_pool(data: &[f32], (height, width, channels): ImageShape) -> Vec<f32> {
    let row_len = width * channels;
    let (rows, columns) = (height / 2, width / 2);
    let batch = data.len() / (height * row_len);
    let mut out = vec![0.0; batch * rows * columns * channels];
    out.par_chunks_mut((columns * channels).max(1))
        .enumerate()
        .for_each(|(i, out)| {
            let start = (i / rows * height + i % rows * 2) * row_len;
            let (first, second) = data[start..start + 2 * row_len].split_at(row_len);
            for (x, out) in out.chunks_exact_mut(channels).enumerate() {
                let at = 2 * x * channels;
                for c in 0..channels {
                    let top = first[at + c].max(first[at + channels + c]);
                    let bottom = second[at + c].max(second[at + channels + c]);
                    out[c] = top.max(bottom);
                }
            }
        });
    out
}

/// The gradient of [`max_pool`]: it goes to the pixel that was the largest,
/// the first of them if several were.
pub fn max_pool_gradient(
    data: &[f32],
    (height, width, channels): ImageShape,
    result: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    let row_len = width * channels;
    let (rows, columns) = (height / 2, width / 2);
    let mut out = vec![0.0; data.len()];
    out.par_chunks_mut(height * row_len)
        .enumerate()
        .for_each(|(image, out)| {
            let rows_of_image = out.par_chunks_mut(2 * row_len).take(rows);
            rows_of_image.enumerate().for_each(|(row, out)| {
                let start = (image * height + 2 * row) * row_len;
                let data = &data[start..start + 2 * row_len];
                for x in 0..columns {
                    let small = ((image * rows + row) * columns + x) * channels;
                    let at = 2 * x * channels;
                    let corners = [at, at + channels, row_len + at, row_len + at + channels];
                    for c in 0..channels {
                        let largest = result[small + c];
                        let mut left = gradient[small + c];
                        for corner in corners {
                            let hit = data[corner + c] == largest;
                            out[corner + c] = if hit { left } else { 0.0 };
                            left = if hit { 0.0 } else { left };
                        }
                    }
                }
            });
        });
    out
}
