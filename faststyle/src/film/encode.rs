//! Encodes a segment's frames into a file of packets.

use super::codec::Encoder;
use super::packets::{Packet, Writer};
use super::reader::Frame;
use crate::gstreamer::pipeline::Pipeline;
use anyhow::{Context, Result};
use gst::prelude::*;
use gst::{ClockTime, Signed};
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// So many frames wait for the encoder.
const WAITING: u64 = 2;

/// How long to wait until the encoder may have taken one.
const PAUSE: Duration = Duration::from_millis(1);

/// A segment being encoded.
pub struct SegmentEncoder {
    pipeline: Pipeline,
    source: AppSrc,
    writer: Arc<Mutex<Option<Writer>>>,
    /// What time the output begins with.
    from: ClockTime,
}

impl SegmentEncoder {
    /// Begins the file `path`.
    ///
    /// # Errors
    /// Those of the system and of elements.
    pub fn start(encoder: &Encoder, from: ClockTime, path: PathBuf) -> Result<Self> {
        let pipeline = Pipeline::new();
        let source = AppSrc::builder()
            .format(gst::Format::Time)
            .max_bytes(0)
            .build();
        let sink = AppSink::builder()
            .sync(false)
            .async_(false)
            .caps(&encoder.codec.caps())
            .build();
        let element = encoder.make()?;
        pipeline.chain(&[source.clone().upcast(), element, sink.clone().upcast()])?;
        let writer = Arc::new(Mutex::new(Some(Writer::create(path)?)));
        write_packets(&sink, writer.clone());
        pipeline.play()?;
        Ok(SegmentEncoder {
            pipeline,
            source,
            writer,
            from,
        })
    }

    /// Encodes a frame. Waits while the encoder is busy.
    ///
    /// # Errors
    /// Those of the encoder and of the system.
    pub fn push(&self, frame: Frame) -> Result<()> {
        let mut buffer = frame.buffer;
        let shown = buffer.make_mut();
        shown.set_pts(frame.time.saturating_sub(self.from));
        shown.set_dts(None);
        if self.source.caps().as_ref() != Some(&frame.caps) {
            self.source.set_caps(Some(&frame.caps));
        }
        self.pipeline.check()?;
        while self.source.current_level_buffers() >= WAITING {
            thread::sleep(PAUSE);
            // A failed encoder takes none any more.
            self.pipeline.check()?;
        }
        let pushed = self.source.push_buffer(buffer);
        pushed.map(drop).context("the encoder takes no more frames")
    }

    /// Ends the file; `last` if the film ends with it. Waits for the encoder.
    ///
    /// # Errors
    /// Those of the encoder and of the system.
    pub fn finish(self, last: bool) -> Result<()> {
        self.source.end_of_stream()?;
        self.pipeline.wait(|| Ok(()))?;
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        writer.context("the file is closed")?.finish(last)
    }
}

/// Writes what comes to the sink.
fn write_packets(sink: &AppSink, writer: Arc<Mutex<Option<Writer>>>) {
    let write = move |sink: &AppSink| -> Result<()> {
        let sample = sink.pull_sample()?;
        let buffer = sample.buffer().context("no data")?;
        let caps = sample.caps().context("no caps")?;
        let segment = sample.segment().context("no segment")?;
        let segment = segment.downcast_ref::<ClockTime>().context("no times")?;
        // Encoders that look ahead count from a thousand hours on.
        let time = match segment.to_running_time_full(buffer.pts()) {
            Some(Signed::Positive(time)) => Some(time),
            _ => None,
        };
        let packet = Packet::new(buffer, time)?;
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writer.as_mut().context("the file is closed")?;
        writer.packet(caps, &packet)
    };
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        write(sink).map(|()| gst::FlowSuccess::Ok).map_err(|error| {
            gst::element_error!(sink, gst::ResourceError::Write, ("{error:#}"));
            gst::FlowError::Error
        })
    });
    sink.set_callbacks(callbacks.build());
}
