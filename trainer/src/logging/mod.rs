//! Progress, metrics, previews and reports of a running program.

pub mod metrics;
pub mod previews;
pub mod progress;
pub mod report;
pub mod say;
pub mod tensorboard;
