//! What lives from start to stop: the painter, the caps, the pace.

use super::caps;
use super::cuda_memory::Context;
use super::pace::{Pace, Size, Wish};
use super::settings::Settings;
use crate::engine::frame::{Frame, FrameInfo, FrameMut, MAX_PLANES, Plane, PlaneMut};
use crate::engine::{Look, Painter, Prepared, Spent};
use gst_video::{VideoInfo, VideoMeta};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

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
    painter: Option<Painter>,
    negotiated: Option<Negotiated>,
    pace: Pace,
    /// What the pace was made for.
    terms: Option<Terms>,
    /// Whether frames come, or must be there, at a time of their own.
    hurried: bool,
    /// In which frames can be painted without a copy.
    cuda: Option<Context>,
}

/// What a [`Pace`] depends on.
#[derive(Clone, Copy, PartialEq)]
struct Terms {
    frame: Size,
    wish: Wish,
    hurried: bool,
}

/// What has become of one frame.
pub struct Painted {
    pub spent: Spent,
    /// That of the network's picture, if it has run.
    pub size: Option<Size>,
}

impl Streaming {
    pub fn new(painter: Painter, cuda: Option<Context>) -> Self {
        Streaming {
            painter: Some(painter),
            cuda,
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

    /// Takes another model, or none.
    pub fn set_model(&mut self, model: Option<Arc<Prepared>>) {
        let Some(painter) = &mut self.painter else {
            return;
        };
        if let (Some(old), Some(new)) = (painter.model(), &model) {
            let cost = |model: &Prepared| model.architecture().products_per_pixel();
            self.pace.model_changed(cost(new) / cost(old));
        }
        painter.set_model(model);
        // Other sizes may be possible now.
        self.limit_sizes();
    }

    /// The model in use.
    pub fn model(&self) -> Option<&Arc<Prepared>> {
        self.painter.as_ref()?.model()
    }

    /// Whether a frame of this `strength` goes on as it came.
    pub fn passes(&self, strength: f32) -> bool {
        let same_caps = self.negotiated.as_ref().is_some_and(|n| n.same_caps);
        same_caps && (strength <= 0.0 || self.model().is_none())
    }

    /// Whether `buffer` holds its frame just as the caps alone say.
    pub fn is_as_caps_say(&self, buffer: &gst::BufferRef) -> bool {
        let (Some(meta), Some(negotiated)) = (buffer.meta::<VideoMeta>(), &self.negotiated) else {
            return true;
        };
        let caps = &negotiated.input;
        meta.offset() == caps.offset() && meta.stride() == caps.stride()
    }

    /// Frames come at a time of their own, or must be there at one, so that the
    /// pace matters.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }

    /// A frame was there too late.
    pub fn late(&mut self) {
        self.pace.late();
    }

    /// The time for a frame, if that matters. `duration` is the frame's own.
    pub fn budget(&self, settings: &Settings, duration: Option<Duration>) -> Option<Duration> {
        let seconds = |time: f64| Duration::try_from_secs_f64(time).unwrap_or(LONGEST_DURATION);
        if settings.target_fps > 0.0 {
            return Some(seconds(1.0 / settings.target_fps).min(LONGEST_DURATION));
        }
        let fps = self.negotiated.as_ref()?.input.fps();
        let told = match fps.numer() > 0 && fps.denom() > 0 {
            true => seconds(f64::from(fps.denom()) / f64::from(fps.numer())),
            false => duration.unwrap_or(USUAL_DURATION),
        };
        Some(told.min(LONGEST_DURATION)).filter(|_| self.hurried)
    }

    /// Repaints one frame.
    pub fn repaint(
        &mut self,
        input: &gst::BufferRef,
        output: &mut gst::BufferRef,
        settings: &Settings,
    ) -> Result<Painted, gst::ErrorMessage> {
        let duration = input.duration().map(Duration::from);
        self.set_terms(settings, duration);
        self.heed_memory();
        let (Some(painter), Some(negotiated)) = (&mut self.painter, &self.negotiated) else {
            return Err(gst::error_msg!(
                gst::CoreError::Negotiation,
                ["a buffer before start or caps"]
            ));
        };
        let input = Side {
            planes: planes(input, &negotiated.input, &negotiated.input_frame)
                .map_err(|reason| wrong_buffer("input", &reason))?,
            buffer: input,
            info: negotiated.input_frame,
        };
        let mut output = Side {
            planes: planes(output, &negotiated.output, &negotiated.output_frame)
                .map_err(|reason| wrong_buffer("output", &reason))?,
            buffer: output,
            info: negotiated.output_frame,
        };
        let look = Look {
            strength: settings.strength(),
            keep_colours: settings.keep_color,
            size: self.pace.size(),
        };
        let directly = match &self.cuda {
            Some(cuda) => cuda.paint(painter, &input, &mut output, look)?,
            None => None,
        };
        let spent = match directly {
            Some(spent) => spent,
            None => paint(painter, &input, &mut output, look)?,
        };
        // Other frames tell nothing of the network's time.
        let painted = look.strength > 0.0 && painter.model().is_some();
        if painted {
            self.pace.observe(spent);
        }
        let size = painted.then_some(look.size);
        Ok(Painted { spent, size })
    }

    /// Begins at a pace of its own where there is no such pace yet.
    fn set_terms(&mut self, settings: &Settings, duration: Option<Duration>) {
        let Some(negotiated) = &self.negotiated else {
            return;
        };
        let budget = self.budget(settings, duration);
        let terms = Terms {
            frame: (negotiated.input_frame.width, negotiated.input_frame.height),
            wish: settings.wish(),
            hurried: budget.is_some(),
        };
        if self.terms != Some(terms) {
            let before = std::mem::take(&mut self.pace);
            self.pace = Pace::after(before, terms.frame, terms.wish, budget);
            self.terms = Some(terms);
            self.limit_sizes();
        } else if let Some(budget) = budget {
            self.pace.set_budget(budget);
        }
    }

    /// Goes down to a size for which there is memory, if that has become scarce.
    fn heed_memory(&mut self) {
        if let (Some(terms), Some(painter)) = (self.terms, &self.painter)
            && painter.check_memory(terms.frame, self.pace.size()).is_err()
        {
            self.limit_sizes();
        }
    }

    /// Takes no sizes for which there is not enough memory.
    fn limit_sizes(&mut self) {
        if let (Some(terms), Some(painter)) = (self.terms, &self.painter) {
            self.pace
                .limit(|size| painter.check_memory(terms.frame, size).is_ok());
        }
    }
}

/// Of frames whose caps and buffers do not tell how long they are.
const USUAL_DURATION: Duration = Duration::from_millis(33);

/// Longer than this no frame is waited for, whatever caps and properties say.
const LONGEST_DURATION: Duration = Duration::from_secs(3600);

/// A buffer, and where in it what frame lies.
pub struct Side<B> {
    pub buffer: B,
    pub planes: Planes,
    pub info: FrameInfo,
}

/// Paints from one buffer into the other in the host's memory.
fn paint(
    painter: &mut Painter,
    input: &Side<&gst::BufferRef>,
    output: &mut Side<&mut gst::BufferRef>,
    look: Look,
) -> Result<Spent, gst::ErrorMessage> {
    let bytes = input
        .buffer
        .map_readable()
        .map_err(|error| wrong_buffer("input", &error.message))?;
    let mut to_bytes = output
        .buffer
        .map_writable()
        .map_err(|error| wrong_buffer("output", &error.message))?;
    let from = frame(&bytes, &input.planes, input.info)
        .map_err(|reason| wrong_buffer("input", &reason))?;
    let mut to = frame_mut(&mut to_bytes, &output.planes, output.info)
        .map_err(|reason| wrong_buffer("output", &reason))?;
    painter
        .paint(&from, &mut to, look)
        .map_err(|error| gst::error_msg!(gst::StreamError::Failed, ("{error}")))
}

pub fn wrong_buffer(which: &str, reason: &str) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::StreamError::Format,
        ("An {which} buffer is not a frame of its caps: {reason}")
    )
}

/// Where in a buffer each plane lies, and its stride. Planes that the format
/// lacks are empty.
pub type Planes = [(Range<usize>, usize); MAX_PLANES];

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
