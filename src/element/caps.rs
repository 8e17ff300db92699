//! The caps that the element accepts, and the frames that they describe.

use crate::engine::frame::{ColorFamily, ColorRange, Colorimetry, Format, FrameInfo};
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoInfo, VideoMultiviewMode};

/// The caps feature of frames on an NVIDIA GPU.
const CUDA_MEMORY: &str = "memory:CUDAMemory";

/// Formats that GStreamer supports in CUDA memory, of those that the CUDA kernels
/// read and write.
const CUDA_FORMATS: [Format; 21] = [
    Format::Nv12,
    Format::Nv21,
    Format::I420,
    Format::Yv12,
    Format::Y42b,
    Format::Y444,
    Format::Yuy2,
    Format::Uyvy,
    Format::P010_10Le,
    Format::I420_10Le,
    Format::I422_10Le,
    Format::Rgba,
    Format::Bgra,
    Format::Argb,
    Format::Abgr,
    Format::Rgbx,
    Format::Bgrx,
    Format::Rgb,
    Format::Bgr,
    Format::Rgb10A2Le,
    Format::Bgr10A2Le,
];

/// Where frames are stored.
#[derive(Clone, Copy, PartialEq)]
enum Memory {
    Host,
    Cuda,
}

impl Memory {
    /// Kinds of memory, best first.
    fn all(cuda: bool) -> &'static [Memory] {
        match cuda {
            true => &[Memory::Cuda, Memory::Host],
            false => &[Memory::Host],
        }
    }

    /// The memory of caps with these features, if it is supported.
    fn of(features: &gst::CapsFeaturesRef) -> Option<Self> {
        let cuda = gst::CapsFeatures::new([CUDA_MEMORY]);
        if features.is_equal(gst::CAPS_FEATURES_MEMORY_SYSTEM_MEMORY.as_ref()) {
            Some(Memory::Host)
        } else {
            features.is_equal(cuda.as_ref()).then_some(Memory::Cuda)
        }
    }

    fn features(self) -> gst::CapsFeatures {
        gst::CapsFeatures::new([match self {
            Memory::Host => gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY.as_str(),
            Memory::Cuda => CUDA_MEMORY,
        }])
    }

    fn formats(self) -> &'static [Format] {
        match self {
            Memory::Host => Format::ALL,
            Memory::Cuda => &CUDA_FORMATS,
        }
    }
}

/// Whether frames of these caps are in CUDA memory.
pub fn is_cuda(caps: &gst::CapsRef) -> bool {
    let features = caps.features(0);
    features.is_some_and(|features| Memory::of(features) == Some(Memory::Cuda))
}

/// All formats that the pixel code reads and writes; `cuda`: also in CUDA memory.
pub fn template(cuda: bool) -> gst::Caps {
    let mut all = gst::Caps::new_empty();
    for memory in Memory::all(cuda) {
        let formats = memory.formats().iter();
        let formats = formats.map(|format| VideoFormat::from_string(format.name()));
        let mut caps = gst_video::VideoCapsBuilder::new()
            .format_list(formats)
            .build();
        if *memory == Memory::Cuda {
            caps.make_mut().set_features_simple(Some(memory.features()));
        }
        all.merge(caps);
    }
    all
}

/// The caps possible on the other pad when one has `caps`: first the same, then
/// any format of the same size, rate and so on; `cuda`: also in CUDA memory.
pub fn other_side(caps: &gst::CapsRef, cuda: bool) -> gst::Caps {
    if caps.is_any() {
        return template(cuda);
    }
    let kinds = Memory::all(cuda);
    let ours = |features| Memory::of(features).is_some_and(|memory| kinds.contains(&memory));
    let same = caps.iter_with_features();
    let same: Vec<_> = same.filter(|(_, features)| ours(features)).collect();
    let mut all = gst::Caps::new_empty();
    for (structure, features) in &same {
        let structure = (*structure).to_owned();
        let features = (*features).to_owned();
        all.make_mut()
            .append_structure_full(structure, Some(features));
    }
    for memory in kinds {
        for (structure, _) in &same {
            let mut other = (*structure).to_owned();
            let formats = memory.formats().iter().map(|f| f.name());
            other.set("format", gst::List::new(formats));
            other.remove_fields(["colorimetry", "chroma-site"]);
            all.make_mut()
                .append_structure_full(other, Some(memory.features()));
        }
    }
    all
}

/// Chooses the caps in `others` that lose least of `caps`: the same format and
/// colours if possible, else the nearest format. `cuda`: prefer CUDA memory.
pub fn fixate(caps: &gst::Caps, mut others: gst::Caps, cuda: bool) -> gst::Caps {
    let mut there = caps.clone();
    if cuda {
        let features = Memory::Cuda.features();
        there.make_mut().set_features_simple(Some(features));
    }
    let same = [there, caps.clone()].map(|caps| others.intersect(&caps));
    if let Some(same) = same.into_iter().find(|same| !same.is_empty()) {
        others = same;
    } else if let Some(nearest) = caps.structure(0).and_then(|from| nearest(from, &others)) {
        others = nearest;
    }
    others.fixate();
    others
}

/// The structure and format of `others` that are nearest to `from`.
fn nearest(from: &gst::StructureRef, others: &gst::CapsRef) -> Option<gst::Caps> {
    let format = formats(from).next()?;
    let candidates = others.iter_with_features().flat_map(|to| {
        let formats = formats(to.0).collect::<Vec<_>>();
        formats.into_iter().map(move |format| (to, format))
    });
    let ((to, features), chosen) = candidates.min_by_key(|&(_, other)| loss(format, other))?;
    let mut to = to.to_owned();
    to.set("format", chosen.name());
    if chosen.family() == format.family() {
        keep(from, &mut to, "colorimetry");
        keep(from, &mut to, "chroma-site");
    }
    let features = features.to_owned();
    let caps = gst::Caps::builder_full().structure_with_features(to, features);
    Some(caps.build())
}

/// The formats that a structure lists, in its order.
fn formats(structure: &gst::StructureRef) -> impl Iterator<Item = Format> {
    let names = match structure.get::<gst::List>("format") {
        Ok(list) => list.iter().filter_map(|v| v.get().ok()).collect(),
        Err(_) => Vec::from_iter(structure.get::<String>("format")),
    };
    names
        .into_iter()
        .filter_map(|name| Format::from_name(&name))
}

/// Sets a field as it is on the other side, if that is allowed.
fn keep(from: &gst::StructureRef, to: &mut gst::Structure, field: &str) {
    if let Ok(value) = from.get::<&str>(field) {
        if to.has_field(field) {
            to.fixate_field_str(field, value);
        } else {
            to.set(field, value);
        }
    }
}

/// The loss of a conversion, to be minimized: opacity, colour resolution, bits,
/// another colour family, and then data that the source does not have.
fn loss(from: Format, to: Format) -> impl Ord {
    // Chroma samples to 16 pixels.
    let detail = |format: Format| match (format.family(), format.subsampling()) {
        (ColorFamily::Gray, _) => 0,
        (_, (columns, rows)) => 16 / (columns * rows),
    };
    (
        from.has_alpha() && !to.has_alpha(),
        detail(from).saturating_sub(detail(to)),
        from.bits().saturating_sub(to.bits()),
        from.family() != to.family(),
        to.has_alpha() && !from.has_alpha(),
        to.bits().saturating_sub(from.bits()),
        detail(to).saturating_sub(detail(from)),
    )
}

/// Frames of these caps, as the pixel code describes them.
pub fn frame_info(info: &VideoInfo) -> Result<FrameInfo, String> {
    let name = info.format().to_str();
    if info.multiview_mode() == VideoMultiviewMode::Separated {
        return Err("views in separate memories are not supported".into());
    }
    let format =
        Format::from_name(name).ok_or_else(|| format!("format {name} is not supported"))?;
    Ok(FrameInfo {
        format,
        width: info.width() as usize,
        height: info.height() as usize,
        colorimetry: colorimetry(info, format.family())?,
    })
}

fn colorimetry(info: &VideoInfo, family: ColorFamily) -> Result<Colorimetry, String> {
    let colours = info.colorimetry();
    let range = match (colours.range(), family) {
        (VideoColorRange::Range0_255, _) => ColorRange::Full,
        (VideoColorRange::Range16_235, _) => ColorRange::Limited,
        (_, ColorFamily::Rgb) => ColorRange::Full,
        _ => ColorRange::Limited,
    };
    match colours.matrix() {
        VideoColorMatrix::Rgb if family == ColorFamily::Yuv => {
            Err(format!("{} does not hold luma and chroma", info.name()))
        }
        matrix => {
            let usual = Colorimetry::BT601;
            let usual = (f64::from(usual.kr), f64::from(usual.kb));
            let (kr, kb) = matrix.kr_kb().unwrap_or(usual);
            Ok(Colorimetry::new(kr as f32, kb as f32, range))
        }
    }
}
