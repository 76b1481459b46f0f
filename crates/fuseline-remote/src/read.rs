//! Reads from a remote: records by their packs, and objects.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::PoisonError;

use bytes::Bytes;
use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, ActionRecord};

use crate::bucket::RequestError;
use crate::pack::{MAX_PACK_BYTES, Pack, PackName};
use crate::remote::{
    LAYOUT, Loaded, Shared, State, in_parallel, kept_name, lock, object_path, pack_path, scope_of,
};

/// The most packs of other workflows that are read, newest first.
const MAX_OTHER_PACKS: usize = 64;

/// A pack of a listing.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    scope: String,
    name: PackName,
    size: u64,
    /// For the order of packs of other workflows alone.
    modified: i64,
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

    pub fn find_action(&self, key: &ActionKey) -> Option<ActionRecord> {
        let record = self.find_record(key)?;
        lock(&self.found).insert(*key);
        Some(record)
    }

    /// The record of an action, as the packs of the remote say now.
    pub fn find_record(&self, key: &ActionKey) -> Option<ActionRecord> {
        let mut state = lock(&self.state);
        loop {
            if let Some(record) = state.catalogue.record(key) {
                return Some(record);
            }
            if !self.load_more(&mut state) {
                return None;
            }
        }
    }

    pub fn has_object(&self, digest: &Digest, size: u64) -> bool {
        if self.bucket.reads.is_open() || lock(&self.lost).contains(digest) {
            return false;
        }
        let mut state = lock(&self.state);
        if state.loaded < Loaded::Kept {
            self.load_kept(&mut state);
        }
        state.catalogue.object(digest) == Some(size)
    }

    /// True when the remote holds an object as far as is known, so that it need not be sent. Of
    /// one that is left alone nothing is known.
    pub fn holds(&self, digest: &Digest) -> bool {
        !self.bucket.reads.is_open()
            && !lock(&self.lost).contains(digest)
            && lock(&self.state).catalogue.object(digest).is_some()
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
            (is_other, Reverse(name.generation), *scope, *name)
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
        // Packs that are no longer there, or were merged into another, are not kept either.
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
        let Some(mut listed) = self.list_all() else { return };
        listed.sort_by_key(|pack| (Reverse(pack.modified), pack.name));
        listed.retain(|pack| !state.catalogue.has(&pack.scope, &pack.name));
        listed.truncate(MAX_OTHER_PACKS);
        self.load_listed(state, listed);
    }

    /// All packs of the remote; none when it does not say. Those that it has no more are not kept
    /// either.
    pub fn list_all(&self) -> Option<Vec<Listed>> {
        let listed = self.list(&format!("{LAYOUT}/packs"))?;
        self.forget_except(|scope, name| {
            listed.iter().any(|pack| pack.scope == scope && pack.name == *name)
        });
        Some(listed)
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
        listed.sort_by_key(|pack| (Reverse(pack.name), pack.scope.clone()));
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
}
