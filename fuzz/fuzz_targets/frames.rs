//! Frames of any format, size, strides and lengths of planes, read and written.
//! Each plane is allocated separately, so that accesses out of bounds are detected.
#![no_main]

use gstfaststyle::ColorRange;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::{Blend, Image};
use gstfaststyle::{Colorimetry, Format, Frame, FrameInfo, FrameMut, Plane, PlaneMut};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// Upper limit of a plane: longer ones are refused in the same way.
const MOST_BYTES: usize = 1 << 14;

#[derive(Arbitrary, Debug)]
struct Input {
    width: Number,
    height: Number,
    from: Layout,
    to: Layout,
    strength: Option<f32>,
    keep_alpha: bool,
    bytes: Vec<u8>,
}

/// Mostly small numbers, but any value is possible.
#[derive(Arbitrary, Debug)]
enum Number {
    Byte(u8),
    Tens(u16),
    Any(usize),
}

impl Number {
    fn get(&self) -> usize {
        match *self {
            Number::Byte(n) => n.into(),
            Number::Tens(n) => usize::from(n % 1024),
            Number::Any(n) => n,
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Layout {
    format: u8,
    full_range: bool,
    weights: Option<(f32, f32)>,
    planes: Vec<PlaneSize>,
    /// Missing planes get the right size.
    fill_up: bool,
}

#[derive(Arbitrary, Debug)]
enum PlaneSize {
    /// The required length, with this padding between rows, minus this many bytes.
    Near {
        padding: u8,
        lacking: u8,
    },
    Any {
        stride: usize,
        length: u16,
    },
}

impl Layout {
    fn info(&self, width: usize, height: usize) -> FrameInfo {
        let (kr, kb) = self.weights.unwrap_or((0.2126, 0.0722));
        let range = match self.full_range {
            true => ColorRange::Full,
            false => ColorRange::Limited,
        };
        FrameInfo {
            format: Format::ALL[usize::from(self.format) % Format::ALL.len()],
            width,
            height,
            colorimetry: Colorimetry::new(kr, kb, range),
        }
    }

    /// The length and stride of each plane.
    fn planes(&self, info: &FrameInfo) -> Vec<(usize, usize)> {
        let right = PlaneSize::Near {
            padding: 0,
            lacking: 0,
        };
        let missing = info.format.plane_count().saturating_sub(self.planes.len());
        let missing = if self.fill_up { missing } else { 0 };
        let given = self.planes.iter().take(5);
        given
            .chain(std::iter::repeat_n(&right, missing))
            .enumerate()
            .map(|(plane, size)| match *size {
                PlaneSize::Near { padding, lacking } => {
                    let plane = plane.min(info.format.plane_count() - 1);
                    // Wider frames are refused, whatever the stride.
                    let row = match info.width {
                        width @ ..=MOST_BYTES => info.format.row_bytes(plane, width),
                        _ => 0,
                    };
                    let stride = row + usize::from(padding);
                    let needed = info.plane_bytes(plane, stride).unwrap_or(0);
                    let length = needed.saturating_sub(lacking.into());
                    (length.min(MOST_BYTES), stride)
                }
                PlaneSize::Any { stride, length } => (usize::from(length).min(MOST_BYTES), stride),
            })
            .collect()
    }
}

/// Allocations of exactly these lengths.
fn blocks(planes: &[(usize, usize)], bytes: &[u8]) -> Vec<Box<[u8]>> {
    let mut bytes = bytes.iter().copied().chain(std::iter::once(0x5a)).cycle();
    let block = |&(length, _): &(usize, usize)| bytes.by_ref().take(length).collect();
    planes.iter().map(block).collect()
}

fn read_planes<'a>(blocks: &'a [Box<[u8]>], sizes: &[(usize, usize)]) -> Vec<Plane<'a>> {
    let planes = blocks.iter().zip(sizes);
    planes
        .map(|(data, &(_, stride))| Plane { data, stride })
        .collect()
}

fuzz_target!(|input: Input| {
    let (width, height) = (input.width.get(), input.height.get());
    let (from, to) = (input.from.info(width, height), input.to.info(width, height));
    let sizes = input.from.planes(&from);
    let source = blocks(&sizes, &input.bytes);
    let Ok(source) = Frame::new(from, read_planes(&source, &sizes)) else {
        return;
    };
    let mut image = Image::default();
    pixels::read(&source, &mut image);
    assert_eq!(image.data.len(), 3 * width * height);

    let sizes = input.to.planes(&to);
    let mut target = blocks(&sizes, &[]);
    let readable = Frame::new(to, read_planes(&target, &sizes)).is_ok();
    let planes = target.iter_mut().zip(&sizes);
    let planes = planes.map(|(data, &(_, stride))| PlaneMut { data, stride });
    let frame = FrameMut::new(to, planes);
    assert_eq!(frame.is_ok(), readable);
    let Ok(mut frame) = frame else {
        return;
    };
    let original = input.strength.map(|strength| {
        let blend = Blend {
            strength,
            ..Blend::OPAQUE
        };
        (&image, blend)
    });
    let alpha = input.keep_alpha.then_some(&source);
    pixels::write(&image, original, alpha, &mut frame).expect("pictures of one size");
    let target = Frame::new(to, read_planes(&target, &sizes)).expect("as before");
    pixels::read(&target, &mut image);
});
