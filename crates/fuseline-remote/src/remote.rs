//! A remote behind a cache: what it reads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, ActionRecord, Cache, Remote};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::RemoteAddress;
use crate::bucket::{Bucket, ConnectError, RequestError};
use crate::catalogue::Catalogue;
use crate::pack::{MAX_PACK_BYTES, Pack, PackName};
use crate::report::RemoteReport;
use crate::upload::{UPLOAD_THREADS, Uploads};

/// The layout that this code reads and writes: the first folder under the address.
pub(crate) const LAYOUT: &str = "v1";
/// The most packs of other workflows that are read, newest first.
const MAX_OTHER_PACKS: usize = 64;
/// So many objects or packs are fetched at once.
const FETCH_THREADS: usize = 16;

/// A remote, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Its address.
    pub address: RemoteAddress,
    /// Whether it is read, or written to as well.
    pub mode: RemoteMode,
    /// How long a request may go without an answer.
    pub timeout: Duration,
}

impl RemoteSettings {
    /// How long a request may go without an answer, unless it is said otherwise.
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
    scope: OnceLock<String>,
    pub state: Mutex<State>,
    /// Objects that records name and that did not come.
    lost: Mutex<BTreeSet<Digest>>,
    /// Objects of which the remote gave other bytes.
    pub refused: Mutex<BTreeSet<Digest>>,
    /// Objects that some thread is fetching.
    fetching: Mutex<BTreeSet<Digest>>,
    fetched: Condvar,
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

/// A pack of a listing.
#[derive(Debug, Clone)]
struct Listed {
    scope: String,
    name: PackName,
    size: u64,
    /// For the order of packs of other workflows alone.
    modified: i64,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RemoteCache {
    /// The remote of some settings behind the cache in a folder; none when it is off. Nothing is asked yet.
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
            folder: Digest::of(address.to_string()).to_hex()[..16].to_owned(),
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

    /// Ends the use of the remote: waits until all is sent or `stop` is raised, and puts what has wholly arrived
    /// among the records of the cache. The traffic until then.
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
fn scope_of(workflow: &str) -> String {
    Digest::of(workflow).to_hex()[..16].to_owned()
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

fn parse_kept(text: &str) -> Option<(&str, PackName)> {
    let (scope, name) = text.split_once('.')?;
    Some((scope, name.parse().ok()?))
}

fn is_scope(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

impl Shared {
    /// The scope that is read first and written to; that of no name where no workflow was named.
    pub fn scope(&self) -> &str {
        self.scope.get_or_init(|| scope_of(""))
    }

    fn find_action(&self, key: &ActionKey) -> Option<ActionRecord> {
        let mut state = lock(&self.state);
        loop {
            if let Some(record) = state.catalogue.record(key) {
                lock(&self.found).insert(*key);
                return Some(record);
            }
            if !self.load_more(&mut state) {
                return None;
            }
        }
    }

    fn has_object(&self, digest: &Digest, size: u64) -> bool {
        if self.bucket.reads.is_open() || lock(&self.lost).contains(digest) {
            return false;
        }
        let mut state = lock(&self.state);
        if state.loaded < Loaded::Kept {
            self.load_kept(&mut state);
        }
        state.catalogue.object(digest) == Some(size)
    }

    /// Whether the remote holds an object as far as is known, so that it need not be sent.
    pub fn holds(&self, digest: &Digest) -> bool {
        !lock(&self.lost).contains(digest) && lock(&self.state).catalogue.object(digest).is_some()
    }

    /// Loads the records that come next; false when there are no more.
    pub fn load_more(&self, state: &mut State) -> bool {
        match state.loaded {
            Loaded::Nothing => self.load_kept(state),
            Loaded::Kept if self.scope.get().is_some() => self.load_own(state),
            Loaded::Kept | Loaded::Own => self.load_all(state),
            Loaded::All => return false,
        }
        true
    }

    /// Packs that the cache has kept: nothing is asked for them.
    fn load_kept(&self, state: &mut State) {
        state.loaded = Loaded::Kept;
        let files = self.cache.remote_files(&self.folder).unwrap_or_default();
        let mut packs: Vec<_> = files.iter().filter_map(|file| parse_kept(file)).collect();
        let own = self.scope.get();
        packs.sort_by_key(|(scope, name)| {
            let is_other = own.is_some_and(|own| own != scope);
            (is_other, std::cmp::Reverse(name.generation), *scope, *name)
        });
        for (scope, name) in packs {
            if !state.catalogue.has_room() {
                return;
            }
            let file = kept_name(scope, &name);
            let bytes = self.cache.read_remote_file(&self.folder, &file);
            let Ok(Some(bytes)) = bytes else { continue };
            match Pack::decode(&name, &bytes) {
                Ok(pack) => state.catalogue.add(scope, name, pack),
                Err(problem) => {
                    tracing::warn!(%file, %problem, "a kept pack of the remote was removed");
                    self.forget(&file);
                }
            }
        }
    }

    fn load_own(&self, state: &mut State) {
        state.loaded = Loaded::Own;
        let scope = self.scope().to_owned();
        let Some(listed) = self.list(&format!("{LAYOUT}/packs/{scope}")) else { return };
        let live = self.load_listed(state, listed);
        // What is no longer there, or was merged into another, is not kept either.
        self.forget_except(|of, name| of != scope || live.contains(name));
    }

    /// Removes kept packs but those that are wanted.
    fn forget_except(&self, is_wanted: impl Fn(&str, &PackName) -> bool) {
        for file in self.cache.remote_files(&self.folder).unwrap_or_default() {
            if parse_kept(&file).is_some_and(|(scope, name)| !is_wanted(scope, &name)) {
                self.forget(&file);
            }
        }
    }

    fn load_all(&self, state: &mut State) {
        state.loaded = Loaded::All;
        let Some(mut listed) = self.list(&format!("{LAYOUT}/packs")) else { return };
        self.forget_except(|scope, name| {
            listed.iter().any(|pack| pack.scope == scope && pack.name == *name)
        });
        listed.sort_by_key(|pack| (std::cmp::Reverse(pack.modified), pack.name));
        listed.retain(|pack| !state.catalogue.has(&pack.scope, &pack.name));
        listed.truncate(MAX_OTHER_PACKS);
        self.load_listed(state, listed);
    }

    /// The packs under a prefix; none when the remote does not say.
    fn list(&self, prefix: &str) -> Option<Vec<Listed>> {
        let listed = self.bucket.list(prefix).ok()?.into_iter();
        let packs = listed.filter_map(|meta| {
            let path = meta.location.as_ref();
            let (folders, name) = path.rsplit_once('/')?;
            let (_, scope) = folders.rsplit_once('/')?;
            Some(Listed {
                scope: Some(scope).filter(|scope| is_scope(scope))?.to_owned(),
                name: name.parse().ok()?,
                size: meta.size,
                modified: meta.last_modified.timestamp(),
            })
        });
        Some(packs.collect())
    }

    /// Loads those packs that no other of them replaces. Their names.
    fn load_listed(&self, state: &mut State, mut listed: Vec<Listed>) -> BTreeSet<PackName> {
        let mut replaced: BTreeSet<Digest> = BTreeSet::new();
        let mut live = BTreeSet::new();
        // A merged pack is of a later generation than those that it replaces.
        listed.sort_by_key(|pack| (std::cmp::Reverse(pack.name), pack.scope.clone()));
        for generation in listed.chunk_by(|a, b| a.name.generation == b.name.generation) {
            let wanted: Vec<&Listed> =
                generation.iter().filter(|pack| !replaced.contains(&pack.name.digest)).collect();
            let missing: Vec<&Listed> = wanted
                .iter()
                .copied()
                .filter(|pack| !state.catalogue.has(&pack.scope, &pack.name))
                .take_while(|_| state.catalogue.has_room())
                .collect();
            for (listed, pack) in self.fetch_packs(&missing) {
                state.catalogue.add(&listed.scope, listed.name, pack);
            }
            for Listed { scope, name, .. } in wanted {
                live.insert(*name);
                let pack = state.catalogue.packs_of(scope).find(|(of, _)| *of == name);
                replaced.extend(pack.iter().flat_map(|(_, pack)| &pack.replaces));
            }
        }
        live
    }

    /// Fetches packs, a few at a time, and keeps them; in order, without those that did not come.
    fn fetch_packs<'l>(&self, listed: &[&'l Listed]) -> Vec<(&'l Listed, Pack)> {
        let packs = in_parallel(listed, |listed| {
            let Listed { scope, name, size, .. } = listed;
            let path = pack_path(scope, name);
            let bytes = match self.bucket.get(&path, (*size).min(MAX_PACK_BYTES)) {
                Ok(bytes) => bytes,
                Err(RequestError::TooLong) => {
                    self.bucket.refuse(format!("{path} is larger than a pack may be"));
                    return None;
                }
                Err(_) => return None,
            };
            match Pack::decode(name, &bytes) {
                Ok(pack) => {
                    self.bucket.counts.packs_received.add(1);
                    self.keep_pack(scope, name, &bytes);
                    Some(pack)
                }
                Err(problem) => {
                    self.bucket.refuse(format!("{path} was refused: {problem}"));
                    None
                }
            }
        });
        listed.iter().copied().zip(packs).filter_map(|(of, pack)| Some((of, pack?))).collect()
    }

    /// Keeps a pack, so that it need not be fetched again.
    pub fn keep_pack(&self, scope: &str, name: &PackName, bytes: &Bytes) {
        let file = kept_name(scope, name);
        if let Err(error) = self.cache.write_remote_file(&self.folder, &file, bytes) {
            // The next command fetches it again, and that is all.
            tracing::warn!(%error, "a pack of the remote was not kept");
        }
    }

    fn forget(&self, file: &str) {
        if let Err(error) = self.cache.remove_remote_file(&self.folder, file) {
            tracing::warn!(%error, "a kept pack of the remote cannot be removed");
        }
    }

    pub fn fetch_objects(&self, digests: &[Digest]) {
        let wanted: Vec<(Digest, Option<u64>)> = {
            let lost = lock(&self.lost).clone();
            let mut state = lock(&self.state);
            let digests = digests.iter().filter(|digest| !lost.contains(digest));
            let sizes = digests.map(|digest| {
                loop {
                    let size = state.catalogue.object(digest);
                    if size.is_some() || !self.load_more(&mut state) {
                        return (*digest, size);
                    }
                }
            });
            sizes.collect()
        };
        in_parallel(&wanted, |(digest, size)| {
            let Some(size) = *size else {
                lock(&self.lost).insert(*digest);
                return;
            };
            if self.claim(digest) {
                if !self.fetch_object(digest, size) {
                    lock(&self.lost).insert(*digest);
                }
                lock(&self.fetching).remove(digest);
                self.fetched.notify_all();
            }
        });
    }

    /// True when this thread is to fetch an object; else another has tried meanwhile.
    fn claim(&self, digest: &Digest) -> bool {
        let mut fetching = lock(&self.fetching);
        if fetching.insert(*digest) {
            return true;
        }
        while fetching.contains(digest) {
            fetching = self.fetched.wait(fetching).unwrap_or_else(PoisonError::into_inner);
        }
        false
    }

    /// Fetches an object into the cache, unless its bytes are not those of its name.
    fn fetch_object(&self, digest: &Digest, size: u64) -> bool {
        let path = object_path(digest);
        let received = self.cache.receive_object(digest, |object| {
            match self.bucket.get_to(&path, size, object)? {
                Ok(()) => Ok(()),
                // The cache says why it could not take it.
                Err(_) => Err(RequestError::LeftAlone),
            }
        });
        match received {
            Ok(Ok(true)) => {
                self.bucket.counts.objects_received.add(1);
                true
            }
            Ok(Ok(false) | Err(RequestError::TooLong)) => {
                self.bucket.counts.objects_refused.add(1);
                lock(&self.refused).insert(*digest);
                self.bucket.refuse(format!("object {digest} has other bytes than its name says"));
                false
            }
            Ok(Err(RequestError::NotFound)) => {
                self.bucket.counts.objects_gone.add(1);
                false
            }
            Ok(Err(_)) => false,
            Err(error) => {
                let error = error.with_cause();
                tracing::warn!(%error, "an object of the remote cannot be stored");
                false
            }
        }
    }

    /// Puts the records that were found, and whose objects are all here by now, among those of the cache.
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

    fn report(&self) -> RemoteReport {
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

    /// What went wrong, in one line.
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

/// What a function gives for each of some items, computed by a few threads, in order.
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
