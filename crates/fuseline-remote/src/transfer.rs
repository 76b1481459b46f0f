//! Pushing and pulling what a run reached.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, ActionRecord, OutputRecord, Remote};
use serde::Serialize;

use crate::bucket::RequestError;
use crate::remote::{LAYOUT, RemoteCache, Shared, in_parallel, lock, object_path};

/// Result of a push or a pull.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// Actions that were asked for.
    pub actions: u64,
    /// Actions that the other side had already.
    pub known: u64,
    /// Actions that could not be transferred.
    pub missing: u64,
}

/// State of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteStatus {
    /// Packs of records that it holds, merged ones included.
    pub packs: usize,
    /// The bytes of these.
    pub pack_bytes: u64,
    /// Packs that this cache has kept.
    pub kept_packs: usize,
    /// Records in the packs that this cache has kept.
    pub kept_records: usize,
    /// Objects that these name.
    pub kept_objects: usize,
}

impl RemoteCache {
    /// Sends actions that this cache has and the remote lacks. [`RemoteCache::finish`] waits for
    /// it.
    pub fn push(&self, keys: &BTreeSet<ActionKey>) -> Transfer {
        let mut transfer = Transfer { actions: keys.len() as u64, ..Transfer::default() };
        // What this cache has kept of the remote says what was there once.
        self.shared.list_all();
        let whole = self.shared.find_whole(keys);
        for key in keys {
            if whole.contains(key) {
                transfer.known += 1;
            } else if matches!(self.shared.cache.peek_local_action(key), Ok(Some(_))) {
                self.note_executed(key);
            } else {
                transfer.missing += 1;
            }
        }
        transfer
    }

    /// Fetches all objects of actions into the cache.
    pub fn pull(&self, keys: &BTreeSet<ActionKey>) -> Transfer {
        let shared = &self.shared;
        let mut transfer = Transfer { actions: keys.len() as u64, ..Transfer::default() };
        let mut wanted = Vec::new();
        for key in keys {
            let local = shared.cache.peek_local_action(key).ok().flatten();
            let record = local.clone().or_else(|| self.find_action(key));
            let outputs = record.iter().flat_map(|record| &record.outputs);
            let lacks = |of: &&OutputRecord| !shared.cache.has_local_object(&of.digest, of.size);
            let missing: Vec<_> = outputs.filter(lacks).map(|of| (of.digest, of.size)).collect();
            match (record, missing.is_empty()) {
                (Some(_), true) => transfer.known += u64::from(local.is_some()),
                (Some(_), false) => wanted.push(missing),
                (None, _) => transfer.missing += 1,
            }
        }
        let mut digests: Vec<_> = wanted.iter().flatten().map(|(digest, _)| *digest).collect();
        digests.sort_unstable();
        digests.dedup();
        shared.fetch_objects(&digests);
        let is_here = |(digest, size): &_| shared.cache.has_local_object(digest, *size);
        let failed = wanted.iter().filter(|missing| !missing.iter().all(is_here));
        transfer.missing += failed.count() as u64;
        transfer
    }

    /// The state of the remote, by one listing; none when it does not answer.
    pub fn status(&self) -> Option<RemoteStatus> {
        let shared = &self.shared;
        let listed = shared.bucket.list(&format!("{LAYOUT}/packs")).ok()?;
        let mut state = lock(&shared.state);
        shared.load_more(&mut state);
        Some(RemoteStatus {
            packs: listed.len(),
            pack_bytes: listed.iter().map(|meta| meta.size).sum(),
            kept_packs: state.catalogue.packs(),
            kept_records: state.catalogue.records(),
            kept_objects: state.catalogue.objects(),
        })
    }
}

impl Shared {
    /// Actions of which the remote has the record and, as it says now, every object in its length.
    /// The other objects are sent again.
    fn find_whole(&self, keys: &BTreeSet<ActionKey>) -> BTreeSet<ActionKey> {
        let find = |key: &ActionKey| Some((*key, self.find_record(key)?));
        let known: Vec<(ActionKey, ActionRecord)> = keys.iter().filter_map(find).collect();
        let outputs = known.iter().flat_map(|(_, record)| &record.outputs);
        let objects: BTreeMap<Digest, u64> = outputs.map(|of| (of.digest, of.size)).collect();
        let objects: Vec<(Digest, u64)> = objects.into_iter().collect();
        in_parallel(&objects, |(digest, size)| match self.bucket.head(&object_path(digest)) {
            Ok(found) if found == *size => {}
            Ok(_) => _ = lock(&self.refused).insert(*digest),
            Err(RequestError::NotFound) => _ = lock(&self.lost).insert(*digest),
            // It does not say; the warning of the remote does.
            Err(_) => {}
        });
        let (lost, refused) = (lock(&self.lost), lock(&self.refused));
        let is_there =
            |of: &OutputRecord| !lost.contains(&of.digest) && !refused.contains(&of.digest);
        let whole = known.iter().filter(|(_, record)| record.outputs.iter().all(is_there));
        whole.map(|(key, _)| *key).collect()
    }
}
