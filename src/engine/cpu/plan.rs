//! What a picture's size decides: where every convolution finds its pixels.

use crate::engine::buffers;
use crate::network::{LayerSpec, SIDE_MULTIPLE, Step};
use crate::ops::cpu::conv::border;
use crate::ops::cpu::winograd::PaddedPicture;
use crate::ops::{Padding, Size, reflect};

/// The source row of each padded row, the source column of each padded column.
#[derive(Default)]
pub struct Border {
    pub rows: Vec<i32>,
    pub columns: Vec<i32>,
}

impl Border {
    fn new(size: Size, table: impl Fn(usize) -> Vec<i32>) -> Self {
        Border {
            rows: table(size.height),
            columns: table(size.width),
        }
    }
}

/// One layer for pictures of one size.
pub struct LayerPlan {
    /// The input's size.
    pub size: Size,
    /// Numbers of the input.
    pub input_len: usize,
    /// Numbers of the result.
    pub output_len: usize,
    /// Around the input.
    pub border: Border,
}

/// The network for pictures of one size.
#[derive(Default)]
pub struct Plan {
    picture: Size,
    /// The size inside the network at the first layer and the last.
    pub full: Size,
    /// Layer by layer.
    pub layers: Vec<LayerPlan>,
}

impl Plan {
    /// The plan for pictures of the size `picture`, where the first and the
    /// last convolution want `outer` pixels beyond the picture in all.
    pub fn new(layers: &[LayerSpec], outer: usize, picture: Size) -> Self {
        let full = full_size(picture);
        let last = layers.len().saturating_sub(1);
        let plan = |(i, layer): (usize, &LayerSpec)| {
            let size = full.map(|side| side / layer.input_scale);
            let reach = layer.kernel / 2;
            LayerPlan {
                size,
                input_len: image_len(full, layer.input_scale, layer.inputs),
                output_len: image_len(full, layer.output_scale(), layer.outputs),
                border: match layer.step {
                    _ if i == 0 => first_border(picture, full, reach, outer),
                    _ if i == last => Border::new(size, |len| outer_border(len, reach, outer)),
                    Step::Double => Border::new(size, |len| enlarged_border(len, reach)),
                    Step::Same | Step::Half => {
                        Border::new(size, |len| border(len, Padding::Reflect, (reach, reach)))
                    }
                },
            }
        };
        Plan {
            picture,
            full,
            layers: layers.iter().enumerate().map(plan).collect(),
        }
    }

    /// Whether this is the plan for pictures of the size `picture`.
    pub fn fits(&self, picture: Size) -> bool {
        self.picture == picture
    }
}

/// How many numbers a picture of one size takes inside the network.
pub struct Lengths {
    /// The padded picture.
    pub picture: usize,
    /// The buffers that images take turns in.
    pub buffers: [usize; 2],
    /// The largest input that is copied with its border: those of kernels that
    /// are not 3x3.
    pub padded: usize,
}

impl Lengths {
    /// Those for pictures of the size `picture`, where the first and the last
    /// convolution want `outer` pixels beyond the picture in all and the last
    /// makes `sums_len` of an image of full size.
    pub fn new(
        layers: &[LayerSpec],
        outer: usize,
        sums_len: impl Fn(Size) -> usize,
        picture: Size,
    ) -> Self {
        let full = full_size(picture);
        let beyond = |size: Size, border| size.map(|side| side.saturating_add(border));
        let padded = |layer: &LayerSpec| match layer.kernel {
            3 => 0,
            kernel => {
                let size = full.map(|side| side / layer.kernel_scale());
                beyond(size, kernel - 1).area().saturating_mul(layer.inputs)
            }
        };
        let (last, others) = match layers {
            [others @ .., last] => (Some(last), others),
            [] => (None, layers),
        };
        let results = others.iter().map(|layer| {
            let len = image_len(full, layer.output_scale(), layer.outputs);
            (layer.residual, len)
        });
        let sums = last.map(|layer| (layer.residual, sums_len(full)));
        Lengths {
            picture: PaddedPicture::len(beyond(full, outer)),
            buffers: buffers::lengths(results.chain(sums)),
            padded: others.iter().skip(1).map(padded).max().unwrap_or(0),
        }
    }

    /// All of them.
    pub fn sum(&self) -> usize {
        [self.picture, self.padded]
            .into_iter()
            .chain(self.buffers)
            .fold(0, usize::saturating_add)
    }
}

/// Numbers of an image whose sides are `scale` times shorter than `full`.
fn image_len(full: Size, scale: usize, channels: usize) -> usize {
    full.map(|side| side / scale)
        .area()
        .saturating_mul(channels)
}

/// The size inside the network for a picture: what divides by
/// [`SIDE_MULTIPLE`].
fn full_size(picture: Size) -> Size {
    picture.map(|side| {
        side.checked_next_multiple_of(SIDE_MULTIPLE)
            .unwrap_or(usize::MAX)
    })
}

/// Around the picture, which is first mirrored to `full` size.
fn first_border(picture: Size, full: Size, reach: usize, outer: usize) -> Border {
    let mirrored = |full: usize, len: usize| {
        let mirror = |i| reflect(i as isize, len) as i32;
        let table = outer_border(full, reach, outer);
        table.into_iter().map(mirror).collect()
    };
    Border {
        rows: mirrored(full.height, picture.height),
        columns: mirrored(full.width, picture.width),
    }
}

/// A border of `reach` before and as much after that as makes it `outer` pixels.
fn outer_border(len: usize, reach: usize, outer: usize) -> Vec<i32> {
    let mut table = border(len, Padding::Reflect, (reach, reach));
    // What zeros in the kernel meet.
    table.resize(len + outer, 0);
    table
}

/// A line of `len` pixels, each of which counts twice, mirrored `reach` pixels
/// beyond both ends. With a reach of one, nothing but whole pixels: the mirror
/// of a doubled pixel's second half is its first.
fn enlarged_border(len: usize, reach: usize) -> Vec<i32> {
    if reach == 1 {
        let last = len as i32 - 1;
        return (-1..=last + 1).map(|i| i.clamp(0, last)).collect();
    }
    let table = border(2 * len, Padding::Reflect, (reach, reach));
    table.into_iter().map(|i| i / 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Architecture;

    #[test]
    fn borders_mirror() {
        assert_eq!(outer_border(4, 3, 8), [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 0, 0]);
        assert_eq!(enlarged_border(3, 1), [0, 0, 1, 2, 2]);
        assert_eq!(enlarged_border(2, 2), [1, 0, 0, 0, 1, 1, 1, 0]);
    }

    #[test]
    fn the_first_layer_sees_the_picture_mirrored_to_a_multiple_of_4() {
        let layers = Architecture::with_width(4).layers();
        let plan = Plan::new(&layers, 8, Size::new(5, 3));
        assert_eq!(plan.full, Size::new(8, 4));
        let sizes: Vec<Size> = plan.layers.iter().map(|layer| layer.size).collect();
        assert_eq!(
            sizes[1..4],
            [(8, 4), (4, 2), (2, 1)].map(|(w, h)| Size::new(w, h))
        );
        assert_eq!(
            plan.layers[0].border.rows,
            [2, 1, 2, 1, 0, 1, 2, 1, 2, 1, 0, 1]
        );
        assert!(plan.fits(Size::new(5, 3)) && !plan.fits(Size::new(3, 5)));
    }
}
