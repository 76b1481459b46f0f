//! Leases: the right to execute an action, held by the kernel for a process.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::store::follow_mode;

/// The right to execute an action. It ends when it is dropped, or when the process does.
///
/// It is a lock that the kernel holds on a file in `leases/`. The file alone means nothing: one
/// that a dead process has left is taken over at once.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
}

impl Cache {
    /// The lease of an action, or none when another holds it. Does not wait.
    pub fn try_lease(&self, key: &ActionKey) -> Result<Option<Lease>, CacheError> {
        Lease::acquire(&self.layout.leases.join(key.to_string()), false)
    }

    /// The lease of an action. Waits as long as another holds it.
    pub fn lease(&self, key: &ActionKey) -> Result<Lease, CacheError> {
        let path = self.layout.leases.join(key.to_string());
        loop {
            if let Some(lease) = Lease::acquire(&path, true)? {
                return Ok(lease);
            }
        }
    }

    /// Who holds the lease of an action, for people: a process and its machine. None when nobody
    /// does.
    pub fn lease_holder(&self, key: &ActionKey) -> Option<String> {
        let path = self.layout.leases.join(key.to_string());
        let holder = fs::read_to_string(&path).ok()?;
        is_held(&path).then(|| holder.trim_end().to_owned())
    }
}

impl Lease {
    /// Takes the lease in a file. None when another has it, or, after waiting, had it and removed
    /// the file.
    pub(crate) fn acquire(path: &Path, wait: bool) -> Result<Option<Self>, CacheError> {
        loop {
            let options =
                File::options().create(true).truncate(false).write(true).read(true).open(path);
            let file = match options {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let folder = path.parent().unwrap_or(path);
                    fs::create_dir_all(folder).map_err(CacheError::write(folder))?;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    match replace_dead(path) {
                        Ok(true) => continue,
                        Ok(false) => return Ok(None),
                        Err(_) => return Err(CacheError::write(path)(error)),
                    }
                }
                Err(error) => return Err(CacheError::write(path)(error)),
            };
            let locked =
                if wait { file.lock().map_err(TryLockError::Error) } else { file.try_lock() };
            match locked {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {
                    continue;
                }
                Err(TryLockError::Error(source)) => {
                    return Err(CacheError::NoLocks { path: path.to_owned(), source });
                }
            }
            // Whoever held it may have removed the file since it was opened: then this lock guards
            // nothing.
            if !is_at(&file, path) {
                continue;
            }
            let lease = Self { file, path: path.to_owned() };
            lease.write_holder().map_err(CacheError::write(path))?;
            return Ok(Some(lease));
        }
    }

    /// Takes the lease in a file. None when another keeps it: who only asks whether it is held has
    /// it for a moment.
    pub(crate) fn acquire_soon(path: &Path) -> Result<Option<Self>, CacheError> {
        for _ in 0..100 {
            if let Some(lease) = Self::acquire(path, false)? {
                return Ok(Some(lease));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }

    /// Takes the lease of a folder itself, where no file can be made. Waits as long as another
    /// holds it.
    pub(crate) fn of_folder(folder: &Path) -> Result<FolderLease, CacheError> {
        let file = File::open(folder).map_err(CacheError::read(folder))?;
        let no_locks = |source| CacheError::NoLocks { path: folder.to_owned(), source };
        file.lock().map_err(no_locks)?;
        Ok(FolderLease(file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn write_holder(&self) -> io::Result<()> {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        // Only where there is something: a file that was ever cut is flushed to the disk when it is
        // closed, on ext4, which takes longer than a small action.
        if self.file.metadata()?.len() > 0 {
            self.file.set_len(0)?;
        }
        if let Some(folder) = self.path.parent() {
            follow_mode(&self.file, fs::metadata(folder)?.permissions().mode());
        }
        match writeln!(&self.file, "process {} on {host}", std::process::id()) {
            // It is for people, and what makes room on a full disk needs leases too.
            Err(error) if is_full(&error) => Ok(()),
            written => written,
        }
    }
}

/// A lock on a folder; it ends when it is dropped, or when the process does.
#[derive(Debug)]
pub(crate) struct FolderLease(#[expect(dead_code, reason = "held, and never read")] File);

impl Drop for Lease {
    fn drop(&mut self) {
        // Before the lock is given back: who opens the file afterwards makes a new one. Left
        // behind, it does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// True if there is no space left, or no file may be added.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Removes a lease file that this user may not write to, unless its holder is alive. Whether it was
/// removed.
fn replace_dead(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    match file.try_lock() {
        Ok(()) if is_at(&file, path) => fs::remove_file(path).map(|()| true),
        // Another has replaced it.
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// True if the file that is open is the one that has this name.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// True if a living process holds the lease in a file.
pub(crate) fn is_held(path: &Path) -> bool {
    let file = match File::open(path) {
        Ok(file) => file,
        // Nobody can tell: it counts as held.
        Err(error) => return error.kind() == ErrorKind::PermissionDenied,
    };
    // Shared, so that two that ask at once do not take each other for holders.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}
