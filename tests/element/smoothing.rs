//! The property `smoothing`.

use crate::common::*;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

fn scene_info() -> VideoInfo {
    info(VideoFormat::Rgb, 64, 48)
}

/// A resting scene with noise of its own.
fn frame(seed: u64) -> Vec<u8> {
    let grain = shared::random(seed, 64 * 48 * 3, -3.0..3.0);
    let bytes = (0..48 * 64 * 3).map(|i| {
        let (y, x, c) = (i / 192, i / 3 % 64, i % 3);
        (shared::wave(x, y, c) + grain[i]) as u8
    });
    bytes.collect()
}

fn player_with(smoothing: f64) -> Player {
    Player::new(&scene_info(), |element| {
        element.set_property("smoothing", smoothing)
    })
}

/// Frame `seed` by itself.
fn alone(seed: u64) -> Vec<u8> {
    player_with(0.0).show(frame(seed), 0)
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    let off = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)));
    off.sum::<f64>() / a.len() as f64
}

#[test]
fn paintings_become_calm_and_without_smoothing_stay_as_they_are() {
    let mut player = player_with(0.8);
    let shown: Vec<_> = (0..6).map(|i| player.show(frame(i), 40 * i)).collect();
    assert_eq!(shown[0], alone(0));
    let (calm, painted) = (
        difference(&shown[5], &shown[4]),
        difference(&alone(5), &alone(4)),
    );
    assert!(calm < 0.5 * painted, "{calm}, without smoothing {painted}");

    let mut player = player_with(0.0);
    for i in 0..3 {
        assert_eq!(player.show(frame(i), 40 * i), alone(i));
    }
}

#[test]
fn smoothing_changes_while_playing() {
    let mut player = player_with(0.0);
    player.show(frame(0), 0);
    player.element.set_property("smoothing", 0.8);
    assert_eq!(
        player.show(frame(1), 40),
        alone(1),
        "the first to be remembered"
    );
    assert_ne!(player.show(frame(2), 80), alone(2));
    player.element.set_property("smoothing", 0.0);
    assert_eq!(player.show(frame(3), 120), alone(3));
}

#[test]
fn nothing_is_remembered_after_a_jump_in_time() {
    let mut player = player_with(0.8);
    player.show(frame(0), 1000);
    assert_eq!(player.show(frame(1), 500), alone(1), "back");
    assert_eq!(player.show(frame(2), 5000), alone(2), "forward");
    assert_ne!(player.show(frame(3), 5040), alone(3));
}

#[test]
fn statistics_have_the_time_of_motion() {
    let mut player = player_with(0.8);
    player.show(frame(0), 0);
    player.show(frame(1), 40);
    let stats = stats(&player.element);
    assert!(stats.get::<f64>("motion-mean-ms").unwrap() > 0.0);
}
