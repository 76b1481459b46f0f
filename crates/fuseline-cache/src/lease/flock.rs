//! Leases that are locks of the kernel: they end with their process, however that ends.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::CacheError;
use crate::layout::temporary_beside;
use crate::store::follow_mode;

/// Time between two looks at a name of a file whose lock outlasts it.
const LOOK_AT_NAME: Duration = Duration::from_millis(5);

/// Length of what the longest lease says of its holder.
const MAX_HOLDER_BYTES: u64 = 1024;

/// A lock on a file in `leases/`. The file alone means nothing: one that a dead process has left is
/// taken over at once.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
    path: PathBuf,
    /// Further names of the file, each of which is a lease.
    links: Mutex<BTreeSet<PathBuf>>,
}

impl FileLock {
    /// Takes the lease in a file. None when another has it, or, after waiting, had it and removed
    /// the file.
    pub fn acquire(path: &Path, wait: bool) -> Result<Option<Self>, CacheError> {
        loop {
            let file = match open(path, File::options().create(true).truncate(false).write(true)) {
                Ok(file) => file,
                // No lease is a link. What it leads to is not the cache's to write to.
                Err(_) if path.is_symlink() => {
                    fs::remove_file(path).map_err(CacheError::write(path))?;
                    continue;
                }
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
            // One of several names of a file is given back before the lock is.
            let is_linked = file.metadata().is_ok_and(|metadata| metadata.nlink() > 1);
            let locked = match wait && !is_linked {
                true => file.lock().map_err(TryLockError::Error),
                false => file.try_lock(),
            };
            match locked {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    if wait {
                        std::thread::sleep(LOOK_AT_NAME);
                    }
                    return Ok(None);
                }
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
            let file = match is_linked {
                // A dead process has left it, whose other leases are no business of this lock.
                true => replace_locked(path).map_err(CacheError::write(path))?.unwrap_or(file),
                false => file,
            };
            let lock = Self { file, path: path.to_owned(), links: Mutex::default() };
            lock.write_holder().map_err(CacheError::write(path))?;
            return Ok(Some(lock));
        }
    }

    fn write_holder(&self) -> io::Result<()> {
        let host = super::owner::host_name();
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

/// A lease that is one more name of a file that its process holds a lock on: no file is made,
/// written or locked for it.
#[derive(Debug)]
pub(super) struct LinkedLock {
    path: PathBuf,
    /// The lock lasts at least as long as the name.
    lock: Arc<FileLock>,
}

impl LinkedLock {
    /// Takes a lease whose file is not there. None when it is there, or the filesystem refuses: then
    /// [`FileLock::acquire`] says who has it.
    ///
    /// The kernel makes the name for one of all that try at once, and the file that it leads to is
    /// locked already: whoever opens it finds it held.
    pub fn acquire(path: &Path, lock: &Arc<FileLock>) -> Option<Self> {
        if !lock.links().insert(path.to_owned()) {
            return None;
        }
        let linked = fs::hard_link(&lock.path, path);
        // A name that this process has made and knows nothing of: the answer of a file server was
        // lost. And what was linked may be another's, where somebody removed the file of the lock.
        let exists = match &linked {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::AlreadyExists,
        };
        if exists && is_at(&lock.file, path) {
            return Some(Self { path: path.to_owned(), lock: lock.clone() });
        }
        if linked.is_ok() {
            let _ = fs::remove_file(path);
        }
        lock.links().remove(path);
        None
    }
}

impl Drop for LinkedLock {
    fn drop(&mut self) {
        // Left behind, the name is that of a lease of this process for as long as it lives.
        let _ = fs::remove_file(&self.path);
        self.lock.links().remove(&self.path);
    }
}

impl FileLock {
    fn links(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock on a folder; it ends when it is dropped, or when the process does.
#[derive(Debug)]
pub(crate) struct FolderLock(#[expect(dead_code, reason = "held, and never read")] File);

impl FolderLock {
    /// Locks a folder itself, where no file can be made. Waits as long as another holds it.
    pub fn acquire(folder: &Path) -> Result<Self, CacheError> {
        let file = File::open(folder).map_err(CacheError::read(folder))?;
        let no_locks = |source| CacheError::NoLocks { path: folder.to_owned(), source };
        file.lock().map_err(no_locks)?;
        Ok(Self(file))
    }
}

impl Drop for FileLock {
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

/// The holder of the lock on a file, for people; none when nobody holds it.
pub(super) fn holder(path: &Path) -> Option<String> {
    let mut holder = String::new();
    let file = open(path, &mut File::options()).ok()?;
    file.take(MAX_HOLDER_BYTES).read_to_string(&mut holder).ok()?;
    is_held(path).then(|| holder.trim_end().to_owned())
}

/// Puts a file of its own, locked, in the place of one that this process has locked under this name.
/// None where no file can be made.
fn replace_locked(path: &Path) -> io::Result<Option<File>> {
    let temporary = temporary_beside(path);
    let file = match File::options().create_new(true).write(true).read(true).open(&temporary) {
        Ok(file) => file,
        Err(error) if is_full(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    file.lock()?;
    fs::rename(&temporary, path)?;
    Ok(Some(file))
}

/// Removes a lease file that this user may not write to, unless its holder is alive. Whether it was
/// removed.
fn replace_dead(path: &Path) -> io::Result<bool> {
    let file = open(path, &mut File::options())?;
    match file.try_lock() {
        Ok(()) if is_at(&file, path) => fs::remove_file(path).map(|()| true),
        // Another has replaced it.
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a file to read it and what else the options say; a link is an error. Never waits.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options.read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// True if the file that is open is the one that has this name.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// True if a living process holds the lock on a file.
pub(super) fn is_held(path: &Path) -> bool {
    let file = match open(path, &mut File::options()) {
        Ok(file) => file,
        // Nobody can tell: it counts as held.
        Err(error) => return error.kind() == ErrorKind::PermissionDenied,
    };
    // Shared, so that two that ask at once do not take each other for holders.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}
