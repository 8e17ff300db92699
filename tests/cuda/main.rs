//! The CUDA kernels, run on the host: see `testing/cuda-emulator`.

mod convolution;
mod emulated;
mod frames;
mod network;
mod numbers;
mod outer;
mod resize;
mod tone;
mod training;
