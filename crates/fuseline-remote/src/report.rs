//! Traffic with a remote, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Traffic with a remote, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RemoteReport {
    /// The address.
    pub remote: String,
    /// `read` or `write`.
    pub mode: String,
    /// Actions whose outputs the remote had.
    pub actions_found: u64,
    /// Actions that the remote was given.
    pub actions_sent: u64,
    /// Actions that were executed and that the remote was not given.
    pub actions_not_sent: u64,
    /// Objects that were fetched.
    pub objects_received: u64,
    /// Objects that were refused: their bytes were not those of their names.
    pub objects_refused: u64,
    /// Objects that records name and that were not there any more.
    pub objects_gone: u64,
    /// Objects that were sent.
    pub objects_sent: u64,
    /// Packs of records that were fetched.
    pub packs_received: u64,
    /// Packs of records that were sent.
    pub packs_sent: u64,
    /// Bytes of objects and packs that arrived.
    pub bytes_received: u64,
    /// Bytes of objects and packs that were sent.
    pub bytes_sent: u64,
    /// Requests; one that was tried again counts once.
    pub requests: Requests,
    /// All that went wrong, in one line: the results are right all the same.
    pub warning: Option<String>,
}

/// Numbers of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Listings, of a thousand names each.
    pub list: u64,
    /// Questions whether an object is there.
    pub head: u64,
    /// Fetches.
    pub get: u64,
    /// Stores; each part of a large object counts.
    pub put: u64,
}

impl Requests {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.list + self.head + self.get + self.put
    }
}

/// Counters that any thread raises.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub list: Counter,
    pub head: Counter,
    pub get: Counter,
    pub put: Counter,
    pub bytes_received: Counter,
    pub bytes_sent: Counter,
    pub objects_received: Counter,
    pub objects_refused: Counter,
    pub objects_gone: Counter,
    pub objects_sent: Counter,
    pub packs_received: Counter,
    pub packs_sent: Counter,
}

/// A counter that any thread raises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub fn requests(&self) -> Requests {
        let Self { list, head, get, put, .. } = self;
        Requests { list: list.get(), head: head.get(), get: get.get(), put: put.get() }
    }
}
