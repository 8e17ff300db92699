//! The tone of a painting, against the code for the CPU.

use crate::emulated::Emulated;
use crate::network::{common, difference, network, reference};
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::internals::ops::cuda::parameters::Parameters;
use gstfaststyle::internals::ops::cuda::{Gpu, Limits, launches};
use gstfaststyle::{Architecture, Image, Size};
use half::f16;

/// Waves, of which `share` is left on the way to a gray.
fn faded((width, height): (usize, usize), gray: f32, share: f32) -> Image {
    let mut picture = common::waves(width, height);
    let fade = |value: &mut f32| *value = (gray + share * (*value - gray)).round();
    picture.data.iter_mut().for_each(fade);
    picture
}

const FADES: [(f32, f32); 6] = [
    (0.0, 1.0),
    (0.0, 0.3),
    (0.0, 0.05),
    (0.0, 0.0),
    (255.0, 0.12),
    (120.0, 0.07),
];

/// What the kernels find.
fn tone(gpu: &Emulated, picture: &Image) -> [f32; 3] {
    let Size { width, height } = picture.size();
    let mut kept = vec![f16::NAN; 4 * width * height];
    for (i, value) in picture.data.iter().enumerate() {
        let (c, pixel) = (i / (width * height), i % (width * height));
        kept[4 * pixel + c] = f16::from_f32((value - 128.0) / 128.0);
    }
    let kept = gpu.hold(&kept);
    let mut launches = launches::find_tone(picture.size(), gpu.limits());
    let rows = launches[0].blocks.0 as usize;
    let moments = gpu.allocate(rows * 3 * 8).unwrap();
    let tone = gpu.allocate(3 * 4).unwrap();
    for launch in &mut launches {
        if let Parameters::FindTone(p) = &mut launch.parameters {
            p.picture = gpu.address(&kept);
            p.moments = gpu.address(&moments);
            p.tone = gpu.address(&tone);
        }
        // SAFETY: there is memory for all of it.
        unsafe { gpu.launch(launch) }.unwrap();
    }
    gpu.read::<f32>(&tone, 3).try_into().unwrap()
}

#[test]
fn the_kernels_find_the_same_tone() {
    for (backwards, multiprocessors) in [(false, 1), (true, 2)] {
        let gpu = Emulated {
            limits: Limits {
                multiprocessors,
                ..Emulated::default().limits
            },
            backwards,
            ..Emulated::default()
        };
        // More blocks of pixels than threads, in the last.
        for size in [(1, 1), (5, 2), (37, 22), (61, 1), (320, 180)] {
            for (gray, share) in FADES {
                let picture = faded(size, gray, share);
                let Tone {
                    factor,
                    offset,
                    keep,
                } = Tone::of(&picture);
                let found = tone(&gpu, &picture);
                for (found, expected) in found.iter().zip([factor, offset, keep]) {
                    let off = (found - expected).abs();
                    assert!(off < 2e-3, "{size:?}, {gray}, {share}: {found}, {expected}");
                }
            }
        }
    }
}

#[test]
fn networks_paint_in_that_tone() {
    let model = common::model(Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(8)
    });
    let mut network = network(&model);
    for (gray, share) in FADES {
        let picture = faded((37, 22), gray, share);
        let mut styled = Image::default();
        network.stylize(&picture, &mut styled).unwrap();
        let off = difference(&styled.data, &reference(&model, &picture));
        assert!(off < 0.5, "{gray}, {share}: off by {off}");
    }
}
