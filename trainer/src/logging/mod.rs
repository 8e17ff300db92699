//! What a program tells of itself as it goes.

pub mod metrics;
pub mod previews;
pub mod progress;
pub mod report;
pub mod say;
pub mod tensorboard;
