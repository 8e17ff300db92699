//! What a picture's size decides: where every convolution finds its pixels.

use crate::engine::{Precision, buffers};
use crate::network::{LayerSpec, SIDE_MULTIPLE, Step};
use crate::ops::cpu::conv::border;
use crate::ops::cpu::pixels::{Pixels, PixelsMut, as_halves, as_halves_mut};
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
    /// Numbers of 32 bits that the input takes.
    pub input_len: usize,
    /// Numbers of 32 bits that the result takes.
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
    pub fn new(layers: &[LayerSpec], storage: Storage, outer: usize, picture: Size) -> Self {
        let full = full_size(picture);
        let last = layers.len().saturating_sub(1);
        let plan = |(i, layer): (usize, &LayerSpec)| {
            let size = full.map(|side| side / layer.input_scale);
            let reach = layer.kernel / 2;
            LayerPlan {
                size,
                input_len: storage.len(full, layer.input_scale, layer.inputs),
                output_len: storage.len(full, layer.output_scale(), layer.outputs),
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
    /// The buffers that images take turns in, the padded picture included.
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
        storage: Storage,
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
            let len = storage.len(full, layer.output_scale(), layer.outputs);
            (layer.residual, len)
        });
        let sums = last.map(|layer| (layer.residual, sums_len(full)));
        let mut buffers = buffers::lengths(results.chain(sums));
        // The picture lies where the first layer does not write.
        buffers[1] = buffers[1].max(PaddedPicture::len(beyond(full, outer)));
        Lengths {
            buffers,
            padded: others.iter().skip(1).map(padded).max().unwrap_or(0),
        }
    }

    /// All of them.
    pub fn sum(&self) -> usize {
        self.buffers
            .into_iter()
            .fold(self.padded, usize::saturating_add)
    }
}

/// How images inside the network are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// As 32-bit floats.
    Floats,
    /// Those larger than the smallest as 16-bit floats: they take most of the memory,
    /// and each is read once. To the smallest ones the residual blocks add.
    Halves,
}

impl Storage {
    /// That of a network with these `layers` and this precision.
    pub fn new(layers: &[LayerSpec], precision: Precision) -> Self {
        let inner = layers.get(1..layers.len().saturating_sub(1)).unwrap_or(&[]);
        match precision {
            // Other kernels read 32-bit floats.
            Precision::Fast if inner.iter().all(|layer| layer.kernel == 3) => Storage::Halves,
            _ => Storage::Floats,
        }
    }

    /// Whether an image whose sides are `scale` times shorter than at full size
    /// consists of 16-bit floats.
    pub fn is_half(self, scale: usize) -> bool {
        self == Storage::Halves && scale < SIDE_MULTIPLE
    }

    /// Numbers of 32 bits that such an image takes.
    fn len(self, full: Size, scale: usize, channels: usize) -> usize {
        let size = full.map(|side| side / scale);
        let numbers = size.area().saturating_mul(channels);
        match self.is_half(scale) {
            true => numbers.div_ceil(2),
            false => numbers,
        }
    }

    /// Such an image in `memory`.
    pub fn pixels(self, memory: &[f32], scale: usize) -> Pixels<'_> {
        match self.is_half(scale) {
            true => Pixels::Halves(as_halves(memory)),
            false => Pixels::Floats(memory),
        }
    }

    /// Such an image in `memory`, to be written.
    pub fn pixels_mut(self, memory: &mut [f32], scale: usize) -> PixelsMut<'_> {
        match self.is_half(scale) {
            true => PixelsMut::Halves(as_halves_mut(memory)),
            false => PixelsMut::Floats(memory),
        }
    }
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
        let plan = Plan::new(&layers, Storage::Floats, 8, Size::new(5, 3));
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
