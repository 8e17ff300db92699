//! Learns a painting's style: the parts of the program `faststyle-train`.
//!
//! [`cli`] says what can be asked of the program, [`commands`] what each command
//! does. [`training`] holds a network and moves its weights: each step takes
//! photos from [`data`], repaints them with the network of
//! [`gstfaststyle::internals::network`], and measures a crop of the result by the
//! [`objective`], a sum of losses of what VGG-19 sees. The same objective drives
//! the slow method, which moves the pixels of one picture and needs no network.
//! [`logging`] tells how work goes, [`io`] reads and writes files, and [`memory`]
//! says how programs allocate.
//!
//! Arrows run one way: `cli` and `commands` know all others; `training` knows
//! `objective`, `data` and `logging`; all may use `io`.

// Unlike these, `say` does not panic where nobody listens.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod cli;
pub mod commands;
pub mod data;
pub mod io;
pub mod logging;
pub mod memory;
pub mod objective;
pub mod training;
