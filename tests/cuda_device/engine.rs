//! The engine against itself on the CPU.

use crate::element::common::shared as common;
use crate::stand_in;
use gstfaststyle::{Architecture, Model, StyleMix};
use gstfaststyle::{
    Blend, DeviceChoice, Engine, EngineError, Image, Options, Painter, Prepared, Size, Threads,
};
use gstfaststyle::{Colorimetry, Format, Frame, FrameInfo, FrameMut, Plane, PlaneMut};
use std::sync::Arc;
use std::thread;

const CUDA: DeviceChoice = DeviceChoice::Cuda(0);

pub fn model(width: usize, residual_blocks: usize) -> Model {
    common::model(Architecture {
        residual_blocks,
        ..Architecture::with_width(width)
    })
}

fn paint(engine: &mut Engine, size: (usize, usize)) -> Vec<f32> {
    let mut styled = Image::default();
    engine
        .stylize(&common::waves(size.0, size.1), &mut styled)
        .unwrap();
    assert_eq!((styled.width, styled.height), size);
    styled.data
}

/// The mean difference of all values, of 255.
#[track_caller]
fn assert_near<T: Copy + Into<f32>>(found: &[T], expected: &[T], most: f32) {
    assert_eq!(found.len(), expected.len());
    let difference = |(a, b): (&T, &T)| ((*a).into() - (*b).into()).abs();
    let sum: f32 = found.iter().zip(expected).map(difference).sum();
    let mean = sum / found.len() as f32;
    assert!(mean < most, "off by {mean} of 255 in the mean");
}

#[test]
fn networks_paint_as_on_the_cpu() {
    for (model, size) in [
        (model(8, 2), (37, 22)),
        (model(4, 1), (9, 2)),
        (model(24, 0), (16, 33)),
    ] {
        let mut cuda = Engine::new(&model, CUDA).unwrap();
        assert!(cuda.prepared().device().is_cuda());
        let mut cpu = Engine::with_options(&model, common::EXACT).unwrap();
        assert_near(&paint(&mut cuda, size), &paint(&mut cpu, size), 0.5);
    }
}

#[test]
fn mixes_of_styles_paint_as_on_the_cpu() {
    let model = common::model(Architecture {
        styles: 3,
        residual_blocks: 1,
        ..Architecture::with_width(4)
    });
    let size = (21, 13);
    let mut cuda = Engine::new(&model, CUDA).unwrap();
    let mut cpu = Engine::with_options(&model, common::EXACT).unwrap();
    let first = paint(&mut cuda, size);
    for mix in [
        StyleMix::new(&[(0, 1.0), (2, 3.0)]).unwrap(),
        StyleMix::single(1),
    ] {
        cuda.set_mix(&mix).unwrap();
        cpu.set_mix(&mix).unwrap();
        assert_near(&paint(&mut cuda, size), &paint(&mut cpu, size), 0.5);
    }
    cuda.set_mix(&StyleMix::default()).unwrap();
    assert_eq!(paint(&mut cuda, size), first);
}

#[test]
fn sizes_may_change_and_come_back() {
    let mut engine = Engine::new(&model(4, 1), CUDA).unwrap();
    let first = paint(&mut engine, (20, 12));
    paint(&mut engine, (9, 30));
    assert_eq!(paint(&mut engine, (20, 12)), first);
}

#[test]
fn another_model_may_take_over() {
    let [one, other] = [model(4, 1), model(8, 0)].map(|model| {
        let options = Options {
            device: CUDA,
            ..Options::default()
        };
        Arc::new(Prepared::new(&model, options).unwrap())
    });
    let mut engine = Engine::of(one.clone());
    let first = paint(&mut engine, (20, 12));
    engine.set_model(other.clone());
    let second = paint(&mut engine, (20, 12));
    assert_eq!(second, paint(&mut Engine::of(other), (20, 12)));
    engine.set_model(one);
    assert_eq!(paint(&mut engine, (20, 12)), first);
}

#[test]
fn engines_run_beside_each_other() {
    let models = [model(4, 1), model(8, 1)];
    let sizes = [(24, 16), (13, 9)];
    let alone: Vec<_> = models
        .iter()
        .zip(sizes)
        .map(|(model, size)| paint(&mut Engine::new(model, CUDA).unwrap(), size))
        .collect();
    thread::scope(|scope| {
        for ((model, size), expected) in models.iter().zip(sizes).zip(&alone) {
            scope.spawn(move || {
                // Each opens the device, and they share it.
                let mut engine = Engine::new(model, CUDA).unwrap();
                for _ in 0..4 {
                    assert_eq!(&paint(&mut engine, size), expected);
                }
            });
        }
    });
}

/// Two networks with the same weights, from two threads.
#[test]
fn engines_share_weights() {
    let options = Options {
        device: CUDA,
        ..Options::default()
    };
    let prepared = Arc::new(Prepared::new(&model(4, 1), options).unwrap());
    let sizes = [(24, 16), (13, 9)];
    let alone = sizes.map(|size| paint(&mut Engine::of(prepared.clone()), size));
    thread::scope(|scope| {
        for (size, expected) in sizes.iter().zip(&alone) {
            let mut engine = Engine::of(prepared.clone());
            scope.spawn(move || {
                for _ in 0..4 {
                    assert_eq!(&paint(&mut engine, *size), expected);
                }
            });
        }
    });
}

/// A frame with gaps between its rows.
struct Buffer {
    info: FrameInfo,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Buffer {
    fn new(format: Format, width: usize, height: usize) -> Self {
        let info = FrameInfo {
            format,
            width,
            height,
            colorimetry: Colorimetry::BT709,
        };
        let plane = |plane| {
            let stride = format.row_bytes(plane, width) + 12;
            let rows = format.plane_rows(plane, height);
            let byte = |i: usize| common::wave(i % stride, i / stride, plane) as u8;
            ((0..stride * rows).map(byte).collect(), stride)
        };
        let planes = (0..format.plane_count()).map(plane).collect();
        Buffer { info, planes }
    }

    fn read(&self) -> Frame<'_> {
        let planes = self.planes.iter().map(|(data, stride)| Plane {
            data,
            stride: *stride,
        });
        Frame::new(self.info, planes).unwrap()
    }

    fn write(&mut self) -> FrameMut<'_> {
        let planes = self.planes.iter_mut().map(|(data, stride)| PlaneMut {
            data,
            stride: *stride,
        });
        FrameMut::new(self.info, planes).unwrap()
    }
}

#[test]
fn painters_paint_as_on_the_cpu() {
    let model = model(4, 1);
    let (width, height) = (35, 18);
    for (from, to, strength, keep_color) in [
        (Format::Nv12, Format::Rgba, 1.0, false),
        (Format::Bgra, Format::Argb, 0.5, false),
        (Format::Rgb, Format::P010_10Le, 0.75, true),
    ] {
        let input = Buffer::new(from, width, height);
        let [cuda, cpu] = [CUDA, DeviceChoice::Cpu].map(|device| {
            let mut painter = Painter::new(Threads::new(1).unwrap());
            let options = Options {
                device,
                ..Options::default()
            };
            let prepared = Prepared::new(&model, options).unwrap();
            painter.set_model(Some(Arc::new(prepared)));
            let blend = Blend {
                strength,
                keep_color,
            };
            let size = Size::new(width, height);
            let mut output = Buffer::new(to, width, height);
            painter
                .paint(&input.read(), &mut output.write(), size, blend)
                .unwrap();
            output
        });
        for ((found, _), (expected, _)) in cuda.planes.iter().zip(&cpu.planes) {
            // Words of two bytes: the lower one says little.
            let step = to.bits().div_ceil(8) as usize;
            let high = |bytes: &[u8]| bytes.iter().copied().skip(step - 1).step_by(step).collect();
            let (found, expected): (Vec<u8>, Vec<u8>) = (high(found), high(expected));
            assert_near(&found, &expected, 0.7);
        }
    }
}

#[test]
fn too_little_memory_is_an_error() {
    stand_in::alone("engine::too_little_memory_is_an_error", &[], || {
        let mut engine = Engine::new(&model(4, 1), CUDA).unwrap();
        let small = paint(&mut engine, (8, 8));
        stand_in::leave(3 << 20);
        let mut styled = Image::default();
        let error = engine
            .stylize(&common::waves(600, 400), &mut styled)
            .unwrap_err();
        let EngineError::OutOfMemory {
            needed_mib,
            available_mib,
        } = error
        else {
            panic!("{error}");
        };
        assert!(needed_mib > available_mib, "{error}");
        // A smaller one still goes.
        assert_eq!(paint(&mut engine, (8, 8)), small);
    });
}

#[test]
fn all_memory_is_freed() {
    stand_in::alone("engine::all_memory_is_freed", &[], || {
        let before = stand_in::counts();
        for _ in 0..3 {
            let mut engine = Engine::new(&model(4, 1), CUDA).unwrap();
            paint(&mut engine, (20, 12));
        }
        let after = stand_in::counts();
        assert!(after.kernels > before.kernels);
        assert_eq!(after.used, 0);
    });
}
