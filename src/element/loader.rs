//! Loads models in the background.

use super::settings::{Fault, Loaded};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A model for a [`Loader`] to load.
pub struct Job {
    /// Loads and prepares the model; gives none if no model is set.
    pub load: Box<dyn FnOnce() -> Result<Option<Loaded>, Fault> + Send>,
    /// Called if that fails.
    pub failed: Box<dyn FnOnce(Fault) + Send>,
}

/// Loads models one after the other on a thread that runs while there is
/// something to load. Only the last request counts.
#[derive(Default)]
pub struct Loader(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    wanted: Option<Job>,
    /// What has been loaded and not yet taken: a model, or none if none is set.
    ready: Option<Option<Loaded>>,
    /// Counts requests, so that the thread knows whether its model is still
    /// wanted.
    request: u64,
    running: bool,
}

impl Loader {
    /// Loads a model; earlier requests no longer count.
    ///
    /// # Errors
    /// If no thread can be started.
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

    /// Drops all requests and what they have loaded.
    pub fn cancel(&self) {
        let mut state = lock(&self.0);
        state.request += 1;
        state.wanted = None;
        state.ready = None;
    }

    /// Whether a model is being loaded, or waits to be taken.
    pub fn is_busy(&self) -> bool {
        let state = lock(&self.0);
        state.running || state.ready.is_some()
    }

    /// The model to use from now on, if it has changed.
    pub fn take(&self) -> Option<Option<Loaded>> {
        lock(&self.0).ready.take()
    }
}

/// Does one job. Whether there was one.
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
    format!("Loading the model failed: {}", text.unwrap_or("panic"))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
