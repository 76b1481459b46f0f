//! Values used last, up to a number of bytes.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use fuseline_artifact::Digest;
use lru::LruCache;

/// Values by digest. The least recently used go when all together exceed the limit.
pub(crate) struct Recent<V> {
    held: Mutex<Held<V>>,
    /// Maximum of bytes that are held. A larger value is not held at all.
    limit_bytes: usize,
}

struct Held<V> {
    values: LruCache<Digest, (V, usize)>,
    bytes: usize,
}

impl<V: Clone> Recent<V> {
    /// Holds nothing yet. A limit of 0 bytes: never holds anything.
    pub fn new(limit_bytes: usize) -> Self {
        let held = Held { values: LruCache::unbounded(), bytes: 0 };
        Self { held: Mutex::new(held), limit_bytes }
    }

    /// Maximum of bytes that are held.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// A value that is still held.
    pub fn get(&self, digest: &Digest) -> Option<V> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values.get(digest).map(|(value, _)| value.clone())
    }

    /// Holds a value of so many bytes, in place of one under the same digest.
    pub fn put(&self, digest: Digest, value: V, bytes: usize) {
        if bytes > self.limit_bytes {
            return;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += bytes;
        if let Some((_, before)) = held.values.put(digest, (value, bytes)) {
            held.bytes -= before;
        }
        while held.bytes > self.limit_bytes {
            let Some((_, (_, bytes))) = held.values.pop_lru() else { break };
            held.bytes -= bytes;
        }
    }
}

/// Size limit of what actions of a process share.
const SHARED_BYTES: usize = 64 << 20;

/// Values that several actions of a process would compute alike, held while there is room.
///
/// The digest must be of all that a value is a function of: whether it is computed or found here
/// can then reach no result.
pub struct SharedValues(Recent<Arc<dyn Any + Send + Sync>>);

impl Default for SharedValues {
    fn default() -> Self {
        Self::with_limit(SHARED_BYTES)
    }
}

impl SharedValues {
    /// Holds nothing yet, and at most so many bytes.
    #[must_use]
    pub fn with_limit(bytes: usize) -> Self {
        Self(Recent::new(bytes))
    }

    /// Maximum of bytes that are held.
    #[must_use]
    pub fn limit_bytes(&self) -> usize {
        self.0.limit_bytes()
    }

    /// The value of a digest, if it is still held and of this type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self, digest: &Digest) -> Option<Arc<T>> {
        self.0.get(digest).and_then(|value| value.downcast().ok())
    }

    /// Holds a value of so many bytes.
    pub fn put<T: Send + Sync + 'static>(&self, digest: Digest, value: Arc<T>, bytes: usize) {
        self.0.put(digest, value, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let digest = |name: &str| Digest::hash(name.as_bytes());
        let recent = Recent::new(10);
        for name in ["a", "b"] {
            recent.put(digest(name), name, 4);
        }
        assert_eq!(recent.get(&digest("a")), Some("a"));
        recent.put(digest("c"), "c", 4);
        assert_eq!(recent.get(&digest("b")), None, "a was used after it");
        assert_eq!(recent.get(&digest("a")), Some("a"));
        recent.put(digest("a"), "again", 6);
        assert_eq!(recent.get(&digest("a")), Some("again"));
        assert_eq!(recent.get(&digest("c")), Some("c"), "10 bytes are held");
        recent.put(digest("d"), "d", 11);
        assert_eq!(recent.get(&digest("d")), None, "larger than the limit");
        assert_eq!(recent.get(&digest("c")), Some("c"), "and pushes nothing out");
    }
}
