//! Digests of source files, with a memo of them that outlives the run.
//!
//! A file counts by its bytes. The memo says which digest a file had when its identity, size, time
//! of change and time of change of its metadata were these; a file that still has all of them is
//! not read again. That is only safe if a later edit must show in one of them, so a file is
//! remembered only on a filesystem that is known to keep these times itself, and once it has been
//! unchanged for [`SETTLED`]: far longer than the clock of any filesystem stands still between two
//! edits, and than a mapped page stays unwritten. Anything changed since then has a later time of
//! change of its metadata, which no program can set back.
//! **Invariant:** no time enters a key; the memo can only save reading.

mod trust;

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuseline_artifact::Digest;
pub use fuseline_cache::open_regular;
use fuseline_cache::{Cache, CacheError};
use serde::{Deserialize, Serialize};

use crate::memo;
use trust::keeps_change_time;

/// Time that a file must have been unchanged before its digest is remembered.
pub const SETTLED: Duration = Duration::from_secs(60);

/// Maximum nesting of a table's folders: links may lead in circles.
const MAX_DEPTH: usize = 16;

/// The name of the memo in a cache.
pub(crate) const MEMO: &str = "files";

/// Digests of source files, by content. A file is read once a run, however many actions use it.
pub struct FileDigests {
    known: Mutex<BTreeMap<PathBuf, Digest>>,
    memo: Mutex<Memo>,
    /// Returns true if the times of a file can be relied on. Another answer than
    /// [`keeps_change_time`] is for tests.
    is_trusted: fn(&File) -> bool,
}

impl Default for FileDigests {
    fn default() -> Self {
        let (known, memo) = Default::default();
        Self { known, memo, is_trusted: keeps_change_time }
    }
}

/// Remembered digests, by absolute path.
#[derive(Debug, Default)]
struct Memo {
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

/// State of a file at the time of its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    looks: Looks,
    digest: Digest,
}

/// All that the system says of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Looks {
    device: u64,
    inode: u64,
    size: u64,
    /// Time of the content's last change: seconds and nanoseconds.
    modified: (i64, i64),
    /// Time of the metadata's last change: seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileDigests {
    /// Digests with the memo of a cache. A memo that is damaged or cannot be read counts as empty.
    pub fn remembered(cache: &Cache) -> Self {
        let entries = memo::read(cache, MEMO).unwrap_or_default();
        Self { memo: Mutex::new(Memo { entries, changed: false }), ..Self::default() }
    }

    /// Keeps the memo in a cache, when there is something new in it.
    pub fn remember(&self, cache: &Cache) -> Result<(), CacheError> {
        let mut known = self.memo();
        if std::mem::take(&mut known.changed) {
            memo::write(cache, MEMO, &known.entries)?;
        }
        Ok(())
    }

    /// The digest of the file's bytes, read once.
    pub fn digest(&self, path: &Path) -> io::Result<Digest> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = known().get(path) {
            return Ok(*digest);
        }
        let digest = self.look_up(path, SystemTime::now())?;
        known().insert(path.to_owned(), digest);
        Ok(digest)
    }

    /// The digest of a folder: of the names and digests of its data files, read once.
    pub fn folder_digest(&self, folder: &Path) -> io::Result<Digest> {
        let mut text = String::new();
        for path in data_files(folder)? {
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            text += &format!("{} {}\n", self.part(&path, &name)?, name.escape_debug());
        }
        Ok(Digest::hash(text))
    }

    /// The digest of a file in a folder; an error names it.
    fn part(&self, path: &Path, name: &str) -> io::Result<Digest> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        self.digest(path).map_err(named)
    }

    /// The digest of a folder with everything in it: of the names and digests of all files.
    pub fn tree_digest(&self, folder: &Path) -> io::Result<Digest> {
        let mut text = "tree\n".to_owned();
        for path in files_in(folder, |_| true)? {
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            text += &format!("{} {}\n", self.part(&path, &name)?, name.escape_debug());
        }
        Ok(Digest::hash(text))
    }

    /// Stands for the digest of a file that is not there.
    pub fn absent() -> Digest {
        Digest::hash("no file\n")
    }

    /// True if a path still has the contents of this digest: a file, the data files of a folder,
    /// all files of a folder, or nothing at all.
    pub fn is_unchanged(&self, path: &Path, digest: &Digest) -> bool {
        match self.digest(path) {
            Ok(found) if found == *digest => true,
            Ok(_) => path.is_dir() && self.tree_digest(path).is_ok_and(|found| found == *digest),
            Err(error) => error.kind() == io::ErrorKind::NotFound && *digest == Self::absent(),
        }
    }

    /// An error unless the path names a file that can be opened.
    pub fn exists(&self, path: &Path) -> io::Result<()> {
        open_regular(path).map(drop)
    }

    fn look_up(&self, path: &Path, now: SystemTime) -> io::Result<Digest> {
        if path.is_dir() {
            return self.folder_digest(path);
        }
        let file = open_regular(path)?;
        let before = Looks::from_metadata(&file.metadata()?).filter(|looks| {
            // Whole seconds are what makers of images set times to, be it on a filesystem that
            // keeps them.
            looks.changed.1 != 0 && (self.is_trusted)(&file)
        });
        // A path that is no text is not remembered; its file is read.
        let name = std::path::absolute(path)?.to_str().map(str::to_owned);
        if let Some(entry) = name.as_ref().and_then(|name| self.memo().entries.get(name).cloned())
            && Some(entry.looks) == before
        {
            return Ok(entry.digest);
        }
        let digest = Digest::of_reader(&file)?;
        let after = Looks::from_metadata(&file.metadata()?);
        if let (Some(name), Some(looks)) = (name, before)
            && before == after
            && looks.has_settled(now)
        {
            let mut memo = self.memo();
            memo.entries.insert(name, Entry { looks, digest });
            memo.changed = true;
        }
        Ok(digest)
    }

    fn memo(&self) -> MutexGuard<'_, Memo> {
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a folder and of the folders in it, in the order of their paths, without those whose
/// name begins with `_` or `.`: what Spark, pandas and Hive take for the parts of one table.
pub fn data_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    files_in(folder, |name| !name.starts_with(['_', '.']))
}

/// The files of a folder and of the folders in it whose names are wanted, in the order of their
/// paths.
fn files_in(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if depth > MAX_DEPTH {
            return Err(io::Error::other("its folders nest too deep"));
        }
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !is_wanted(&entry.file_name().to_string_lossy()) {
                continue;
            }
            match entry.path() {
                path if path.is_dir() => folders.push((path, depth + 1)),
                path => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}

impl Looks {
    #[cfg(unix)]
    fn from_metadata(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// On systems that do not tell when metadata changed, nothing is remembered.
    #[cfg(not(unix))]
    fn from_metadata(_: &Metadata) -> Option<Self> {
        None
    }

    /// True if the file has been unchanged for long enough. A time in the future is not.
    fn has_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let latest = self.modified.0.max(self.changed.0);
        now.saturating_sub(latest) > SETTLED.as_secs() as i64
    }
}

#[cfg(test)]
mod tests;
