//! `faststyle film` with clips that the tests make.

mod common;
mod formats;
mod output;
mod parts;
mod resume;
mod sequences;
mod tracks;
