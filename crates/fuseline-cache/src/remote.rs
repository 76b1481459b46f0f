//! The seam to a cache elsewhere, and the files that are kept of one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use fuseline_artifact::Digest;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::object::ObjectWriter;
use crate::record::ActionRecord;
use crate::runs::check_name;

/// A cache elsewhere, which is asked for what this one lacks.
///
/// It never fails: what it cannot give, for whatever reason, it does not have.
pub trait Remote: fmt::Debug + Send + Sync {
    /// The record of an action, if the remote has it. May wait for the remote.
    fn find_action(&self, key: &ActionKey) -> Option<ActionRecord>;

    /// True when the remote is known to hold an object of this length. Never waits for the remote.
    fn has_object(&self, digest: &Digest, size: u64) -> bool;

    /// Fetches objects that this cache lacks into it, as far as the remote gives them. An object
    /// that was asked for and did not come is one that the remote does not have from now on.
    fn fetch_objects(&self, digests: &[Digest]);

    /// Records an action that was executed: its record and its objects are in this cache.
    fn note_executed(&self, key: &ActionKey);
}

impl Cache {
    /// The cache with a remote behind it.
    #[must_use]
    pub fn with_remote(mut self, remote: Arc<dyn Remote>) -> Self {
        self.remote = Some(remote);
        self
    }

    /// The record that the remote has of an action; none without a remote.
    pub fn find_remote_action(&self, key: &ActionKey) -> Option<ActionRecord> {
        self.remote.as_ref()?.find_action(key)
    }

    /// Fetches those of some objects that are not here from the remote, if there is one. Objects
    /// that do not come are found missing when they are read.
    pub fn fetch_objects(&self, digests: impl Iterator<Item = Digest>) {
        let Some(remote) = &self.remote else { return };
        let is_missing = |digest: &Digest| !self.is_here(digest);
        let mut missing: Vec<Digest> = digests.filter(is_missing).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            remote.fetch_objects(&missing);
        }
    }

    /// Tells the remote, if there is one, of an action that was executed on this cache.
    pub fn note_executed(&self, key: &ActionKey) {
        if let Some(remote) = &self.remote {
            remote.note_executed(key);
        }
    }

    /// Stores an object that comes from elsewhere, if what is written has its digest. False when it
    /// has another: then nothing is stored.
    pub fn receive_object<E>(
        &self,
        digest: &Digest,
        write: impl FnOnce(&mut ObjectWriter<'_>) -> Result<(), E>,
    ) -> Result<Result<bool, E>, CacheError> {
        let mut object = ObjectWriter::new(self);
        let written = write(&mut object);
        if let Some(error) = object.failed.take() {
            return Err(error);
        }
        match written {
            Err(error) => Ok(Err(error)),
            Ok(()) if object.digest() != *digest => Ok(Ok(false)),
            Ok(()) => object.finish().map(|_| Ok(true)),
        }
    }

    /// Keeps a file of a remote, written whole or not at all. It may be lost at any time.
    pub fn write_remote_file(
        &self,
        remote: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), CacheError> {
        self.publish(&self.remote_file(remote, name)?, &[bytes])
    }

    /// The bytes of such a file, or none. A collection takes those that were not read of late.
    pub fn read_remote_file(
        &self,
        remote: &str,
        name: &str,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        let path = self.remote_file(remote, name)?;
        // A cache that cannot be written cannot be collected either.
        let _ = self.store.touch(&path);
        self.read_if_there(&path)
    }

    /// Removes such a file, if it is there.
    pub fn remove_remote_file(&self, remote: &str, name: &str) -> Result<(), CacheError> {
        self.remove_if_there(&self.remote_file(remote, name)?)
    }

    /// The names of the files that are kept of a remote, in order, without those being written.
    pub fn remote_files(&self, remote: &str) -> Result<Vec<String>, CacheError> {
        let entries = self.list(&self.remote_folder(remote)?)?.into_iter();
        let names = entries.filter(|entry| !entry.stat.folder).map(|entry| entry.name);
        Ok(names.filter(|name| check_name(name).is_ok()).collect())
    }

    fn remote_folder(&self, remote: &str) -> Result<PathBuf, CacheError> {
        check_name(remote)?;
        Ok(self.layout.remotes.join(remote))
    }

    fn remote_file(&self, remote: &str, name: &str) -> Result<PathBuf, CacheError> {
        check_name(name)?;
        Ok(self.remote_folder(remote)?.join(name))
    }
}
