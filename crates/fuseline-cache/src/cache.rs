//! Objects and action records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use fuseline_artifact::{Digest, Sequence};

use crate::error::CacheError;
use crate::key::ActionKey;
use crate::layout::{DAMAGED, DOOMED, FADED, Layout, temporary_beside, with_end};
use crate::lease::{Lease, Leases};
use crate::object::{ObjectReader, ObjectWriter};
use crate::record::ActionRecord;
use crate::regular::open_regular;
use crate::remote::Remote;
use crate::store::{LocalStore, Stat, Store};

/// Age of a record's time at which a reader renews it. See [`crate::gc`].
pub(crate) const TOUCH_AFTER: Duration = Duration::from_secs(3600);

/// Maximum time that written files may stay in memory alone while more is written.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// A content-addressed store of artifacts and the records of the actions that made them.
///
/// Any number of caches, in any number of processes, may be open on one folder.
#[derive(Debug)]
pub struct Cache {
    pub(crate) layout: Layout,
    pub(crate) store: Arc<dyn Store>,
    /// Held until the cache is dropped, by name: they say that the runs of this process are alive.
    pub(crate) live: Mutex<BTreeMap<String, Lease>>,
    /// Known when the first lease is asked for.
    pub(crate) leases: OnceLock<Leases>,
    /// Remote that is asked for objects and records that are not here.
    pub(crate) remote: Option<Arc<dyn Remote>>,
    /// True if something is written and perhaps not on the disk.
    dirty: AtomicBool,
    /// When everything was brought to the disk last.
    flushed: Mutex<Instant>,
}

impl Cache {
    /// Opens the cache in a folder, and makes it when there is none.
    ///
    /// A cache that cannot be written can be opened and read all the same.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, CacheError> {
        let folder = folder.as_ref();
        Self::open_on(Arc::new(LocalStore::in_folder(folder)), folder)
    }

    /// Opens a cache on a store of one's own.
    pub fn open_on(store: Arc<dyn Store>, folder: &Path) -> Result<Self, CacheError> {
        let layout = Layout::new(folder);
        layout.prepare(&*store)?;
        Ok(Self {
            layout,
            store,
            live: Mutex::default(),
            leases: OnceLock::new(),
            remote: None,
            dirty: AtomicBool::new(false),
            flushed: Mutex::new(Instant::now()),
        })
    }

    /// The folder of the cache.
    pub fn folder(&self) -> &Path {
        &self.layout.root
    }

    /// Stores bytes under their digest. When it returns, a reader gets exactly these bytes.
    pub fn put_object(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        let digest = Digest::hash(bytes);
        let path = self.layout.object(&digest);
        // Touched before it is read: a collection that is about to remove it sees that it is
        // wanted. What has lost its name meanwhile, is of another length or damaged is written
        // again.
        let there = self.store.stat(&path).is_ok_and(|stat| stat.size == bytes.len() as u64)
            && self.store.touch(&path).is_ok()
            && self.store.open(&path).and_then(|file| holds(file, bytes)).unwrap_or(false);
        if !there {
            self.publish(&path, &[bytes])?;
            self.dirty.store(true, Ordering::Release);
        }
        Ok(digest)
    }

    /// Stores what is written, like [`Cache::put_object`]: its digest and size.
    ///
    /// A large object is hashed and goes to its file while it is written, so that memory never
    /// holds all of it. When `write` fails, nothing is stored.
    pub fn put_object_of<E>(
        &self,
        write: impl FnOnce(&mut ObjectWriter<'_>) -> Result<(), E>,
    ) -> Result<Result<(Digest, u64), E>, CacheError> {
        let mut object = ObjectWriter::new(self);
        let written = write(&mut object);
        if let Some(error) = object.failed.take() {
            return Err(error);
        }
        match written {
            Ok(()) => object.finish().map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// The bytes of an object: whole and checked against their digest, or none.
    ///
    /// A damaged object is an error that names it, and is set aside so that the next run makes it
    /// again.
    pub fn get_object(&self, digest: &Digest) -> Result<Option<Bytes>, CacheError> {
        let all = |object: &mut ObjectReader| {
            object.next(usize::try_from(object.size()).unwrap_or(usize::MAX))
        };
        let path = self.layout.object(digest);
        self.read_object(digest, all)?.transpose().map_err(CacheError::read(&path))
    }

    /// Reads an object once, in order: what `read` makes of it, when all bytes are those of the
    /// digest, or none.
    ///
    /// Every byte is hashed as it passes, and those that `read` leaves when it is done, so what it
    /// gives back comes from the very bytes that were checked. Damage is what [`Cache::get_object`]
    /// says it is, whatever `read` makes of it.
    pub fn read_object<T>(
        &self,
        digest: &Digest,
        read: impl FnOnce(&mut ObjectReader) -> T,
    ) -> Result<Option<T>, CacheError> {
        let mut opened = self.open_object(digest)?;
        if opened.is_none() && self.remote.is_some() {
            self.fetch_objects(std::iter::once(*digest));
            opened = self.open_object(digest)?;
        }
        let Some((mut object, path)) = opened else { return Ok(None) };
        let made = read(&mut object);
        match object.digest().map_err(CacheError::read(&path))? {
            found if found == *digest => Ok(Some(made)),
            _ => Err(CacheError::Damaged { digest: *digest, path: self.set_aside(&path) }),
        }
    }

    /// An object that is here, and the name that it has.
    fn open_object(&self, digest: &Digest) -> Result<Option<(ObjectReader, PathBuf)>, CacheError> {
        let path = self.layout.object(digest);
        let doomed = with_end(&path, DOOMED);
        // A collection may have it between two names: under the one, then the other, then perhaps
        // the first again.
        for path in [&path, &doomed, &path] {
            match ObjectReader::open(&*self.store, path) {
                Ok(object) => return Ok(Some((object, path.clone()))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(CacheError::read(path)(error)),
            }
        }
        Ok(None)
    }

    /// Opens an object as a file, to read parts of it; none when it is not there. Leaves no trace:
    /// its bytes are not checked, and a damaged one stays where it is.
    pub fn open_object_file(&self, digest: &Digest) -> Result<Option<File>, CacheError> {
        let path = self.layout.object(digest);
        match open_regular(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError::read(&path)(error)),
        }
    }

    /// True if an object of this length can be had: it is here, or the remote is known to hold it.
    /// Its bytes are not looked at.
    pub fn has_object(&self, digest: &Digest, size: u64) -> bool {
        let is_remote = || self.remote.as_ref().is_some_and(|of| of.has_object(digest, size));
        self.has_local_object(digest, size) || is_remote()
    }

    /// True if an object of this length is here. Its bytes are not looked at.
    pub fn has_local_object(&self, digest: &Digest, size: u64) -> bool {
        let stat = self.store.stat(&self.layout.object(digest));
        stat.is_ok_and(|stat| stat.size == size)
    }

    /// The record of an action, here or of the remote, or none. A damaged record is set aside and
    /// counts as none.
    pub fn get_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        Ok(self.get_local_action(key)?.or_else(|| self.find_remote_action(key)))
    }

    fn get_local_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        let path = self.layout.action(key.digest());
        let (bytes, stat) = match self.store.read(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CacheError::read(&path)(error)),
        };
        match ActionRecord::decode(key, &bytes) {
            Ok(record) if self.renew(&path, &stat) => Ok(Some(record)),
            // A collection removed it while it was read.
            Ok(_) => Ok(None),
            Err(problem) => {
                let aside = self.set_aside(&path);
                let aside = aside.display();
                tracing::warn!(%key, %problem, %aside, "a damaged action record was set aside");
                Ok(None)
            }
        }
    }

    /// The same without side effects: the record is not renewed, and a damaged one stays where it
    /// is.
    pub fn peek_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        Ok(self.peek_local_action(key)?.or_else(|| self.find_remote_action(key)))
    }

    /// The same of this cache alone.
    pub fn peek_local_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        let bytes = self.read_if_there(&self.layout.action(key.digest()))?;
        Ok(bytes.and_then(|bytes| ActionRecord::decode(key, &bytes).ok()))
    }

    /// The record of an action even when its objects were collected: it says what the action was,
    /// and not that its outputs are there.
    pub fn recall_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        if let Some(record) = self.peek_local_action(key)? {
            return Ok(Some(record));
        }
        let faded = with_end(&self.layout.action(key.digest()), FADED);
        let bytes = self.read_if_there(&faded)?;
        Ok(bytes.and_then(|bytes| ActionRecord::decode(key, &bytes).ok()))
    }

    /// Keeps the record of an action, and returns the one that it replaces. Its objects must have
    /// been put before.
    ///
    /// Of all that write the first record of an action at once, one replaces none.
    pub fn put_action(
        &self,
        key: &ActionKey,
        record: &ActionRecord,
    ) -> Result<Option<ActionRecord>, CacheError> {
        let path = self.layout.action(key.digest());
        let bytes = record.encode(key);
        let create = |temporary: &Path| self.store.create(temporary, &[&bytes]);
        let (temporary, ()) = self.temporary(&path, create).map_err(CacheError::write(&path))?;
        let (placed, replaced) = match self.store.link(&temporary, &path) {
            // Left behind, the other name is removed by a collection.
            Ok(()) => (self.store.remove(&temporary).or(Ok(())), None),
            // There is one, or the filesystem has no links.
            Err(_) => {
                let replaced = self.read_if_there(&path).ok().flatten();
                let replaced = replaced.and_then(|bytes| ActionRecord::decode(key, &bytes).ok());
                (self.store.rename(&temporary, &path), replaced)
            }
        };
        if let Err(error) = placed {
            // The error that matters is the first one.
            let _ = self.store.remove(&temporary);
            return Err(CacheError::write(&path)(error));
        }
        self.dirty.store(true, Ordering::Release);
        self.flush_if_due().map(|()| replaced)
    }

    /// Brings everything that this process has put to the disk.
    ///
    /// It happens by itself about once a second while records are written, and when the cache is
    /// dropped.
    pub fn flush(&self) -> Result<(), CacheError> {
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush_now(&mut flushed)
    }

    fn flush_if_due(&self) -> Result<(), CacheError> {
        // Whoever finds it locked leaves it to the one that flushes.
        match self.flushed.try_lock() {
            Ok(mut flushed) if flushed.elapsed() >= FLUSH_AFTER => self.flush_now(&mut flushed),
            _ => Ok(()),
        }
    }

    fn flush_now(&self, flushed: &mut Instant) -> Result<(), CacheError> {
        // Taken down before: what is written meanwhile raises it again.
        if self.dirty.swap(false, Ordering::AcqRel) {
            let root = &self.layout.root;
            self.store.flush(root).map_err(|error| {
                self.dirty.store(true, Ordering::Release);
                CacheError::write(root)(error)
            })?;
        }
        *flushed = Instant::now();
        Ok(())
    }

    /// Writes a file whole or not at all: under another name in the same folder, then by rename.
    ///
    /// It is on the disk with the next record at the latest, or when the cache is closed after one.
    pub(crate) fn publish(&self, path: &Path, parts: &[&[u8]]) -> Result<(), CacheError> {
        let create = |temporary: &Path| self.store.create(temporary, parts);
        let (temporary, ()) = self.temporary(path, create).map_err(CacheError::write(path))?;
        if let Err(error) = self.store.rename(&temporary, path) {
            // The error that matters is the first one.
            let _ = self.store.remove(&temporary);
            return Err(CacheError::write(path)(error));
        }
        Ok(())
    }

    /// Begins the file of an object whose digest is not known yet.
    pub(crate) fn begin_nameless(&self) -> Result<(PathBuf, Box<dyn Write + Send>), CacheError> {
        let path = self.layout.object(&Digest::from([0; 32]));
        let begin = |temporary: &Path| self.store.begin(temporary);
        self.temporary(&path, begin).map_err(CacheError::write(&path))
    }

    /// Renames such a file to the path of its object.
    pub(crate) fn name_object(&self, file: &Path, digest: &Digest) -> Result<(), CacheError> {
        let path = self.layout.object(digest);
        let named = match self.store.rename(file, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder =
                    path.parent().map_or(Ok(()), |folder| self.store.create_folder(folder));
                folder.and_then(|()| self.store.rename(file, &path))
            }
            named => named,
        };
        named.map_err(CacheError::write(&path))?;
        self.dirty.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes a file that is to be another, beside it.
    fn temporary<T>(
        &self,
        path: &Path,
        create: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<(PathBuf, T)> {
        let mut folder = path.parent();
        loop {
            let temporary = temporary_beside(path);
            match create(&temporary) {
                Ok(made) => return Ok((temporary, made)),
                // Left by a process of the same number, perhaps on another machine.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                // Another may make the folder at the same moment, which is as good.
                Err(error) if error.kind() == ErrorKind::NotFound => match folder.take() {
                    Some(folder) => self.store.create_folder(folder)?,
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a damaged file out of the way. Where it is then.
    pub(crate) fn set_aside(&self, path: &Path) -> PathBuf {
        let aside = with_end(path, DAMAGED);
        match self.store.rename(path, &aside) {
            Ok(()) => aside,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a damaged file cannot be set \
                    aside");
                path.to_owned()
            }
        }
    }

    /// Renews the time of a record that is used again. False when it is gone.
    fn renew(&self, path: &Path, stat: &Stat) -> bool {
        let old =
            SystemTime::now().duration_since(stat.modified).is_ok_and(|age| age >= TOUCH_AFTER);
        // A cache that cannot be written cannot be collected either, not by this user.
        !old || !self.store.touch(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }
}

/// True if a file holds exactly these bytes.
fn holds(mut file: impl Read, bytes: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; bytes.len().clamp(1, 1 << 16)];
    let mut rest = bytes;
    loop {
        let read = file.read(&mut buffer)?;
        match rest.split_at_checked(read) {
            Some(([], [])) => return Ok(true),
            Some((expected, after)) if read > 0 && *expected == buffer[..read] => rest = after,
            _ => return Ok(false),
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "the cache could not be brought to the disk");
        }
    }
}
