//! The jobs of a run: bytes by key, the first in files of their own, all others in packs.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::pack::{EntryKind, Packs, SMALL_BYTES};
use crate::runs::check_name;
use crate::store::Store;

/// Number of jobs that a process writes as files.
const FIRST_FILES: usize = 16;
/// The folder of the jobs within that of their run.
const JOBS: &str = "jobs";

/// The jobs of a run.
#[derive(Debug)]
pub struct Jobs {
    folder: PathBuf,
    store: Arc<dyn Store>,
    packs: Packs,
    files: AtomicUsize,
}

impl Jobs {
    /// The jobs in the folder of a run, which need not be there.
    fn new(store: Arc<dyn Store>, run: &Path) -> Self {
        let folder = run.join(JOBS);
        let packs = Packs::new(&folder, store.clone());
        Self { folder, store, packs, files: AtomicUsize::new(0) }
    }

    /// Makes their folder.
    pub fn create_folder(&self) -> io::Result<()> {
        self.store.create_folder(&self.folder)
    }

    /// Writes a job down, once. One that is cut short by the end of the process is no job.
    pub fn put(&self, key: &ActionKey, bytes: &[u8]) -> io::Result<()> {
        if self.packs.find_known(key.digest(), EntryKind::Live)?.is_some() {
            return Ok(());
        }
        let is_first = || self.files.fetch_add(1, Ordering::Relaxed) < FIRST_FILES;
        if bytes.len() > SMALL_BYTES || is_first() {
            return match self.store.create(&self.path(key), &[bytes]) {
                // It is tried again, or another action has the same key.
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            };
        }
        self.packs.append(EntryKind::Live, key.digest(), bytes)
    }

    /// The bytes of a job, unverified; none when it was not written down.
    pub fn get(&self, key: &ActionKey) -> io::Result<Option<Bytes>> {
        match self.store.read(&self.path(key)) {
            Ok((bytes, _)) => return Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let packed = self.packs.find(key.digest(), EntryKind::Live)?;
        packed.map(|packed| packed.read()).transpose()
    }

    /// Makes those that were written so far quick to find for others.
    pub fn index(&self) {
        self.packs.seal_if_long();
    }

    /// The bytes of all jobs that can be read, and the files that they are in.
    pub fn all(&self) -> io::Result<Vec<(PathBuf, Bytes)>> {
        let entries = match self.store.list(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            entries => entries?,
        };
        let files = entries.into_iter().filter(|entry| !entry.stat.folder).filter_map(|entry| {
            let path = self.folder.join(entry.name);
            let (bytes, _) = self.store.read(&path).ok()?;
            Some((path, bytes.into()))
        });
        let mut jobs: Vec<(PathBuf, Bytes)> = files.collect();
        for packed in self.packs.entries(EntryKind::Live)? {
            let path = self.packs.path(&packed.segment);
            jobs.extend(packed.read().ok().map(|bytes| (path, bytes)));
        }
        Ok(jobs)
    }

    fn path(&self, key: &ActionKey) -> PathBuf {
        self.folder.join(key.to_string())
    }
}

impl Cache {
    /// The jobs of a run.
    pub fn jobs(&self, run: &str) -> Result<Arc<Jobs>, CacheError> {
        check_name(run)?;
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || Arc::new(Jobs::new(self.store.clone(), &self.layout.runs.join(run)));
        Ok(jobs.entry(run.to_owned()).or_insert_with(open).clone())
    }
}
