//! The property `network-every`.

use crate::common::*;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

fn scene_info() -> VideoInfo {
    info(VideoFormat::Rgb, 64, 48)
}

/// One of two scenes.
fn frame(scene: u8) -> Vec<u8> {
    let bytes = (0..48 * 64 * 3).map(|i| {
        let value = shared::wave(i / 3 % 64, i / 192, i % 3) as u8;
        if scene == 0 { value } else { 255 - value }
    });
    bytes.collect()
}

fn player_with(every: u32) -> Player {
    Player::new(&scene_info(), |element| {
        element.set_property("network-every", every)
    })
}

fn counts(player: &Player) -> [u64; 3] {
    let stats = stats(&player.element);
    ["styled", "key-frames", "carried-frames"].map(|name| stats.get(name).unwrap())
}

#[test]
fn key_frames_are_counted_and_the_others_carried() {
    let mut player = player_with(1);
    let painted = player.show(frame(0), 0);
    player.show(frame(0), 40);
    assert_eq!(counts(&player), [2, 2, 0]);
    // While playing.
    player.element.set_property("network-every", 3u32);
    for i in 2..9 {
        assert_eq!(player.show(frame(0), 40 * i), painted);
    }
    let [styled, keys, carried] = counts(&player);
    assert_eq!((styled, keys + carried >= styled), (9, true));
    assert!((3..=5).contains(&keys), "{keys}");
    assert_eq!(stats(&player.element).get::<f64>("repaired-share"), Ok(0.0));
    player.element.set_property("network-every", 1u32);
    player.show(frame(0), 400);
    assert_eq!(counts(&player)[1], keys + 1);
}

#[test]
fn cuts_and_jumps_in_time_are_painted_by_themselves() {
    let alone = |scene| player_with(1).show(frame(scene), 0);
    let mut player = player_with(60);
    player.show(frame(0), 1000);
    assert_eq!(player.show(frame(1), 1040), alone(1), "a cut");
    player.show(frame(1), 1080);
    assert_eq!(counts(&player), [3, 2, 1]);
    assert_eq!(player.show(frame(1), 500), alone(1), "a jump back");
    assert_eq!(player.show(frame(1), 5000), alone(1), "a gap");
    assert_eq!(counts(&player), [5, 4, 1]);
}

#[test]
fn by_default_all_frames_are_key_frames() {
    let mut player = player_with(0);
    assert_eq!(element().property::<u32>("network-every"), 1);
    // As few as it takes: a small frame leaves time for all in the end, whatever the
    // first were.
    for i in 0..3 {
        player.show(frame(0), 40 * i);
    }
    assert_eq!(counts(&player)[0], 3);
}
