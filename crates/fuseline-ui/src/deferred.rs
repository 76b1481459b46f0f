//! Results of slow readings: made on threads of their own, waited for a moment, and kept for a
//! while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Time that a page waits for a result before it is sent as pending.
const PATIENCE: Duration = Duration::from_millis(40);
/// Lifetime of a cached failure, which may be transient.
const FAILURE_LASTS: Duration = Duration::from_secs(2);

/// Result of a reading: a value, or an error in words.
pub type Reading<V> = Result<Arc<V>, String>;

/// A result once it is there, and when it was made.
type Watched<V> = watch::Receiver<Option<(Reading<V>, Instant)>>;

/// The latest few results, by key.
pub struct Deferred<K, V> {
    slots: Mutex<Vec<Slot<K, V>>>,
    capacity: usize,
    lasts: Duration,
}

struct Slot<K, V> {
    key: K,
    result: Watched<V>,
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
            Ok(Ok(value)) => value.as_ref().map(|(result, _)| result.clone()),
            // The thread has panicked, which says so on stderr.
            Ok(Err(_)) => Some(Err("it could not be read".to_owned())),
        }
    }

    fn find_or_begin(
        &self,
        key: &K,
        make: impl FnOnce() -> Result<V, String> + Send + 'static,
    ) -> Watched<V> {
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
        slots.push(Slot { key: key.clone(), result: result.clone(), used: now });
        tokio::task::spawn_blocking(move || {
            let made = make().map(Arc::new);
            sender.send_replace(Some((made, Instant::now())))
        });
        result
    }
}

impl<K, V> Slot<K, V> {
    fn is_fresh(&self, lasts: Duration) -> bool {
        match &*self.result.borrow() {
            // A pending result stays until it is there, unless its thread has ended.
            None => self.result.has_changed().is_ok(),
            Some((Ok(_), made)) => made.elapsed() < lasts,
            Some((Err(_), made)) => made.elapsed() < FAILURE_LASTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_runtime(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).enable_time().build().unwrap().block_on(test);
    }

    /// The result as soon as it is there, a minute at most.
    async fn awaited<V: Send + Sync + 'static>(
        results: &Deferred<&'static str, V>,
        key: &'static str,
        make: impl Fn() -> Result<V, String> + Clone + Send + 'static,
    ) -> Reading<V> {
        for _ in 0..1000 {
            if let Some(result) = results.get(&key, make.clone()).await {
                return result;
            }
        }
        panic!("{key} is not there")
    }

    #[test]
    fn what_is_slow_is_begun_once_and_there_later() {
        on_runtime(async {
            let results = Deferred::new(2, Duration::from_secs(60));
            let (go, wait) = std::sync::mpsc::channel();
            let slow = move || wait.recv().map_err(|error| error.to_string());
            assert!(results.get(&"a", slow).await.is_none());
            let other = results.get(&"a", || unreachable!("it is being made")).await;
            assert!(other.is_none());
            go.send(7).unwrap();
            let value = awaited(&results, "a", || unreachable!("it was made")).await;
            assert_eq!(*value.unwrap(), 7);
        });
    }

    #[test]
    fn what_took_longer_to_make_than_it_lasts_is_kept_as_long_as_any() {
        on_runtime(async {
            let lasts = Duration::from_secs(1);
            let results = Deferred::new(1, lasts);
            let slow = move || {
                std::thread::sleep(lasts + PATIENCE);
                Ok(7)
            };
            assert!(results.get(&"a", slow).await.is_none());
            // Nobody asks when it is ready, and somebody a little later.
            let ready = async || {
                while results.slots.lock().unwrap()[0].result.borrow().is_none() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            ready().await;
            let again = results.get(&"a", || Err("made again".to_owned())).await;
            assert_eq!(*again.unwrap().unwrap(), 7);
        });
    }

    #[test]
    fn the_oldest_goes_and_so_does_a_panic() {
        on_runtime(async {
            let results = Deferred::new(1, Duration::from_secs(60));
            for (key, value) in [("a", 1), ("b", 2)] {
                let found = awaited(&results, key, move || Ok(value)).await;
                assert_eq!(*found.unwrap(), value);
            }
            let again = awaited(&results, "a", || Err("made again".to_owned())).await;
            assert_eq!(again.unwrap_err(), "made again");
            // It may take longer to say so than a page waits; then it is made anew.
            let panicked = results.get(&"c", || panic!("a bug")).await;
            assert!(panicked.is_none_or(|result| result.is_err()));
            let mut after = awaited(&results, "c", || Ok(3)).await;
            if after.is_err() {
                after = awaited(&results, "c", || Ok(3)).await;
            }
            assert_eq!(*after.unwrap(), 3);
        });
    }
}
