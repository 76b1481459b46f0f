//! Objects and action records.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use fuseline_artifact::{Digest, Sequence};

use crate::error::CacheError;
use crate::jobs::Jobs;
use crate::key::ActionKey;
use crate::layout::{DAMAGED, DOOMED, FADED, Layout, temporary_beside, with_end};
use crate::lease::{Lease, Leases};
use crate::object::{ObjectFile, ObjectReader, ObjectWriter};
use crate::pack::{EntryKind, Packed, Packs};
use crate::placement::{Placement, Shelf, Stored};
use crate::record::ActionRecord;
use crate::regular::open_regular;
use crate::remote::Remote;
use crate::store::{LocalStore, Store};

/// Age of a record's time at which a reader renews it. See [`crate::gc`].
pub(crate) const TOUCH_AFTER: Duration = Duration::from_secs(3600);

/// Attempts to write into a folder that others may make and remove.
const FOLDER_ATTEMPTS: usize = 8;

/// Maximum time that written files may stay in memory alone while more is written.
const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// Work of a process that is worth a flush at its end: less is sooner done again than flushed.
const FLUSH_WORTH: Duration = Duration::from_millis(100);

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
    /// Small objects and records of many actions.
    pub(crate) object_packs: Packs,
    pub(crate) action_packs: Packs,
    /// Small entries that this process has written as files.
    pub(crate) placement: Placement,
    /// Jobs of the runs that were asked for.
    pub(crate) jobs: Mutex<BTreeMap<String, Arc<Jobs>>>,
    /// Remote that is asked for objects and records that are not here.
    pub(crate) remote: Option<Arc<dyn Remote>>,
    /// True if something is written and perhaps not on the disk.
    pub(crate) dirty: AtomicBool,
    /// Microseconds that it took to make it.
    unflushed_work: AtomicU64,
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
            object_packs: Packs::new(&layout.objects, store.clone()),
            action_packs: Packs::new(&layout.actions, store.clone()),
            #[cfg(not(test))]
            placement: Placement::default(),
            #[cfg(test)]
            placement: crate::tests::forms::placement(),
            jobs: Mutex::default(),
            layout,
            store,
            live: Mutex::default(),
            leases: OnceLock::new(),
            remote: None,
            dirty: AtomicBool::new(false),
            unflushed_work: AtomicU64::new(0),
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
        if self.has_packed(&digest, bytes)? {
            return Ok(digest);
        }
        let path = self.layout.object(&digest);
        // Touched before it is read: a collection that is about to remove it sees that it is
        // wanted. What has lost its name meanwhile, is of another length or damaged is written
        // again.
        let there = self.store.stat(&path).is_ok_and(|stat| stat.size == bytes.len() as u64)
            && self.store.touch(&path).is_ok()
            && self.store.open(&path).and_then(|file| holds(file, bytes)).unwrap_or(false);
        if !there {
            if self.is_for_pack(Shelf::Objects, &digest, bytes.len())? {
                self.append(Shelf::Objects, &digest, bytes)?;
            } else {
                self.publish(&path, &[bytes])?;
            }
            self.dirty.store(true, Ordering::Release);
        }
        Ok(digest)
    }

    /// True if a pack holds exactly these bytes, and is kept from now on. A damaged copy is buried.
    fn has_packed(&self, digest: &Digest, bytes: &[u8]) -> Result<bool, CacheError> {
        let packs = &self.object_packs;
        // Twice: a collection may have moved it meanwhile.
        for _ in 0..2 {
            let found = packs.find(digest, EntryKind::Live);
            let Some(packed) = found.map_err(CacheError::read(packs.folder()))? else { break };
            if !packs.renew(&packed, TOUCH_AFTER, true) {
                continue;
            }
            if packed.read().is_ok_and(|found| found == bytes) {
                return Ok(true);
            }
            self.set_packed_aside(Shelf::Objects, &packed);
        }
        Ok(false)
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
        let Some((mut object, stored)) = opened else { return Ok(None) };
        let made = read(&mut object);
        match object
            .digest()
            .map_err(CacheError::read(&self.path_of_stored(Shelf::Objects, &stored)))?
        {
            found if found == *digest => Ok(Some(made)),
            _ => {
                let path = self.set_stored_aside(Shelf::Objects, &stored);
                Err(CacheError::Damaged { digest: *digest, path })
            }
        }
    }

    /// An object that is here, and where.
    fn open_object(&self, digest: &Digest) -> Result<Option<(ObjectReader, Stored)>, CacheError> {
        let from_pack = |bytes, packed| (ObjectReader::from_bytes(bytes), Stored::Packed(packed));
        let from_file = || {
            let object = self.open_object_by_name(digest)?;
            Ok(object.map(|(object, path)| (object, Stored::File(path))))
        };
        read_entry(&self.object_packs, digest, Packs::find_to_read, from_pack, from_file)
    }

    /// An object that has a file, and the name that it has.
    fn open_object_by_name(
        &self,
        digest: &Digest,
    ) -> Result<Option<(ObjectReader, PathBuf)>, CacheError> {
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

    /// Opens an object, to read parts of it; none when it is not there. Leaves no trace: its bytes
    /// are not checked, and a damaged one stays where it is.
    pub fn open_object_file(&self, digest: &Digest) -> Result<Option<ObjectFile>, CacheError> {
        let path = self.layout.object(digest);
        match open_regular(&path) {
            Ok(file) => return Ok(Some(ObjectFile::Open(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(CacheError::read(&path)(error)),
        }
        let packs = &self.object_packs;
        let packed = packs.find_to_read(digest).map_err(CacheError::read(packs.folder()))?;
        let bytes = packed.map(|packed| packed.read()).transpose();
        Ok(bytes.map_err(CacheError::read(packs.folder()))?.map(ObjectFile::Packed))
    }

    /// True if an object of this length can be had: it is here, or the remote is known to hold it.
    /// Its bytes are not looked at.
    pub fn has_object(&self, digest: &Digest, size: u64) -> bool {
        let is_remote = || self.remote.as_ref().is_some_and(|of| of.has_object(digest, size));
        self.has_local_object(digest, size) || is_remote()
    }

    /// True if an object of this length is here. Its bytes are not looked at.
    pub fn has_local_object(&self, digest: &Digest, size: u64) -> bool {
        let packs = &self.object_packs;
        if packs.has_known(digest, size).unwrap_or(false) {
            return true;
        }
        match self.store.stat(&self.layout.object(digest)) {
            Ok(stat) => stat.size == size,
            Err(_) => {
                let found = packs.find(digest, EntryKind::Live).ok().flatten();
                found.is_some_and(|packed| u64::from(packed.entry.length) == size)
            }
        }
    }

    /// True if an object is here, of whatever length.
    pub(crate) fn is_here(&self, digest: &Digest) -> bool {
        let packs = &self.object_packs;
        packs.find_known(digest, EntryKind::Live).is_ok_and(|found| found.is_some())
            || self.store.stat(&self.layout.object(digest)).is_ok()
            || packs.find(digest, EntryKind::Live).is_ok_and(|found| found.is_some())
    }

    /// Renews the time of a record, if it is here: one that is gone has nothing to lose.
    pub(crate) fn renew_action(&self, key: &ActionKey) {
        let packs = &self.action_packs;
        match packs.find_known(key.digest(), EntryKind::Live) {
            Ok(Some(packed)) => _ = packs.renew(&packed, TOUCH_AFTER, true),
            _ => _ = self.store.touch(&self.layout.action(key.digest())),
        }
    }

    /// The record of an action, here or of the remote, or none. A damaged record is set aside and
    /// counts as none.
    pub fn get_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        Ok(self.get_local_action(key)?.or_else(|| self.find_remote_action(key)))
    }

    fn get_local_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        // Again when a collection removed it while it was read, or moved it.
        for _ in 0..2 {
            let Some((bytes, stored)) = self.read_action(key)? else { return Ok(None) };
            match ActionRecord::decode(key, &bytes) {
                Ok(record) if self.renew(&stored) => return Ok(Some(record)),
                Ok(_) => {}
                Err(problem) => {
                    let aside = self.set_stored_aside(Shelf::Actions, &stored);
                    let aside = aside.display();
                    tracing::warn!(%key, %problem, %aside, "a damaged action record was set aside");
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// The bytes of a record, and where they are.
    fn read_action(&self, key: &ActionKey) -> Result<Option<(Bytes, Stored)>, CacheError> {
        let from_pack = |bytes, packed| (bytes, Stored::Packed(packed));
        let from_file = || {
            let path = self.layout.action(key.digest());
            match self.store.read(&path) {
                Ok((bytes, stat)) => Ok(Some((bytes.into(), Stored::Stat(path, stat)))),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(CacheError::read(&path)(error)),
            }
        };
        let find_live = |packs: &Packs, digest: &Digest| packs.find(digest, EntryKind::Live);
        read_entry(&self.action_packs, key.digest(), find_live, from_pack, from_file)
    }

    /// The same without side effects: the record is not renewed, and a damaged one stays where it
    /// is.
    pub fn peek_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        Ok(self.peek_local_action(key)?.or_else(|| self.find_remote_action(key)))
    }

    /// The same of this cache alone.
    pub fn peek_local_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        let found = self.read_action(key)?;
        Ok(found.and_then(|(bytes, _)| ActionRecord::decode(key, &bytes).ok()))
    }

    /// The record of an action even when its objects were collected: it says what the action was,
    /// and not that its outputs are there.
    pub fn recall_action(&self, key: &ActionKey) -> Result<Option<ActionRecord>, CacheError> {
        if let Some(record) = self.peek_local_action(key)? {
            return Ok(Some(record));
        }
        let faded = with_end(&self.layout.action(key.digest()), FADED);
        let mut bytes = self.read_if_there(&faded)?.map(Bytes::from);
        if bytes.is_none() {
            let packs = &self.action_packs;
            let packed = packs.find(key.digest(), EntryKind::Faded);
            let packed = packed.map_err(CacheError::read(packs.folder()))?;
            bytes = packed.and_then(|packed| packed.read().ok());
        }
        Ok(bytes.and_then(|bytes| ActionRecord::decode(key, &bytes).ok()))
    }

    /// Keeps the record of an action, and returns the one that it replaces. Its objects must have
    /// been put before.
    ///
    /// Of all that write the first record of an action at once, one at most replaces none.
    pub fn put_action(
        &self,
        key: &ActionKey,
        record: &ActionRecord,
    ) -> Result<Option<ActionRecord>, CacheError> {
        let path = self.layout.action(key.digest());
        let bytes = record.encode(key);
        let replaced = match self.put_packed_action(key, &bytes, &path)? {
            Some(replaced) => replaced,
            None => self.put_action_file(key, &bytes, &path)?,
        };
        self.note_unflushed(Duration::try_from_secs_f64(record.seconds).unwrap_or(FLUSH_WORTH));
        self.flush_if_due().map(|()| replaced)
    }

    /// Puts a record into a pack, if that is where it is or is to be, and returns what it replaces.
    fn put_packed_action(
        &self,
        key: &ActionKey,
        bytes: &[u8],
        path: &Path,
    ) -> Result<Option<Option<ActionRecord>>, CacheError> {
        let (packs, digest) = (&self.action_packs, key.digest());
        let cannot_read = || CacheError::read(packs.folder());
        let decode = |packed: &Packed| ActionRecord::decode(key, &packed.read().ok()?).ok();
        // A record is replaced where it is, so that there is one.
        if let Some(before) = packs.find(digest, EntryKind::Live).map_err(cannot_read())? {
            let replaced = decode(&before);
            self.append(Shelf::Actions, digest, bytes)?;
            packs.bury(&before).map_err(CacheError::write(packs.folder()))?;
            return Ok(Some(replaced));
        }
        if self.store.stat(path).is_ok()
            || !self.is_for_pack(Shelf::Actions, digest, bytes.len())?
        {
            return Ok(None);
        }
        self.append(Shelf::Actions, digest, bytes)?;
        // Another process may have appended its own between the two: whoever looks second sees it.
        let other = packs.find_of_others(digest).map_err(cannot_read())?;
        Ok(Some(other.as_ref().and_then(decode)))
    }

    fn put_action_file(
        &self,
        key: &ActionKey,
        bytes: &[u8],
        path: &Path,
    ) -> Result<Option<ActionRecord>, CacheError> {
        let create = |temporary: &Path| self.store.create(temporary, &[bytes]);
        let (temporary, ()) = self.temporary(path, create).map_err(CacheError::write(path))?;
        let (placed, replaced) = match self.store.link(&temporary, path) {
            // Left behind, the other name is removed by a collection.
            Ok(()) => (self.store.remove(&temporary).or(Ok(())), None),
            // There is one, or the filesystem has no links.
            Err(_) => {
                let replaced = self.read_if_there(path).ok().flatten();
                let replaced = replaced.and_then(|bytes| ActionRecord::decode(key, &bytes).ok());
                (self.store.rename(&temporary, path), replaced)
            }
        };
        if let Err(error) = placed {
            // The error that matters is the first one.
            let _ = self.store.remove(&temporary);
            return Err(CacheError::write(path)(error));
        }
        Ok(replaced)
    }

    /// Brings everything that this process has put to the disk.
    ///
    /// It happens by itself about once a second while records are written, and when the cache is
    /// dropped, if that is worth it.
    pub fn flush(&self) -> Result<(), CacheError> {
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush_now(&mut flushed)
    }

    /// The same, unless what a power cut could cost is made again in less time than a flush takes. The
    /// kernel brings that to the disk within half a minute. A filesystem that other machines see is
    /// always flushed.
    pub fn flush_if_worth(&self) -> Result<(), CacheError> {
        match self.is_worth_flushing() {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// True if [`Cache::flush_if_worth`] would flush.
    pub fn is_worth_flushing(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
            && (self.unflushed_work.load(Ordering::Acquire) >= FLUSH_WORTH.as_micros() as u64
                || !self.object_packs.is_local())
    }

    /// Notes that something was written which took so much work to make.
    pub(crate) fn note_unflushed(&self, work: Duration) {
        let micros = u64::try_from(work.as_micros()).unwrap_or(u64::MAX);
        let add = |before: u64| Some(before.saturating_add(micros));
        let _ = self.unflushed_work.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        self.dirty.store(true, Ordering::Release);
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
            let work = self.unflushed_work.swap(0, Ordering::AcqRel);
            let root = &self.layout.root;
            let packs = self.object_packs.flush().and_then(|()| self.action_packs.flush());
            packs.and_then(|()| self.store.flush(root)).map_err(|error| {
                self.note_unflushed(Duration::from_micros(work));
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
        self.name_file(&temporary, path)
    }

    /// The same of what is written piece by piece.
    pub(crate) fn publish_with(
        &self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CacheError> {
        let begin = |temporary: &Path| self.store.begin(temporary);
        let (temporary, mut file) = self.temporary(path, begin).map_err(CacheError::write(path))?;
        if let Err(error) = write(&mut file).and_then(|()| file.flush()) {
            drop(file);
            let _ = self.store.remove(&temporary);
            return Err(CacheError::write(path)(error));
        }
        drop(file);
        self.name_file(&temporary, path)
    }

    fn name_file(&self, temporary: &Path, path: &Path) -> Result<(), CacheError> {
        if let Err(error) = self.store.rename(temporary, path) {
            // The error that matters is the first one.
            let _ = self.store.remove(temporary);
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
        for attempt in 0.. {
            match self.store.rename(file, &path) {
                Err(error) if error.kind() == ErrorKind::NotFound && attempt < FOLDER_ATTEMPTS => {
                    let folder = path.parent().unwrap_or(&path);
                    self.store.create_folder(folder).map_err(CacheError::write(folder))?;
                }
                named => {
                    named.map_err(CacheError::write(&path))?;
                    break;
                }
            }
        }
        self.dirty.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes a file that is to be another, beside it.
    fn temporary<T>(
        &self,
        path: &Path,
        create: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<(PathBuf, T)> {
        let mut attempts = 0;
        loop {
            let temporary = temporary_beside(path);
            match create(&temporary) {
                Ok(made) => return Ok((temporary, made)),
                // Left by a process of the same number, perhaps on another machine.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                // Another may make the folder at the same moment, which is as good, or remove it
                // while it is empty.
                Err(error) if error.kind() == ErrorKind::NotFound => match path.parent() {
                    Some(folder) if attempts < FOLDER_ATTEMPTS => {
                        attempts += 1;
                        self.store.create_folder(folder)?;
                    }
                    _ => return Err(error),
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
    fn renew(&self, stored: &Stored) -> bool {
        let (path, stat) = match stored {
            Stored::Packed(packed) => return self.action_packs.renew(packed, TOUCH_AFTER, false),
            Stored::File(_) => return true,
            Stored::Stat(path, stat) => (path, stat),
        };
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

/// Reads the entry of a digest from a pack that is known, else from its file, else from a pack that
/// `find_again` finds: what goes from a file into a pack is in the pack before the file goes.
fn read_entry<T>(
    packs: &Packs,
    digest: &Digest,
    find_again: impl Fn(&Packs, &Digest) -> io::Result<Option<Packed>>,
    from_pack: impl Fn(Bytes, Packed) -> T,
    from_file: impl FnOnce() -> Result<Option<T>, CacheError>,
) -> Result<Option<T>, CacheError> {
    let read = |found: io::Result<Option<Packed>>| {
        let Some(packed) = found.map_err(CacheError::read(packs.folder()))? else {
            return Ok(None);
        };
        let bytes = packed.read().map_err(CacheError::read(&packs.path(&packed.segment)))?;
        Ok(Some(from_pack(bytes, packed)))
    };
    if let Some(entry) = read(packs.find_known(digest, EntryKind::Live))? {
        return Ok(Some(entry));
    }
    match from_file()? {
        Some(entry) => Ok(Some(entry)),
        None => read(find_again(packs, digest)),
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Err(error) = self.flush_if_worth() {
            tracing::warn!(%error, "the cache could not be brought to the disk");
        }
    }
}
