//! Write-behind: what is executed goes to the remote while the run goes on, and never holds it up.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fuseline_artifact::{Digest, Sequence};
use fuseline_cache::{ActionKey, ObjectReader, OutputRecord};

use crate::bucket::RequestError;
use crate::pack::Pack;
use crate::remote::{Loaded, Shared, lock, object_path, pack_path};
use crate::report::Counter;

/// Number of actions that are sent at once.
pub(crate) const UPLOAD_THREADS: usize = 4;
/// The most actions that wait to be sent; 32 bytes each. What comes beyond is for a later push.
const MAX_WAITING: usize = 1 << 20;
/// A larger object is sent in parts and never held whole, in bytes.
const MAX_WHOLE_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 16 << 20 };
/// A part of such an object, in bytes.
const PART_BYTES: u64 = if cfg!(test) { 8 << 10 } else { 8 << 20 };
/// An object as large as this is asked for before it is sent, in bytes.
const ASK_FIRST_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 1 << 20 };
/// A long run sends a pack of what it has so far about this often.
const PACK_EVERY: Duration = Duration::from_secs(600);
/// The most bytes of records in one pack, before it is packed.
const MAX_RECORD_BYTES: usize = 64 << 20;
/// Time between two looks at the queue while a run waits for it.
const POLL: Duration = Duration::from_millis(5);
/// Number of packs of a workflow that are merged into one.
const MERGE_PACKS: usize = 16;

/// Actions that wait to be sent, and what became of the others.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Objects that this command has sent.
    sent_objects: Mutex<BTreeSet<Digest>>,
    executed: Counter,
    sent: Counter,
    found: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<ActionKey>,
    /// Once nothing more comes: the flag that ends the rest.
    closed: Option<Arc<AtomicBool>>,
    /// Actions whose objects are all with the remote, and whose records are not.
    ready: Vec<ActionKey>,
    packed: Option<Instant>,
}

impl Uploads {
    /// Takes an action that was executed.
    pub fn push(&self, key: ActionKey) {
        self.executed.add(1);
        let mut queue = lock(&self.queue);
        if queue.waiting.len() < MAX_WAITING {
            queue.packed.get_or_insert_with(Instant::now);
            queue.waiting.push_back(key);
            self.changed.notify_one();
        }
    }

    /// The number of actions that wait, after giving them some time.
    pub fn waiting_after(&self, time: Duration) -> usize {
        let until = Instant::now() + time;
        loop {
            let waiting = lock(&self.queue).waiting.len();
            if waiting == 0 || Instant::now() >= until {
                return waiting;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Nothing more comes: threads end when all is sent, or `stop` is raised.
    pub fn close(&self, stop: Arc<AtomicBool>) {
        lock(&self.queue).closed = Some(stop);
        self.changed.notify_all();
    }

    /// Nothing more is wanted: threads end when they have sent what they are sending.
    pub fn abandon(&self) {
        self.close(Arc::new(AtomicBool::new(true)));
    }

    /// The next action to send; none when there will be none.
    fn next(&self) -> Option<ActionKey> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.closed.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return None;
            }
            if let Some(key) = queue.waiting.pop_front() {
                return Some(key);
            }
            if queue.closed.is_some() {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the actions whose records are to be packed; when they are due, or in any case.
    fn take_ready(&self, only_when_due: bool) -> Vec<ActionKey> {
        let mut queue = lock(&self.queue);
        let is_due = queue.packed.is_some_and(|packed| packed.elapsed() >= PACK_EVERY);
        if only_when_due && !is_due {
            return Vec::new();
        }
        queue.packed = Some(Instant::now());
        std::mem::take(&mut queue.ready)
    }

    pub fn count_found(&self, actions: u64) {
        self.found.add(actions);
    }

    pub fn found(&self) -> u64 {
        self.found.get()
    }

    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub fn not_sent(&self) -> u64 {
        self.executed.get().saturating_sub(self.sent.get())
    }
}

impl Shared {
    /// Sends actions until no more come.
    pub fn upload_all(&self) {
        while let Some(key) = self.uploads.next() {
            if self.send_objects(&key).is_some() {
                lock(&self.uploads.queue).ready.push(key);
            }
            let due = self.uploads.take_ready(true);
            self.send_records(due);
        }
    }

    /// Sends the records of all actions whose objects are with the remote.
    pub fn send_packs(&self) {
        let ready = self.uploads.take_ready(false);
        self.send_records(ready);
    }

    /// Sends the objects of an action that the remote lacks; none when not all of them are there.
    fn send_objects(&self, key: &ActionKey) -> Option<()> {
        if self.bucket.writes.is_open() {
            return None;
        }
        let record = self.cache.peek_local_action(key).ok()??;
        record.outputs.iter().try_for_each(|output| self.send_object(output))
    }

    fn send_object(&self, output: &OutputRecord) -> Option<()> {
        let OutputRecord { digest, size, .. } = output;
        let is_refused = lock(&self.refused).contains(digest);
        let is_sent = lock(&self.uploads.sent_objects).contains(digest);
        if is_sent || !is_refused && self.holds(digest) {
            return Some(());
        }
        let path = object_path(digest);
        if *size >= ASK_FIRST_BYTES && !is_refused && self.bucket.head(&path) == Ok(*size) {
            return Some(());
        }
        let sent = match *size > MAX_WHOLE_BYTES && self.bucket.has_parts {
            true => self.send_in_parts(digest, &path)?,
            false => {
                // None when it was collected meanwhile.
                let bytes = self.cache.get_object(digest).ok()??;
                self.put_whole(&path, bytes, is_refused)
            }
        };
        match sent {
            Ok(()) => self.bucket.counts.objects_sent.add(1),
            // Another was first, with the same bytes.
            Err(RequestError::Exists) => {}
            Err(_) => return None,
        }
        lock(&self.uploads.sent_objects).insert(*digest);
        Some(())
    }

    /// Sends bytes under a name that is made of their digest. What has the name already stays,
    /// unless its length is another.
    fn put_whole(&self, path: &str, bytes: Bytes, replace: bool) -> Result<(), RequestError> {
        let size = bytes.len() as u64;
        match self.bucket.put(path, bytes.clone(), replace) {
            Err(RequestError::Exists) if self.bucket.head(path)? != size => {
                self.bucket.put(path, bytes, true)
            }
            put => put,
        }
    }

    /// Sends an object in parts, each read from the cache when its turn comes. It gets its name
    /// once all that was read is known to be what it should be.
    fn send_in_parts(&self, digest: &Digest, path: &str) -> Option<Result<(), RequestError>> {
        let mut upload = match self.bucket.put_in_parts(path) {
            Ok(upload) => upload,
            Err(error) => return Some(Err(error)),
        };
        let read = self.cache.read_object(digest, |object: &mut ObjectReader| {
            let mut left = object.size();
            while left > 0 {
                let part = left.min(PART_BYTES);
                let bytes = object.next(part as usize).map_err(|_| RequestError::NotFound)?;
                upload.put_part(bytes)?;
                left -= part;
            }
            Ok(())
        });
        match read {
            Ok(Some(Ok(()))) => Some(upload.complete()),
            Ok(Some(Err(error))) => {
                upload.abort();
                Some(Err(error))
            }
            // It is damaged or was collected.
            Ok(None) | Err(_) => {
                upload.abort();
                None
            }
        }
    }

    /// Sends records in packs; together with those of earlier packs, when there are many.
    fn send_records(&self, keys: Vec<ActionKey>) {
        let mut records = Vec::new();
        let mut bytes = 0;
        for key in keys {
            let Ok(Some(record)) = self.cache.peek_local_action(&key) else { continue };
            let record = record.encode(&key);
            bytes += record.len();
            records.push((key, record));
            if bytes >= MAX_RECORD_BYTES {
                self.send_pack(&std::mem::take(&mut records));
                bytes = 0;
            }
        }
        if !records.is_empty() {
            self.send_pack(&records);
        }
    }

    fn send_pack(&self, records: &[(ActionKey, Vec<u8>)]) {
        let scope = self.scope().to_owned();
        let (name, bytes) = self.encode_pack(&scope, records);
        let bytes = Bytes::from(bytes);
        match self.put_whole(&pack_path(&scope, &name), bytes.clone(), false) {
            Ok(()) | Err(RequestError::Exists) => {
                self.bucket.counts.packs_sent.add(1);
                self.uploads.sent.add(records.len() as u64);
                self.keep_pack(&scope, &name, &bytes);
            }
            Err(_) => {}
        }
    }

    /// A pack of records; with those of the workflow's other packs, which it then replaces, when
    /// there are many of these.
    fn encode_pack(
        &self,
        scope: &str,
        records: &[(ActionKey, Vec<u8>)],
    ) -> (crate::pack::PackName, Vec<u8>) {
        let state = lock(&self.state);
        let is_known = state.loaded >= Loaded::Own && !self.bucket.reads.is_open();
        let mut old: Vec<_> = state.catalogue.packs_of(scope).filter(|_| is_known).collect();
        let size: u64 = old.iter().map(|(_, pack)| pack.size()).sum();
        if old.len() + 1 < MERGE_PACKS || size > MAX_RECORD_BYTES as u64 {
            old.clear();
        }
        let generation = old.iter().map(|(name, _)| name.generation + 1).max().unwrap_or(0);
        // Also those that the old ones have replaced: a reader may meet them all.
        let mut replaces: Vec<Digest> = Vec::new();
        for (name, pack) in &old {
            replaces.push(name.digest);
            replaces.extend(&pack.replaces);
        }
        replaces.sort_unstable();
        replaces.dedup();
        let new = records.iter().map(|(key, record)| (*key, &record[..]));
        let mut seen = BTreeSet::new();
        let all = new.chain(old.iter().flat_map(|(_, pack)| pack.encoded_records()));
        Pack::encode(generation, &replaces, all.filter(|(key, _)| seen.insert(*key)))
    }
}
