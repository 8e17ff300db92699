//! A video frame in memory.
