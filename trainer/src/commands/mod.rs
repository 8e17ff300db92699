//! What each subcommand does.

pub mod about;
pub mod add_style;
pub mod evaluate;
pub mod export_onnx;
pub mod import;
pub mod import_vgg;
pub mod info;
pub mod list;
pub mod optimize;
pub mod sheet;
pub mod style;
pub mod styles;
pub mod stylize;
pub mod train;
pub mod train_any;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Complete.
    Finished,
    /// Interrupted, with everything saved.
    Interrupted,
}
