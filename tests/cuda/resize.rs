//! Frames of which the network sees a smaller picture, against the code for the
//! CPU.

use crate::emulated::Emulated;
use crate::frames::common::{self, Buffer, info, usual};
use crate::network::common as models;
use crate::network::{difference, network};
use gstfaststyle::Format;
use gstfaststyle::internals::engine::cuda::CudaNetwork;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::internals::engine::resize;
use gstfaststyle::internals::engine::upsample::Upsampler;
use gstfaststyle::{Architecture, Model};
use gstfaststyle::{Blend, Size};

fn model() -> Model {
    models::model(Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(4)
    })
}

/// What the CPU makes of the frame, but for the network.
fn expected(gpu: &mut CudaNetwork<Emulated>, input: &Buffer, size: Size, blend: Blend) -> Buffer {
    let original = input.read();
    let (mut small, mut styled, mut large) = Default::default();
    resize::shrink(&original, size, &mut small);
    gpu.stylize(&small, &mut styled).unwrap();
    Upsampler::default().run(&original, &small, &styled, &mut large);
    let mut output = input.clone();
    pixels::write(
        &large,
        Some((&original, blend)),
        Some(&input.frame()),
        &mut output.frame_mut(),
    )
    .unwrap();
    output
}

#[test]
fn a_smaller_picture_comes_back_as_on_the_cpu() {
    let (model, mut gpu) = (model(), None);
    let gpu = gpu.get_or_insert_with(|| network(&model));
    for (format, frame, size) in [
        (Format::Rgb, (41, 30), (20, 15)),
        (Format::I420, (40, 31), (13, 30)),
        (Format::Nv12, (64, 34), (64, 8)),
        (Format::Rgba, (33, 47), (32, 46)),
        (Format::Gray8, (9, 7), (1, 1)),
        (Format::P010_10Le, (70, 20), (17, 2)),
    ] {
        let size = Size::new(size.0, size.1);
        for (strength, keep_color) in [(1.0, false), (0.5, true)] {
            let blend = Blend {
                strength,
                keep_color,
            };
            let mut input = Buffer::new(info(format, frame.0, frame.1, usual(format)), 3);
            let photo = models::waves(frame.0, frame.1);
            pixels::write(&photo, None, None, &mut input.frame_mut()).unwrap();
            let mut output = input.clone();
            gpu.paint(&input.frame(), &mut output.frame_mut(), size, blend)
                .unwrap();
            let expected = expected(gpu, &input, size, blend);
            let (found, expected) = (output.read(), expected.read());
            let mean = difference(&found.data, &expected.data);
            let largest = common::largest_difference(&found, &expected);
            let what = format!("{format} {frame:?} {size} {blend:?}");
            assert!(mean < 0.5, "{what}: {mean} on average");
            assert!(largest < 5.0, "{what}: {largest} at most");
        }
    }
}

#[test]
fn sizes_of_the_picture_may_change() {
    let model = model();
    let mut gpu = network(&model);
    let photo = models::waves(40, 24);
    let mut paint = |(width, height)| {
        let mut input = Buffer::new(info(Format::Rgb, 40, 24, usual(Format::Rgb)), 0);
        pixels::write(&photo, None, None, &mut input.frame_mut()).unwrap();
        let mut output = input.clone();
        gpu.paint(
            &input.frame(),
            &mut output.frame_mut(),
            Size::new(width, height),
            Blend::OPAQUE,
        )
        .unwrap();
        output.read()
    };
    let whole = paint((40, 24));
    let small = paint((20, 12));
    assert_ne!(whole, small);
    assert_eq!(paint((40, 24)), whole);
    assert_eq!(paint((20, 12)), small);
}
