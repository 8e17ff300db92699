//! Training: the trainer, its recipe, optimizer and checkpoints, and the team of processes.

pub mod checkpoint;
pub mod optimizer;
pub mod random_crop;
pub mod recipe;
pub mod schedule;
pub mod stability;
pub mod style_rows;
pub mod team;
pub mod trainer;
pub mod widen;
