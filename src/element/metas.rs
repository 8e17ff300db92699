//! The metas of a frame: which of them go on to the painted frame, and how.
//!
//! Painting moves nothing, so that what a meta says about places and directions
//! stays true. But where upstream left it to a [`VideoCropMeta`] to crop the frame,
//! only that part has been painted: the meta has done its work, and others that
//! speak of the whole picture are moved or dropped.

use gst_video::{
    VideoCropMeta, VideoOverlayComposition, VideoOverlayCompositionMeta, VideoRegionOfInterestMeta,
};

/// Which metas downstream elements read. A frame with others cannot pass through,
/// unless it is the same frame without them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetasRead {
    /// Those that say where the planes lie.
    pub video: bool,
    /// Those that say which part of the picture is the frame.
    pub crop: bool,
}

impl MetasRead {
    /// For neighbours that agreed on their metas without this element.
    pub const ALL: Self = MetasRead {
        video: true,
        crop: true,
    };
}

/// A rectangle of a picture: left, top, width, height.
type Rect = (u32, u32, u32, u32);

/// What becomes of an input frame's meta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is copied as it is.
    Kept,
    /// It is not copied; another may have taken its place.
    Dropped,
    /// The base class decides.
    Usual,
}

/// Decides about a meta of `input`, and adds to `output` what is to take its place.
pub fn transform(
    output: &mut gst::BufferRef,
    meta: &gst::MetaRef<'_, gst::Meta>,
    input: &gst::BufferRef,
) -> Fate {
    if meta.downcast_ref::<VideoCropMeta>().is_some() {
        return Fate::Dropped;
    }
    let of_picture = meta.tags_contain_only(&["video", "size", "orientation"]);
    let Some(crop) = input.meta::<VideoCropMeta>().map(|crop| crop.rect()) else {
        return match of_picture {
            true => Fate::Kept,
            false => Fate::Usual,
        };
    };
    if let Some(region) = meta.downcast_ref::<VideoRegionOfInterestMeta>() {
        add_region(output, region, crop);
        Fate::Dropped
    } else if let Some(overlay) = meta.downcast_ref::<VideoOverlayCompositionMeta>() {
        add_overlay(output, overlay, crop);
        Fate::Dropped
    } else if meta.tags_contain_only(&["video"]) {
        Fate::Kept
    } else if of_picture {
        // Such as an affine transformation, whose origin is the whole picture's
        // middle.
        Fate::Dropped
    } else {
        Fate::Usual
    }
}

/// The part of the region that is in the crop, seen from its corner.
fn add_region(output: &mut gst::BufferRef, region: &VideoRegionOfInterestMeta, crop: Rect) {
    let ((left, top, width, height), (x, y, crop_width, crop_height)) = (region.rect(), crop);
    let across = overlap((left, width), (x, crop_width));
    let down = overlap((top, height), (y, crop_height));
    let (Some((left, width)), Some((top, height))) = (across, down) else {
        return;
    };
    let rect = (left, top, width, height);
    let mut moved = VideoRegionOfInterestMeta::add(output, region.roi_type(), rect);
    moved.set_id(region.id());
    moved.set_parent_id(region.parent_id());
    for parameter in region.params() {
        moved.add_param(parameter.to_owned());
    }
}

/// Where two ranges, of start and length each, overlap; the start is from that of
/// the second.
fn overlap(one: (u32, u32), other: (u32, u32)) -> Option<(u32, u32)> {
    let end = |(start, length): (u32, u32)| start.saturating_add(length);
    let (start, end) = (one.0.max(other.0), end(one).min(end(other)));
    (start < end).then(|| (start - other.0, end - start))
}

/// The same overlay, moved with the picture below it.
fn add_overlay(
    output: &mut gst::BufferRef,
    overlay: &VideoOverlayCompositionMeta,
    (x, y, ..): Rect,
) {
    let offset = |place: i32, by: u32| place.saturating_sub_unsigned(by);
    let mut rectangles: Vec<_> = overlay.overlay().iter().collect();
    for rectangle in &mut rectangles {
        let (left, top, width, height) = rectangle.render_rectangle();
        let rectangle = rectangle.make_mut();
        rectangle.set_render_rectangle(offset(left, x), offset(top, y), width, height);
    }
    if let Ok(moved) = VideoOverlayComposition::new(&rectangles) {
        VideoOverlayCompositionMeta::add(output, &moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_or_do_not() {
        for (one, other, expected) in [
            ((0, 10), (0, 10), Some((0, 10))),
            ((2, 5), (4, 10), Some((0, 3))),
            ((6, 20), (4, 10), Some((2, 8))),
            ((0, 4), (4, 10), None),
            ((14, 1), (4, 10), None),
            ((5, u32::MAX), (4, u32::MAX), Some((1, u32::MAX - 5))),
        ] {
            assert_eq!(overlap(one, other), expected, "{one:?} {other:?}");
        }
    }
}
