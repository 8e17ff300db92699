//! Decodes a film and paints its frames, from any time on.

use super::segment::{Plan, Segment};
use super::source::Source;
use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{make, pad, stream_time};
use crate::look::Look;
use crate::stop;
use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst::{ClockTime, PadProbeReturn, PadProbeType};
use gst_app::AppSink;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long to wait for a frame before looking for errors and requests to end.
const PAUSE: ClockTime = ClockTime::from_mseconds(100);

/// A painted frame.
pub struct Frame {
    /// When it is shown, from the film's beginning.
    pub time: ClockTime,
    pub buffer: gst::Buffer,
    pub caps: gst::Caps,
}

/// What the next call has brought.
pub enum Next {
    Frame(Frame),
    End,
    /// There was a request to end.
    Interrupted,
}

/// A film being painted.
pub struct Reader {
    pipeline: Pipeline,
    sink: AppSink,
    gate: Arc<Gate>,
}

impl Reader {
    /// Begins with the first frame of `segment`. `before` holds the times of
    /// frames before it, as they were when the film was read in one go.
    ///
    /// # Errors
    /// Those of elements.
    pub fn open(
        source: &Source,
        look: &Look,
        frames: &gst::Caps,
        plan: Plan,
        segment: Segment,
        before: &[ClockTime],
    ) -> Result<Self> {
        let mut reader = Reader::new(source, look, frames, plan, segment.start)?;
        if segment.start == ClockTime::ZERO {
            reader.gate.open();
            reader.pipeline.play()?;
            return Ok(reader);
        }
        if reader.seek(segment.preroll())? && reader.agrees(before)? {
            return Ok(reader);
        }
        // This file's times differ after a seek: decode from its beginning.
        reader = Reader::new(source, look, frames, plan, segment.start)?;
        reader.gate.open();
        reader.pipeline.play()?;
        Ok(reader)
    }

    fn new(
        source: &Source,
        look: &Look,
        frames: &gst::Caps,
        plan: Plan,
        start: ClockTime,
    ) -> Result<Self> {
        let pipeline = Pipeline::new();
        // Decodes beside painting.
        let queue = make("queue")?;
        queue.set_property("max-size-buffers", 3u32);
        queue.set_property("max-size-bytes", 0u32);
        queue.set_property("max-size-time", 0u64);
        // Passes frames through unless the element lacks their format.
        let mut chain = vec![queue.clone(), make("videoconvert")?];
        if source.interlaced {
            let deinterlace = make("deinterlace")?;
            deinterlace.set_property_from_str("fields", "top");
            chain.push(deinterlace);
        }
        if source.turned {
            let flip = make("videoflip")?;
            flip.set_property_from_str("video-direction", "auto");
            chain.push(flip);
        }
        let style = look.element()?;
        // Whatever the machine's speed, the painting is the same.
        style.set_property("scale", 1.0);
        style.set_property("qos", false);
        let sink = AppSink::builder().sync(false).max_buffers(2).build();
        sink.set_caps(Some(frames));
        sink.set_property("enable-last-sample", false);
        chain.extend([style.clone(), sink.clone().upcast()]);
        pipeline.chain(&chain)?;
        let gate = Gate::at(&pad(&style, "sink")?, start);
        forget_between_segments(&style, plan)?;
        source.decode(&pipeline, &queue)?;
        Ok(Reader {
            pipeline,
            sink,
            gate,
        })
    }

    /// Goes to `time`. Returns whether the film can do that.
    fn seek(&self, time: ClockTime) -> Result<bool> {
        self.pipeline.play()?;
        // A decoder takes a seek only when it has begun.
        while !self.gate.has_begun() {
            self.pipeline.check()?;
            if stop::requested() || self.sink.is_eos() {
                return Ok(true);
            }
        }
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        Ok(self.pipeline.0.seek_simple(flags, time).is_ok())
    }

    /// Whether the frames before the start, after a seek, are those of `before`.
    /// Without such, there is nothing to agree with.
    fn agrees(&self, before: &[ClockTime]) -> Result<bool> {
        if before.is_empty() {
            return Ok(true);
        }
        while !self.gate.has_started() {
            self.pipeline.check()?;
            if stop::requested() || self.sink.is_eos() {
                break;
            }
        }
        let state = self.gate.lock();
        // The first may have been cut by the decoder.
        let Some((first, skipped)) = state.skipped.split_first() else {
            return Ok(false);
        };
        let expected = before.iter().filter(|time| *time > first);
        Ok(!skipped.is_empty() && expected.eq(skipped))
    }

    /// The time of the last frame before the start.
    pub fn last_skipped(&self) -> Option<ClockTime> {
        self.gate.lock().skipped.last().copied()
    }

    /// The next frame.
    ///
    /// # Errors
    /// Those of elements; a frame without a time.
    pub fn next(&self) -> Result<Next> {
        loop {
            if stop::requested() {
                return Ok(Next::Interrupted);
            }
            let sample = self.sink.try_pull_sample(PAUSE);
            self.pipeline.check()?;
            match sample {
                Some(sample) => return frame(&sample).map(Next::Frame),
                None if self.sink.is_eos() => return Ok(Next::End),
                None => (),
            }
        }
    }
}

fn frame(sample: &gst::Sample) -> Result<Frame> {
    let buffer = sample.buffer_owned().context("a sample without a frame")?;
    let segment = sample.segment().context("a frame without a segment")?;
    let Some(time) = stream_time(segment, buffer.pts()) else {
        bail!("a frame without a timestamp; put the film into another container first");
    };
    Ok(Frame {
        time,
        buffer,
        caps: sample.caps_owned().context("a frame without caps")?,
    })
}

/// The time of the frame that passes a pad.
fn time_at(pad: &gst::Pad, info: &gst::PadProbeInfo<'_>) -> Option<ClockTime> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    stream_time(event.segment(), info.buffer()?.pts())
}

/// Paints the first frame of each segment by itself, so that a segment does not depend on
/// those before: a film that is resumed is the same.
fn forget_between_segments(style: &gst::Element, plan: Plan) -> Result<()> {
    let smoothing: f64 = style.property("smoothing");
    let last = Mutex::new(None);
    pad(style, "sink")?.add_probe(PadProbeType::BUFFER, move |pad, info| {
        if let (Some(time), Some(style)) = (time_at(pad, info), pad.parent_element()) {
            let index = Some(plan.index(time));
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = *last != index;
            *last = index;
            style.set_property("smoothing", if is_first { 0.0 } else { smoothing });
        }
        PadProbeReturn::Ok
    });
    Ok(())
}

/// Lets frames pass from a time on, and knows those that came before.
struct Gate {
    start: ClockTime,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// A frame was decoded.
    begun: bool,
    /// What comes now comes after the seek.
    open: bool,
    /// A frame has passed.
    started: bool,
    /// The times of frames since the seek that did not pass.
    skipped: Vec<ClockTime>,
}

impl Gate {
    /// A gate at a pad, which opens with the end of a seek or by [`Gate::open`].
    fn at(pad: &gst::Pad, start: ClockTime) -> Arc<Self> {
        let gate = Arc::new(Gate {
            start,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let here = gate.clone();
        pad.add_probe(PadProbeType::BUFFER, move |pad, info| {
            here.frame(time_at(pad, info))
        });
        let here = gate.clone();
        let kinds = PadProbeType::EVENT_DOWNSTREAM | PadProbeType::EVENT_FLUSH;
        pad.add_probe(kinds, move |_, info| {
            if info
                .event()
                .is_some_and(|event| event.type_() == gst::EventType::FlushStop)
            {
                here.open();
            }
            PadProbeReturn::Ok
        });
        gate
    }

    fn frame(&self, time: Option<ClockTime>) -> PadProbeReturn {
        let mut state = self.lock();
        state.begun = true;
        let passes = state.open && time.is_none_or(|time| time >= self.start);
        match passes {
            true => state.started = true,
            false if state.open => state.skipped.extend(time),
            false => (),
        }
        self.changed.notify_all();
        match passes {
            true => PadProbeReturn::Ok,
            // The frame is dropped with the probe's data.
            false => PadProbeReturn::Handled,
        }
    }

    fn open(&self) {
        self.lock().open = true;
    }

    /// Waits a moment for the first decoded frame.
    fn has_begun(&self) -> bool {
        self.wait(|state| state.begun)
    }

    /// Waits a moment for the first frame that passes.
    fn has_started(&self) -> bool {
        self.wait(|state| state.started)
    }

    fn wait(&self, condition: impl Fn(&State) -> bool) -> bool {
        let pause = Duration::from_nanos(PAUSE.nseconds());
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), pause, |state| !condition(state));
        condition(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
