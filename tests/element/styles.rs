//! Several styles of one model: the properties `style`, `style-fade`,
//! `style-position` and `styles`.

use crate::common::*;
use crate::errors::start_error;
use crate::swap::{set_model, styled_by, wait_for, warning};
use gst::prelude::*;
use gst_controller::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstfaststyle::{Architecture, Model, StyleMix};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// A model of the styles `style-0`, `style-1` and `style-2`.
pub fn model() -> Model {
    shared::model(Architecture {
        styles: 3,
        residual_blocks: 1,
        ..Architecture::with_width(2)
    })
}

fn model_path() -> &'static Path {
    static PATH: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
        let path = path("styles.safetensors");
        model().save(&path).unwrap();
        path
    });
    &PATH
}

fn element() -> gst::Element {
    let element = crate::common::element();
    set_model(&element, model_path());
    element
}

/// A playing element, and what it should make of its frames.
struct Player {
    element: gst::Element,
    harness: gst_check::Harness,
    bus: gst::Bus,
    info: VideoInfo,
    model: Model,
}

impl Player {
    fn new(element: gst::Element) -> Self {
        let info = info(VideoFormat::Rgb, 16, 12);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        Player {
            harness: harness(&element, &info, &info),
            element,
            bus,
            info,
            model: model(),
        }
    }

    /// Plays the frame at `ms`, and asserts that it is painted in a mix of the
    /// styles with these weights.
    #[track_caller]
    fn expect(&mut self, ms: u64, weights: [f32; 3]) {
        let mut buffer = noise(&self.info, ms);
        let pts = gst::ClockTime::from_mseconds(ms);
        buffer.get_mut().unwrap().set_pts(pts);
        let bytes = buffer.map_readable().unwrap().to_vec();
        let styled = self.harness.push_and_pull(buffer).unwrap();
        let weights: Vec<_> = weights.into_iter().enumerate().collect();
        let mix = StyleMix::new(&weights).unwrap();
        let expected = styled_by(&self.model.with_mix(&mix).unwrap(), &self.info, &bytes);
        let found = buffer_rows(&self.info, &styled).concat();
        // Sums of numbers in another order round otherwise.
        let off = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
        assert!(off.max() <= Some(1), "{ms} ms: {weights:?}");
        let other = styled_by(&other_than(&self.model, &mix), &self.info, &bytes);
        let off = found.iter().zip(&other).map(|(a, b)| a.abs_diff(*b));
        assert!(off.max() > Some(1), "{ms} ms: all styles are alike");
    }

    fn style(&self) -> String {
        stats(&self.element).get("style").unwrap()
    }
}

/// The model in a style that a mix is not.
fn other_than(model: &Model, mix: &StyleMix) -> Model {
    let other = usize::from(mix.parts()[0].0 == 0);
    model.with_mix(&StyleMix::single(other)).unwrap()
}

const FIRST: [f32; 3] = [1.0, 0.0, 0.0];
const SECOND: [f32; 3] = [0.0, 1.0, 0.0];
const THIRD: [f32; 3] = [0.0, 0.0, 1.0];

#[test]
fn the_first_style_is_the_default() {
    let mut player = Player::new(element());
    player.expect(0, FIRST);
    assert_eq!(player.style(), "style-0");
}

#[test]
fn a_style_or_a_mix_from_the_start() {
    for (style, weights) in [
        ("style-2", THIRD),
        ("style-1:3,style-2:1", [0.0, 0.75, 0.25]),
        ("", FIRST),
    ] {
        let element = element();
        element.set_property("style", style);
        let mut player = Player::new(element);
        player.expect(0, weights);
        player.expect(40, weights);
    }
}

#[test]
fn a_change_of_style_fades() {
    let mut player = Player::new(element());
    assert_eq!(player.element.property::<u32>("style-fade"), 1000);
    player.expect(0, FIRST);
    player.element.set_property("style", "style-1");
    player.expect(100, FIRST);
    assert_eq!(player.style(), "style-1");
    player.expect(350, [0.75, 0.25, 0.0]);
    player.expect(850, [0.25, 0.75, 0.0]);
    // From there on, not from either end.
    player.element.set_property("style", "style-2:1,style-1:1");
    player.expect(900, [0.25, 0.75, 0.0]);
    player.expect(1400, [0.125, 0.625, 0.25]);
    player.expect(1900, [0.0, 0.5, 0.5]);
    assert_eq!(player.style(), "style-2:0.50,style-1:0.50");
    player.element.set_property("style", None::<&str>);
    player.element.set_property("style-fade", 0_u32);
    player.expect(2000, FIRST);
}

#[test]
fn a_style_that_is_not_there() {
    let names = "style-0, style-1, style-2";
    let element = element();
    element.set_property("style", "style-3");
    let error = start_error(&element);
    assert!(error.matches(gst::ResourceError::Settings), "{error}");
    assert!(error.message().contains(names), "{error}");

    element.set_property("style", "style-1");
    let mut player = Player::new(element);
    player.expect(0, SECOND);
    for wrong in ["scream", "style-0:x"] {
        player.element.set_property("style", wrong);
        player.expect(100, SECOND);
        let error = warning(&player.bus).expect("a warning");
        assert!(error.matches(gst::ResourceError::Settings), "{error}");
        assert!(error.message().contains("`style`"), "{error}");
        player.expect(5000, SECOND);
    }
    assert!(
        player
            .bus
            .pop_filtered(&[gst::MessageType::Warning])
            .is_none()
    );
}

#[test]
fn styles_of_another_model() {
    let element = element();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    element.connect_notify(Some("styles"), move |element, _| {
        element.property::<Vec<String>>("styles");
        counter.fetch_add(1, Ordering::Relaxed);
    });
    assert!(element.property::<Vec<String>>("styles").is_empty());
    let mut player = Player::new(element);
    let names = || player.element.property::<Vec<String>>("styles");
    assert_eq!(names(), ["style-0", "style-1", "style-2"]);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    player.expect(0, FIRST);

    let mut other = model();
    for style in &mut other.styles {
        style.name = style.name.replace("style", "other");
    }
    let path = path("other-styles.safetensors");
    other.save(&path).unwrap();
    // The style is one of the model that is set before it. It cuts.
    set_model(&player.element, &path);
    player.element.set_property("style", "other-1");
    let info = player.info.clone();
    wait_for(&mut player.harness, &info, path.to_str().unwrap());
    player.expect(0, SECOND);
    assert_eq!(count.load(Ordering::Relaxed), 2);
    assert!(
        player
            .bus
            .pop_filtered(&[gst::MessageType::Warning])
            .is_none()
    );
    let names = || player.element.property::<Vec<String>>("styles");
    assert_eq!(names(), ["other-0", "other-1", "other-2"]);

    // A model that lacks the style starts with its first.
    set_model(&player.element, model_path());
    wait_for(&mut player.harness, &info, model_path().to_str().unwrap());
    player.expect(0, FIRST);
    let error = warning(&player.bus).expect("a warning");
    assert!(error.message().contains("style-0"), "{error}");

    player.element.set_property("model", None::<&str>);
    wait_for(&mut player.harness, &info, "");
    assert!(player.element.property::<Vec<String>>("styles").is_empty());
}

#[test]
fn a_position_rides_along_the_styles() {
    let element = element();
    let curve = gst_controller::InterpolationControlSource::new();
    curve.set_mode(gst_controller::InterpolationMode::Linear);
    assert!(curve.set(gst::ClockTime::ZERO, 0.0));
    assert!(curve.set(gst::ClockTime::from_seconds(8), 4.0));
    let property = "style-position";
    let binding = gst_controller::DirectControlBinding::new_absolute(&element, property, &curve);
    element.add_control_binding(&binding).unwrap();
    let mut player = Player::new(element);
    player.expect(0, FIRST);
    player.expect(1000, [0.5, 0.5, 0.0]);
    player.expect(2500, [0.0, 0.75, 0.25]);
    player.expect(4000, THIRD);
    player.expect(8000, THIRD);

    assert!(player.element.remove_control_binding(&binding));
    player.element.set_property("style", "style-2,style-0");
    player.element.set_property("style-position", 0.25);
    player.expect(9000, THIRD);
    player.expect(9500, [0.125, 0.0, 0.875]);
    player.expect(10_000, [0.25, 0.0, 0.75]);
    player.element.set_property("style-position", -1.0);
    player.expect(11_000, [0.25, 0.0, 0.75]);
    player.expect(12_000, [0.5, 0.0, 0.5]);
}

/// Two names of styles in one file are the same model: no cut between them.
#[test]
fn the_same_file_again_fades() {
    let copy = path("styles-copy.safetensors");
    std::fs::copy(model_path(), &copy).unwrap();
    let mut player = Player::new(element());
    player.element.set_property("style", "style-1");
    player.expect(0, SECOND);
    let info = player.info.clone();
    player.element.set_property("style", None::<&str>);
    set_model(&player.element, &copy);
    wait_for(&mut player.harness, &info, copy.to_str().unwrap());
    player.expect(500, [0.5, 0.5, 0.0]);
}
