//! What learns: the trainer, its recipe, and what a checkpoint keeps of them.

pub mod checkpoint;
pub mod optimizer;
pub mod random_crop;
pub mod recipe;
pub mod schedule;
pub mod stability;
pub mod trainer;
pub mod widen;
