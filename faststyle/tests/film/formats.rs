//! That frames keep what they are: depth, colours, shape, times.

use crate::common::*;
use gst_video::VideoInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A film of frames of these caps.
fn clip(name: &str, frames: u32, caps: &str, encode: &str) -> PathBuf {
    let file = path(name);
    let line = format!("{} ! {encode} ! filesink name=file", video(frames, caps));
    play(&line, &file, |_| ());
    file
}

fn caps(file: &Path) -> (gst::Caps, VideoInfo) {
    let caps = frames(file).0;
    let info = VideoInfo::from_caps(&caps).unwrap();
    (caps, info)
}

#[test]
fn hdr_keeps_its_bits_and_tags() {
    let mastering = "35399:14599:8500:39850:6550:2300:15634:16450:10000000:1";
    let line = format!(
        "width=160,height=96,framerate=25/1,format=I420_10LE,colorimetry=bt2100-pq,\
         mastering-display-info=(string){mastering},content-light-level=(string)1000:400"
    );
    let input = clip("hdr.mp4", 10, &line, "x265enc ! h265parse ! mp4mux");
    let (before, info) = caps(&input);
    assert_eq!(info.comp_depth(0), 10);
    let value =
        |caps: &gst::Caps, field: &str| caps.structure(0).unwrap().get::<String>(field).ok();
    for (name, codec) in [
        ("hdr.out.mp4", "h265"),
        ("hdr.out.mkv", "h265"),
        ("hdr.ffv1.mkv", "ffv1"),
    ] {
        let output = path(name);
        film(&input, &output)
            .args(["--codec", codec])
            .assert()
            .success();
        let (after, info) = caps(&output);
        assert_eq!(info.comp_depth(0), 10, "{name}");
        assert_eq!(info.colorimetry().to_string(), "bt2100-pq", "{name}");
        let light = "content-light-level";
        assert!(value(&before, light).is_some());
        assert_eq!(value(&before, light), value(&after, light), "{name}");
        let mastering = "mastering-display-info";
        assert!(value(&after, mastering).is_some(), "{name}");
        // GStreamer 1.22 writes another luminance into Matroska than it reads.
        if name.ends_with(".mp4") {
            assert_eq!(value(&before, mastering), value(&after, mastering));
        }
    }
    // By itself, too.
    let output = path("hdr.by itself.mp4");
    film(&input, &output).assert().success();
    assert_eq!(caps(&output).1.comp_depth(0), 10);
}

#[test]
fn an_encoder_of_8_bits_is_refused_for_more() {
    let line = "width=64,height=48,framerate=25/1,format=I420_10LE";
    let input = clip("ten bits.mkv", 3, line, "x265enc ! h265parse ! matroskamux");
    let output = path("eight bits.mkv");
    let mut film = film(&input, &output);
    film.args(["--codec", "h264", "--encoder", "openh264enc"]);
    let told = said(&film.assert().failure());
    assert!(told.contains("more than 8 bits"), "{told}");
    assert!(told.contains("--codec h265"), "{told}");
    assert!(!output.exists());
}

#[test]
fn pixel_shape_and_range_are_kept() {
    let line = "width=64,height=48,framerate=24000/1001,pixel-aspect-ratio=16/15,format=I420,\
                colorimetry=1:4:5:4";
    for (name, muxer) in [("wide.mkv", "matroskamux"), ("wide.mp4", "mp4mux")] {
        let input = clip(name, 24, line, &format!("x264enc ! {muxer}"));
        let (_, before) = caps(&input);
        assert!(before.par() > gst::Fraction::from(1));
        let output = path(&format!("painted {name}"));
        film(&input, &output).assert().success();
        let (_, after) = caps(&output);
        assert_eq!(after.par(), before.par(), "{name}");
        assert_eq!(after.fps(), before.fps(), "{name}");
        assert_eq!(after.colorimetry(), before.colorimetry(), "{name}");
        // GStreamer 1.22 does not read the range from MP4.
        if muxer == "matroskamux" {
            let range = gst_video::VideoColorRange::Range0_255;
            assert_eq!(after.colorimetry().range(), range);
        }
    }
}

#[test]
fn a_variable_frame_rate_keeps_its_times() {
    let input = path("variable.mkv");
    let line = format!(
        "{} ! identity name=some ! x264enc ! matroskamux ! filesink name=file",
        video(60, "width=64,height=48,framerate=30/1")
    );
    play(&line, &input, |pipeline| {
        use gst::prelude::*;
        let pad = pipeline.by_name("some").unwrap().static_pad("src").unwrap();
        let number = AtomicUsize::new(0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let number = number.fetch_add(1, Ordering::Relaxed) + 1;
            match number % 7 == 3 || (20..45).contains(&number) {
                true => gst::PadProbeReturn::Handled,
                false => gst::PadProbeReturn::Ok,
            }
        });
    });
    let before = times(&input);
    let steps: std::collections::BTreeSet<_> = before.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(steps.len() > 3, "{steps:?}");
    for name in ["variable.out.mkv", "variable.out.mp4"] {
        let output = path(name);
        film(&input, &output)
            .args(["--segment", "1"])
            .assert()
            .success();
        let after = times(&output);
        assert_eq!(before.len(), after.len(), "{name}");
        for (before, after) in before.iter().zip(&after) {
            assert!(before.abs_diff(*after) <= 1, "{name}: {before} {after}");
        }
    }
}

#[test]
fn a_phone_film_stands_upright() {
    let line = "width=80,height=48,framerate=25/1";
    let input = clip("phone.mp4", 4, line, "x264enc ! mp4mux");
    turn(&input);
    assert!(orientation(&input), "the clip has no tag");
    let output = path("upright.mp4");
    film(&input, &output).assert().success();
    let (_, info) = caps(&output);
    assert_eq!((info.width(), info.height()), (48, 80));
    assert!(!orientation(&output));
}

/// Writes into an MP4 file that its video is to be turned by a right angle.
fn turn(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let header = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
    let one = 0x1_0000_i32;
    let matrix = [0, one, 0, -one, 0, 0, 48 * one, 0, 0x4000_0000];
    let place = header + 44;
    for (number, value) in matrix.into_iter().enumerate() {
        bytes[place + 4 * number..][..4].copy_from_slice(&value.to_be_bytes());
    }
    std::fs::write(file, bytes).unwrap();
}

fn orientation(file: &Path) -> bool {
    use gst_pbutils::prelude::*;
    let info = info(file);
    let tags = info.video_streams()[0].tags();
    tags.is_some_and(|tags| {
        let tag = tags.get::<gst::tags::ImageOrientation>();
        tag.is_some_and(|tag| tag.get() != "rotate-0")
    })
}

#[test]
fn codecs_have_plain_names() {
    let expected = [
        ("h264", "mp4", "video/x-h264"),
        ("h265", "mp4", "video/x-h265"),
        ("av1", "mp4", "video/x-av1"),
        ("av1", "mkv", "video/x-av1"),
        ("prores", "mov", "video/x-prores"),
        ("ffv1", "mkv", "video/x-ffv"),
    ];
    for (codec, extension, kind) in expected {
        let output = path(&format!("codec.{codec}.{extension}"));
        let mut film = film(&CLIP, &output);
        film.args(["--codec", codec, "--to", "1.2", "--segment", "1"]);
        film.assert().success();
        use gst_pbutils::prelude::*;
        let info = info(&output);
        let caps = info.video_streams()[0].caps().unwrap();
        assert_eq!(
            caps.structure(0).unwrap().name(),
            kind,
            "{codec} in {extension}"
        );
        assert_eq!(info.audio_streams().len(), 1);
        let expected: Vec<u64> = (0..30).map(|frame| frame * 40).collect();
        assert_eq!(times(&output), expected, "{codec} in {extension}");
    }
    let refused = path("codec.prores.mp4");
    let mut film = film(&CLIP, &refused);
    let told = said(&film.args(["--codec", "prores"]).assert().failure());
    assert!(told.contains("MP4 does not hold ProRes"), "{told}");
}

#[test]
fn lossless_is_lossless() {
    let mut hashes = Vec::new();
    for codec in ["h264", "h265", "ffv1"] {
        let output = path(&format!("lossless.{codec}.mkv"));
        let mut film = film(&CLIP, &output);
        film.args(["--codec", codec, "--quality", "lossless"]);
        film.assert().success();
        hashes.push(frames(&output).1);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);
    let mut film = film(&CLIP, &path("lossless.mov"));
    film.args(["--codec", "prores", "--quality", "lossless"]);
    let told = said(&film.assert().failure());
    assert!(told.contains("ffv1"), "{told}");
}

/// How opaque the frames of a film are on average, 0 to 255, and how much that differs
/// within them.
fn opacity(file: &Path) -> (f64, u8) {
    use gst::prelude::*;
    let values = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let line = "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=BGRA \
                ! fakesink name=sink sync=false";
    play(line, file, |pipeline| {
        let sink = pipeline.by_name("sink").unwrap();
        let values = values.clone();
        let see = move |_: &gst::Pad, info: &mut gst::PadProbeInfo| {
            let frame = info.buffer().unwrap().map_readable().unwrap();
            let mut values = values.lock().unwrap();
            values.extend(frame.chunks(4).map(|pixel| pixel[3]));
            gst::PadProbeReturn::Ok
        };
        let pad = sink.static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, see);
    });
    let values = values.lock().unwrap();
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    let range = values.iter().max().unwrap() - values.iter().min().unwrap();
    (sum / values.len() as f64, range)
}

#[test]
fn opacity_is_kept_where_the_codec_has_it() {
    let line = "width=64,height=48,framerate=25/1,format=BGRA";
    let encode = "videobox left=-16 border-alpha=0 ! alpha alpha=0.5 ! avenc_ffv1 ! matroskamux";
    let input = clip("opacity.mkv", 3, line, encode);
    let before = opacity(&input);
    assert!(
        (60.0..130.0).contains(&before.0) && before.1 > 100,
        "{before:?}"
    );
    for (codec, name) in [
        ("ffv1", "opacity.ffv1.mkv"),
        ("prores", "opacity.prores.mov"),
    ] {
        let output = path(name);
        let told = said(
            &film(&input, &output)
                .args(["--codec", codec])
                .assert()
                .success(),
        );
        assert!(!told.contains("opacity"), "{told}");
        let after = opacity(&output);
        assert!(
            (before.0 - after.0).abs() < 3.0,
            "{codec}: {before:?} {after:?}"
        );
        assert!(
            before.1.abs_diff(after.1) < 20,
            "{codec}: {before:?} {after:?}"
        );
    }
    let told = said(&film(&input, &path("opacity.h264.mp4")).assert().success());
    assert!(
        told.contains("opacity is lost") && told.contains("ffv1"),
        "{told}"
    );
}
