//! Files: which there are, and how each format is read and written.

pub mod files;
pub mod fingerprint;
pub mod input;
pub mod onnx;
pub mod output;
pub mod photo;
pub mod picture;
pub mod safetensors_file;
pub mod sheet;
pub mod torch_file;
