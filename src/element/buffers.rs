//! Buffers as frames: where in a buffer which plane lies.

use crate::engine::frame::{Frame, FrameInfo, FrameMut, MAX_PLANES, Plane, PlaneMut};
use gst_video::{VideoCropMeta, VideoInfo, VideoMeta};
use std::ops::Range;

/// A buffer, and the layout of the frame in it.
pub struct FrameBuffer<B> {
    pub buffer: B,
    pub planes: Planes,
    pub info: FrameInfo,
}

/// The error of a buffer that does not match its caps.
pub fn wrong_buffer(which: &str, reason: &str) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::StreamError::Format,
        ("An {which} buffer is not a frame of its caps: {reason}")
    )
}

/// Where in a buffer each plane lies, and its stride. Planes that the format
/// lacks are empty.
pub type Planes = [(Range<usize>, usize); MAX_PLANES];

/// Reads the planes from the buffer's video meta or, without one, from its caps.
/// Where the buffer has a crop meta, they begin at its corner or, where chroma is
/// shared, at the pixel left of it and above with a chroma sample of its own.
pub fn planes(
    buffer: &gst::BufferRef,
    caps: &VideoInfo,
    info: &FrameInfo,
) -> Result<Planes, String> {
    let meta = buffer.meta::<VideoMeta>();
    let (format, width, height) = match &meta {
        Some(meta) => (meta.format(), meta.width(), meta.height()),
        None => (caps.format(), caps.width(), caps.height()),
    };
    let (x, y) = corner(buffer);
    let holds = |all: u32, from: u32, part: u32| all.checked_sub(from) >= Some(part);
    if format != caps.format() || !holds(width, 0, caps.width()) || !holds(height, 0, caps.height())
    {
        return Err(format!("its meta says {format} {width}x{height}"));
    }
    if !holds(width, x, caps.width()) || !holds(height, y, caps.height()) {
        let (frame_width, frame_height) = (caps.width(), caps.height());
        return Err(format!(
            "{frame_width}x{frame_height} pixels from ({x}, {y}) on, where its crop meta \
             begins, are not in its {width}x{height}"
        ));
    }
    let (offsets, strides) = match &meta {
        Some(meta) => (meta.offset(), meta.stride()),
        None => (caps.offset(), caps.stride()),
    };
    let (x, y) = info.format.crop_origin(x as usize, y as usize);
    let mut planes = Planes::default();
    for (i, plane) in planes
        .iter_mut()
        .enumerate()
        .take(info.format.plane_count())
    {
        let (Some(&start), Some(&stride)) = (offsets.get(i), strides.get(i)) else {
            return Err(format!("it lacks plane {i}"));
        };
        let stride = usize::try_from(stride).map_err(|_| format!("a stride of {stride}"))?;
        let bytes = info.plane_bytes(i, stride).map_err(|e| e.to_string())?;
        let above = info.format.plane_rows(i, y).checked_mul(stride);
        let left = info.format.row_bytes(i, x);
        let start = above.and_then(|above| start.checked_add(above)?.checked_add(left));
        let start = start.ok_or_else(|| format!("a stride of {stride}"))?;
        let end = start.checked_add(bytes).filter(|&end| end <= buffer.size());
        let end = end.ok_or_else(|| {
            let size = buffer.size();
            format!("{size} bytes, but plane {i} has {bytes} from byte {start} on")
        })?;
        *plane = (start..end, stride);
    }
    Ok(planes)
}

/// Where in the buffer's picture the frame begins: column and row.
fn corner(buffer: &gst::BufferRef) -> (u32, u32) {
    let crop = buffer.meta::<VideoCropMeta>().map(|crop| crop.rect());
    crop.map_or((0, 0), |(x, y, ..)| (x, y))
}

/// The frame in a buffer's bytes.
pub fn frame<'a>(bytes: &'a [u8], planes: &Planes, info: FrameInfo) -> Result<Frame<'a>, String> {
    let planes = planes.each_ref().map(|(range, stride)| Plane {
        data: &bytes[range.clone()],
        stride: *stride,
    });
    let count = info.format.plane_count();
    Frame::new(info, planes.into_iter().take(count)).map_err(|e| e.to_string())
}

/// The same, to be written.
pub fn frame_mut<'a>(
    bytes: &'a mut [u8],
    planes: &Planes,
    info: FrameInfo,
) -> Result<FrameMut<'a>, String> {
    let strides = planes.each_ref().map(|(_, stride)| *stride);
    let ranges = planes.each_ref().map(|(range, _)| range.clone());
    let slices = bytes.get_disjoint_mut(ranges).map_err(|e| e.to_string())?;
    let planes = slices.into_iter().zip(strides);
    let planes = planes.map(|(data, stride)| PlaneMut { data, stride });
    FrameMut::new(info, planes.take(info.format.plane_count())).map_err(|e| e.to_string())
}
