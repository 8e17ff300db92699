//! The property `model`: names, other models while playing, none at all.

use crate::common::*;
use crate::styles;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstfaststyle::{Architecture, Model};
use gstfaststyle::{DeviceChoice, Engine, Image, Options, Prepared};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// A model file of its own for each seed, and what it makes of a frame.
fn other_model(name: &str, seed: u64) -> (PathBuf, Model) {
    let architecture = Architecture {
        width: 3,
        residual_blocks: 1,
        ..Architecture::default()
    };
    let model = Model::random(architecture, seed).unwrap();
    let path = path(name);
    model.save(&path).unwrap();
    (path, model)
}

pub fn styled_by(model: &Model, info: &VideoInfo, bytes: &[u8]) -> Vec<u8> {
    let mut styled = Image::default();
    let mut engine = Engine::new(model, DeviceChoice::Cpu).unwrap();
    engine.stylize(&read(info, bytes), &mut styled).unwrap();
    let pixels = info.width() as usize * info.height() as usize;
    let value = |pixel: usize, c: usize| styled.data[c * pixels + pixel].round() as u8;
    (0..pixels)
        .flat_map(|pixel| [0, 1, 2].map(|c| value(pixel, c)))
        .collect()
}

pub fn set_model(element: &gst::Element, path: &std::path::Path) {
    element.set_property("model", path.to_str().unwrap());
}

/// Waits until the element runs the model of this name, pushing frames.
pub fn wait_for(harness: &mut gst_check::Harness, info: &VideoInfo, name: &str) {
    let element = harness.element().unwrap();
    let begin = Instant::now();
    while stats(&element).get::<String>("model").unwrap() != name {
        harness.push_and_pull(noise(info, 1)).unwrap();
        assert!(begin.elapsed() < PATIENCE, "no {name}");
    }
}

pub fn warning(bus: &gst::Bus) -> Option<gst::glib::Error> {
    let wait = gst::ClockTime::from_seconds(60);
    let message = bus.timed_pop_filtered(wait, &[gst::MessageType::Warning])?;
    match message.view() {
        gst::MessageView::Warning(warning) => Some(warning.error()),
        _ => None,
    }
}

#[test]
fn another_model_while_playing() {
    // Rows of 4 bytes, without gaps.
    let info = info(VideoFormat::Rgb, 16, 12);
    let (path, model) = other_model("swap.safetensors", 3);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    let buffer = noise(&info, 5);
    let bytes = buffer.map_readable().unwrap().to_vec();
    let before = expected(&info, &bytes, &info, 1.0).concat();
    let after = styled_by(&model, &info, &bytes);
    assert_ne!(before, after);

    set_model(&element, &path);
    let begin = Instant::now();
    // Each frame is wholly of the one or of the other, in this order.
    let mut found = before.clone();
    while found == before {
        let styled = harness.push_and_pull(buffer.copy_deep().unwrap()).unwrap();
        found = buffer_rows(&info, &styled).concat();
        assert!(begin.elapsed() < PATIENCE);
    }
    assert_eq!(found, after);
}

/// What applies at the next start does not at the next model.
#[test]
fn another_model_runs_as_the_one_before() {
    let info = info(VideoFormat::Rgb, 16, 12);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    harness.push_and_pull(noise(&info, 1)).unwrap();
    let before: String = stats(&element).get("precision").unwrap();
    element.set_property_from_str("precision", "f32");
    let (path, _) = other_model("same-precision.safetensors", 77);
    set_model(&element, &path);
    wait_for(&mut harness, &info, path.to_str().unwrap());
    assert_eq!(stats(&element).get::<String>("precision"), Ok(before));
}

#[test]
fn a_bad_model_while_playing_warns_and_changes_nothing() {
    let info = info(VideoFormat::Rgb, 16, 12);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let bad = path("bad-swap.safetensors");
    fs::write(&bad, "no model").unwrap();
    let folder = path("");
    for (path, kind) in [
        (bad.as_path(), gst::ResourceError::OpenRead),
        (
            "/nowhere/scream.safetensors".as_ref(),
            gst::ResourceError::NotFound,
        ),
        ("no-such-name".as_ref(), gst::ResourceError::NotFound),
        (&folder, gst::ResourceError::OpenRead),
    ] {
        set_model(&element, path);
        let error = warning(&bus).expect("a warning");
        assert!(error.matches(kind), "{error}");
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        let buffer = noise(&info, 6);
        let bytes = buffer.map_readable().unwrap().to_vec();
        let styled = harness.push_and_pull(buffer).unwrap();
        let expected = expected(&info, &bytes, &info, 1.0);
        assert_eq!(buffer_rows(&info, &styled), expected);
    }
}

#[test]
fn without_a_model_buffers_pass() {
    let info = info(VideoFormat::Nv12, 16, 12);
    for nothing in [None, Some("")] {
        let element = element();
        element.set_property("model", nothing);
        let mut harness = harness(&element, &info, &info);
        let buffer = noise(&info, 1);
        let pointer = buffer.as_ptr();
        assert_eq!(harness.push_and_pull(buffer).unwrap().as_ptr(), pointer);
        assert_eq!(stats(&element).get::<u64>("passed-through"), Ok(1));
        // Then one comes, and goes again.
        set_model(&element, model());
        wait_for(&mut harness, &info, model().to_str().unwrap());
        element.set_property("model", nothing);
        wait_for(&mut harness, &info, "");
        let buffer = noise(&info, 2);
        let pointer = buffer.as_ptr();
        assert_eq!(harness.push_and_pull(buffer).unwrap().as_ptr(), pointer);
    }
}

#[test]
fn without_a_model_formats_are_converted() {
    let element = element();
    element.set_property("model", None::<&str>);
    assert_only_converts(&element);
}

/// The file may go, or become another, while its model runs.
#[test]
fn a_file_that_is_replaced_or_deleted() {
    let info = info(VideoFormat::Rgb, 16, 12);
    let (path, first) = other_model("replaced.safetensors", 11);
    let element = element();
    set_model(&element, &path);
    let mut harness = harness(&element, &info, &info);
    let mut check = |model: &Model| {
        let buffer = noise(&info, 7);
        let bytes = buffer.map_readable().unwrap().to_vec();
        let styled = harness.push_and_pull(buffer).unwrap();
        buffer_rows(&info, &styled).concat() == styled_by(model, &info, &bytes)
    };
    assert!(check(&first));
    let (_, second) = other_model("replaced.safetensors", 12);
    assert!(check(&first));
    // Setting it again loads what is there now.
    set_model(&element, &path);
    let begin = Instant::now();
    while !check(&second) {
        assert!(begin.elapsed() < PATIENCE);
    }
    fs::remove_file(&path).unwrap();
    assert!(check(&second));
}

#[test]
fn a_thousand_swaps() {
    let info = info(VideoFormat::Rgb, 16, 12);
    let paths = [21, 22, 23].map(|seed| {
        let name = format!("thousand-{seed}.safetensors");
        other_model(&name, seed).0
    });
    let element = element();
    let mut harness = harness(&element, &info, &info);
    for i in 0..1000 {
        set_model(&element, &paths[i % 3]);
        if i % 7 == 0 {
            harness.push_and_pull(noise(&info, 1)).unwrap();
        }
        if i % 100 == 99 {
            // The last one wins.
            wait_for(&mut harness, &info, paths[i % 3].to_str().unwrap());
        }
    }
}

#[test]
fn swaps_amid_starts_and_stops() {
    let (path, _) = other_model("amid.safetensors", 31);
    let element = element();
    for i in 0..100 {
        set_model(&element, [model(), &path][i % 2]);
        let state = [gst::State::Paused, gst::State::Null, gst::State::Ready][i % 3];
        element.set_state(state).unwrap();
        set_model(&element, [&path, model()][i % 2]);
    }
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn the_same_file_shares_its_weights() {
    let (path, _) = other_model("shared.safetensors", 41);
    let copy = self::path("shared-copy.safetensors");
    fs::copy(&path, &copy).unwrap();
    let options = Options::default();
    let load = |path: &PathBuf, options| Prepared::load(path, options).unwrap();
    let first = load(&path, options);
    assert!(Arc::ptr_eq(&first, &load(&path, options)));
    assert!(Arc::ptr_eq(&first, &load(&copy, options)));
    let alone = Options {
        threads: 1,
        ..options
    };
    assert!(!Arc::ptr_eq(&first, &load(&path, alone)));
    other_model("shared.safetensors", 42);
    assert!(!Arc::ptr_eq(&first, &load(&path, options)));
}

/// In another process, for the environment belongs to all tests.
#[test]
fn bare_names_are_looked_up() {
    const NAMES: &str = "FASTSTYLE_TEST_NAMES";
    if let Ok(names) = std::env::var(NAMES) {
        for name in names.split(',') {
            let element = element();
            element.set_property("model", name);
            element.set_state(gst::State::Paused).unwrap();
            assert_eq!(stats(&element).get::<String>("model").unwrap(), name);
            if name == "style-1" {
                assert_eq!(stats(&element).get::<&str>("style"), Ok(name));
            }
            element.set_state(gst::State::Null).unwrap();
        }
        return;
    }
    for place in [
        "path/one",
        "user/faststyle/models/two",
        "system/faststyle/models/three",
    ] {
        let file = path(&format!("{place}.safetensors"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::copy(model(), file).unwrap();
    }
    // A style's name in a file of several does as well.
    styles::model()
        .save(path("path/several.safetensors"))
        .unwrap();
    let paths = std::env::join_paths([path("nowhere"), path("path")]).unwrap();
    let mut child = this_test_alone("swap::bare_names_are_looked_up");
    child
        .env(NAMES, "one,two,three,style-1")
        .env("GST_FASTSTYLE_MODEL_PATH", paths)
        .env("XDG_DATA_HOME", path("user"))
        .env("XDG_DATA_DIRS", path("system"));
    assert!(child.status().unwrap().success());
}
