//! What happens to frames: pixels, strides, timestamps, metas.

use crate::common::*;
use gst_video::VideoFormat;

/// Styles one frame of noise and compares it to what the engine makes of it.
fn check(input: VideoFormat, output: VideoFormat, width: u32, height: u32) {
    let (input, output) = (info(input, width, height), info(output, width, height));
    let buffer = noise(&input, 1);
    let bytes = buffer.map_readable().unwrap().to_vec();
    let element = element();
    let mut harness = harness(&element, &input, &output);
    let styled = harness.push_and_pull(buffer).unwrap();
    assert_eq!(
        buffer_rows(&output, &styled),
        expected(&input, &bytes, &output, 1.0),
        "{} to {} at {width}x{height}",
        input.name(),
        output.name()
    );
}

#[test]
fn every_format_into_every_format() {
    // From each and into each, with the next one and with a usual one on the other
    // side.
    let usual = [
        VideoFormat::Rgb,
        VideoFormat::Bgra,
        VideoFormat::I420,
        VideoFormat::Gray8,
        VideoFormat::A42010le,
    ];
    let all: Vec<VideoFormat> = formats().collect();
    let others = all.iter().cycle().skip(1).zip(usual.iter().cycle());
    for (format, (next, usual)) in all.iter().zip(others) {
        check(*format, *next, 8, 5);
        check(*format, *usual, 8, 5);
        check(*usual, *format, 8, 5);
    }
}

#[test]
fn every_frame_size_is_painted() {
    for (width, height) in [(1, 1), (2, 2), (3, 5), (64, 48), (65, 49), (1, 9), (9, 1)] {
        check(VideoFormat::I420, VideoFormat::I420, width, height);
        check(VideoFormat::Yuy2, VideoFormat::Bgrx, width, height);
    }
}

/// So large that threads share the work, with sides that divide by nothing.
#[test]
fn every_format_at_larger_sizes() {
    for format in formats() {
        match has_odd_widths(format) {
            true => check(format, format, 385, 289),
            false => check(format, format, 384, 289),
        }
    }
}

#[test]
fn the_picture_changes() {
    let info = info(VideoFormat::Rgb, 64, 48);
    let buffer = noise(&info, 2);
    let before = buffer_rows(&info, &buffer);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    let styled = harness.push_and_pull(buffer).unwrap();
    assert_ne!(buffer_rows(&info, &styled), before);
}

/// The same picture as in tight planes, though the rows lie wider apart.
#[test]
fn strides_of_the_buffer_itself() {
    for format in formats() {
        let info = info(format, 14, 7);
        let bytes = noise(&info, 3).map_readable().unwrap().to_vec();
        let buffer = with_gaps(&info, &bytes, 5);
        let element = element();
        let mut harness = harness(&element, &info, &info);
        let styled = harness.push_and_pull(buffer).unwrap();
        assert_eq!(
            buffer_rows(&info, &styled),
            expected(&info, &bytes, &info, 1.0),
            "{format}"
        );
    }
}

#[test]
fn planes_in_memories_of_their_own() {
    let info = info(VideoFormat::Nv12, 16, 8);
    let bytes = noise(&info, 4).map_readable().unwrap().to_vec();
    let (luma, chroma) = bytes.split_at(info.offset()[1]);
    let mut buffer = gst::Buffer::new();
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.append_memory(gst::Memory::from_slice(luma.to_vec()));
        buffer.append_memory(gst::Memory::from_slice(chroma.to_vec()));
    }
    let element = element();
    let mut harness = harness(&element, &info, &info);
    let styled = harness.push_and_pull(buffer).unwrap();
    assert_eq!(
        buffer_rows(&info, &styled),
        expected(&info, &bytes, &info, 1.0)
    );
}

#[test]
fn timestamps_flags_and_metas_are_kept() {
    let input = info(VideoFormat::Yuy2, 16, 8);
    let output = info(VideoFormat::Rgba, 16, 8);
    let mut buffer = noise(&input, 5);
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(gst::ClockTime::from_mseconds(40));
        buffer.set_dts(gst::ClockTime::from_mseconds(20));
        buffer.set_duration(gst::ClockTime::from_mseconds(33));
        buffer.set_offset(17);
        buffer.set_offset_end(18);
        buffer.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER);
        gst_video::VideoRegionOfInterestMeta::add(buffer, "face", (1, 2, 3, 4));
        gst::ReferenceTimestampMeta::add(
            buffer,
            &gst::Caps::new_empty_simple("timestamp/x-ntp"),
            gst::ClockTime::from_seconds(9),
            gst::ClockTime::NONE,
        );
    }
    let element = element();
    let mut harness = harness(&element, &input, &output);
    let styled = harness.push_and_pull(buffer).unwrap();
    assert_eq!(styled.pts(), Some(gst::ClockTime::from_mseconds(40)));
    assert_eq!(styled.dts(), Some(gst::ClockTime::from_mseconds(20)));
    assert_eq!(styled.duration(), Some(gst::ClockTime::from_mseconds(33)));
    let flags = gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER;
    assert!(styled.flags().contains(flags));
    let region = styled.meta::<gst_video::VideoRegionOfInterestMeta>();
    let region = region.expect("a region of interest");
    assert_eq!(region.roi_type(), "face");
    assert_eq!(region.rect(), (1, 2, 3, 4));
    let time = styled.meta::<gst::ReferenceTimestampMeta>();
    let time = time.expect("a reference timestamp").timestamp();
    assert_eq!(time, gst::ClockTime::from_seconds(9));
}

#[test]
fn the_input_is_left_alone() {
    let info = info(VideoFormat::Bgra, 16, 8);
    let buffer = noise(&info, 6);
    let before = buffer.map_readable().unwrap().to_vec();
    let element = element();
    let mut harness = harness(&element, &info, &info);
    harness.push_and_pull(buffer.clone()).unwrap();
    assert_eq!(*buffer.map_readable().unwrap(), before);
}

#[test]
fn late_frames_are_dropped() {
    let info = info(VideoFormat::Gray8, 8, 8);
    let element = element();
    let mut harness = harness(&element, &info, &info);
    let at = |seconds| {
        let mut buffer = noise(&info, 7);
        let pts = gst::ClockTime::from_seconds(seconds);
        buffer.get_mut().unwrap().set_pts(pts);
        buffer
    };
    harness.push_and_pull(at(1)).unwrap();
    // The frame of 2 s was 10 s late: what is due before that is not worth it.
    let event = gst::event::Qos::new(
        gst::QOSType::Underflow,
        2.0,
        10_000_000_000,
        gst::ClockTime::from_seconds(2),
    );
    harness.push_upstream_event(event);
    harness.push(at(3)).unwrap();
    assert!(harness.try_pull().is_none());
    assert!(harness.push_and_pull(at(30)).is_ok());
}
