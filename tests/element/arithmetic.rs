//! The properties `precision` and `threads`.

use crate::common::*;
use gst::prelude::*;
use gst_video::VideoFormat;

fn styled(set: impl Fn(&gst::Element)) -> Vec<u8> {
    let info = info(VideoFormat::Rgb, 48, 40);
    let element = element();
    set(&element);
    let mut harness = harness(&element, &info, &info);
    let buffer = harness.push_and_pull(noise(&info, 5)).unwrap();
    buffer_rows(&info, &buffer).concat()
}

#[test]
fn fast_is_nearly_f32() {
    let exact = styled(|element| element.set_property_from_str("precision", "f32"));
    let fast = styled(|element| element.set_property_from_str("precision", "fast"));
    let sum: u32 = exact
        .iter()
        .zip(&fast)
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum();
    let mean = f64::from(sum) / exact.len() as f64;
    assert!(mean < 1.0, "off by {mean}");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let one = styled(|element| element.set_property("threads", 1u32));
    let three = styled(|element| element.set_property("threads", 3u32));
    let all = styled(|_| {});
    assert!(one == three && three == all);
}

#[test]
fn the_number_of_threads_is_bounded() {
    let element = element();
    assert_eq!(element.property::<u32>("threads"), 0);
    element.set_property("threads", 7u32);
    assert_eq!(element.property::<u32>("threads"), 7);
    let threads = element.find_property("threads").unwrap();
    let threads = threads.downcast::<gst::glib::ParamSpecUInt>().unwrap();
    assert_eq!((threads.minimum(), threads.maximum()), (0, 1024));
}
