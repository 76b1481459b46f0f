//! Execution time of an action.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

thread_local! {
    /// Stopwatch of the action that this thread executes.
    static CURRENT: RefCell<Option<Arc<Stopwatch>>> = const { RefCell::new(None) };
}

/// Execution time of an action.
///
/// It does not count how long the action waited for a thread, nor how long the thread that executes
/// it was lent to another action while it waited for parts of its own.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch(Mutex<Reading>);

#[derive(Debug, Default)]
struct Reading {
    before: Duration,
    /// Since when it goes on, while it does.
    since: Option<Instant>,
}

impl Stopwatch {
    /// Time measured so far.
    pub fn elapsed(&self) -> Duration {
        let reading = self.reading();
        reading.before + reading.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Goes on while `work` does, on this thread; that of the action around it stands still
    /// meanwhile.
    pub fn measure<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let around = CURRENT.replace(Some(self.clone()));
        if let Some(around) = &around {
            around.pause();
        }
        self.go_on();
        let made = work();
        self.pause();
        if let Some(around) = &around {
            around.go_on();
        }
        CURRENT.set(around);
        made
    }

    fn go_on(&self) {
        self.reading().since = Some(Instant::now());
    }

    fn pause(&self) {
        let mut reading = self.reading();
        if let Some(since) = reading.since.take() {
            reading.before += since.elapsed();
        }
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_counts_neither_before_it_starts_nor_while_its_thread_executes_another() {
        let wait = |milliseconds| std::thread::sleep(Duration::from_millis(milliseconds));
        let (outer, inner) = (Arc::new(Stopwatch::default()), Arc::new(Stopwatch::default()));
        wait(20);
        assert_eq!(outer.elapsed(), Duration::ZERO);
        let began = Instant::now();
        outer.measure(|| {
            wait(20);
            inner.measure(|| wait(200));
        });
        let (all, outer, inner) = (began.elapsed(), outer.elapsed(), inner.elapsed());
        assert!(inner >= Duration::from_millis(200) && outer >= Duration::from_millis(20));
        assert!(outer + inner <= all, "{outer:?} and {inner:?} of {all:?}");
    }
}
