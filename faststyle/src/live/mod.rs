//! `faststyle live`: repaints live video.

mod controls;
mod feed;
mod keys;
mod outputs;
mod sound;
mod source;

pub use controls::{Choice, Controls, KEYS, State};
pub use source::Size;

use crate::cli::LiveArgs;
use crate::gstreamer::pipeline::{Pipeline, error_of};
use crate::gstreamer::{self, cameras, make};
use crate::messages::{print, say};
use crate::outcome::Outcome;
use crate::page::Page;
use crate::{stop, styles};
use anyhow::{Context, Result};
use gst::prelude::*;
use outputs::{Outputs, Recording};
use sound::Sound;
use source::Source;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long outputs may take to end.
const ENDING: Duration = Duration::from_secs(10);

/// Runs the command.
///
/// # Errors
/// Those of the source, of outputs and of elements.
pub fn run(args: Box<LiveArgs>) -> Result<Outcome> {
    gstreamer::init()?;
    if args.cameras {
        for (camera, number) in cameras::all().iter().zip(1..) {
            print(format_args!("{number}: {camera}"));
        }
        return Ok(Outcome::Finished);
    }
    stop::on_request()?;
    let look = args.look.clone().found()?;
    let (choices, chosen) = styles::choices(&look)?;
    let recording = args
        .record
        .as_deref()
        .map(|path| Recording::new(path, args.overwrite))
        .transpose()?;
    let source = Source::choose(args.camera.as_deref(), args.screen, args.input.as_deref())?;

    let pipeline = Pipeline::new();
    let [queue, convert, flip] = ["queue", "videoconvert", "videoflip"].map(make);
    let (queue, flip) = (queue?, flip?);
    // Old frames are dropped: the window shows the present.
    queue.set_property_from_str("leaky", "downstream");
    queue.set_property("max-size-buffers", 1u32);
    let style = look.element()?;
    pipeline.chain(&[queue.clone(), convert?, flip.clone(), style.clone()])?;
    let sound = (source.has_sound() && !args.no_sound)
        .then(|| Sound::new(&pipeline))
        .transpose()?;
    let input = sound.as_ref().map(|sound| sound.input(&pipeline));
    source.connect(&pipeline, &queue, input.transpose()?.as_ref(), args.size)?;

    let mut outputs = Outputs::new(&pipeline, &style, args.bitrate, sound)?;
    let (sender, keys) = mpsc::channel();
    let text = match !args.no_window && has_display() {
        true => {
            let (text, end) = outputs.window()?;
            outputs.speakers()?;
            keys::of_window(&end, sender.clone());
            text
        }
        false => {
            if !args.no_window {
                say("No window, for there is no display (DISPLAY and WAYLAND_DISPLAY are not set)");
            }
            outputs.nowhere()?;
            None
        }
    };
    add(&mut outputs, &args, recording.as_ref())?;
    let mut controls = Controls::new(style, text, flip, choices);
    controls.choose(chosen);
    controls.set_mirror(args.mirror);
    let controls = Arc::new(Mutex::new(controls));
    let page = match &args.page {
        Some(address) => {
            let page = Page::open(*address, controls.clone())?;
            let pictures = page.pictures();
            outputs.pictures(move |picture| pictures.show(picture))?;
            say(format_args!("The page: {}", page.address()));
            Some(page)
        }
        None => None,
    };
    let _terminal = keys::of_terminal(sender)?;
    say(KEYS);
    let played = play(&pipeline, &controls, &keys, args.duration);
    drop(page);
    drop(pipeline);
    finish(played, recording.as_ref())
}

/// The outputs beside the window.
fn add(outputs: &mut Outputs, args: &LiveArgs, recording: Option<&Recording>) -> Result<()> {
    if let Some(device) = &args.virtual_camera {
        outputs.virtual_camera(device)?;
    }
    if let Some(location) = &args.rtmp {
        outputs.rtmp(location)?;
    }
    if let Some(uri) = &args.srt {
        outputs.srt(uri)?;
    }
    if let Some(folder) = &args.hls {
        outputs.hls(folder)?;
    }
    if let Some(endpoint) = &args.whip {
        outputs.whip(endpoint)?;
    }
    if let Some(recording) = recording {
        outputs.record(recording)?;
    }
    Ok(())
}

fn has_display() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// Plays until someone ends it, or for a time.
fn play(
    pipeline: &Pipeline,
    controls: &Mutex<Controls>,
    keys: &Receiver<char>,
    duration: Option<gst::ClockTime>,
) -> Result<()> {
    pipeline.play()?;
    let started = Instant::now();
    let bus = pipeline.0.bus().context("no bus")?;
    let mut ending = None::<Instant>;
    let mut shown = Instant::now();
    loop {
        if let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(20)) {
            match message.view() {
                gst::MessageView::Eos(_) => return Ok(()),
                gst::MessageView::Error(error) => return Err(error_of(error)),
                gst::MessageView::Warning(warning) => say(warning.error()),
                gst::MessageView::Latency(_) => pipeline.0.recalculate_latency()?,
                _ => (),
            }
        }
        let mut controls = controls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut go_on = !stop::requested();
        while let Ok(key) = keys.try_recv() {
            go_on &= controls.press(key);
        }
        if shown.elapsed() > Duration::from_millis(500) {
            controls.show_statistics();
            shown = Instant::now();
        }
        drop(controls);
        go_on &= duration
            .is_none_or(|duration| started.elapsed() < Duration::from_nanos(duration.nseconds()));
        match ending {
            None if !go_on => {
                // Recordings and streams are brought to their ends.
                pipeline.0.send_event(gst::event::Eos::new());
                ending = Some(Instant::now());
            }
            Some(since) if since.elapsed() > ENDING => return Ok(()),
            _ => (),
        }
    }
}

/// Keeps the recording.
fn finish(played: Result<()>, recording: Option<&Recording>) -> Result<Outcome> {
    if let Some(recording) = recording {
        match &played {
            Ok(()) => {
                recording.publish()?;
                print(format_args!("Written: {}", recording.path().display()));
            }
            Err(_) if recording.part().exists() => say(format_args!(
                "What was recorded is in {}",
                recording.part().display()
            )),
            Err(_) => (),
        }
    }
    played.map(|()| Outcome::Finished)
}
