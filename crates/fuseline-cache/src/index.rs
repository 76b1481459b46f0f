//! Index of the actions that the last run of a workflow file used, in one file: a run in which
//! nothing changed reads it instead of a record an action.
//!
//! An index only repeats what records say, and is trusted less: an entry counts only while every
//! object that it names is there with its length. `docs/design/cache.md` describes its part in
//! garbage collection.

use std::io::ErrorKind;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fuseline_artifact::Digest;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::layout::DOOMED;

/// The first bytes of an index.
const MAGIC: &[u8] = b"fuseline index 2\n";
/// Bytes of the digest at its end.
const CHECKSUM: usize = 32;
/// The end of its file's name.
pub(crate) const INDEX: &str = ".index";
/// Number of objects that are worth a thread.
const A_THREADS_WORTH: usize = 512;

/// The outputs of actions by their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Sorted by key once it is complete.
    entries: Vec<Entry>,
    outputs: Vec<Made>,
    note: Bytes,
}

/// An output of an action: its digest and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The object.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// An action, and the positions of its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    key: ActionKey,
    first: u32,
    outputs: u32,
}

impl Index {
    /// The outputs of an action, in the order of its ports, if it is known.
    pub fn get(&self, key: &ActionKey) -> Option<&[Made]> {
        self.find(key).map(|at| self.outputs(at))
    }

    /// Position of an action, if it is known.
    pub fn find(&self, key: &ActionKey) -> Option<usize> {
        let head = key.head();
        let first = self.entries.partition_point(|entry| entry.key.head() < head);
        let alike = self.entries[first..].iter().take_while(|entry| entry.key.head() == head);
        alike.enumerate().find(|(_, entry)| entry.key == *key).map(|(at, _)| first + at)
    }

    /// The outputs of the action at a position.
    pub fn outputs(&self, at: usize) -> &[Made] {
        self.made(&self.entries[at])
    }

    /// Number of known actions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The index with other actions: of its own it has those that are kept, unless they are among
    /// the others.
    #[must_use]
    pub fn with(&self, others: &Self, kept: impl Fn(usize) -> bool) -> Self {
        let mut index = Self {
            entries: Vec::with_capacity(self.entries.len() + others.entries.len()),
            outputs: Vec::with_capacity(self.outputs.len() + others.outputs.len()),
            note: Bytes::new(),
        };
        let kept = self.entries.iter().enumerate().filter(|(at, _)| kept(*at));
        let mut own = kept.map(|(_, entry)| entry).peekable();
        for other in &others.entries {
            while let Some(entry) = own.next_if(|entry| entry.key < other.key) {
                index.push(entry.key, self.made(entry).iter().copied());
            }
            own.next_if(|entry| entry.key == other.key);
            index.push(other.key, others.made(other).iter().copied());
        }
        own.for_each(|entry| index.push(entry.key, self.made(entry).iter().copied()));
        index
    }

    fn made(&self, entry: &Entry) -> &[Made] {
        &self.outputs[entry.first as usize..][..entry.outputs as usize]
    }

    /// True if no action is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Note stored with the actions; empty when there is none, and when an object of any of them is
    /// not there any more.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// Every action with its outputs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&ActionKey, &[Made])> {
        self.entries.iter().map(|entry| (&entry.key, self.made(entry)))
    }

    fn push(&mut self, key: ActionKey, outputs: impl Iterator<Item = Made>) {
        let first = self.outputs.len();
        self.outputs.extend(outputs);
        let outputs = (self.outputs.len() - first) as u32;
        self.entries.push(Entry { key, first: first as u32, outputs });
    }

    /// Everything before the note.
    fn encode(&self) -> Vec<u8> {
        let actions = self.entries.len() * 36 + self.outputs.len() * 40;
        let mut bytes = Vec::with_capacity(64 + actions);
        bytes.extend(MAGIC);
        bytes.extend((actions as u64).to_le_bytes());
        for (key, outputs) in self.iter() {
            bytes.extend(key.digest().as_bytes());
            bytes.extend((outputs.len() as u32).to_le_bytes());
            for Made { digest, size } in outputs {
                bytes.extend(digest.as_bytes());
                bytes.extend(size.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads an index; none when the bytes are not those of one. Never panics, whatever they are.
    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>()?;
        let rest = body.strip_prefix(MAGIC)?;
        if Digest::hash(body).as_bytes() != checksum {
            return None;
        }
        let (actions, rest) = rest.split_first_chunk::<8>()?;
        let actions = usize::try_from(u64::from_le_bytes(*actions)).ok()?;
        let (mut rest, note) = rest.split_at_checked(actions)?;
        let note = note.len();
        let mut index = Self::default();
        while !rest.is_empty() {
            let (key, tail) = rest.split_first_chunk::<32>()?;
            let (outputs, tail) = tail.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*outputs)).ok()?.checked_mul(40)?;
            let (outputs, tail) = tail.split_at_checked(length)?;
            let made = outputs.as_chunks::<40>().0.iter().filter_map(|made| {
                let (digest, size) = made.split_first_chunk::<32>()?;
                let size = u64::from_le_bytes(size.try_into().ok()?);
                Some(Made { digest: Digest::from(*digest), size })
            });
            index.push(ActionKey::from(Digest::from(*key)), made);
            rest = tail;
        }
        let end = bytes.len() - CHECKSUM;
        index.note = Bytes::from(bytes).slice(end - note..end);
        index.entries.is_sorted_by(|a, b| a.key < b.key).then_some(index)
    }
}

impl FromIterator<(ActionKey, Vec<Made>)> for Index {
    fn from_iter<I: IntoIterator<Item = (ActionKey, Vec<Made>)>>(entries: I) -> Self {
        let mut index = Self::default();
        for (key, outputs) in entries {
            index.push(key, outputs.into_iter());
        }
        index.entries.sort_by_key(|entry| (entry.key.head(), entry.key));
        index.entries.dedup_by(|a, b| a.key == b.key);
        index
    }
}

impl Cache {
    /// The index of a workflow file, without the actions of which an object is missing or of
    /// another length. Empty when there is none, or none that is sound: it saves reading
    /// records, and that is all.
    pub fn index(&self, workflow: &Path) -> Index {
        self.with_existing_objects(self.index_as_written(workflow))
    }

    /// The same without a trace: the index is not renewed.
    pub fn peek_index(&self, workflow: &Path) -> Index {
        self.with_existing_objects(self.decode_index(&self.index_path(workflow)))
    }

    /// The same before any object is asked for. Nothing of it may be relied on but by
    /// [`Cache::with_existing_objects`].
    pub fn index_as_written(&self, workflow: &Path) -> Index {
        let path = self.index_path(workflow);
        // Renewed before it is read: a collection that is about to remove it, and with it what it
        // names, sees that it is used. A cache that cannot be written cannot be collected either.
        if self.store.touch(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Index::default();
        }
        self.decode_index(&path)
    }

    fn decode_index(&self, path: &Path) -> Index {
        let Ok((bytes, _)) = self.store.read(path) else { return Index::default() };
        Index::decode(bytes).unwrap_or_else(|| {
            let path = path.display();
            tracing::warn!(%path, "an index that is damaged or of another form is not used");
            Index::default()
        })
    }

    /// An index without the actions of which an object is missing or of another length.
    pub fn with_existing_objects(&self, mut index: Index) -> Index {
        let there = self.are_there(&index.outputs);
        let known = index.entries.len();
        index.entries.retain(|entry| {
            let made = entry.first as usize..(entry.first + entry.outputs) as usize;
            there[made].iter().all(|there| *there)
        });
        if index.entries.len() < known {
            index.note.clear();
        }
        index
    }

    /// Keeps the index of a workflow file. Its objects and records must have been put before.
    ///
    /// With it goes a note, in parts, for whoever reads the index while all objects are there.
    ///
    /// Records of actions that the index before named, and this one does not, are renewed: they
    /// were used as lately as that index was.
    pub fn write_index(
        &self,
        workflow: &Path,
        before: &Index,
        index: &Index,
        note: &[&[u8]],
    ) -> Result<(), CacheError> {
        let mut still = index.entries.iter().peekable();
        for Entry { key, .. } in &before.entries {
            while still.next_if(|entry| entry.key < *key).is_some() {}
            if still.peek().is_none_or(|entry| entry.key != *key) {
                self.renew_action(key);
            }
        }
        let actions = index.encode();
        let mut checksum = blake3::Hasher::new();
        checksum.update(&actions);
        note.iter().for_each(|part| _ = checksum.update(part));
        let checksum = *checksum.finalize().as_bytes();
        let parts = [&[&*actions], note, &[&checksum]].concat();
        self.publish(&self.index_path(workflow), &parts)
    }

    /// The files of all indexes.
    pub(crate) fn index_paths(&self) -> Result<Vec<PathBuf>, CacheError> {
        self.workflow_files(INDEX)
    }

    /// The files of damaged indexes.
    pub fn damaged_indexes(&self) -> Result<Vec<PathBuf>, CacheError> {
        let mut damaged = Vec::new();
        for path in self.index_paths()? {
            // One that is gone by now is none.
            if let Some(bytes) = self.read_if_there(&path)?
                && Index::decode(bytes).is_none()
            {
                damaged.push(path);
            }
        }
        Ok(damaged)
    }

    /// Removes what killed collections have left of indexes.
    pub(crate) fn remove_doomed_indexes(&self) -> Result<(), CacheError> {
        let left = self.workflow_files(&format!("{INDEX}{DOOMED}"))?;
        left.iter().try_for_each(|path| self.remove_if_there(path))
    }

    fn workflow_files(&self, end: &str) -> Result<Vec<PathBuf>, CacheError> {
        let entries = self.list(&self.layout.workflows)?.into_iter();
        let files = entries.filter(|entry| entry.name.ends_with(end));
        Ok(files.map(|entry| self.layout.workflows.join(entry.name)).collect())
    }

    /// An index as it is, unless it is gone or damaged.
    pub(crate) fn read_index(&self, path: &Path) -> Option<Index> {
        Index::decode(self.store.read(path).ok()?.0)
    }

    /// Removes all indexes, so that the next run of each workflow looks at the records themselves.
    pub(crate) fn forget_indexes(&self) -> Result<(), CacheError> {
        for path in self.index_paths()? {
            self.remove_if_there(&path)?;
        }
        Ok(())
    }

    /// A path may be long and of any characters, so the index is named by the path's digest.
    fn index_path(&self, workflow: &Path) -> PathBuf {
        let name = Digest::hash(workflow.as_os_str().as_encoded_bytes());
        self.layout.workflows.join(format!("{name}{INDEX}"))
    }

    /// Flag per object: true if it is there with its length. Checked on a few threads.
    fn are_there(&self, objects: &[Made]) -> Vec<bool> {
        let mut there = vec![false; objects.len()];
        let most = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = objects.len().div_ceil(A_THREADS_WORTH).clamp(1, most);
        let share = objects.len().div_ceil(threads).max(1);
        let look = |(there, objects): (&mut [bool], &[Made])| {
            for (there, object) in there.iter_mut().zip(objects) {
                *there = self.has_object(&object.digest, object.size);
            }
        };
        std::thread::scope(|scope| {
            let mut shares = there.chunks_mut(share).zip(objects.chunks(share));
            let own = shares.next();
            for other in shares {
                scope.spawn(move || look(other));
            }
            own.map(look);
        });
        there
    }
}

#[cfg(test)]
mod tests;
