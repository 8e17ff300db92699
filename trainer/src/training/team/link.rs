//! How the processes of a team reach each other.

/// The connection of one process to all others. Its calls are collective: every
/// process makes the same ones in the same order, and each waits for the others.
pub trait Link {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn size(&self) -> usize;

    /// The name of the machine that this process runs on.
    fn host(&self) -> String;

    /// Sends `parts[i]` to process `i`, itself included, and returns what each has sent
    /// to this one, in the order of ranks. `parts` has as many as there are processes.
    fn exchange(&self, parts: &[&[u8]]) -> Vec<Vec<u8>>;
}
