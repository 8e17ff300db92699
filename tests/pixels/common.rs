//! Frames that own their planes, and pictures to put into them.

use gstfaststyle::ColorFamily;
use gstfaststyle::Image;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::{Colorimetry, Format, Frame, FrameInfo, FrameMut, Plane, PlaneMut};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Sizes around chroma's pairs, v210's groups of 6 and the tiles of 126 or 128
/// pixels.
pub const SIZES: [(usize, usize); 12] = [
    (1, 1),
    (2, 1),
    (1, 2),
    (3, 5),
    (17, 9),
    (6, 2),
    (23, 4),
    (64, 3),
    (127, 2),
    (128, 3),
    (129, 7),
    (258, 4),
];

pub const GUARD: u8 = 0xa5;

/// A frame that owns its planes.
#[derive(Clone)]
pub struct Buffer {
    pub info: FrameInfo,
    /// The bytes and the stride of each.
    pub planes: Vec<(Vec<u8>, usize)>,
}

impl Buffer {
    /// Planes with `padding` bytes after each row but the last, all `GUARD`.
    pub fn new(info: FrameInfo, padding: usize) -> Self {
        let planes = (0..info.format.plane_count())
            .map(|plane| {
                let stride = info.format.row_bytes(plane, info.width) + padding;
                let bytes = info.plane_bytes(plane, stride).unwrap();
                (vec![GUARD; bytes], stride)
            })
            .collect();
        Buffer { info, planes }
    }

    pub fn frame(&self) -> Frame<'_> {
        let planes = self.planes.iter().map(|(data, stride)| Plane {
            data,
            stride: *stride,
        });
        Frame::new(self.info, planes).unwrap()
    }

    pub fn frame_mut(&mut self) -> FrameMut<'_> {
        let planes = self.planes.iter_mut().map(|(data, stride)| PlaneMut {
            data,
            stride: *stride,
        });
        FrameMut::new(self.info, planes).unwrap()
    }

    pub fn read(&self) -> Image {
        let mut image = Image::default();
        pixels::read(&self.frame(), &mut image);
        image
    }

    pub fn written(info: FrameInfo, image: &Image) -> Self {
        let mut buffer = Buffer::new(info, 0);
        pixels::write(image, None, None, &mut buffer.frame_mut()).unwrap();
        buffer
    }

    /// The bytes of a plane's first pixels.
    pub fn bytes(&self, plane: usize) -> &[u8] {
        &self.planes[plane].0
    }
}

pub fn info(format: Format, width: usize, height: usize, colorimetry: Colorimetry) -> FrameInfo {
    FrameInfo {
        format,
        width,
        height,
        colorimetry,
    }
}

/// What caps without a colorimetry mean in each format.
pub fn usual(format: Format) -> Colorimetry {
    match format.family() {
        ColorFamily::Rgb => Colorimetry::SRGB,
        _ => Colorimetry::BT601,
    }
}

pub fn solid([r, g, b]: [f32; 3], width: usize, height: usize) -> Image {
    let plane = |value| std::iter::repeat_n(value, width * height);
    Image {
        width,
        height,
        data: plane(r).chain(plane(g)).chain(plane(b)).collect(),
    }
}

pub fn random(width: usize, height: usize, seed: u64) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let byte = || f32::from(rng.random::<u8>());
    Image {
        width,
        height,
        data: std::iter::repeat_with(byte)
            .take(3 * width * height)
            .collect(),
    }
}

pub fn largest_difference(a: &Image, b: &Image) -> f32 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    assert_eq!(a.data.len(), b.data.len());
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

pub fn luma([r, g, b]: [f32; 3], colours: Colorimetry) -> f32 {
    colours.kr * r + (1.0 - colours.kr - colours.kb) * g + colours.kb * b
}
