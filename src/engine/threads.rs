//! The threads that engines work on.

use super::EngineError;
use rayon::ThreadPool;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A number of threads, shared by all engines of this process that asked for
/// as many: several at once take turns on them and do not crowd the machine.
#[derive(Clone)]
pub struct Threads(Arc<ThreadPool>);

impl Threads {
    /// `count` threads, 0 for as many as the machine has cores.
    ///
    /// # Errors
    /// [`EngineError::Threads`] if the system has no more.
    pub fn new(count: usize) -> Result<Self, EngineError> {
        static POOLS: Mutex<Option<HashMap<usize, Weak<ThreadPool>>>> = Mutex::new(None);
        let count = match count {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            count => count,
        };
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        let pools = pools.get_or_insert_default();
        if let Some(pool) = pools.get(&count).and_then(Weak::upgrade) {
            return Ok(Threads(pool));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|i| format!("faststyle-{i}"))
            .build()
            .map_err(|error| EngineError::Threads {
                count,
                reason: error.to_string(),
            })?;
        let pool = Arc::new(pool);
        pools.insert(count, Arc::downgrade(&pool));
        Ok(Threads(pool))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Runs `work`, and all that it splits, on these threads.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_that_ask_for_as_many_share_them() {
        let (one, other) = (Threads::new(3).unwrap(), Threads::new(3).unwrap());
        assert!(Arc::ptr_eq(&one.0, &other.0));
        assert_eq!((one.count(), one.run(rayon::current_num_threads)), (3, 3));
        assert!(!Arc::ptr_eq(&one.0, &Threads::new(2).unwrap().0));
        assert!(Threads::new(0).unwrap().count() > 0);
    }
}
