//! Models that are loaded while others play.

use super::settings::{Fault, Loaded};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What a [`Loader`] has to do.
pub struct Job {
    /// Loads and prepares a model, or finds that there is to be none.
    pub load: Box<dyn FnOnce() -> Result<Option<Loaded>, Fault> + Send>,
    /// Is told if that failed.
    pub failed: Box<dyn FnOnce(Fault) + Send>,
}

/// Loads models one after the other on a thread of its own, which is there
/// while there is something to load. Only the last one asked for counts.
#[derive(Default)]
pub struct Loader(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    wanted: Option<Job>,
    /// What has been loaded and not yet taken: a model, or that there is to be
    /// none.
    ready: Option<Option<Loaded>>,
    /// Counts what has been asked for, so that a thread can tell whether what
    /// it has loaded is still wanted.
    request: u64,
    running: bool,
}

impl Loader {
    /// Loads a model in place of all that were asked for before.
    ///
    /// # Errors
    /// If there are no more threads.
    pub fn load(&self, job: Job) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.request += 1;
        state.ready = None;
        state.wanted = Some(job);
        if !state.running {
            let shared = self.0.clone();
            let work = move || while work(&shared) {};
            let builder = thread::Builder::new().name("faststyle-loader".into());
            builder.spawn(work)?;
            state.running = true;
        }
        Ok(())
    }

    /// Forgets all that was asked for.
    pub fn cancel(&self) {
        let mut state = lock(&self.0);
        state.request += 1;
        state.wanted = None;
        state.ready = None;
    }

    /// What is to be used from now on, if that has changed.
    pub fn take(&self) -> Option<Option<Loaded>> {
        lock(&self.0).ready.take()
    }
}

/// Does one job; whether there was one.
fn work(shared: &Mutex<State>) -> bool {
    let (job, request) = {
        let mut state = lock(shared);
        let Some(job) = state.wanted.take() else {
            state.running = false;
            return false;
        };
        (job, state.request)
    };
    let loaded = catch_unwind(AssertUnwindSafe(job.load))
        .unwrap_or_else(|panic| Err(Fault::failed(panic_text(&*panic))));
    let mut state = lock(shared);
    if state.request == request {
        match loaded {
            Ok(model) => state.ready = Some(model),
            Err(fault) => {
                drop(state);
                (job.failed)(fault);
            }
        }
    }
    true
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("Loading the model: {}", text.unwrap_or("panicked"))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
