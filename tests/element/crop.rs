//! Frames that are a part of the picture in their buffer, and what metas say of them.

use crate::common::*;
use gst::prelude::*;
use gst_video::{
    VideoAffineTransformationMeta, VideoCropMeta, VideoFormat, VideoFrameFlags, VideoInfo,
    VideoMeta, VideoOverlayComposition, VideoOverlayCompositionMeta, VideoOverlayFormatFlags,
    VideoOverlayRectangle, VideoRegionOfInterestMeta,
};
use std::sync::{Arc, Mutex};

/// The part of a picture from (x, y) on, as a frame of its own.
fn part(whole: &VideoInfo, bytes: &[u8], info: &VideoInfo, (x, y): (usize, usize)) -> Vec<u8> {
    let frame = frame_info(info);
    let rows = rows(whole, bytes);
    let mut all = vec![0; info.size()];
    let mut first = 0;
    for plane in 0..frame.format.plane_count() {
        let left = frame.format.row_bytes(plane, x);
        let length = frame.format.row_bytes(plane, frame.width);
        let above = frame.format.plane_rows(plane, y);
        let (offset, stride) = (info.offset()[plane], info.stride()[plane] as usize);
        for row in 0..frame.format.plane_rows(plane, frame.height) {
            let from = &rows[first + above + row][left..][..length];
            all[offset + row * stride..][..length].copy_from_slice(from);
        }
        first += frame.format.plane_rows(plane, whole.height() as usize);
    }
    all
}

/// A buffer of noise with a picture like `whole`, and the crop that is its frame.
fn cropped(whole: &VideoInfo, crop: (u32, u32, u32, u32)) -> gst::Buffer {
    let mut buffer = noise(whole, 11);
    let planes = whole.n_planes() as usize;
    let writable = buffer.get_mut().unwrap();
    VideoMeta::add_full(
        writable,
        VideoFrameFlags::empty(),
        whole.format(),
        whole.width(),
        whole.height(),
        &whole.offset()[..planes],
        &whole.stride()[..planes],
    )
    .unwrap();
    VideoCropMeta::add(writable, crop);
    buffer
}

#[test]
fn the_cropped_part_is_painted() {
    for format in formats() {
        let (whole, frame) = (info(format, 36, 24), info(format, 18, 8));
        // A place where each format has whole groups of pixels.
        let buffer = cropped(&whole, (12, 8, 18, 8));
        let bytes = buffer.map_readable().unwrap().to_vec();
        let element = element();
        let mut harness = harness(&element, &frame, &frame);
        let painted = harness.push_and_pull(buffer).unwrap();
        let original = part(&whole, &bytes, &frame, (12, 8));
        assert_eq!(
            buffer_rows(&frame, &painted),
            expected(&frame, &original, &frame, 1.0),
            "{format}"
        );
        assert!(painted.meta::<VideoCropMeta>().is_none());
    }
}

/// At a place that shares its chroma with those left of it and above.
#[test]
fn a_crop_starts_where_chroma_does() {
    for (format, place) in [(VideoFormat::I420, (4, 2)), (VideoFormat::Rgb, (5, 3))] {
        let (whole, frame) = (info(format, 32, 24), info(format, 16, 8));
        let buffer = cropped(&whole, (5, 3, 16, 8));
        let bytes = buffer.map_readable().unwrap().to_vec();
        let element = element();
        element.set_property("strength", 0.5);
        let mut harness = harness(&element, &frame, &frame);
        let painted = harness.push_and_pull(buffer).unwrap();
        let original = part(&whole, &bytes, &frame, place);
        let expected = expected(&frame, &original, &frame, 0.5);
        assert_eq!(buffer_rows(&frame, &painted), expected, "{format}");
    }
}

#[test]
fn a_crop_beyond_the_picture_is_an_error() {
    let (whole, frame) = (
        info(VideoFormat::Rgb, 32, 24),
        info(VideoFormat::Rgb, 16, 8),
    );
    for crop in [(17, 0, 16, 8), (0, 17, 16, 8), (u32::MAX, u32::MAX, 16, 8)] {
        let element = element();
        let bus = gst::Bus::new();
        let mut harness = harness(&element, &frame, &frame);
        element.set_bus(Some(&bus));
        assert_eq!(
            harness.push(cropped(&whole, crop)),
            Err(gst::FlowError::Error)
        );
        let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!()
        };
        let error = error.error().to_string();
        assert!(error.contains("crop"), "{error}");
    }
}

const TURNED: [[f32; 4]; 4] = [
    [0.0, 1.0, 0.0, 0.0],
    [-1.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0],
    [0.0, 0.0, 0.0, 1.0],
];

/// Regions, a direction and something to draw, all within the picture.
fn add_metas(buffer: &mut gst::BufferRef) {
    for (name, rect) in [("inside", (14, 9, 3, 4)), ("across", (10, 0, 6, 12))] {
        let mut region = VideoRegionOfInterestMeta::add(buffer, name, rect);
        region.set_id(7);
        region.add_param(gst::Structure::builder("sure").field("by", 0.5).build());
    }
    VideoRegionOfInterestMeta::add(buffer, "outside", (0, 0, 5, 5));
    VideoAffineTransformationMeta::add(buffer, Some(&TURNED));
    let mut pixels = gst::Buffer::with_size(4 * 2 * 2).unwrap();
    let format = VideoFormat::Bgra;
    let flags = VideoFrameFlags::empty();
    VideoMeta::add(pixels.get_mut().unwrap(), flags, format, 2, 2).unwrap();
    let flags = VideoOverlayFormatFlags::empty();
    let rectangle = VideoOverlayRectangle::new_raw(&pixels, 13, 6, 2, 2, flags);
    let overlay = VideoOverlayComposition::new([&rectangle]).unwrap();
    VideoOverlayCompositionMeta::add(buffer, &overlay);
}

/// The names and places of regions.
fn regions(buffer: &gst::BufferRef) -> Vec<(String, (u32, u32, u32, u32))> {
    let mut regions: Vec<_> = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|region| (region.roi_type().to_owned(), region.rect()))
        .collect();
    regions.sort();
    regions
}

fn overlay_place(buffer: &gst::BufferRef) -> (i32, i32, u32, u32) {
    let overlay = buffer.meta::<VideoOverlayCompositionMeta>().unwrap();
    overlay.overlay().rectangle(0).unwrap().render_rectangle()
}

#[test]
fn metas_of_a_cropped_frame_are_moved_or_dropped() {
    let (whole, frame) = (
        info(VideoFormat::Rgb, 36, 24),
        info(VideoFormat::Rgb, 18, 8),
    );
    let mut buffer = cropped(&whole, (12, 8, 18, 8));
    add_metas(buffer.get_mut().unwrap());
    let element = element();
    let mut harness = harness(&element, &frame, &frame);
    let painted = harness.push_and_pull(buffer).unwrap();
    assert_eq!(
        regions(&painted),
        [
            ("across".into(), (0, 0, 4, 4)),
            ("inside".into(), (2, 1, 3, 4)),
        ]
    );
    let region = painted.iter_meta::<VideoRegionOfInterestMeta>().next();
    let region = region.unwrap();
    assert_eq!(region.id(), 7);
    assert_eq!(region.param("sure").unwrap().get::<f64>("by"), Ok(0.5));
    assert_eq!(overlay_place(&painted), (1, -2, 2, 2));
    assert!(painted.meta::<VideoAffineTransformationMeta>().is_none());
    assert!(painted.meta::<VideoCropMeta>().is_none());
}

#[test]
fn metas_of_a_whole_frame_are_kept() {
    let whole = info(VideoFormat::Rgb, 36, 24);
    let mut buffer = noise(&whole, 1);
    add_metas(buffer.get_mut().unwrap());
    let before = regions(&buffer);
    let element = element();
    let mut harness = harness(&element, &whole, &whole);
    let painted = harness.push_and_pull(buffer).unwrap();
    assert_eq!(regions(&painted), before);
    assert_eq!(overlay_place(&painted), (13, 6, 2, 2));
    let turned = painted.meta::<VideoAffineTransformationMeta>().unwrap();
    assert_eq!(turned.matrix(), &TURNED);
}

/// A sink that reads crop metas: upstream uses them while frames pass through. When
/// that ends it is told, and whether or not it crops itself from then on, the metas
/// end here.
#[test]
fn upstream_is_told_when_passing_through_begins_and_ends() {
    init();
    #[derive(Default)]
    struct Seen {
        /// Whether the last frame had a crop meta after the element.
        crop: Option<bool>,
        /// How often upstream was asked to negotiate anew.
        asked: usize,
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1 \
         ! videocrop left=20 top=10 ! faststyle name=style model={} device=cpu strength=0 \
         ! fakesink name=sink",
        model().display()
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let [element, sink] = ["style", "sink"].map(|name| pipeline.by_name(name).unwrap());
    let pad = sink.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        match info.query_mut().map(|query| query.view_mut()) {
            Some(gst::QueryViewMut::Allocation(query)) => {
                query.add_allocation_meta::<VideoMeta>(None);
                query.add_allocation_meta::<VideoCropMeta>(None);
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
    let probed = seen.clone();
    let before = element.static_pad("sink").unwrap();
    before.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if info.event().unwrap().type_() == gst::EventType::Reconfigure {
            probed.lock().unwrap().asked += 1;
        }
        gst::PadProbeReturn::Ok
    });
    let probed = seen.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().unwrap();
        let crop = buffer.meta::<VideoCropMeta>().is_some();
        probed.lock().unwrap().crop = Some(crop);
        // Where no crop meta says otherwise, the picture is the frame.
        match buffer.meta::<VideoMeta>() {
            Some(meta) if !crop => assert_eq!((meta.width(), meta.height()), (44, 38)),
            Some(_) => (),
            None => assert_eq!(buffer.size(), 44 * 38),
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let begin = std::time::Instant::now();
    let wait_for = |crop: bool| {
        while seen.lock().unwrap().crop != Some(crop) {
            std::thread::sleep(std::time::Duration::from_millis(5));
            assert!(begin.elapsed() < PATIENCE, "no frame with a crop: {crop}");
        }
        std::mem::take(&mut seen.lock().unwrap().asked)
    };
    wait_for(true);
    for _ in 0..2 {
        element.set_property("strength", 0.5);
        assert_eq!(wait_for(false), 1);
        element.set_property("strength", 0.0);
        assert_eq!(wait_for(true), 1);
    }
    element.set_property("strength", 1.0);
    assert_eq!(wait_for(false), 1);
    element.set_property("model", None::<&str>);
    assert_eq!(wait_for(true), 1);
    pipeline.set_state(gst::State::Null).unwrap();
    let bus = pipeline.bus().unwrap();
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}
