//! Errors of a cache.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use fuseline_artifact::Digest;
use thiserror::Error;

use crate::lease::LeaseKind;

/// Errors of a cache. None of these loses what was in it.
#[derive(Debug, Error)]
pub enum CacheError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The place is read-only.
    #[error("the cache cannot be written: {} is read-only for this user", path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// There is no room left.
    #[error("there is no space left for {}; `fuseline cache gc` makes some", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The folder is a cache that a newer fuseline has made.
    #[error("{} is a cache of format {found}; this fuseline knows up to {known}", path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The format that it declares.
        found: u64,
        /// The newest format that is understood.
        known: u64,
    },
    /// The folder's `format` file is not one.
    #[error(
        "{} does not say which format the cache has; move it away to begin a new cache",
        path.display()
    )]
    NotACache {
        /// The file.
        path: PathBuf,
    },
    /// An object whose bytes are not those of its name. It was set aside, so that the next run
    /// makes it again.
    #[error(
        "object {digest} is damaged and was set aside as {}; the next run makes it again",
        path.display()
    )]
    Damaged {
        /// Its name.
        digest: Digest,
        /// Path that it was moved to.
        path: PathBuf,
    },
    /// The remembered keys of a workflow cannot be read.
    #[error("{} is damaged", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// A name that cannot be the name of a file.
    #[error("{name:?} cannot be the name of a run or of its file")]
    BadName {
        /// The name.
        name: String,
    },
    /// The filesystem has no hard links, which leases by heartbeat are.
    #[error(
        "the filesystem of {} has no hard links, which leases by heartbeat need",
        path.display()
    )]
    NoLinks {
        /// The folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The kind of a cache's leases is to change while some are held.
    #[error(
        "the leases of {} are of the kind {kind}, and {held} are held: the setting cache.leases can \
         change it when nothing runs",
        folder.display()
    )]
    LeasesInUse {
        /// The folder of the cache.
        folder: PathBuf,
        /// Kind of its leases.
        kind: LeaseKind,
        /// Number of leases that are held.
        held: usize,
    },
    /// The filesystem cannot lock files, so two runs could not share this cache.
    #[error("the filesystem of {} cannot lock files", path.display())]
    NoLocks {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

impl CacheError {
    /// The message with its cause behind a colon, for output of a single line.
    pub fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                Self::ReadOnly { path, source }
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path, source },
            _ => Self::Write { path, source },
        }
    }
}
