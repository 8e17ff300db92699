//! Once a picture size is known, frames need no new memory.

use gstfaststyle::{Architecture, Model, StyleMix};
use gstfaststyle::{Blend, Colorimetry, Format, Frame, FrameInfo, FrameMut, Plane, PlaneMut};
use gstfaststyle::{DeviceChoice, Engine, Image, Options, Painter};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that `act` allocates.
fn allocated(act: impl FnOnce()) -> usize {
    let before = BYTES.load(Ordering::Relaxed);
    act();
    BYTES.load(Ordering::Relaxed) - before
}

#[test]
fn a_frame_of_a_known_size_allocates_next_to_nothing() {
    let architecture = Architecture {
        styles: 3,
        ..Architecture::with_width(8)
    };
    let model = Model::random(architecture, 1).unwrap();
    let options = Options {
        device: DeviceChoice::Cpu,
        // Each thread takes memory for its first tasks, whenever those come.
        threads: 1,
        ..Options::default()
    };
    let mut engine = Engine::with_options(&model, options).unwrap();
    let picture = Image {
        width: 160,
        height: 120,
        data: (0..3 * 160 * 120).map(|i| (i % 256) as f32).collect(),
    };
    let mut styled = Image::default();
    let from = StyleMix::new(&[(0, 1.0), (1, 1.0)]).unwrap();
    let (mut mix, to) = (from.clone(), StyleMix::single(2));
    mix.set_between(&from, &to, 0.5);
    engine.set_mix(&mix).unwrap();
    engine.stylize(&picture, &mut styled).unwrap();

    let bytes = allocated(|| {
        for _ in 0..10 {
            engine.stylize(&picture, &mut styled).unwrap();
        }
    });
    // The smallest image inside the network takes 38,400 bytes.
    assert!(bytes < 10_000, "{bytes} bytes for ten frames");

    let bytes = allocated(|| {
        for frame in 0..=10 {
            mix.set_between(&from, &to, frame as f32 / 10.0);
            engine.set_mix(&mix).unwrap();
        }
    });
    assert_eq!(bytes, 0, "a fade");

    let mut painter = Painter::new(engine.prepared().threads().clone());
    painter.set_model(Some(engine.prepared().clone()));
    painter.set_smoothing(0.8);
    for every in [1, 3] {
        painter.set_network_every(every);
        film(&mut painter, 7);
        let bytes = allocated(|| film(&mut painter, 7));
        assert!(
            bytes < 10_000,
            "{bytes} bytes for a film, network every {every}"
        );
    }
}

/// Paints a film in which noise rolls by.
fn film(painter: &mut Painter, frames: usize) {
    let info = FrameInfo {
        format: Format::Gray8,
        width: 160,
        height: 120,
        colorimetry: Colorimetry::SRGB,
    };
    static FILM: [u8; 160 * 140] = {
        let mut film = [0; 160 * 140];
        let mut i = 0;
        while i < film.len() {
            film[i] = (i * i % 251) as u8;
            i += 1;
        }
        film
    };
    let mut painting = [0; 160 * 120];
    for i in 0..frames {
        let data = &FILM[2 * 160 * i..][..160 * 120];
        let input = Frame::new(info, [Plane { data, stride: 160 }]).unwrap();
        let data = &mut painting[..];
        let mut output = FrameMut::new(info, [PlaneMut { data, stride: 160 }]).unwrap();
        painter
            .paint(&input, &mut output, info.size(), Blend::OPAQUE)
            .unwrap();
    }
}
