//! Learns a painting's style: the library of the program `faststyle-train`.
//!
//! [`cli`] parses the command line, and [`commands`] runs the commands.
//! [`training`] optimizes the weights of a network: each step takes photos from
//! [`data`], paints them with the network of
//! [`gstfaststyle::internals::network`], and measures a crop of the result by the
//! [`objective`], a sum of losses on features of VGG-19. The slow method
//! minimizes the same objective over the pixels of one picture, without a network.
//! [`logging`] reports progress, [`io`] reads and writes files, and [`memory`]
//! sets up the allocator.
//!
//! Dependencies run one way: `cli` and `commands` know all others; `training` knows
//! `objective`, `data` and `logging`; all may use `io`.

// Unlike these, `say` does not panic if standard error is closed.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod cli;
pub mod commands;
pub mod data;
pub mod io;
pub mod logging;
pub mod memory;
pub mod objective;
pub mod training;
