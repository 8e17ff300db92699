//! `faststyle live` and its page, and the commands that print.

mod common;
mod outputs;
mod page;
mod printed;
