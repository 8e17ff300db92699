//! Learns a painting's style: the parts of the program `faststyle-train`.
//!
//! [`train`] holds the loop. Each step takes photos from [`dataset`], repaints
//! them with the network of [`gstfaststyle::network`], measures a [`part`] of
//! the result by the [`objective`], a sum of [`loss`]es of what [`vgg19`] sees,
//! and moves the weights by the [`optimizer`]. Where gradients have 16 bits,
//! [`loss_scale`] keeps them in range.
//! [`checkpoint`] keeps all of it, so that a training can stop and go on.
//! A training's knobs are named in [`cli`], gathered by [`config`] and kept as
//! a [`recipe`]. The [`log`] tells how it goes: [`progress`], [`metrics`],
//! [`previews`], the [`report`], [`tensorboard`].
//!
//! [`optimize`] does without a network: the [`slow_method`] moves the pixels of
//! one picture by [`lbfgs`], against the same objective. [`evaluate`] compares
//! a trained network with it.
//!
//! [`stylize`] repaints pictures with a trained network, [`info`] tells what a
//! model file holds.
//! [`import`] makes model files of networks that others trained. [`memory`] says
//! how programs allocate, [`interrupt`] what ends them early, [`mod@say`] how they
//! speak.

// Unlike these, `say` does not panic where nobody listens.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod evaluate;
pub mod files;
pub mod import;
pub mod info;
pub mod input;
pub mod interrupt;
pub mod layers;
pub mod lbfgs;
pub mod log;
pub mod loss;
pub mod loss_scale;
pub mod memory;
pub mod metrics;
pub mod objective;
pub mod onnx;
pub mod optimize;
pub mod optimizer;
pub mod output;
pub mod painting;
pub mod part;
pub mod picture;
pub mod preset;
pub mod previews;
pub mod progress;
pub mod recipe;
pub mod report;
pub mod safetensors_file;
pub mod say;
pub mod schedule;
pub mod slow_method;
pub mod stability;
pub mod stylize;
pub mod tensorboard;
pub mod torch_file;
pub mod train;
pub mod vgg19;
pub mod vgg_weights;
pub mod widen;
