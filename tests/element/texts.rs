//! Texts that are not Unicode, or that would act on a terminal or end a C string.

use crate::common::*;
use crate::errors::start_error;
use crate::styles;
use gst::glib;
use gst::prelude::*;
use gst_video::VideoFormat;
use std::fs;
use std::path::PathBuf;

/// A value of bytes, as bindings of C and Python hand them over.
fn bytes(bytes: &[u8]) -> glib::Value {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec())).to_value()
}

#[test]
fn the_path_of_a_model_is_bytes() {
    let element = element();
    let mut name = path("caf").into_os_string().into_encoded_bytes();
    name.extend(b"\xe9\x1b[31m.safetensors");
    let value = bytes(&name);
    element.set_property_from_value("model", &value);
    let read = element.property::<Option<PathBuf>>("model").unwrap();
    assert_eq!(read.as_os_str().as_encoded_bytes(), name);

    let error = start_error(&element);
    assert!(error.matches(gst::ResourceError::NotFound), "{error}");
    let shown = "caf\u{fffd}\\u{1b}[31m.safetensors: cannot be read";
    assert!(error.message().contains(shown), "{error}");

    fs::copy(model(), &read).unwrap();
    let info = info(VideoFormat::Rgb, 16, 8);
    let mut harness = harness(&element, &info, &info);
    harness.push_and_pull(noise(&info, 1)).unwrap();
    let stats = stats(&element);
    assert_eq!(stats.get::<u64>("styled"), Ok(1));
    let name = stats.get::<&str>("model").unwrap();
    assert!(
        name.ends_with("caf\u{fffd}\\u{1b}[31m.safetensors"),
        "{name}"
    );
}

#[test]
fn a_name_of_a_model_is_bytes() {
    let element = element();
    element.set_property_from_value("model", &bytes(b"caf\xe9\x07"));
    let error = start_error(&element);
    assert!(error.matches(gst::ResourceError::NotFound), "{error}");
    let shown = "caf\u{fffd}\\u{7}.safetensors was not found";
    assert!(error.message().contains(shown), "{error}");
}

#[test]
fn other_properties_replace_what_is_not_unicode() {
    let element = element();
    for property in ["style", "device"] {
        element.set_property_from_value(property, &bytes(b"caf\xe9\x1b"));
        let text = element.property::<Option<String>>(property);
        assert_eq!(text.as_deref(), Some("caf\u{fffd}\u{1b}"));
    }
    let error = start_error(&element);
    assert!(error.message().contains("caf\u{fffd}\\u{1b}"), "{error}");
}

/// What the file says reaches nobody as it is.
#[test]
fn names_in_a_model_file_are_escaped() {
    let path = path("acting.safetensors");
    let mut model = styles::model();
    for (style, name) in model.styles.iter_mut().zip(["a\0\x1b[2J", "b\n", "c"]) {
        style.name = name.into();
    }
    model.save(&path).unwrap();
    let element = element();
    element.set_property("model", path.to_str().unwrap());
    let info = info(VideoFormat::Rgb, 16, 8);
    let mut harness = harness(&element, &info, &info);
    harness.push_and_pull(noise(&info, 1)).unwrap();
    assert_eq!(
        element.property::<Vec<String>>("styles"),
        [r"a\u{0}\u{1b}[2J", r"b\n", "c"]
    );
    let style = |element: &gst::Element| stats(element).get::<String>("style").unwrap();
    assert_eq!(style(&element), r"a\u{0}\u{1b}[2J");
    // As it is shown, it can be chosen.
    element.set_property("style", r"b\n");
    harness.push_and_pull(noise(&info, 1)).unwrap();
    assert_eq!(style(&element), r"b\n");
}

#[test]
fn tensors_with_names_that_act() {
    let header = serde_json::json!({
        "__metadata__": {"format": "faststyle", "format_version": "\u{1b}]0;"},
        "a\0\u{1b}[31m": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    })
    .to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend([0; 4]);
    let path = path("names\u{202e}.safetensors");
    fs::write(&path, file).unwrap();
    let element = element();
    element.set_property("model", path.to_str().unwrap());
    let error = start_error(&element);
    let text = error.message();
    assert!(text.contains(r"names\u{202e}.safetensors"), "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// What people take for a model, and what to do with it.
#[test]
fn files_that_are_no_models() {
    for (name, start, hint) in [
        (
            "p.jpg",
            &b"\xff\xd8\xff\xe0\0\x10JFIF"[..],
            "it is a picture",
        ),
        ("p.png", b"\x89PNG\r\n\x1a\n", "it is a picture"),
        (
            "candy.pth",
            b"PK\x03\x04\0\0\0\0\0\0",
            "faststyle-train import",
        ),
        (
            "old.pth",
            b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
            "faststyle-train import",
        ),
        ("clip.mp4", b"\0\0\0\x20ftypisom\0\0", "a film"),
    ] {
        let path = path(name);
        fs::write(&path, [start, &[0; 64]].concat()).unwrap();
        let element = element();
        element.set_property("model", path.to_str().unwrap());
        let error = start_error(&element);
        assert!(error.matches(gst::ResourceError::OpenRead), "{error}");
        assert!(error.message().contains(hint), "{error}");
    }
}

#[test]
fn numbers_out_of_range_are_cut_to_it() {
    let element = element();
    for (property, value, expected) in [
        ("strength", 2.0, 1.0),
        ("strength", -1.0, 0.0),
        ("scale", 7.0, 1.0),
        ("style-position", -3.0, -1.0),
    ] {
        element.set_property_from_str(property, &format!("{value}"));
        assert_eq!(element.property::<f64>(property), expected, "{property}");
    }
}
