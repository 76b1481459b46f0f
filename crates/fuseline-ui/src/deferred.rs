//! Results of slow readings: made on threads of their own, waited for a moment, and kept for a
//! while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Time that a page waits for a result before it is sent as pending.
const PATIENCE: Duration = Duration::from_millis(60);
/// Lifetime of a cached failure, which may be transient.
const FAILURE_LASTS: Duration = Duration::from_secs(2);

/// Result of a reading: a value, or an error in words.
pub type Reading<V> = Result<Arc<V>, String>;

/// The latest few results, by key.
pub struct Deferred<K, V> {
    slots: Mutex<Vec<Slot<K, V>>>,
    capacity: usize,
    lasts: Duration,
}

struct Slot<K, V> {
    key: K,
    result: watch::Receiver<Option<Reading<V>>>,
    begun: Instant,
    used: Instant,
}

impl<K: PartialEq + Clone, V: Send + Sync + 'static> Deferred<K, V> {
    /// Keeps up to `capacity` results, each for the time that `lasts` gives.
    pub fn new(capacity: usize, lasts: Duration) -> Self {
        Self { slots: Mutex::default(), capacity, lasts }
    }

    /// The result, or none while it is being made. `make` runs only on the first request.
    pub async fn get(
        &self,
        key: &K,
        make: impl FnOnce() -> Result<V, String> + Send + 'static,
    ) -> Option<Reading<V>> {
        let mut result = self.find_or_begin(key, make);
        let wait = result.wait_for(Option::is_some);
        match tokio::time::timeout(PATIENCE, wait).await {
            Err(_) => None,
            Ok(Ok(value)) => value.clone(),
            // The thread has panicked, which says so on stderr.
            Ok(Err(_)) => Some(Err("it could not be read".to_owned())),
        }
    }

    fn find_or_begin(
        &self,
        key: &K,
        make: impl FnOnce() -> Result<V, String> + Send + 'static,
    ) -> watch::Receiver<Option<Reading<V>>> {
        let now = Instant::now();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.is_fresh(self.lasts));
        if let Some(slot) = slots.iter_mut().find(|slot| slot.key == *key) {
            slot.used = now;
            return slot.result.clone();
        }
        if slots.len() >= self.capacity
            && let Some(oldest) = (0..slots.len()).min_by_key(|&slot| slots[slot].used)
        {
            slots.swap_remove(oldest);
        }
        let (sender, result) = watch::channel(None);
        slots.push(Slot { key: key.clone(), result: result.clone(), begun: now, used: now });
        tokio::task::spawn_blocking(move || sender.send_replace(Some(make().map(Arc::new))));
        result
    }
}

impl<K, V> Slot<K, V> {
    fn is_fresh(&self, lasts: Duration) -> bool {
        let lasts = match &*self.result.borrow() {
            // A pending result stays until it is there, unless its thread has ended.
            None => return self.result.has_changed().is_ok(),
            Some(Ok(_)) => lasts,
            Some(Err(_)) => FAILURE_LASTS,
        };
        self.begun.elapsed() < lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_runtime(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn what_is_slow_is_begun_once_and_there_later() {
        on_runtime(async {
            let results = Deferred::new(2, Duration::from_secs(60));
            let slow = || {
                std::thread::sleep(Duration::from_millis(150));
                Ok(7)
            };
            assert!(results.get(&"a", slow).await.is_none());
            let other = results.get(&"a", || unreachable!("it is being made")).await;
            assert!(other.is_none());
            std::thread::sleep(Duration::from_millis(150));
            let value = results.get(&"a", || unreachable!("it was made")).await;
            assert_eq!(value.map(Result::unwrap).as_deref(), Some(&7));
        });
    }

    #[test]
    fn the_oldest_goes_and_so_does_a_panic() {
        on_runtime(async {
            let results = Deferred::new(1, Duration::from_secs(60));
            for value in [1, 2] {
                let found = results.get(&value, move || Ok(value)).await;
                assert_eq!(found.map(Result::unwrap).as_deref(), Some(&value));
            }
            let again = results.get(&1, || Err("made again".to_owned())).await;
            assert_eq!(again.unwrap().unwrap_err(), "made again");
            // It may take longer to say so than a page waits.
            let panicked = results.get(&3, || panic!("a bug")).await;
            assert!(panicked.is_none_or(|result| result.is_err()));
            std::thread::sleep(Duration::from_millis(500));
            let after = results.get(&3, || Ok(3)).await;
            assert_eq!(*after.unwrap().unwrap(), 3);
        });
    }
}
