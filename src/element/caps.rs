//! Which caps go in and out, and what frames they stand for.

use crate::engine::frame::{Colorimetry, Family, Format, FrameInfo, Range};
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoInfo, VideoMultiviewMode};

/// All that the pixel code reads and writes.
pub fn template() -> gst::Caps {
    let formats = Format::ALL
        .iter()
        .map(|f| VideoFormat::from_string(f.name()));
    gst_video::VideoCapsBuilder::new()
        .format_list(formats)
        .build()
}

/// What the other pad can have when one has `caps`: first the same, then any
/// format of the same size, rate and so on.
pub fn other_side(caps: &gst::CapsRef) -> gst::Caps {
    let mut others = caps.to_owned();
    for structure in others.make_mut().iter_mut() {
        let formats = Format::ALL.iter().map(|f| f.name());
        structure.set("format", gst::List::new(formats));
        structure.remove_fields(["colorimetry", "chroma-site"]);
    }
    let mut all = caps.to_owned();
    all.make_mut().append(others);
    all
}

/// Chooses from `others` what loses least of `caps`: the same format and
/// colours if they are there, else the nearest format.
pub fn fixate(caps: &gst::Caps, mut others: gst::Caps) -> gst::Caps {
    let same = others.intersect(caps);
    if !same.is_empty() {
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
    let candidates = others.iter().flat_map(|to| {
        let formats = formats(to).collect::<Vec<_>>();
        formats.into_iter().map(move |format| (to, format))
    });
    let (to, chosen) = candidates.min_by_key(|&(_, other)| loss(format, other))?;
    let mut to = to.to_owned();
    to.set("format", chosen.name());
    if chosen.family() == format.family() {
        keep(from, &mut to, "colorimetry");
        keep(from, &mut to, "chroma-site");
    }
    Some(gst::Caps::builder_full().structure(to).build())
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

/// Less is better: lost opacity, lost colour resolution, lost bits, another kind
/// of numbers, and what would be carried along for nothing.
fn loss(from: Format, to: Format) -> impl Ord {
    let detail = |format: Format| match (format.family(), format.subsampling()) {
        (Family::Gray, _) => 0_u8,
        (_, (1, 1)) => 3,
        (_, (_, 1)) => 2,
        _ => 1,
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

/// What frames of these caps are for the pixel code.
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

fn colorimetry(info: &VideoInfo, family: Family) -> Result<Colorimetry, String> {
    let colours = info.colorimetry();
    let range = match (colours.range(), family) {
        (VideoColorRange::Range0_255, _) => Range::Full,
        (VideoColorRange::Range16_235, _) => Range::Limited,
        (_, Family::Rgb) => Range::Full,
        _ => Range::Limited,
    };
    match colours.matrix() {
        VideoColorMatrix::Rgb if family == Family::Yuv => {
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
