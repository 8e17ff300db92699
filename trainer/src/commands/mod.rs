//! What each subcommand does.

pub mod about;
pub mod evaluate;
pub mod export_onnx;
pub mod import;
pub mod import_vgg;
pub mod info;
pub mod interrupt;
pub mod optimize;
pub mod stylize;
pub mod train;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With its last step.
    Finished,
    /// Before, because it was asked to; everything is saved.
    Interrupted,
}
