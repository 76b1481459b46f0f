//! Paths within the cache, and the file that says which layout it has.

use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use fuseline_artifact::Digest;
use serde_json::{Value, json};

use crate::error::CacheError;
use crate::store::Store;

/// The layout of a cache that has files alone.
const FORMAT_OF_FILES: u64 = 1;
/// The layout of a cache that has packs, and the newest that is read. A cache gets it with its first
/// pack, so that a fuseline that knows of none refuses it.
pub(crate) const FORMAT: u64 = 2;
const FORMAT_KEY: &str = "fuseline-cache";

/// The end of the name of a damaged file.
pub(crate) const DAMAGED: &str = ".damaged";
/// The end of the name of a file that a garbage collection is about to remove.
pub(crate) const DOOMED: &str = ".doomed";
/// The end of the name of a record whose objects were collected: it serves explanations alone, and
/// nothing relies on it.
pub(crate) const FADED: &str = ".faded";
/// The end of the name of a file that is being written.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Tells backup software what this folder is.
const CACHEDIR_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n\
# This is a cache of fuseline. What is in it can be made again.\n";

/// The folders of a cache.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub root: PathBuf,
    pub objects: PathBuf,
    pub actions: PathBuf,
    pub runs: PathBuf,
    pub leases: PathBuf,
    pub workflows: PathBuf,
    /// Made when there is something to keep of a remote.
    pub remotes: PathBuf,
}

impl Layout {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            objects: root.join("objects"),
            actions: root.join("actions"),
            runs: root.join("runs"),
            leases: root.join("leases"),
            workflows: root.join("workflows"),
            remotes: root.join("remotes"),
        }
    }

    /// Creates the missing parts, and checks the format of an existing cache.
    pub fn prepare(&self, store: &dyn Store) -> Result<(), CacheError> {
        let format = self.root.join("format");
        match store.read(&format) {
            Ok((text, _)) => {
                let json: Option<Value> = serde_json::from_slice(&text).ok();
                let found = json.as_ref().and_then(|json| json.get(FORMAT_KEY)?.as_u64());
                match found {
                    Some(found) if found <= FORMAT => Ok(()),
                    Some(found) => {
                        Err(CacheError::Newer { path: self.root.clone(), found, known: FORMAT })
                    }
                    None => Err(CacheError::NotACache { path: format }),
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(store),
            Err(error) => Err(CacheError::read(&format)(error)),
        }
    }

    fn create(&self, store: &dyn Store) -> Result<(), CacheError> {
        let is_new = store.stat(&self.root).is_err();
        for folder in [&self.objects, &self.actions, &self.runs, &self.leases, &self.workflows] {
            store.create_folder(folder).map_err(CacheError::write(folder))?;
        }
        let write = |name: &str, bytes: &[u8]| {
            let path = self.root.join(name);
            match store.create(&path, &[bytes]) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    Err(CacheError::write(&path)(error))
                }
                _ => Ok(()),
            }
        };
        write("CACHEDIR.TAG", CACHEDIR_TAG)?;
        if is_new {
            // A folder that was here before may have files that git is to see.
            write(".gitignore", b"*\n")?;
        }
        // Last: a cache that has a format has all the rest.
        self.write_format(store, FORMAT_OF_FILES)
    }

    /// Declares that there are packs from now on.
    pub fn declare_packs(&self, store: &dyn Store) -> Result<(), CacheError> {
        self.write_format(store, FORMAT)
    }

    /// Writes the format by rename.
    fn write_format(&self, store: &dyn Store, format: u64) -> Result<(), CacheError> {
        let path = self.root.join("format");
        let temporary = temporary_beside(&path);
        let text = format!("{}\n", json!({ FORMAT_KEY: format }));
        store.create(&temporary, &[text.as_bytes()]).map_err(CacheError::write(&temporary))?;
        store.rename(&temporary, &path).map_err(CacheError::write(&path))
    }

    pub fn object(&self, digest: &Digest) -> PathBuf {
        sharded(&self.objects, digest)
    }

    pub fn action(&self, key: &Digest) -> PathBuf {
        sharded(&self.actions, key)
    }
}

/// `folder/ab/cdef...`: no folder of a large cache holds more than some thousand files.
fn sharded(folder: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.to_hex();
    let (shard, rest) = hex.split_at(2);
    let mut path = PathBuf::with_capacity(folder.as_os_str().len() + hex.len() + 2 + DAMAGED.len());
    path.push(folder);
    path.push(shard);
    path.push(rest);
    path
}

/// A name in the same folder that no file of this process had before, and that none of another
/// process has: processes in two containers may have one number.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static DRAWN: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (process, drawn) = (std::process::id(), *DRAWN);
    path.with_file_name(format!(".{process}-{drawn:016x}-{count}{TEMPORARY}"))
}

/// The path with something at the end of its name.
pub(crate) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(end);
    name.into()
}
