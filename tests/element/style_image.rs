//! The style of any picture: the property `style-image`.

use crate::common::*;
use crate::errors::start_error;
use crate::styles;
use crate::swap::{set_model, styled_by, warning};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstfaststyle::internals::network::{PaintingFile, PredictorShape};
use gstfaststyle::{Architecture, Model, StyleMix};
use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A model of two styles that sees others in pictures.
fn model(name: &str) -> (PathBuf, Model) {
    let architecture = Architecture {
        styles: 2,
        residual_blocks: 1,
        predictor: Some(PredictorShape {
            width: 2,
            hidden: 6,
        }),
        ..Architecture::with_width(2)
    };
    let mut model = shared::model(architecture);
    // So that different pictures have different styles.
    let output = "predictor.output.weight";
    let random = model.tensor(output).unwrap().rand_like(-0.3, 0.3).unwrap();
    model.weights.insert(output.into(), random);
    let path = path(name);
    model.save(&path).unwrap();
    (path, model)
}

/// A picture that `number` makes different from others.
fn picture(name: &str, number: u32) -> PathBuf {
    let path = path(name);
    let color = |x: u32, y: u32| Rgb([x * number, y * 3, x * y / number].map(|v| (v % 256) as u8));
    RgbImage::from_fn(60, 50, color).save(&path).unwrap();
    path
}

/// A playing element.
struct Player {
    element: gst::Element,
    harness: gst_check::Harness,
    bus: gst::Bus,
    info: VideoInfo,
    /// How often the list of styles has changed.
    changes: Arc<AtomicUsize>,
}

impl Player {
    fn new(element: gst::Element) -> Self {
        let info = info(VideoFormat::Rgb, 16, 12);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let changes = Arc::new(AtomicUsize::new(0));
        let counter = changes.clone();
        element.connect_notify(Some("styles"), move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        Player {
            harness: harness(&element, &info, &info),
            element,
            bus,
            info,
            changes,
        }
    }

    /// The frame at `ms`, painted, and as it was.
    fn frame(&mut self, ms: u64) -> (Vec<u8>, Vec<u8>) {
        let mut buffer = noise(&self.info, ms);
        let pts = gst::ClockTime::from_mseconds(ms);
        buffer.get_mut().unwrap().set_pts(pts);
        let bytes = buffer.map_readable().unwrap().to_vec();
        let styled = self.harness.push_and_pull(buffer).unwrap();
        (buffer_rows(&self.info, &styled).concat(), bytes)
    }

    /// Plays the frame at `ms`, which should be painted as by `model`.
    #[track_caller]
    fn expect(&mut self, ms: u64, model: &Model) {
        let (found, bytes) = self.frame(ms);
        let expected = styled_by(model, &self.info, &bytes);
        let off = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
        assert!(off.max() <= Some(1), "{ms} ms");
    }

    /// Sets the picture and plays frames at `ms` until it is in use.
    fn set(&mut self, picture: Option<&Path>, ms: u64) {
        let before = self.changes.load(Ordering::SeqCst);
        self.element.set_property("style-image", picture);
        let begin = Instant::now();
        while self.changes.load(Ordering::SeqCst) == before {
            self.frame(ms);
            assert!(begin.elapsed() < PATIENCE, "{picture:?}");
        }
    }
}

/// `model` in the styles of pictures, as it should be painted in.
fn in_styles(model: &Model, pictures: &[(&Path, f32)]) -> Model {
    let paintings = pictures.iter().map(|(path, _)| {
        let file = PaintingFile::read(path).unwrap();
        ("", file.decode().unwrap())
    });
    let paintings: Vec<_> = paintings.collect();
    let own = model.architecture.styles;
    let weights = pictures.iter().enumerate();
    let weights: Vec<_> = weights.map(|(i, (_, weight))| (own + i, *weight)).collect();
    let all = model.with_styles_of(&paintings).unwrap();
    all.with_mix(&StyleMix::new(&weights).unwrap()).unwrap()
}

#[test]
fn a_picture_from_the_start_and_others_while_playing() {
    let (path, model) = model("any.safetensors");
    let (a, b) = (picture("any-a.png", 3), picture("any-b.png", 11));
    let element = element();
    set_model(&element, &path);
    element.set_property("style-image", &a);
    let mut player = Player::new(element);
    player.expect(0, &in_styles(&model, &[(&a, 1.0)]));
    assert_eq!(
        stats(&player.element).get::<String>("style").unwrap(),
        "image"
    );
    let names = player.element.property::<Vec<String>>("styles");
    assert_eq!(names, ["style-0", "style-1", "image"]);

    // It fades to another one, as between any styles.
    player.set(Some(&b), 100);
    let names = player.element.property::<Vec<String>>("styles");
    assert_eq!(names, ["style-0", "style-1", "image"]);
    player.expect(350, &in_styles(&model, &[(&a, 0.75), (&b, 0.25)]));
    player.expect(1200, &in_styles(&model, &[(&b, 1.0)]));
    // Mixes with the model's own styles.
    player.element.set_property("style-fade", 0_u32);
    player.element.set_property("style", "image:1,style-1:3");
    let both = [("", PaintingFile::read(&b).unwrap().decode().unwrap())];
    let both = model.with_styles_of(&both).unwrap();
    let mix = StyleMix::new(&[(2, 1.0), (1, 3.0)]).unwrap();
    player.expect(1300, &both.with_mix(&mix).unwrap());
    // None: its own first style.
    player.element.set_property("style", None::<&str>);
    player.set(None, 1400);
    player.expect(1500, &model.with_mix(&StyleMix::single(0)).unwrap());
    let names = player.element.property::<Vec<String>>("styles");
    assert_eq!(names, ["style-0", "style-1"]);
    assert!(
        player
            .bus
            .pop_filtered(&[gst::MessageType::Warning])
            .is_none()
    );
}

#[test]
fn a_bad_picture_while_playing_warns_and_changes_nothing() {
    let (path, model) = model("any-bad.safetensors");
    let good = picture("any-good.png", 5);
    let text = crate::common::path("any-text.png");
    std::fs::write(&text, "no picture").unwrap();
    let element = element();
    set_model(&element, &path);
    element.set_property("style-image", &good);
    let mut player = Player::new(element);
    for (bad, part) in [
        (&*text, "is not a picture"),
        (Path::new("/nowhere.png"), "/nowhere.png"),
    ] {
        player.element.set_property("style-image", bad);
        let error = warning(&player.bus).expect("a warning");
        assert!(error.message().contains(part), "{error}");
        player.expect(40, &in_styles(&model, &[(&good, 1.0)]));
    }
    player.element.set_property("style-fade", 0_u32);
    let other = picture("any-other.png", 7);
    player.set(Some(&other), 80);
    player.expect(120, &in_styles(&model, &[(&other, 1.0)]));
}

#[test]
fn what_cannot_start() {
    let (path, _) = model("any-start.safetensors");
    let element = element();
    set_model(&element, &path);
    element.set_property("style-image", "/nowhere.png");
    let error = start_error(&element);
    assert!(error.matches(gst::ResourceError::NotFound), "{error}");
    assert!(error.message().contains("/nowhere.png"), "{error}");

    let own = crate::common::path("own-styles.safetensors");
    styles::model().save(&own).unwrap();
    set_model(&element, &own);
    element.set_property("style-image", picture("any-own.png", 9));
    let error = start_error(&element);
    assert!(error.matches(gst::ResourceError::Settings), "{error}");
    assert!(error.message().contains("`style-image`"), "{error}");
}
