//! The property `network-every`.

use crate::common::*;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

fn scene_info() -> VideoInfo {
    info(VideoFormat::Rgb, 64, 48)
}

/// One of two scenes, shown at `ms`.
fn frame(scene: u8, ms: u64) -> gst::Buffer {
    let bytes = (0..48 * 64 * 3).map(|i| {
        let value = shared::wave(i / 3 % 64, i / 192, i % 3) as u8;
        if scene == 0 { value } else { 255 - value }
    });
    let mut buffer = gst::Buffer::from_mut_slice(bytes.collect::<Vec<_>>());
    let pts = gst::ClockTime::from_mseconds(ms);
    buffer.get_mut().unwrap().set_pts(pts);
    buffer
}

struct Player {
    element: gst::Element,
    harness: gst_check::Harness,
}

impl Player {
    fn new(every: u32) -> Self {
        let element = element();
        element.set_property("network-every", every);
        let harness = harness(&element, &scene_info(), &scene_info());
        Player { element, harness }
    }

    fn show(&mut self, scene: u8, ms: u64) -> Vec<u8> {
        let styled = self.harness.push_and_pull(frame(scene, ms)).unwrap();
        buffer_rows(&scene_info(), &styled).concat()
    }

    fn counts(&self) -> [u64; 3] {
        let stats = stats(&self.element);
        ["styled", "key-frames", "carried-frames"].map(|name| stats.get(name).unwrap())
    }
}

#[test]
fn key_frames_are_counted_and_the_others_carried() {
    let mut player = Player::new(1);
    let painted = player.show(0, 0);
    player.show(0, 40);
    assert_eq!(player.counts(), [2, 2, 0]);
    // While playing.
    player.element.set_property("network-every", 3u32);
    for i in 2..9 {
        assert_eq!(player.show(0, 40 * i), painted);
    }
    let [styled, keys, carried] = player.counts();
    assert_eq!((styled, keys + carried >= styled), (9, true));
    assert!((3..=5).contains(&keys), "{keys}");
    assert_eq!(stats(&player.element).get::<f64>("repaired-share"), Ok(0.0));
    player.element.set_property("network-every", 1u32);
    player.show(0, 400);
    assert_eq!(player.counts()[1], keys + 1);
}

#[test]
fn cuts_and_jumps_in_time_are_painted_by_themselves() {
    let alone = |scene| Player::new(1).show(scene, 0);
    let mut player = Player::new(60);
    player.show(0, 1000);
    assert_eq!(player.show(1, 1040), alone(1), "a cut");
    player.show(1, 1080);
    assert_eq!(player.counts(), [3, 2, 1]);
    assert_eq!(player.show(1, 500), alone(1), "a jump back");
    assert_eq!(player.show(1, 5000), alone(1), "a gap");
    assert_eq!(player.counts(), [5, 4, 1]);
}

#[test]
fn by_default_all_frames_are_key_frames() {
    let mut player = Player::new(0);
    assert_eq!(element().property::<u32>("network-every"), 1);
    // As few as it takes: a small frame leaves time for all in the end, whatever the
    // first were.
    for i in 0..3 {
        player.show(0, 40 * i);
    }
    assert_eq!(player.counts()[0], 3);
}
