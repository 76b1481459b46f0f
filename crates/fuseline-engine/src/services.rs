//! What the outside offers to stages and keys.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fuseline_artifact::Digest;
use fuseline_host::{Isolation, PluginLibrary};

/// What the outside offers to stages and keys.
pub struct Services {
    /// The fusion rules on the plugin path.
    pub plugins: PluginLibrary,
    /// Whether a rule runs in a worker process or in this one.
    pub isolation: Isolation,
    /// Digests of source files.
    pub files: FileDigests,
}

/// Digests of source files, by content. A file is read once a run, however many actions use it.
#[derive(Default)]
pub struct FileDigests {
    known: Mutex<BTreeMap<PathBuf, Digest>>,
}

impl FileDigests {
    /// The digest of the file's bytes, read once.
    pub fn digest(&self, path: &Path) -> io::Result<Digest> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = known().get(path) {
            return Ok(*digest);
        }
        let digest = Digest::of_reader(File::open(path)?)?;
        known().insert(path.to_owned(), digest);
        Ok(digest)
    }

    /// An error unless the path names a file that can be opened.
    pub fn exists(&self, path: &Path) -> io::Result<()> {
        let metadata = File::open(path)?.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        Ok(())
    }
}
