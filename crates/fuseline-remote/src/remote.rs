//! A remote behind a cache, for one command.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, ActionRecord, Cache, Remote};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::RemoteAddress;
use crate::bucket::{Bucket, ConnectError};
use crate::catalogue::Catalogue;
use crate::pack::PackName;
use crate::report::RemoteReport;
use crate::upload::{UPLOAD_THREADS, Uploads};

/// The layout that this code reads and writes: the first folder under the address.
pub(crate) const LAYOUT: &str = "v1";
/// Number of objects or packs that are fetched at once.
const FETCH_THREADS: usize = 16;

/// A remote, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Its address.
    pub address: RemoteAddress,
    /// The use that is made of it.
    pub mode: RemoteMode,
    /// The longest time that a request may go without an answer.
    pub timeout: Duration,
}

impl RemoteSettings {
    /// The default of [`RemoteSettings::timeout`].
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// A remote that is read.
    pub fn new(address: RemoteAddress) -> Self {
        Self { address, mode: RemoteMode::default(), timeout: Self::DEFAULT_TIMEOUT }
    }
}

/// The use that is made of a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RemoteMode {
    /// Results are taken from it.
    #[default]
    Read,
    /// Results are taken from it, and what is executed is sent to it.
    Write,
    /// It is not asked.
    Off,
}

impl RemoteMode {
    /// `read`, `write` or `off`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Off => "off",
        }
    }
}

/// A remote behind a cache, for one command.
#[derive(Debug)]
pub struct RemoteCache {
    pub(crate) shared: Arc<Shared>,
    pub(crate) threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// The part of a [`RemoteCache`] that its threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub address: RemoteAddress,
    pub mode: RemoteMode,
    pub bucket: Bucket,
    /// The cache in front, without the remote.
    pub cache: Cache,
    /// The name under which the cache keeps packs of this remote.
    pub folder: String,
    pub scope: OnceLock<String>,
    pub state: Mutex<State>,
    /// Objects that records name and that did not come.
    pub lost: Mutex<BTreeSet<Digest>>,
    /// Objects of which the remote gave other bytes.
    pub refused: Mutex<BTreeSet<Digest>>,
    /// Objects that some thread is fetching.
    pub fetching: Mutex<BTreeSet<Digest>>,
    pub fetched: Condvar,
    /// Actions whose records were asked for and found.
    pub found: Mutex<BTreeSet<ActionKey>>,
    pub uploads: Uploads,
}

/// The records that are known so far.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub catalogue: Catalogue,
    pub loaded: Loaded,
}

/// The packs whose records are known, one after the other as they are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Loaded {
    #[default]
    Nothing,
    /// Those that the cache has kept.
    Kept,
    /// Those of the workflow.
    Own,
    /// The newest of all workflows.
    All,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RemoteCache {
    /// The remote of some settings behind the cache in a folder; none when it is off. Nothing is
    /// asked yet.
    pub fn connect(settings: &RemoteSettings, cache: Cache) -> Result<Option<Self>, ConnectError> {
        let RemoteSettings { address, mode, timeout } = settings;
        if *mode == RemoteMode::Off {
            return Ok(None);
        }
        let bucket = Bucket::connect(address, *mode == RemoteMode::Write, *timeout)?;
        let shared = Shared {
            address: address.clone(),
            mode: *mode,
            bucket,
            cache,
            folder: Digest::hash(address.to_string()).to_hex()[..16].to_owned(),
            scope: OnceLock::new(),
            state: Mutex::default(),
            lost: Mutex::default(),
            refused: Mutex::default(),
            fetching: Mutex::default(),
            fetched: Condvar::new(),
            found: Mutex::default(),
            uploads: Uploads::default(),
        };
        Ok(Some(Self { shared: Arc::new(shared), threads: Mutex::default() }))
    }

    /// Names the workflow whose packs are read first, and written.
    pub fn set_workflow(&self, name: &str) {
        // The first name stays: a command is about one workflow.
        self.shared.scope.get_or_init(|| scope_of(name));
    }

    /// The number of executed actions that wait to be sent, after giving them some time.
    pub fn waiting_after(&self, time: Duration) -> usize {
        self.shared.uploads.waiting_after(time)
    }

    /// Ends the use of the remote: waits until all is sent or `stop` is raised, and puts what has
    /// wholly arrived among the records of the cache. The traffic until then.
    pub fn finish(&self, stop: &Arc<AtomicBool>) -> RemoteReport {
        self.shared.uploads.close(stop.clone());
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // One that panicked has sent nothing more, which is counted.
            let _ = thread.join();
        }
        self.shared.send_packs();
        self.shared.keep_found();
        self.shared.report()
    }
}

impl Drop for RemoteCache {
    fn drop(&mut self) {
        // Threads end after what they are sending; a pack of it is for a later push.
        self.shared.uploads.abandon();
    }
}

impl Remote for RemoteCache {
    fn find_action(&self, key: &ActionKey) -> Option<ActionRecord> {
        self.shared.find_action(key)
    }

    fn has_object(&self, digest: &Digest, size: u64) -> bool {
        self.shared.has_object(digest, size)
    }

    fn fetch_objects(&self, digests: &[Digest]) {
        self.shared.fetch_objects(digests);
    }

    fn note_executed(&self, key: &ActionKey) {
        if self.shared.mode != RemoteMode::Write {
            return;
        }
        self.shared.uploads.push(*key);
        let mut threads = lock(&self.threads);
        if threads.len() < UPLOAD_THREADS {
            let shared = self.shared.clone();
            let name = "fuseline-upload".to_owned();
            let started = std::thread::Builder::new().name(name).spawn(move || shared.upload_all());
            match started {
                Ok(thread) => threads.push(thread),
                // Those that there are do its work; without any, the actions count as not sent.
                Err(error) => tracing::warn!(%error, "a thread for uploads cannot be started"),
            }
        }
    }
}

/// The folder of the packs of a workflow: its name may be any text.
pub(crate) fn scope_of(workflow: &str) -> String {
    Digest::hash(workflow).to_hex()[..16].to_owned()
}

/// The path of an object under the address.
pub(crate) fn object_path(digest: &Digest) -> String {
    let hex = digest.to_hex();
    format!("{LAYOUT}/objects/{}/{}", &hex[..2], &hex[2..])
}

/// The path of a pack under the address.
pub(crate) fn pack_path(scope: &str, name: &PackName) -> String {
    format!("{LAYOUT}/packs/{scope}/{name}")
}

/// The name under which the cache keeps a pack.
pub(crate) fn kept_name(scope: &str, name: &PackName) -> String {
    format!("{scope}.{name}")
}

impl Shared {
    /// Puts the records that were found, and whose objects are all here by now, among those of the
    /// cache.
    pub fn keep_found(&self) {
        let keys = std::mem::take(&mut *lock(&self.found));
        let state = lock(&self.state);
        for key in &keys {
            let Some(record) = state.catalogue.record(key) else { continue };
            let is_here = |of: &fuseline_cache::OutputRecord| {
                self.cache.has_local_object(&of.digest, of.size)
            };
            if record.outputs.iter().all(is_here)
                && matches!(self.cache.peek_local_action(key), Ok(None))
                && let Err(error) = self.cache.put_action(key, &record)
            {
                let error = error.with_cause();
                tracing::warn!(%error, "a record of the remote cannot be stored");
                return;
            }
        }
        self.uploads.count_found(keys.len() as u64);
    }

    pub fn report(&self) -> RemoteReport {
        let counts = &self.bucket.counts;
        RemoteReport {
            remote: self.address.to_string(),
            mode: self.mode.name().to_owned(),
            actions_found: self.uploads.found(),
            actions_sent: self.uploads.sent(),
            actions_not_sent: self.uploads.not_sent(),
            objects_received: counts.objects_received.get(),
            objects_refused: counts.objects_refused.get(),
            objects_gone: counts.objects_gone.get(),
            objects_sent: counts.objects_sent.get(),
            packs_received: counts.packs_received.get(),
            packs_sent: counts.packs_sent.get(),
            bytes_received: counts.bytes_received.get(),
            bytes_sent: counts.bytes_sent.get(),
            requests: counts.requests(),
            warning: self.warning(),
        }
    }

    /// All that went wrong, in one line.
    fn warning(&self) -> Option<String> {
        let (reads, writes) = (&self.bucket.reads, &self.bucket.writes);
        let mut parts = Vec::new();
        let not_sent = self.uploads.not_sent();
        match (reads.problem(), reads.is_open()) {
            (Some(problem), true) => parts.push(format!("it was left alone: {problem}")),
            (Some(problem), false) => parts.push(problem),
            (None, _) => {}
        }
        // A folder that is not there is away for both.
        match writes.problem().filter(|problem| Some(problem) != reads.problem().as_ref()) {
            Some(problem) if writes.is_open() => {
                parts.push(format!("nothing more was sent to it: {problem}"));
            }
            Some(problem) => parts.push(problem),
            None => {}
        }
        match self.bucket.counts.objects_gone.get() {
            0 => {}
            gone => parts.push(format!("objects that its records name and that are gone: {gone}")),
        }
        if not_sent > 0 {
            parts.push(format!(
                "executed actions that were not sent: {not_sent} (`fuseline cache push` sends them)"
            ));
        }
        (!parts.is_empty()).then(|| format!("remote {}: {}", self.address, parts.join("; ")))
    }
}

/// Maps items by a few threads, in order.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let threads = items.len().min(FETCH_THREADS);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { return };
                    let made = work(item);
                    lock(&done).push((number, made));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests;
