//! Files: which there are, and how each format is read and written.

pub mod any_path;
pub mod files;
pub mod fingerprint;
pub mod foreign;
pub mod input;
pub mod jpeg;
pub mod onnx;
pub mod output;
pub mod photo;
pub mod picture;
pub mod png;
pub mod safetensors_file;
pub mod sheet;
pub mod tiff_directory;
pub mod torch_file;
