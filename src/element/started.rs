//! The element's state from start to stop.

use super::metas::MetasRead;
use super::settings::Settings;
use super::streaming::Streaming;
use std::sync::{Arc, Mutex};

/// Sinks show frames that are no later than this, by default.
const LATE_NANOSECONDS: i64 = 20_000_000;

/// What there is while the element is started.
pub struct Started {
    /// The settings at the start: some take effect only then.
    pub settings: Settings,
    /// Whether the network runs on a CUDA device, once that is known.
    pub on_cuda: Option<bool>,
    /// What downstream elements read of a frame's metas.
    pub metas_read: MetasRead,
    /// The sink's reports since the last frame.
    pub sink: SinkReports,
    /// Locked while a frame is painted.
    pub streaming: Arc<Mutex<Streaming>>,
}

impl Started {
    /// The state before the first caps, without a model.
    pub fn new(settings: Settings, streaming: Streaming) -> Self {
        Started {
            settings,
            on_cuda: None,
            metas_read: MetasRead::default(),
            sink: SinkReports::default(),
            streaming: Arc::new(Mutex::new(streaming)),
        }
    }
}

/// What is known of the sink since the last frame, from its QoS events above all.
#[derive(Default)]
pub struct SinkReports {
    /// Whether it synchronizes to the clock.
    pub waits_for_clock: bool,
    /// Whether a frame was late.
    pub was_late: bool,
}

impl SinkReports {
    /// Takes the jitter of a QoS event: nanoseconds that a frame was late.
    pub fn observe(&mut self, jitter: i64) {
        // A sink that does not wait for the clock measures no jitter.
        self.waits_for_clock |= jitter != 0;
        self.was_late |= jitter > LATE_NANOSECONDS;
    }
}
