//! Circuit breaker: the decision to use a remote no more.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Number of consecutive failures, each after its retries, after which the remote is not used any
/// more.
pub(crate) const MAX_FAILURES: u32 = 3;
/// Counts consecutive failures, and tells when there were too many.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: AtomicU32,
    is_open: AtomicBool,
    last: Mutex<Option<String>>,
}

impl Breaker {
    /// True once nothing is asked for any more.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Records a failure; `at_once` when it will not go better next time.
    pub fn fail(&self, problem: String, at_once: bool) {
        // Not a warning: who executes an action is not to blame, and the report says it once.
        tracing::debug!(%problem, "a request to the remote failed");
        *self.last() = Some(problem);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if at_once || failures >= MAX_FAILURES {
            self.is_open.store(true, Ordering::Relaxed);
        }
    }

    /// Records an answer.
    pub fn succeed(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// The last failure.
    pub fn problem(&self) -> Option<String> {
        self.last().clone()
    }

    fn last(&self) -> MutexGuard<'_, Option<String>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
