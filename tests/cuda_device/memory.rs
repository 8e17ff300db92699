//! Frames in CUDA's memory, between GStreamer's own elements for them.

use crate::element::common::{buffer_rows, init, model, run};
use crate::stand_in::{self, Counts, alone};
use gst::glib::translate::{ToGlibPtr, from_glib_full};
use gst::prelude::*;
use gst_app::AppSink;
use gst_video::VideoInfo;
use gstfaststyle::Format;
use libloading::os::unix::{Library, Symbol};
use std::ffi::c_uint;
use std::sync::{Arc, Mutex};

const THERE: &str = "video/x-raw(memory:CUDAMemory)";

/// Whether GStreamer's elements for such memory are there: the plugins "bad"
/// have them. If not, the test is skipped.
fn has_cuda_elements() -> bool {
    init();
    let factory = gst::ElementFactory::find("cudaupload");
    // Its plugin makes a context for itself.
    let found = factory.is_some_and(|factory| factory.load().is_ok());
    // The test driver has all that version 1.22 of the plugin needs.
    let plugin = gst::Registry::get().find_plugin("nvcodec");
    let old = plugin.is_some_and(|plugin| plugin.version().starts_with("1.22."));
    assert!(found || !old || !stand_in::is_there(), "no cudaupload");
    if !found {
        stand_in::skip(
            "it needs cudaupload, of gstreamer1.0-plugins-bad, and a driver that it accepts",
        );
    }
    found
}

/// The element in the middle of a pipeline; `scale=1` is the network at the
/// frames' size.
fn faststyle(settings: &str) -> String {
    let model = model().display();
    format!("faststyle name=f device=cuda scale=1 model={model} {settings}")
}

/// Starts two frames of a format.
fn source(format: Format) -> String {
    format!(
        "videotestsrc pattern=smpte75 num-buffers=2 ! \
         video/x-raw,format={format},width=22,height=14"
    )
}

/// The rows of a frame, without what lies between them.
fn rows(sample: &gst::Sample) -> Vec<Vec<u8>> {
    let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    buffer_rows(&info, &sample.buffer_owned().unwrap())
}

/// The rows of all frames that come to the end of a pipeline.
fn frames(line: &str) -> Vec<Vec<Vec<u8>>> {
    let line = format!("{line} ! appsink name=sink sync=false wait-on-eos=false");
    let pipeline = run(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let sink = pipeline.by_name("sink").unwrap().downcast::<AppSink>();
    let sink = sink.unwrap();
    let pull = || sink.try_pull_sample(gst::ClockTime::ZERO);
    let frames: Vec<_> = std::iter::from_fn(pull).map(|s| rows(&s)).collect();
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(!frames.is_empty());
    frames
}

/// What came by way of CUDA's memory equals what came by way of the host's.
#[track_caller]
fn assert_same(from: Format, to: Format, settings: &str) {
    let (source, faststyle) = (source(from), faststyle(settings));
    let end = format!("video/x-raw,format={to}");
    let expected = frames(&format!("{source} ! {faststyle} ! {end}"));
    let both = format!(
        "{source} ! cudaupload ! {THERE} ! {faststyle} ! {THERE},format={to} ! cudadownload ! {end}"
    );
    let before = format!("{source} ! cudaupload ! {THERE} ! {faststyle} ! {end}");
    let after = format!("{source} ! {faststyle} ! {THERE},format={to} ! cudadownload ! {end}");
    for line in [both, before, after] {
        assert!(frames(&line) == expected, "{line}");
    }
}

#[test]
fn frames_equal_those_of_the_hosts_memory() {
    if !has_cuda_elements() {
        return;
    }
    assert_same(Format::Nv12, Format::Nv12, "");
    assert_same(Format::Bgra, Format::I420, "strength=0.5");
    assert_same(Format::P010_10Le, Format::Rgba, "keep-color=true");
    // A smaller picture for the network.
    assert_same(Format::Nv12, Format::Rgba, "scale=0.5");
    // Converted alone.
    assert_same(Format::Rgba, Format::Nv12, "strength=0");
}

#[test]
fn all_formats_go_in_and_out() {
    if !has_cuda_elements() {
        return;
    }
    init();
    let element = gst::ElementFactory::make("faststyle").build().unwrap();
    let caps = element.static_pad("sink").unwrap().query_caps(None);
    let features = caps.features(0).unwrap();
    assert!(features.contains("memory:CUDAMemory"), "{caps}");
    let formats = caps.structure(0).unwrap().get::<gst::List>("format");
    let names: Vec<String> = formats.unwrap().iter().map(|f| f.get().unwrap()).collect();
    assert!(names.len() > 20);
    let faststyle = faststyle("");
    for name in names {
        let format = Format::from_name(&name).unwrap();
        let source = source(format).replace("num-buffers=2", "num-buffers=1");
        let end = format!("video/x-raw,format={name}");
        let expected = frames(&format!("{source} ! {faststyle} ! {end}"));
        let there = format!(
            "{source} ! cudaupload ! {THERE} ! {faststyle} ! {THERE} ! cudadownload ! {end}"
        );
        assert!(frames(&there) == expected, "{name}");
    }
}

/// What the driver did while the second of two frames was in the element: counts
/// before and after. With the first one comes the style.
fn work_inside(line: &str) -> [Counts; 2] {
    let pipeline = gst::parse::launch(line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let element = pipeline.by_name("f").unwrap();
    let counts: Arc<Mutex<Vec<[Counts; 2]>>> = Arc::default();
    let add = counts.clone();
    let sink = element.static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let now = stand_in::counts();
        add.lock().unwrap().push([now, now]);
        gst::PadProbeReturn::Ok
    });
    let end = counts.clone();
    let src = element.static_pad("src").unwrap();
    src.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        end.lock().unwrap().last_mut().unwrap()[1] = stand_in::counts();
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = pipeline.bus().unwrap().timed_pop_filtered(
        gst::ClockTime::from_seconds(60),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    let message = message.expect("an end");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    let counts = counts.lock().unwrap();
    assert_eq!(counts.len(), 2);
    counts[1]
}

#[test]
fn frames_stay_in_device_memory() {
    alone("memory::frames_stay_in_device_memory", &[], || {
        if !has_cuda_elements() {
            return;
        }
        let contexts = stand_in::counts().contexts;
        let (source, faststyle) = (source(Format::Rgba), faststyle(""));
        let before = format!("{source} ! cudaupload ! {THERE} ! {faststyle}");
        let after = format!("{THERE} ! cudadownload ! fakesink");
        let bytes = 22 * 14 * 4;
        let [start, end] = work_inside(&format!("{before} ! {after}"));
        assert!(end.kernels > start.kernels);
        assert_eq!(end.uploaded, start.uploaded);
        assert_eq!(end.downloaded, start.downloaded);
        assert_eq!(end.moved, start.moved);
        // To the host alone, and from the host alone: each byte once.
        let [start, end] = work_inside(&format!("{before} ! video/x-raw,format=RGBA ! fakesink"));
        assert_eq!(end.uploaded, start.uploaded);
        assert_eq!(end.downloaded, start.downloaded + bytes);
        let [start, end] = work_inside(&format!("{source} ! {faststyle} ! {after}"));
        assert_eq!(end.uploaded, start.uploaded + bytes);
        assert_eq!(end.downloaded, start.downloaded);
        // All elements have been in one context.
        assert_eq!(stand_in::counts().contexts, contexts + 1);
    });
}

/// An application's own context, in which the network does not run.
#[test]
fn frames_of_another_context_are_painted_too() {
    let name = "memory::frames_of_another_context_are_painted_too";
    alone(name, &[], || {
        if !has_cuda_elements() {
            return;
        }
        let contexts = stand_in::counts().contexts;
        let (source, faststyle) = (source(Format::Nv12), faststyle(""));
        let end = "video/x-raw,format=RGBA";
        let expected = frames(&format!("{source} ! {faststyle} ! {end}"));

        let line = format!(
            "{source} ! cudaupload name=u ! {THERE} ! {faststyle} ! {THERE} ! cudadownload ! \
             {end} ! appsink name=sink sync=false"
        );
        let pipeline = gst::parse::launch(&line).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let context = foreign_context();
        pipeline.by_name("u").unwrap().set_context(&context);
        pipeline.set_state(gst::State::Playing).unwrap();
        let sink = pipeline.by_name("sink").unwrap();
        let sink = sink.downcast::<AppSink>().unwrap();
        for expected in expected {
            assert!(rows(&sink.pull_sample().unwrap()) == expected);
        }
        pipeline.set_state(gst::State::Null).unwrap();
        // The network's and the application's.
        assert_eq!(stand_in::counts().contexts, contexts + 2);
    });
}

fn foreign_context() -> gst::Context {
    type New = unsafe extern "C" fn(c_uint) -> *mut gst::ffi::GstObject;
    type Wrap = unsafe extern "C" fn(*mut gst::ffi::GstObject) -> *mut gst::ffi::GstContext;
    // SAFETY: the types are those of gst/cuda/*.h; both results are ours.
    unsafe {
        let library = Library::new("libgstcuda-1.0.so.0").unwrap();
        let new: Symbol<New> = library.get(b"gst_cuda_context_new").unwrap();
        let wrap: Symbol<Wrap> = library.get(b"gst_context_new_cuda_context").unwrap();
        let object: gst::Object = from_glib_full(new(0));
        from_glib_full(wrap(object.to_glib_none().0))
    }
}

#[test]
fn on_the_cpu_there_is_no_such_memory() {
    if !has_cuda_elements() {
        return;
    }
    let element = gst::ElementFactory::make("faststyle").build().unwrap();
    let takes = |device: &str| {
        element.set_property("device", device);
        ["sink", "src"].map(|pad| {
            let caps = element.static_pad(pad).unwrap().query_caps(None);
            let mut all = caps.iter_with_features();
            all.any(|(_, features)| features.contains("memory:CUDAMemory"))
        })
    };
    assert_eq!(takes("cuda"), [true, true]);
    assert_eq!(takes("cpu"), [false, false]);

    let (source, model) = (source(Format::Nv12), model().display());
    let line =
        format!("{source} ! cudaupload ! {THERE} ! faststyle device=cpu model={model} ! fakesink");
    assert!(run(&line).is_err());
}

/// `auto` without a device, or with too little memory, takes the host's.
#[test]
fn without_a_device_there_is_no_such_memory() {
    let variables = [("FASTSTYLE_STAND_IN", "busy")];
    let name = "memory::without_a_device_there_is_no_such_memory";
    alone(name, &variables, || {
        init();
        let (source, model) = (source(Format::Nv12), model().display());
        let line =
            format!("{source} ! faststyle name=f scale=1 model={model} ! video/x-raw,format=RGBA");
        let painted = frames(&line);
        assert_eq!(painted[0].concat().len(), 22 * 14 * 4);
    });
}

#[test]
fn frames_pass_through_without_a_model() {
    if !has_cuda_elements() {
        return;
    }
    let source = source(Format::Nv12);
    let expected = frames(&source);
    let line = format!(
        "{source} ! cudaupload ! {THERE} ! faststyle device=cuda ! {THERE},format=NV12 ! \
         cudadownload ! video/x-raw,format=NV12"
    );
    assert!(frames(&line) == expected);
}
