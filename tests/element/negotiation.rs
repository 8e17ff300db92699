//! Which caps go in, which come out, and what they mean.

use crate::common::*;
use gst::prelude::*;
use gst_video::{VideoColorimetry, VideoFormat, VideoInfo};
use std::str::FromStr;

/// The caps that come out when `input` goes in and downstream takes `output`.
fn negotiate(input: &str, output: &str) -> gst::Caps {
    init();
    let element = element();
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_sink_caps_str(output);
    harness.set_src_caps_str(input);
    let pad = element.static_pad("src").unwrap();
    pad.current_caps()
        .unwrap_or_else(|| panic!("{input} and {output} do not meet"))
}

fn format(caps: &gst::Caps) -> &str {
    caps.structure(0).unwrap().get("format").unwrap()
}

#[test]
fn no_videoconvert_is_needed() {
    for (input, output) in [
        ("YUY2", "BGRx"),
        ("UYVY", "I420"),
        ("NV12", "RGB"),
        ("BGRA", "NV21"),
        ("GRAY8", "YV12"),
        ("I420", "GRAY8"),
        ("AYUV", "Y42B"),
        ("P010_10LE", "v210"),
        ("GRAY16_LE", "ARGB64"),
        ("GBR", "Y41B"),
        ("A420_10LE", "GBRA_12BE"),
        ("RGB16", "r210"),
        ("NV16_10LE32", "UYVP"),
    ] {
        let model = model().display();
        let pipeline = run(&format!(
            "videotestsrc num-buffers=3 ! video/x-raw,format={input},width=66,height=35 \
             ! faststyle name=style model={model} device=cpu \
             ! video/x-raw,format={output} ! fakesink name=sink"
        ))
        .unwrap_or_else(|error| panic!("{input} to {output}: {error}"));
        let style = pipeline.by_name("style").unwrap();
        let caps = style.static_pad("src").unwrap().current_caps();
        let caps = caps.expect("caps");
        let info = VideoInfo::from_caps(&caps).unwrap();
        assert_eq!((info.width(), info.height()), (66, 35));
        assert_eq!(info.name(), output);
        let last = pipeline.by_name("sink").unwrap();
        let last = last.property::<Option<gst::Sample>>("last-sample");
        let size = last.and_then(|sample| sample.buffer().map(|buffer| buffer.size()));
        assert_eq!(size, Some(info.size()));
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn other_fields_are_kept() {
    let fields = "width=33,height=7,framerate=30000/1001,pixel-aspect-ratio=12/11,\
                  interlace-mode=interleaved,field-order=top-field-first,\
                  multiview-mode=side-by-side";
    let caps = negotiate(
        &format!("video/x-raw,format=YUY2,{fields}"),
        "video/x-raw,format=RGBA",
    );
    let expected = format!("video/x-raw,format=RGBA,{fields}");
    assert!(
        caps.is_subset(&gst::Caps::from_str(&expected).unwrap()),
        "{caps}"
    );
}

#[test]
fn the_same_format_and_colours_come_first() {
    let size = "width=16,height=8,framerate=25/1";
    for name in ["RGB", "ABGR", "UYVY", "NV21", "GRAY8", "v210"] {
        let input = format!("video/x-raw,format={name},{size}");
        let caps = negotiate(
            &input,
            "video/x-raw,format={BGRx,v210,GRAY8,ABGR,NV21,UYVY,RGB}",
        );
        assert_eq!(format(&caps), name);
        assert_eq!(format(&negotiate(&input, "video/x-raw")), name);
    }
    let input = format!("video/x-raw,format=NV12,{size},colorimetry=bt709,chroma-site=mpeg2");
    let colours = |caps: &gst::Caps, field: &str| {
        let value = caps.structure(0).unwrap().get::<String>(field);
        value.unwrap_or_default()
    };
    let same = negotiate(&input, "video/x-raw");
    assert!(same.is_strictly_equal(&gst::Caps::from_str(&input).unwrap()));
    let other = negotiate(&input, "video/x-raw,format=I420");
    assert_eq!(colours(&other, "colorimetry"), "bt709");
    assert_eq!(colours(&other, "chroma-site"), "mpeg2");
    let forced = negotiate(&input, "video/x-raw,format=I420,colorimetry={bt601,bt2020}");
    assert_eq!(colours(&forced, "colorimetry"), "bt601");
    // RGB has no use for the colorimetry of luma and chroma.
    let rgb = negotiate(&input, "video/x-raw,format=RGB");
    assert_eq!(colours(&rgb, "colorimetry"), "");
}

#[test]
fn else_the_nearest_format() {
    for (input, choice, nearest) in [
        ("RGBA", "{I420,BGRx,ARGB}", "ARGB"),
        ("RGB", "{I420,ARGB,BGRx}", "BGRx"),
        ("YUY2", "{RGB,I420,UYVY}", "UYVY"),
        ("NV12", "{GRAY8,RGB,YUY2,YV12}", "YV12"),
        ("RGB", "{GRAY8,NV12,UYVY}", "UYVY"),
        ("GRAY8", "{RGBA,RGB,I420}", "I420"),
        ("P010_10LE", "{NV12,RGBA,I420_10LE}", "I420_10LE"),
        ("P010_10LE", "{NV12,RGBA64_LE,BGRx}", "RGBA64_LE"),
        ("v210", "{UYVY,I420_10LE,I422_10LE}", "I422_10LE"),
        ("v210", "{UYVY,P010_10LE}", "UYVY"),
        ("GRAY16_LE", "{GRAY8,I420_10LE,I420}", "I420_10LE"),
        ("I420", "{I420_10LE,Y42B,NV12}", "NV12"),
        ("Y444", "{Y42B,v210,RGB}", "RGB"),
    ] {
        let input = format!("video/x-raw,format={input},width=16,height=8,framerate=25/1");
        let output = format!("video/x-raw,format={choice}");
        assert_eq!(format(&negotiate(&input, &output)), nearest, "from {input}");
    }
}

/// Red, as bytes: colorimetry of the caps decides, on both sides.
#[test]
fn colorimetry_is_used() {
    let with = |format, colours| {
        VideoInfo::builder(format, 2, 2)
            .fps((25, 1))
            .colorimetry(&VideoColorimetry::from_str(colours).unwrap())
            .build()
            .unwrap()
    };
    init();
    let convert = |input: &VideoInfo, output: &VideoInfo, bytes: Vec<u8>| {
        let element = element();
        element.set_property("strength", 0.0);
        let mut harness = harness(&element, input, output);
        let buffer = harness.push_and_pull(gst::Buffer::from_slice(bytes));
        buffer_rows(output, &buffer.unwrap()).concat()
    };
    let rgbx = info(VideoFormat::Rgbx, 2, 2);
    let red = [255, 0, 0, 255].repeat(4);
    let cases = [
        ("bt601", [81, 90, 240]),
        ("bt709", [63, 102, 240]),
        ("bt2020", [74, 97, 240]),
        ("1:4:0:0", [76, 85, 255]),
    ];
    for (colours, [y, u, v]) in cases {
        let nv12 = with(VideoFormat::Nv12, colours);
        assert_eq!(
            convert(&rgbx, &nv12, red.clone()),
            [y, y, y, y, u, v],
            "{colours}"
        );
        let mut bytes = vec![0; nv12.size()];
        for row in 0..2 {
            bytes[row * 4..][..2].fill(y);
        }
        bytes[nv12.offset()[1]..][..2].copy_from_slice(&[u, v]);
        for (found, red) in convert(&nv12, &rgbx, bytes).into_iter().zip(&red) {
            assert!(found.abs_diff(*red) <= 2, "{colours}: {found} for {red}");
        }
    }
    // The same format with other colours is not the same picture.
    let (sd, hd) = (
        with(VideoFormat::Uyvy, "bt601"),
        with(VideoFormat::Uyvy, "bt709"),
    );
    let bytes = [90, 81, 240, 81].repeat(2);
    let converted = convert(&sd, &hd, bytes);
    for (found, hd) in converted.iter().zip([102, 63, 240, 63]) {
        assert!(found.abs_diff(hd) <= 1, "{converted:?}");
    }
}

#[test]
fn what_cannot_be_run_is_refused() {
    let model = model().display();
    for (input, output) in [
        ("video/x-raw,format=NV12_64Z32", "video/x-raw"),
        ("video/x-raw,format=RGB", "video/x-raw,format=NV12_64Z32"),
        (
            "video/x-raw,format=RGB,width=16",
            "video/x-raw,format=RGB,width=32",
        ),
        (
            "video/x-raw,format=I420,framerate=25/1",
            "video/x-raw,framerate=30/1",
        ),
    ] {
        let result = run(&format!(
            "videotestsrc num-buffers=1 ! {input} ! faststyle model={model} device=cpu \
             ! {output} ! fakesink"
        ));
        assert!(result.is_err(), "{input} to {output}");
    }
}

#[test]
fn size_and_format_change_midway() {
    let element = element();
    let first = info(VideoFormat::Rgb, 8, 6);
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_sink_caps_str("video/x-raw");
    for (seed, info) in [
        first.clone(),
        info(VideoFormat::I420, 21, 5),
        info(VideoFormat::I420, 3, 70),
        first,
        info(VideoFormat::Gray8, 1, 1),
    ]
    .into_iter()
    .enumerate()
    {
        harness.set_src_caps(info.to_caps().unwrap());
        let buffer = noise(&info, seed as u64);
        let bytes = buffer.map_readable().unwrap().to_vec();
        let styled = harness.push_and_pull(buffer).unwrap();
        assert_eq!(
            buffer_rows(&info, &styled),
            expected(&info, &bytes, &info, 1.0)
        );
    }
}

/// With nothing to repaint, buffers pass, but not into caps they do not have.
#[test]
fn downstream_changes_while_buffers_pass() {
    let rgb = info(VideoFormat::Rgb, 8, 6);
    let bgr = info(VideoFormat::Bgr, 8, 6);
    let element = element();
    element.set_property("strength", 0.0);
    let mut harness = harness(&element, &rgb, &rgb);
    let buffer = noise(&rgb, 1);
    let before = buffer_rows(&rgb, &buffer).concat();
    let same = harness.push_and_pull(buffer.clone()).unwrap();
    assert_eq!(same.as_ptr(), buffer.as_ptr());
    harness.set_sink_caps(bgr.to_caps().unwrap());
    harness.push_upstream_event(gst::event::Reconfigure::new());
    let swapped = harness.push_and_pull(buffer).unwrap();
    let swapped = buffer_rows(&bgr, &swapped).concat();
    for (rgb, bgr) in before.chunks(3).zip(swapped.chunks(3)) {
        assert_eq!([rgb[2], rgb[1], rgb[0]], bgr);
    }
}
