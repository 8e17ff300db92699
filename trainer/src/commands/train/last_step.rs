//! The last step of a team's training, saved at once on a request to stop.
//!
//! A training finishes its step and then saves. But `mpirun` kills the processes a second
//! after it has told them to stop, and a step may take longer.

use crate::training::checkpoint::Checkpoint;
use crate::training::team::Team;
use crate::training::trainer::Trainer;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often a request to stop is looked for.
const INTERVAL: Duration = Duration::from_millis(50);

/// The last step that a training has taken. Only kept for a team of several.
pub struct LastStep {
    is_kept: bool,
    /// None if there was no step, or once it is saved.
    checkpoint: Mutex<Option<Checkpoint>>,
}

impl LastStep {
    /// For a training of `team`, before its first step.
    pub fn of(team: &Team) -> Self {
        LastStep {
            is_kept: team.size() > 1,
            checkpoint: Mutex::new(None),
        }
    }

    /// Does `work`. If `stop` is set meanwhile, the last step is saved to `path`.
    pub fn save_on_request<T>(
        &self,
        path: &Path,
        stop: &AtomicBool,
        work: impl FnOnce() -> T,
    ) -> T {
        if !self.is_kept {
            return work();
        }
        thread::scope(|scope| {
            let (end, ended) = channel();
            scope.spawn(move || self.watch(path, stop, &ended));
            let result = work();
            drop(end);
            result
        })
    }

    /// Keeps `trainer` as it is now.
    ///
    /// # Errors
    /// The device has no memory left.
    pub fn is(&self, trainer: &Trainer) -> anyhow::Result<()> {
        if self.is_kept {
            let now = trainer.checkpoint()?;
            *self.checkpoint() = Some(now);
        }
        Ok(())
    }

    fn watch(&self, path: &Path, stop: &AtomicBool, ended: &Receiver<()>) {
        while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            if stop.load(Ordering::SeqCst)
                && let Some(last) = self.checkpoint().take()
            {
                // If there is time, the training itself saves too, and reports what fails.
                let _ = last.save(path);
            }
        }
    }

    fn checkpoint(&self) -> MutexGuard<'_, Option<Checkpoint>> {
        self.checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
