//! Frames of all formats, against the code for the CPU.

use crate::emulated::{Emulated, Memory};
use common::{Buffer, info, random, usual};
use gstfaststyle::internals::engine::cuda::layout::{self, Planes};
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::internals::ops::cuda::parameters::{
    Affine, Enter, FrameLayout, Leave, Parameters, Styled,
};
use gstfaststyle::internals::ops::cuda::{Gpu, Launch};
use gstfaststyle::{Architecture, Blend, Image};
use gstfaststyle::{Colorimetry, Format};
use half::f16;

#[path = "../pixels/common.rs"]
#[allow(dead_code)]
pub mod common;

/// Around pairs, groups of 6 and blocks of 256 threads.
const SIZES: [(usize, usize); 6] = [(1, 1), (2, 1), (3, 5), (23, 4), (12, 2), (259, 3)];

/// A frame on the device, each plane in memory of its own.
struct Held {
    planes: Vec<Memory>,
    layout: FrameLayout,
}

fn hold(gpu: &Emulated, buffer: &Buffer) -> Held {
    let planes = Planes {
        strides: buffer.planes.iter().map(|(_, stride)| *stride).collect(),
        ..Planes::default()
    };
    let mut layout = layout::of_frame(&buffer.info, &planes);
    let planes: Vec<Memory> = buffer.planes.iter().map(|(b, _)| gpu.hold(b)).collect();
    for (to, memory) in layout.planes.iter_mut().zip(&planes) {
        *to = gpu.address(memory);
    }
    Held { planes, layout }
}

fn launch(gpu: &Emulated, kernel: &str, blocks: (u32, u32), parameters: Parameters) {
    let launch = Launch {
        kernel: kernel.into(),
        blocks,
        threads: 256,
        shared: 0,
        parameters,
    };
    // SAFETY: the tests hold what the layouts describe.
    unsafe { gpu.launch(&launch) }.unwrap();
}

/// The formats that the kernels read and write.
fn known() -> impl Iterator<Item = Format> {
    let formats = Format::ALL.iter().copied();
    formats.filter(|format| layout::is_known(*format))
}

/// Frames with their rows apart, of random bytes.
fn noise(format: Format, (width, height): (usize, usize), colours: Colorimetry) -> Buffer {
    let mut buffer = Buffer::new(info(format, width, height, colours), 5);
    for (i, (bytes, _)) in buffer.planes.iter_mut().enumerate() {
        let random = random(bytes.len(), 1, i as u64);
        bytes
            .iter_mut()
            .zip(&random.data)
            .for_each(|(b, x)| *b = *x as u8);
    }
    buffer
}

#[test]
fn every_format_enters_as_the_cpu_reads_it() {
    let gpu = Emulated::default();
    for format in known() {
        for colours in [usual(format), Colorimetry::BT709.full()] {
            for (width, height) in SIZES {
                let buffer = noise(format, (width, height), colours);
                let frame = hold(&gpu, &buffer);
                let picture = gpu.allocate(8 * width * height).unwrap();
                // Fewer blocks than rows.
                let blocks = (width.div_ceil(256) as u32, 2);
                let enter = Enter {
                    frame: frame.layout,
                    picture: gpu.address(&picture),
                };
                launch(&gpu, "enter_network", blocks, Parameters::Enter(enter));
                let found: Vec<f16> = gpu.read(&picture, 4 * width * height);
                let expected = buffer.read();
                for (i, found) in found.chunks(4).enumerate() {
                    for c in 0..3 {
                        let expected = expected.data[c * width * height + i];
                        let found = found[c].to_f32() * 128.0 + 128.0;
                        // Half a step of 16 bits.
                        let close = (found - expected).abs() <= 0.0321;
                        assert!(close, "{format} {width}x{height}: {found} {expected}");
                    }
                    assert_eq!(found[3], f16::ZERO);
                }
            }
        }
    }
}

/// What a frame becomes that is painted with `new`.
fn left(
    gpu: &Emulated,
    before: &Buffer,
    after: &Buffer,
    new: &Image,
    blend: Blend,
) -> Vec<Vec<u8>> {
    let (width, height) = (new.width, new.height);
    // Rows longer than the frame's, as for widths that are no multiples of 4.
    let styled_width = width.next_multiple_of(4);
    let mut styled = vec![f16::NAN; styled_width * height * 4];
    for (i, value) in new.data.iter().enumerate() {
        let (c, y, x) = (i / (width * height), i / width % height, i % width);
        styled[(y * styled_width + x) * 4 + c] = f16::from_f32(value / 2.0);
    }
    let styled = gpu.hold(&styled);
    let (factor, offset) = (gpu.hold(&[2f32; 4]), gpu.hold(&[0f32; 4]));
    let tone = gpu.hold(&[1f32, 0.0, 0.0]);
    let (from, to) = (hold(gpu, before), hold(gpu, after));
    let group = |len: usize, size: i32| (len as u32).div_ceil(size as u32);
    let groups = group(width, to.layout.group_width);
    let blocks = (groups.div_ceil(256), group(height, to.layout.group_height));
    let leave = Leave {
        before: from.layout,
        after: to.layout,
        styled: Styled {
            numbers: gpu.address(&styled),
            width: styled_width as i32,
            affine: Affine {
                factor: gpu.address(&factor),
                offset: gpu.address(&offset),
            },
            span: 0.0,
            tone: gpu.address(&tone),
        },
        strength: blend.strength,
        keep_color: i32::from(blend.keep_color),
        keep_opacity: i32::from(before.info.format.has_alpha() && after.info.format.has_alpha()),
        ..Leave::default()
    };
    launch(gpu, "leave_network", blocks, Parameters::Leave(leave));
    let planes = to.planes.iter().zip(&after.planes);
    planes
        .map(|(memory, (bytes, _))| gpu.read(memory, bytes.len()))
        .collect()
}

/// Compares frames sample by sample: a number may be rounded to its neighbour.
fn assert_like(format: Format, found: &[Vec<u8>], expected: &Buffer, what: &str) {
    let mut found_buffer = expected.clone();
    for ((bytes, _), found) in found_buffer.planes.iter_mut().zip(found) {
        bytes.clone_from(found);
    }
    let step = 255.0 / ((1u32 << format.bits()) - 1) as f32;
    let difference = common::largest_difference(&found_buffer.read(), &expected.read());
    // A step of luma and one of chroma, in limited range.
    assert!(difference <= 4.0 * step + 0.01, "{what}: {difference}");
    if format.bits() == 8 {
        for (found, (expected, _)) in found.iter().zip(&expected.planes) {
            for (at, (a, b)) in found.iter().zip(expected).enumerate() {
                assert!(a.abs_diff(*b) <= 1, "{what}, byte {at}: {a}, not {b}");
            }
        }
    }
}

#[test]
fn every_format_leaves_as_the_cpu_writes_it() {
    let gpu = Emulated::default();
    let formats: Vec<Format> = known().collect();
    for (i, &format) in formats.iter().enumerate() {
        for (width, height) in SIZES {
            let what = format!("{format} {width}x{height}");
            // Opacity from formats that have it and from ones that have not.
            let other = formats[(i + 6) % formats.len()];
            let before = noise(other, (width, height), usual(other));
            let new = random(width, height, 9);
            for (strength, keep_color) in [(1.0, false), (0.25, false), (1.0, true), (0.5, true)] {
                let blend = Blend {
                    strength,
                    keep_color,
                };
                let after = Buffer::new(info(format, width, height, usual(format)), 3);
                let found = left(&gpu, &before, &after, &new, blend);

                let original = before.read();
                let mut expected = after.clone();
                let alpha = before.frame();
                let original = Some((&original, blend));
                pixels::write(&new, original, Some(&alpha), &mut expected.frame_mut()).unwrap();
                assert_like(format, &found, &expected, &what);
            }
        }
    }
}

/// Also what is beyond the last pixel of a group, and nothing beyond that.
#[test]
fn packed_groups_are_filled_up_and_gaps_left_alone() {
    let gpu = Emulated::default();
    for format in [Format::V210, Format::Yuy2, Format::Rgb10A2Le, Format::Nv12] {
        for (width, height) in SIZES {
            let new = common::solid([200.0, 90.0, 30.0], width, height);
            let after = Buffer::new(info(format, width, height, usual(format)), 7);
            let opaque = noise(Format::Rgb, (width, height), Colorimetry::SRGB);
            let found = left(&gpu, &opaque, &after, &new, Blend::OPAQUE);
            let mut expected = after.clone();
            pixels::write(&new, None, None, &mut expected.frame_mut()).unwrap();
            for (found, (expected, _)) in found.iter().zip(&expected.planes) {
                assert_eq!(found, expected, "{format} {width}x{height}");
            }
        }
    }
}

/// By way of others, opacity included.
#[test]
fn formats_that_the_kernels_do_not_know_are_painted_as_well() {
    let model = crate::network::common::model(Architecture {
        residual_blocks: 0,
        ..Architecture::with_width(4)
    });
    let (width, height) = (17, 9);
    let paint = |before: &Buffer, to: Format| {
        let mut after = Buffer::new(info(to, width, height, usual(to)), 3);
        let size = before.info.size();
        let mut network = crate::network::network(&model);
        let frame = &mut after.frame_mut();
        (network.paint(&before.frame(), frame, size, Blend::OPAQUE)).unwrap();
        after
    };
    let plain = noise(Format::Rgba64Le, (width, height), Colorimetry::SRGB);
    let mut planar = Buffer::new(info(Format::Gbra12Be, width, height, Colorimetry::SRGB), 0);
    let alpha = plain.frame();
    pixels::write(&plain.read(), None, Some(&alpha), &mut planar.frame_mut()).unwrap();
    assert!(!layout::is_known(planar.info.format));
    let expected = paint(&plain, Format::Rgba64Le);
    for (before, to) in [
        (&planar, Format::Rgba64Le),
        (&plain, Format::Gbra12Be),
        (&planar, Format::Gbra12Be),
    ] {
        let found = paint(before, to);
        let difference = common::largest_difference(&found.read(), &expected.read());
        // The network makes more of what 12 bits round off.
        assert!(difference < 3.0, "to {to}: {difference}");
        // Opacity is that of before.
        let read_alpha = |buffer: &Buffer| {
            let black = common::solid([0.0; 3], width, height);
            let mut wide = Buffer::new(plain.info, 0);
            let alpha = buffer.frame();
            pixels::write(&black, None, Some(&alpha), &mut wide.frame_mut()).unwrap();
            let words = wide.bytes(0).as_chunks::<2>().0.iter().skip(3).step_by(4);
            Vec::from_iter(words.map(|word| u16::from_le_bytes(*word)))
        };
        for (a, b) in read_alpha(&found).iter().zip(read_alpha(&plain)) {
            assert!(a.abs_diff(b) <= 16, "to {to}: {a}, not {b}");
        }
    }
}
