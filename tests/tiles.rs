//! Pictures painted in tiles against the same ones painted at once.

mod common;

use common::model;
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::{Architecture, Model, OutputMap, Padding, StyleMix};
use gstfaststyle::{
    Area, Canvas, DeviceChoice, Engine, EngineError, Image, Options, Precision, Size,
};

const MIB: usize = 1 << 20;

/// A canvas in memory.
struct Picture {
    picture: Image,
    painted: Image,
    /// The areas that were written.
    areas: Vec<Area>,
    /// The largest that was read.
    largest: usize,
    /// When to stop.
    until: f64,
    share: f64,
}

impl Picture {
    /// Large forms, so that tiles differ from each other, with noise on them.
    fn new(width: usize, height: usize) -> Self {
        let noise = common::random(7, 3 * width * height, -30.0..30.0);
        let data = noise.into_iter().enumerate().map(|(i, noise)| {
            let (x, y) = (i % width, i / width % height);
            let form = 90.0 + 60.0 * (x as f32 / 31.0).sin() * (y as f32 / 17.0).cos();
            form + noise
        });
        Picture {
            picture: Image {
                width,
                height,
                data: data.collect(),
            },
            painted: Image {
                width,
                height,
                data: vec![f32::NAN; 3 * width * height],
            },
            areas: Vec::new(),
            largest: 0,
            until: 2.0,
            share: 0.0,
        }
    }
}

#[derive(Debug)]
enum Stop {
    Asked,
    Engine(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Stop::Engine(error)
    }
}

impl Canvas for Picture {
    type Error = Stop;

    fn size(&self) -> Size {
        self.picture.size()
    }

    fn read(&mut self, area: Area, image: &mut Image) -> Result<(), Stop> {
        self.largest = self.largest.max(area.width * area.height);
        (image.width, image.height) = (area.width, area.height);
        image.data.clear();
        for c in 0..3 {
            for y in area.y..area.y + area.height {
                let row = (c * self.picture.height + y) * self.picture.width;
                let row = &self.picture.data[row + area.x..][..area.width];
                image.data.extend(row);
            }
        }
        Ok(())
    }

    fn write(&mut self, area: Area, painted: &mut Image) -> Result<(), Stop> {
        assert_eq!((painted.width, painted.height), (area.width, area.height));
        self.areas.push(area);
        for (i, row) in painted.data.chunks(area.width).enumerate() {
            let (c, y) = (i / area.height, area.y + i % area.height);
            let to = (c * self.picture.height + y) * self.picture.width + area.x;
            self.painted.data[to..][..area.width].copy_from_slice(row);
        }
        Ok(())
    }

    fn progress(&mut self, share: f64) -> Result<(), Stop> {
        assert!((self.share..=1.0).contains(&share), "{share}");
        self.share = share;
        match share < self.until {
            true => Ok(()),
            false => Err(Stop::Asked),
        }
    }
}

fn engine(model: &Model, precision: Precision) -> Engine {
    let options = Options {
        device: DeviceChoice::Cpu,
        precision,
        threads: 2,
    };
    Engine::with_options(model, options).unwrap()
}

/// The largest difference.
fn largest(a: &Image, b: &Image) -> f32 {
    assert_eq!(a.data.len(), b.data.len());
    let pairs = a.data.iter().zip(&b.data);
    // Not `max`, which would pass over NaN.
    pairs
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |largest, d| if d <= largest { largest } else { d })
}

#[test]
fn tiles_are_the_whole_picture() {
    let architectures = [
        Architecture {
            residual_blocks: 2,
            ..Architecture::with_width(8)
        },
        Architecture {
            residual_blocks: 1,
            output_norm: false,
            ..Architecture::with_width(3)
        },
        Architecture {
            residual_blocks: 0,
            inner_kernel: 5,
            outer_kernel: 7,
            output_map: OutputMap::Clamp,
            ..Architecture::with_width(5)
        },
    ];
    for architecture in architectures {
        let model = model(architecture);
        for (width, height) in [(201, 163), (98, 319)] {
            let what = format!("{width}x{height}, {:?}", model.architecture);
            let mut engine = engine(&model, Precision::F32);
            let mut whole = Picture::new(width, height);
            engine.paint(&mut whole, usize::MAX).unwrap();
            assert_eq!(whole.areas.len(), 1);
            let mut styled = Image::default();
            engine.stylize(&whole.picture, &mut styled).unwrap();
            assert_eq!(whole.painted, styled);

            let mut tiled = Picture::new(width, height);
            engine.paint(&mut tiled, 3 * MIB / 2).unwrap();
            assert!(tiled.areas.len() > 2, "{what}: {:?}", tiled.areas);
            assert!(tiled.share > 0.7, "{}", tiled.share);
            assert!(tiled.largest < width * height * 2 / 3);
            let off = largest(&tiled.painted, &whole.painted);
            assert!(off < 0.1, "{what}: off by {off} of 255");
        }
    }
}

/// Of the whole picture, not each its own: this one gets brighter to the right.
#[test]
fn tiles_have_the_tone_of_the_whole() {
    let model = model(Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(8)
    });
    let mut engine = engine(&model, Precision::F32);
    let [mut whole, mut tiled] = [(); 2].map(|()| {
        let mut picture = Picture::new(201, 163);
        let pixels = picture.picture.data.iter_mut().enumerate();
        pixels.for_each(|(i, value)| *value *= (i % 201) as f32 / 1500.0);
        picture
    });
    let tone = Tone::of(&whole.picture);
    assert!(tone.factor < 0.5 && tone.keep > 0.1, "{tone:?}");
    engine.paint(&mut whole, usize::MAX).unwrap();
    engine.paint(&mut tiled, 2 * MIB).unwrap();
    assert!(tiled.areas.len() > 2);
    let off = largest(&tiled.painted, &whole.painted);
    assert!(off < 0.05, "off by {off} of 255");
}

#[test]
fn tiles_in_a_mix_of_styles() {
    let model = model(Architecture {
        styles: 2,
        residual_blocks: 1,
        output_norm: false,
        ..Architecture::with_width(8)
    });
    let mix = StyleMix::new(&[(0, 0.3), (1, 0.7)]).unwrap();
    // The model with that mix alone.
    let mut whole = Picture::new(160, 120);
    engine(&model.with_mix(&mix).unwrap(), Precision::F32)
        .paint(&mut whole, usize::MAX)
        .unwrap();
    let mut tiled = Picture::new(160, 120);
    let mut engine = engine(&model, Precision::F32);
    engine.set_mix(&mix).unwrap();
    engine.paint(&mut tiled, 3 * MIB / 2).unwrap();
    assert!(tiled.areas.len() > 1);
    let off = largest(&tiled.painted, &whole.painted);
    assert!(off < 0.1, "off by {off} of 255");
}

#[test]
fn fast_products_leave_no_seams() {
    let model = model(Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(17)
    });
    let mut engine = engine(&model, Precision::Fast);
    let mut whole = Picture::new(160, 120);
    engine.paint(&mut whole, usize::MAX).unwrap();
    let mut tiled = Picture::new(160, 120);
    engine.paint(&mut tiled, MIB).unwrap();
    assert!(tiled.areas.len() > 1);
    let off = largest(&tiled.painted, &whole.painted);
    assert!(off < 8.0, "off by {off} of 255");
}

/// Steps from a pixel to the next across the tiles' borders are no larger than
/// elsewhere.
#[test]
fn no_seams_show() {
    let model = model(Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(8)
    });
    let mut picture = Picture::new(240, 180);
    engine(&model, Precision::F32)
        .paint(&mut picture, 2 * MIB)
        .unwrap();
    let columns: Vec<usize> = picture.areas.iter().map(|area| area.x).collect();
    let (mut across, mut elsewhere) = ((0.0, 0.0), (0.0, 0.0));
    for row in picture.painted.data.chunks(240) {
        for x in 1..240 {
            let sums = match columns.contains(&x) {
                true => &mut across,
                false => &mut elsewhere,
            };
            sums.0 += f64::from((row[x] - row[x - 1]).abs());
            sums.1 += 1.0;
        }
    }
    assert!(across.1 > 0.0);
    let ratio = (across.0 / across.1) / (elsewhere.0 / elsewhere.1);
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn too_little_memory_is_an_error() {
    let model = model(Architecture::with_width(8));
    let mut engine = engine(&model, Precision::F32);
    let error = engine.paint(&mut Picture::new(300, 200), MIB).unwrap_err();
    let Stop::Engine(error) = error else {
        panic!("{error:?}");
    };
    assert!(
        matches!(
            error,
            EngineError::MemoryLimit {
                limit_mib: 1,
                needed_mib: 2..
            }
        ),
        "{error}"
    );
    let empty = engine.paint(&mut Picture::new(0, 9), 0).unwrap_err();
    assert!(matches!(empty, Stop::Engine(EngineError::Picture { .. })));
}

#[test]
fn networks_without_tiles_say_what_they_need() {
    let model = model(Architecture {
        residual_blocks: 1,
        padding: Padding::Same,
        ..Architecture::with_width(4)
    });
    let mut engine = engine(&model, Precision::F32);
    let mut picture = Picture::new(200, 160);
    let error = engine.paint(&mut picture, MIB).unwrap_err();
    let Stop::Engine(EngineError::NoTiles { needed_mib, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(picture.areas.is_empty());
    engine.paint(&mut picture, needed_mib * MIB).unwrap();
    assert_eq!(picture.areas.len(), 1);
}

#[test]
fn a_canvas_can_stop_it() {
    let model = model(Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(4)
    });
    let mut engine = engine(&model, Precision::F32);
    let mut picture = Picture::new(200, 160);
    picture.until = 0.3;
    assert!(matches!(engine.paint(&mut picture, MIB), Err(Stop::Asked)));
    assert!(picture.areas.is_empty());
    // And nothing of it is left in the engine.
    let mut again = Picture::new(200, 160);
    engine.paint(&mut again, usize::MAX).unwrap();
    let mut styled = Image::default();
    engine.stylize(&again.picture, &mut styled).unwrap();
    assert_eq!(again.painted, styled);
}
