//! What lives from start to stop: the engine, the caps, the pictures.

use super::caps;
use crate::engine::frame::{Frame, FrameInfo, FrameMut, MAX_PLANES, Plane, PlaneMut};
use crate::engine::pixels::{self, Mix};
use crate::engine::{Engine, Image};
use gst_video::{VideoInfo, VideoMeta};
use std::ops::Range;

/// Input and output as negotiated.
struct Negotiated {
    input: VideoInfo,
    output: VideoInfo,
    input_frame: FrameInfo,
    output_frame: FrameInfo,
    same_caps: bool,
}

/// The state of a started element; the default is a stopped one.
#[derive(Default)]
pub struct Streaming {
    engine: Option<Engine>,
    negotiated: Option<Negotiated>,
    /// The frame in work, before and after.
    picture: Image,
    styled: Image,
}

impl Streaming {
    pub fn new(engine: Engine) -> Self {
        Streaming {
            engine: Some(engine),
            ..Default::default()
        }
    }

    /// Prepares for frames of these caps.
    pub fn negotiate(
        &mut self,
        input: &VideoInfo,
        output: &VideoInfo,
        same_caps: bool,
    ) -> Result<(), String> {
        self.negotiated = None;
        self.negotiated = Some(Negotiated {
            input_frame: caps::frame_info(input)?,
            output_frame: caps::frame_info(output)?,
            input: input.clone(),
            output: output.clone(),
            same_caps,
        });
        Ok(())
    }

    /// Whether buffers can go on as they came when nothing is repainted.
    pub fn same_caps(&self) -> bool {
        self.negotiated.as_ref().is_some_and(|n| n.same_caps)
    }

    /// Repaints one frame.
    pub fn repaint(
        &mut self,
        input: &gst::BufferRef,
        output: &mut gst::BufferRef,
        strength: f32,
    ) -> Result<(), gst::ErrorMessage> {
        let (Some(engine), Some(negotiated)) = (&mut self.engine, &self.negotiated) else {
            return Err(gst::error_msg!(
                gst::CoreError::Negotiation,
                ["a buffer before start or caps"]
            ));
        };
        let input_planes = planes(input, &negotiated.input, &negotiated.input_frame)
            .map_err(|reason| wrong_buffer("input", &reason))?;
        let output_planes = planes(output, &negotiated.output, &negotiated.output_frame)
            .map_err(|reason| wrong_buffer("output", &reason))?;
        let input = input
            .map_readable()
            .map_err(|error| wrong_buffer("input", &error.message))?;
        let mut output = output
            .map_writable()
            .map_err(|error| wrong_buffer("output", &error.message))?;
        let input = frame(&input, input_planes, negotiated.input_frame)
            .map_err(|reason| wrong_buffer("input", &reason))?;
        let mut output = frame_mut(&mut output, output_planes, negotiated.output_frame)
            .map_err(|reason| wrong_buffer("output", &reason))?;

        let error =
            |error: &dyn std::fmt::Display| gst::error_msg!(gst::StreamError::Failed, ("{error}"));
        let (picture, styled) = (&mut self.picture, &mut self.styled);
        // All at once on the engine's threads: this one would only wait.
        engine.threads().clone().run(|| {
            pixels::read(&input, picture);
            let picture = &*picture;
            let painted = if strength > 0.0 {
                engine.stylize(picture, styled).map_err(|e| error(&e))?;
                &*styled
            } else {
                picture
            };
            let mix = (strength > 0.0 && strength < 1.0).then_some(Mix {
                original: picture,
                strength,
            });
            pixels::write(painted, mix, Some(&input), &mut output).map_err(|e| error(&e))
        })
    }
}

fn wrong_buffer(which: &str, reason: &str) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::StreamError::Format,
        ("An {which} buffer is not a frame of its caps: {reason}")
    )
}

/// Where in a buffer each plane lies, and its stride. Planes that the format
/// lacks are empty.
type Planes = [(Range<usize>, usize); MAX_PLANES];

/// As the buffer's own meta says or, without one, as its caps do.
fn planes(buffer: &gst::BufferRef, caps: &VideoInfo, info: &FrameInfo) -> Result<Planes, String> {
    let meta = buffer.meta::<VideoMeta>();
    let (offsets, strides) = match &meta {
        Some(meta) if !fits(meta, caps) => {
            let (format, width, height) = (meta.format(), meta.width(), meta.height());
            return Err(format!("its meta says {format} {width}x{height}"));
        }
        Some(meta) => (meta.offset(), meta.stride()),
        None => (caps.offset(), caps.stride()),
    };
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
        let end = start.checked_add(bytes).filter(|&end| end <= buffer.size());
        let end = end.ok_or_else(|| {
            let size = buffer.size();
            format!("{size} bytes, but plane {i} has {bytes} from byte {start} on")
        })?;
        *plane = (start..end, stride);
    }
    Ok(planes)
}

fn fits(meta: &VideoMeta, caps: &VideoInfo) -> bool {
    meta.format() == caps.format() && meta.width() >= caps.width() && meta.height() >= caps.height()
}

fn frame(bytes: &[u8], planes: Planes, info: FrameInfo) -> Result<Frame<'_>, String> {
    let planes = planes.map(|(range, stride)| Plane {
        data: &bytes[range],
        stride,
    });
    let count = info.format.plane_count();
    Frame::new(info, planes.into_iter().take(count)).map_err(|e| e.to_string())
}

fn frame_mut(bytes: &mut [u8], planes: Planes, info: FrameInfo) -> Result<FrameMut<'_>, String> {
    let strides = planes.each_ref().map(|(_, stride)| *stride);
    let ranges = planes.map(|(range, _)| range);
    let slices = bytes.get_disjoint_mut(ranges).map_err(|e| e.to_string())?;
    let planes = slices.into_iter().zip(strides);
    let planes = planes.map(|(data, stride)| PlaneMut { data, stride });
    FrameMut::new(info, planes.take(info.format.plane_count())).map_err(|e| e.to_string())
}
