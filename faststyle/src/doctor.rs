//! `faststyle doctor`: what this machine has, and how fast it will be.

use crate::cli::DoctorArgs;
use crate::film::codec::Codec;
use crate::gstreamer::{self, cameras, have, packages};
use crate::messages::print;
use crate::outcome::Outcome;
use crate::sheet;
use anyhow::{Context, Result};
use clap::ValueEnum;
use gstfaststyle::internals::network::Library;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::{DeviceChoice, Engine, Image, Options, Prepared};
use std::time::{Duration, Instant};

/// What needs which elements, beside encoders: one of those in a group is enough.
const USES: &[(&str, &[&str])] = &[
    ("reading films", &["decodebin"]),
    (
        "reading H.264",
        &["avdec_h264", "openh264dec", "nvh264dec", "vah264dec"],
    ),
    (
        "reading H.265",
        &["avdec_h265", "libde265dec", "nvh265dec", "vah265dec"],
    ),
    (
        "reading AV1",
        &["dav1ddec", "av1dec", "nvav1dec", "vaav1dec"],
    ),
    ("Matroska", &["matroskamux"]),
    ("MP4", &["mp4mux"]),
    ("films that stand upright", &["videoflip"]),
    ("a window", &["autovideosink"]),
    ("statistics in the window", &["textoverlay"]),
    ("cameras", &["v4l2src", "pipewiresrc"]),
    ("a virtual camera", &["v4l2sink"]),
    ("the screen", &["ximagesrc"]),
    ("RTMP", &["rtmp2sink", "rtmpsink"]),
    ("SRT", &["srtsink"]),
    ("HLS", &["hlssink2"]),
    ("WHIP", &["whipclientsink"]),
];

/// The size of the frames whose speed is measured, and for how long.
const SIZE: (u32, u32) = (640, 360);
const MEASURED: Duration = Duration::from_secs(2);

/// Runs the command.
///
/// # Errors
/// GStreamer does not start.
pub fn run(args: &DoctorArgs) -> Result<Outcome> {
    gstreamer::init()?;
    print(format_args!("faststyle {}", env!("CARGO_PKG_VERSION")));
    print(gst::version_string());
    let levels: Vec<_> = Level::available()
        .iter()
        .map(|level| level.to_string())
        .collect();
    print(format_args!(
        "CPU: {} cores, kernels for {}",
        cores(),
        levels.join(", ")
    ));
    match Engine::new(&tiny()?, DeviceChoice::Cuda(0)) {
        Ok(_) => print("CUDA: the first device works"),
        Err(error) => print(format_args!(
            "CUDA: no ({})",
            gstfaststyle::internals::engine::error_chain(&error)
        )),
    }
    cameras_and_plugins();
    let library = Library::of_executable();
    let (styles, faults) = crate::styles::installed(&library);
    print(format_args!("styles: {}", styles.len()));
    for fault in faults {
        print(format_args!("  {fault}"));
    }
    match styles.first() {
        None => print(format_args!(
            "  none; set GST_FASTSTYLE_MODEL_PATH to their folder"
        )),
        Some(_) if args.quick => (),
        Some(style) => {
            let rate = measure(style).context("measuring")?;
            let (width, height) = SIZE;
            print(format_args!(
                "speed: {rate:.1} frames/s of {width}x{height} in the style {}",
                style.name
            ));
            // The time for a frame grows with its pixels.
            let pixels = f64::from(width * height);
            for (name, other) in [("1280x720", 1280.0 * 720.0), ("1920x1080", 1920.0 * 1080.0)] {
                print(format_args!(
                    "  about {:.1} frames/s of {name}",
                    rate * pixels / other
                ));
            }
        }
    }
    Ok(Outcome::Finished)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A model that any device can run.
fn tiny() -> Result<gstfaststyle::Model> {
    Ok(gstfaststyle::Model::random(
        gstfaststyle::Architecture::with_width(4),
        1,
    )?)
}

fn cameras_and_plugins() {
    let cameras = cameras::all();
    match cameras.is_empty() {
        true => print("cameras: none"),
        false => print(format_args!("cameras: {}", cameras::list(&cameras))),
    }
    let mut missing = 0;
    let uses = USES
        .iter()
        .map(|(what, elements)| ((*what).to_owned(), *elements, elements[0]));
    let codecs = Codec::value_variants().iter().map(|codec| {
        let what = format!("writing {}", codec.name());
        (what, codec.encoders(), codec.usual_encoder())
    });
    for (what, elements, named) in uses.chain(codecs) {
        if !elements.iter().any(|element| have(element)) {
            print(format_args!(
                "missing: {what} needs {} ({})",
                elements.join(" or "),
                packages::place_of(named)
            ));
            missing += 1;
        }
    }
    if missing == 0 {
        print("plugins: all there");
    }
}

/// Frames a second that the network paints.
fn measure(installed: &crate::styles::Installed) -> Result<f64> {
    let prepared = Prepared::load(&installed.file, Options::default())?;
    let mut engine = Engine::of(prepared);
    let still = sheet::still()?;
    let (width, height) = SIZE;
    let still =
        image::imageops::resize(&still, width, height, image::imageops::FilterType::Triangle);
    let input = sheet::planar(&still);
    let mut painted = Image::default();
    // The first takes the memory.
    engine.stylize(&input, &mut painted)?;
    let from = Instant::now();
    let mut frames = 0.0;
    while from.elapsed() < MEASURED {
        engine.stylize(&input, &mut painted)?;
        frames += 1.0;
    }
    Ok(frames / from.elapsed().as_secs_f64())
}
