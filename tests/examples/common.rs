//! The programs, what they are given, and what they write.

#[path = "../common/pipeline.rs"]
mod pipeline;
#[path = "../common/running.rs"]
mod running;

pub use pipeline::{PATIENCE, play};
pub use running::Running;

use assert_cmd::Command;
use gst::prelude::*;
use gstfaststyle::{Architecture, Model, Style};
use image::RgbImage;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use tempfile::TempDir;

/// Frames of the clip.
pub const FRAMES: usize = 30;

/// All that tests write; there until the process ends.
pub static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());

/// Where cargo has put what it built.
pub static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
});

/// Tiny networks: `one.safetensors`, `two.safetensors`, and `several.safetensors`,
/// which has two styles.
pub static MODELS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = path("models");
    std::fs::create_dir(&folder).unwrap();
    for (name, seed, styles) in [("one", 1, 1), ("two", 2, 1), ("several", 3, 2)] {
        let architecture = Architecture {
            residual_blocks: 1,
            styles,
            ..Architecture::with_width(4)
        };
        let mut model = Model::random(architecture, seed).unwrap();
        let style = |i| Style {
            name: format!("style-{i}"),
            ..Style::default()
        };
        model.styles = (0..styles).map(style).collect();
        model
            .save(folder.join(name).with_extension("safetensors"))
            .unwrap();
    }
    folder
});

/// A clip with sound, whose name is awkward.
pub static CLIP: LazyLock<PathBuf> = LazyLock::new(|| {
    let clip = path("a \"clip\" of mine's.mp4");
    let line = format!(
        "videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,width=66,height=50,framerate=25/1 \
         ! x264enc ! mux. \
         audiotestsrc num-buffers=40 ! audio/x-raw,rate=44100 ! avenc_aac ! mux. \
         mp4mux name=mux ! filesink name=file"
    );
    play(&line, &clip, |_| ());
    clip
});

pub fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

pub fn model(name: &str) -> PathBuf {
    MODELS.join(name).with_extension("safetensors")
}

/// An example program.
pub fn example(name: &str) -> Command {
    let program = BUILT.join("examples").join(name);
    let missing = "`cargo test` builds examples; `cargo test --test` alone does not";
    assert!(program.exists(), "no {}: {missing}", program.display());
    command(&program)
}

/// An example script, which finds the plugin by itself.
pub fn script(name: &str) -> Command {
    command(&Path::new("examples").join(name))
}

pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.timeout(PATIENCE);
    for (name, value) in environment() {
        command.env(name, value);
    }
    command
}

/// What scripts and Python need in order to find the plugin of this build.
pub fn environment() -> [(&'static str, PathBuf); 4] {
    static TARGET: LazyLock<PathBuf> = LazyLock::new(|| {
        let target = path("target");
        let folder = target.join("release");
        std::fs::create_dir_all(&folder).unwrap();
        let plugin = "libgstfaststyle.so";
        let built = BUILT.join("deps").join(plugin);
        std::os::unix::fs::symlink(built, folder.join(plugin)).unwrap();
        target
    });
    [
        ("CARGO_TARGET_DIR", TARGET.clone()),
        ("GST_PLUGIN_PATH", TARGET.join("release")),
        ("GST_REGISTRY", path("registry.bin")),
        ("RUST_BACKTRACE", "0".into()),
    ]
}

/// The encoded frames of each stream in a file, by its kind.
pub fn streams(file: &Path) -> BTreeMap<String, Vec<Vec<u8>>> {
    let streams = Arc::new(Mutex::new(BTreeMap::<_, Vec<Vec<u8>>>::new()));
    play(
        "filesrc name=file ! parsebin name=parser",
        file,
        |pipeline| {
            let streams = streams.clone();
            let pipeline_weak = pipeline.downgrade();
            let parser = pipeline.by_name("parser").unwrap();
            parser.connect_pad_added(move |_, pad| {
                let caps = pad.current_caps().unwrap();
                let kind = caps.structure(0).unwrap().name().to_string();
                let streams = streams.clone();
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                    let bytes = info.buffer().unwrap().map_readable().unwrap().to_vec();
                    streams
                        .lock()
                        .unwrap()
                        .entry(kind.clone())
                        .or_default()
                        .push(bytes);
                    gst::PadProbeReturn::Ok
                });
                let line = "queue ! fakesink sync=false";
                let sink = gst::parse::bin_from_description(line, true).unwrap();
                pipeline_weak.upgrade().unwrap().add(&sink).unwrap();
                sink.sync_state_with_parent().unwrap();
                pad.link(&sink.static_pad("sink").unwrap()).unwrap();
            });
        },
    );
    Arc::into_inner(streams).unwrap().into_inner().unwrap()
}

/// The pictures of a file.
pub fn pictures(file: &Path) -> Vec<RgbImage> {
    let pictures = Arc::new(Mutex::new(Vec::new()));
    let line = "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=RGB ! fakesink name=sink";
    play(line, file, |pipeline| {
        let pictures = pictures.clone();
        let pad = pipeline
            .by_name("sink")
            .unwrap()
            .static_pad("sink")
            .unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let caps = pad.current_caps().unwrap();
            let video = gst_video::VideoInfo::from_caps(&caps).unwrap();
            let bytes = info.buffer().unwrap().map_readable().unwrap();
            let picture = RgbImage::from_fn(video.width(), video.height(), |x, y| {
                let at = y as usize * video.stride()[0] as usize + 3 * x as usize;
                image::Rgb([bytes[at], bytes[at + 1], bytes[at + 2]])
            });
            pictures.lock().unwrap().push(picture);
            gst::PadProbeReturn::Ok
        });
    });
    Arc::into_inner(pictures).unwrap().into_inner().unwrap()
}

/// How much two pictures differ on average in a range of columns.
pub fn difference(a: &RgbImage, b: &RgbImage, columns: std::ops::Range<u32>) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let pixels = a.enumerate_pixels().filter(|(x, ..)| columns.contains(x));
    let differences: Vec<f64> = pixels
        .flat_map(|(x, y, pixel)| {
            let other = b.get_pixel(x, y);
            [0, 1, 2].map(|i| f64::from(pixel[i].abs_diff(other[i])))
        })
        .collect();
    differences.iter().sum::<f64>() / differences.len() as f64
}
