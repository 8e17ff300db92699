//! How long the work on a frame takes.

use std::time::{Duration, Instant};

/// How long the parts of the work on a frame took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameTimings {
    /// From the frame's format and into the other's.
    pub convert: Duration,
    /// The network.
    pub network: Duration,
    /// Down to the network's size, and up again.
    pub upsample: Duration,
    /// Finding the motion, and carrying, repairing or blending the painting before.
    pub motion: Duration,
}

#[cfg(feature = "cuda")]
impl FrameTimings {
    /// The timings of a frame painted on a device: all but the kernels were copies.
    pub(super) fn on_device(kernels: Duration, total: Duration) -> Self {
        FrameTimings {
            network: kernels,
            convert: total.saturating_sub(kernels),
            ..FrameTimings::default()
        }
    }
}

pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// The time since the last lap.
    pub fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}
