//! How a command ends.

/// The exit status of an interrupted command, as of a program that Ctrl-C ends.
pub const INTERRUPTED: u8 = 130;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// Ctrl-C, or another request to end, came first.
    Interrupted,
}
