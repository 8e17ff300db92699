//! Networks, frames and pipelines on a CUDA device by way of its driver:
//! `scripts/check-cuda` runs them on a stand-in, which has no GPU behind it.

mod element;
mod engine;
mod memory;
mod missing;
mod stand_in;
