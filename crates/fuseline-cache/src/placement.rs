//! Placement of small objects and records: the first ones that a process writes have files of their
//! own, all others go into packs.
//!
//! A study of some hundred actions is files alone. A process that writes more takes those that it
//! wrote before into its packs, too, so that what is left is a few files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fuseline_artifact::Digest;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::layout::{DAMAGED, temporary_beside, with_end};
use crate::pack::{EntryKind, Packed, Packs, SMALL_BYTES};
use crate::record::ActionRecord;
use crate::store::Stat;

/// Number of small entries that a process writes as files.
pub(crate) const FIRST_FILES: usize = 512;
/// The same in a cache that has packs.
const FIRST_FILES_BESIDE_PACKS: usize = 16;

/// A folder of files and packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    Objects,
    Actions,
}

/// Place of an object or a record.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    File(PathBuf),
    /// A file, and what is known of it.
    Stat(PathBuf, Stat),
    Packed(Packed),
}

/// Small entries that this process has written as files.
#[derive(Debug, Default)]
pub(crate) struct Placement(Mutex<Written>);

#[cfg(test)]
impl Placement {
    /// As if the process had written its first files already.
    pub fn behind_first_files() -> Self {
        Self(Mutex::new(Written { limit: Some(0), ..Written::default() }))
    }
}

#[derive(Debug, Default)]
struct Written {
    /// Known when the first entry is written.
    limit: Option<usize>,
    files: Vec<(Shelf, Digest)>,
    /// True once the next entries go into packs.
    packs: bool,
}

impl Cache {
    pub(crate) fn packs(&self, shelf: Shelf) -> &Packs {
        match shelf {
            Shelf::Objects => &self.object_packs,
            Shelf::Actions => &self.action_packs,
        }
    }

    pub(crate) fn folder_of(&self, shelf: Shelf) -> &Path {
        match shelf {
            Shelf::Objects => &self.layout.objects,
            Shelf::Actions => &self.layout.actions,
        }
    }

    pub(crate) fn path_of(&self, shelf: Shelf, digest: &Digest) -> PathBuf {
        match shelf {
            Shelf::Objects => self.layout.object(digest),
            Shelf::Actions => self.layout.action(digest),
        }
    }

    /// True if an entry that is about to be written goes into a pack, and not into a file.
    pub(crate) fn is_for_pack(
        &self,
        shelf: Shelf,
        digest: &Digest,
        length: usize,
    ) -> Result<bool, CacheError> {
        if length > SMALL_BYTES {
            return Ok(false);
        }
        let files = {
            let mut written = self.placement.0.lock().unwrap_or_else(PoisonError::into_inner);
            if written.packs {
                return Ok(true);
            }
            let limit = *written.limit.get_or_insert_with(|| first_files(&self.object_packs));
            if written.files.len() < limit {
                written.files.push((shelf, *digest));
                return Ok(false);
            }
            self.layout.declare_packs(&*self.store)?;
            written.packs = true;
            std::mem::take(&mut written.files)
        };
        self.take_into_packs(&files);
        Ok(true)
    }

    /// Makes files entries of packs, which there are from now on.
    pub(crate) fn take_all_into_packs(&self, files: &[(Shelf, Digest)]) -> Result<(), CacheError> {
        if files.is_empty() {
            return Ok(());
        }
        self.layout.declare_packs(&*self.store)?;
        self.take_into_packs(files);
        Ok(())
    }

    fn take_into_packs(&self, files: &[(Shelf, Digest)]) {
        // What the files hold may have been on the disk, and have taken any time to make.
        self.note_unflushed(Duration::MAX);
        for (shelf, digest) in files {
            if let Err(error) = self.take_into_pack(*shelf, digest) {
                // It stays the file that it is.
                tracing::debug!(%error, %digest, "a file cannot be taken into a pack");
            }
        }
    }

    /// Appends an entry to the packs of this process.
    pub(crate) fn append(
        &self,
        shelf: Shelf,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<(), CacheError> {
        let packs = self.packs(shelf);
        let appended = packs.append(EntryKind::Live, digest, bytes);
        appended.map_err(CacheError::write(packs.folder()))
    }

    /// Makes a file an entry of a pack. Who does not find the file any more finds the entry.
    fn take_into_pack(&self, shelf: Shelf, digest: &Digest) -> io::Result<()> {
        let path = self.path_of(shelf, digest);
        let Ok((bytes, _)) = self.store.read(&path) else { return Ok(()) };
        let is_whole = match shelf {
            Shelf::Objects => Digest::hash(&bytes) == *digest,
            Shelf::Actions => ActionRecord::decode(&ActionKey::from(*digest), &bytes).is_ok(),
        };
        if !is_whole || bytes.len() > SMALL_BYTES {
            return Ok(());
        }
        let packs = self.packs(shelf);
        packs.append(EntryKind::Live, digest, &bytes)?;
        // A record may have been replaced since it was read: then the file is what counts.
        let aside = temporary_beside(&path);
        self.store.rename(&path, &aside)?;
        if self.store.read(&aside).is_ok_and(|(now, _)| now != bytes) {
            self.store.rename(&aside, &path)?;
            let stale = packs.find_known(digest, EntryKind::Live)?;
            return stale.map_or(Ok(()), |packed| packs.bury(&packed));
        }
        self.store.remove(&aside)?;
        // Unless others have files in it.
        let _ = path.parent().map(|folder| self.store.remove_empty_folder(folder));
        Ok(())
    }

    /// The file that an object or a record is in.
    pub(crate) fn path_of_stored(&self, shelf: Shelf, stored: &Stored) -> PathBuf {
        match stored {
            Stored::File(path) | Stored::Stat(path, _) => path.clone(),
            Stored::Packed(packed) => self.packs(shelf).path(&packed.segment),
        }
    }

    /// Takes a damaged object or record out of the way; the path that its bytes have then.
    pub(crate) fn set_stored_aside(&self, shelf: Shelf, stored: &Stored) -> PathBuf {
        match stored {
            Stored::File(path) | Stored::Stat(path, _) => self.set_aside(path),
            Stored::Packed(packed) => self.set_packed_aside(shelf, packed),
        }
    }

    /// Takes a damaged entry of a pack out of the way: its bytes get a file, as those of a damaged
    /// file do, and the entry counts no more.
    pub(crate) fn set_packed_aside(&self, shelf: Shelf, packed: &Packed) -> PathBuf {
        let packs = self.packs(shelf);
        let aside = with_end(&self.path_of(shelf, &packed.entry.digest), DAMAGED);
        let copied = packed
            .read()
            .map_err(CacheError::read(&packs.path(&packed.segment)))
            .and_then(|bytes| self.publish(&aside, &[&bytes]));
        let declared = self.layout.declare_packs(&*self.store);
        let buried = packs.bury(packed).map_err(CacheError::write(packs.folder()));
        if let Err(error) = declared.and(buried) {
            let error = error.with_cause();
            tracing::warn!(segment = %packed.segment, %error, "a damaged entry stays");
        }
        match copied {
            Ok(()) => aside,
            Err(_) => packs.path(&packed.segment),
        }
    }
}

fn first_files(packs: &Packs) -> usize {
    if packs.exist() { FIRST_FILES_BESIDE_PACKS } else { FIRST_FILES }
}
