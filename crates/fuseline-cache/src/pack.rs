//! Small entries of many actions in few files.
//!
//! A folder of packs holds segments. A process appends to a segment of its own, which nobody else
//! writes to, and seals it with an index of its entries when it is full or no longer needed; one
//! that a killed process left is read entry by entry, up to the first that is not whole. So writers
//! need no locks, readers find what is appended by the length of a file, and a table in memory says
//! where a digest is. **Invariant:** what an index or a header says is where an entry may be; the
//! payload is believed when its reader has verified it.

mod segment;
mod table;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fuseline_artifact::Digest;

use crate::layout::{DOOMED, temporary_beside, with_end};
use crate::lease::is_of_one_machine;
use crate::store::{ReadAt, Store};
use segment::{MAGIC, MAX_SEGMENT_BYTES, SegmentIndex, read_exactly};
use table::{Position, Table};

pub(crate) use segment::{EntryKind, Indexed};

/// The name of the folder of packs, within that of the files.
pub(crate) const PACKS: &str = "packs";
/// The end of the name of a segment.
pub(crate) const SEGMENT: &str = ".pack";
/// Largest payload that goes into a pack; what is larger has a file of its own.
pub(crate) const SMALL_BYTES: usize = if cfg!(test) { 1 << 12 } else { 1 << 15 };
/// Size at which a segment is sealed and another is begun.
pub(crate) const SEGMENT_BYTES: u64 = if cfg!(test) { 1 << 15 } else { 1 << 26 };
/// Number of entries that are worth an index.
const LONG_SEGMENT: usize = 256;
/// Number of times that a folder which changes is listed again for an entry that is to be read.
const LOOKS: usize = 3;
/// Age from which the time of a folder tells every later change of it: several ticks of the clock
/// that filesystems take times from.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// The packs of a folder, as one process sees them.
#[derive(Debug)]
pub(crate) struct Packs {
    folder: PathBuf,
    store: Arc<dyn Store>,
    state: RwLock<State>,
    /// Locked before the state.
    writer: Mutex<Option<Writer>>,
    /// True if the next lookup is to look at the folder again before it answers.
    is_expired: AtomicBool,
    /// Known when it is first asked for.
    is_local: OnceLock<bool>,
}

#[derive(Debug, Default)]
struct State {
    segments: Vec<Segment>,
    table: Table,
    /// Entries that do not count: by segment and offset.
    tombstones: BTreeSet<EntryId>,
    /// Time of the folder when it was listed last, if no later change can have the same.
    listed: Option<SystemTime>,
}

#[derive(Debug)]
struct Segment {
    name: Arc<str>,
    file: Arc<dyn ReadAt>,
    index: SegmentIndex,
    /// Offset behind the last entry that is known, and the length that the file had then. Unused
    /// once nothing is appended any more.
    scanned: u64,
    looked_at: u64,
    /// True if nothing is appended any more, as far as is known.
    is_sealed: bool,
    /// True while this process appends to it.
    is_own: bool,
    /// True while a collection has given it another name: its entries can be read, and not found.
    is_doomed: bool,
    /// Its time, as far as is known.
    used: SystemTime,
    /// True if this process has renewed it.
    is_renewed: bool,
}

/// An entry: the name of its segment, and its offset there.
pub(crate) type EntryId = (Arc<str>, u32);

/// The segment that this process appends to.
struct Writer {
    name: Arc<str>,
    file: Box<dyn Write + Send>,
    size: u64,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An entry that was found.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub segment: Arc<str>,
    pub entry: Indexed,
    file: Arc<dyn ReadAt>,
}

impl Packed {
    /// Its payload, unverified; fewer bytes where its segment was cut short.
    pub fn read(&self) -> io::Result<Bytes> {
        let entry = &self.entry;
        Ok(read_exactly(&*self.file, entry.payload(), entry.length as usize)?.into())
    }

    pub fn id(&self) -> EntryId {
        (self.segment.clone(), self.entry.offset)
    }
}

/// The entries that a process knows, held as they are.
pub(crate) struct KnownEntries<'p>(RwLockReadGuard<'p, State>);

impl KnownEntries<'_> {
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.segments.is_empty()
    }

    /// A question that several threads may ask: whether an entry of this length is among them.
    pub fn has(&self) -> impl Fn(&Digest, u64) -> bool + Copy + Sync {
        let state = &*self.0;
        |digest, length| state.has(digest, length)
    }
}

/// A segment as its file says, for a collection.
pub(crate) struct SegmentFile {
    pub name: Arc<str>,
    pub size: u64,
    pub modified: SystemTime,
    pub is_sealed: bool,
    /// All entries, tombstones included.
    pub entries: Vec<Packed>,
}

impl Packs {
    /// The packs beside the files of a folder.
    pub fn new(files: &Path, store: Arc<dyn Store>) -> Self {
        Self {
            folder: files.join(PACKS),
            store,
            state: RwLock::default(),
            writer: Mutex::default(),
            is_expired: AtomicBool::new(true),
            is_local: OnceLock::new(),
        }
    }

    /// True if there are packs, or were.
    pub fn exist(&self) -> bool {
        self.store.stat(&self.folder).is_ok()
    }

    /// The path of a segment.
    pub fn path(&self, segment: &str) -> PathBuf {
        self.folder.join(segment)
    }

    /// The folder of the segments.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the next lookup look at the folder: what others wrote before this moment is found.
    pub fn expire(&self) {
        self.is_expired.store(true, Ordering::Release);
    }

    /// An entry, if it is among those that are known. Others may have written it since.
    pub fn find_known(&self, digest: &Digest, kind: EntryKind) -> io::Result<Option<Packed>> {
        self.refresh_if_expired()?;
        Ok(self.read_state().find(digest, kind, false))
    }

    /// True if the folder was looked at.
    fn refresh_if_expired(&self) -> io::Result<bool> {
        let is_expired = self.is_expired.swap(false, Ordering::AcqRel);
        if is_expired {
            self.refresh(false)?;
        }
        Ok(is_expired)
    }

    /// True if an entry of this length is among those that are known.
    pub fn has_known(&self, digest: &Digest, length: u64) -> io::Result<bool> {
        self.refresh_if_expired()?;
        Ok(self.read_state().has(digest, length))
    }

    /// What is known, for many questions at once.
    pub fn known(&self) -> io::Result<KnownEntries<'_>> {
        self.refresh_if_expired()?;
        Ok(KnownEntries(self.read_state()))
    }

    /// An entry. When it is not known, the folder is looked at.
    pub fn find(&self, digest: &Digest, kind: EntryKind) -> io::Result<Option<Packed>> {
        let is_fresh = self.refresh_if_expired()?;
        let known = self.read_state().find(digest, kind, false);
        if known.is_some() || is_fresh || !self.refresh(false)? {
            return Ok(known);
        }
        Ok(self.read_state().find(digest, kind, false))
    }

    /// An entry to read, even when a collection is about to remove its segment.
    pub fn find_to_read(&self, digest: &Digest) -> io::Result<Option<Packed>> {
        let known = self.find(digest, EntryKind::Live)?;
        if known.is_some() {
            return Ok(known);
        }
        let find = || self.read_state().find(digest, EntryKind::Live, true);
        for _ in 0..LOOKS {
            let found = find();
            // A segment that a collection renames while the folder is listed is in no list.
            if found.is_some() || !self.refresh(false)? {
                return Ok(found);
            }
        }
        Ok(find())
    }

    /// An entry of another process, which the folder is looked at for.
    pub fn find_of_others(&self, digest: &Digest) -> io::Result<Option<Packed>> {
        self.refresh(false)?;
        let state = self.read_state();
        let others = state.all(digest).filter(|(segment, _)| !segment.is_own && !segment.is_doomed);
        Ok(others.map(|(segment, entry)| segment.packed(entry)).find(|packed| {
            packed.entry.kind == EntryKind::Live && !state.tombstones.contains(&packed.id())
        }))
    }

    /// Every entry of a kind that counts, by digest; one of each digest.
    pub fn entries(&self, kind: EntryKind) -> io::Result<Vec<Packed>> {
        self.refresh(true)?;
        let state = self.read_state();
        let segments = state.segments.iter().filter(|segment| !segment.is_doomed);
        let entries =
            segments.flat_map(|segment| segment.index.iter().map(|at| segment.packed(at)));
        let mut entries: Vec<_> = entries
            .filter(|packed| packed.entry.kind == kind && !state.tombstones.contains(&packed.id()))
            .collect();
        entries.sort_by_key(|packed| packed.entry.digest);
        entries.dedup_by_key(|packed| packed.entry.digest);
        Ok(entries)
    }

    /// The number of segments.
    pub fn segments(&self) -> io::Result<usize> {
        self.refresh(true)?;
        Ok(self.read_state().segments.len())
    }

    /// Renews the time of the segment of an entry that is used again, so that a collection sees it.
    /// False when the segment has lost its name.
    ///
    /// `after`: age from which it is renewed. With `once`, it is at least once by this process.
    pub fn renew(&self, packed: &Packed, after: Duration, once: bool) -> bool {
        let is_due = |segment: &Segment| {
            let age = SystemTime::now().duration_since(segment.used).unwrap_or_default();
            !segment.is_own && (age >= after || once && !segment.is_renewed)
        };
        if !self.read_state().segment(&packed.segment).is_some_and(is_due) {
            return true;
        }
        match self.store.touch(&self.path(&packed.segment)) {
            Ok(()) => {
                let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                if let Some(segment) = state.segment_mut(&packed.segment) {
                    (segment.used, segment.is_renewed) = (SystemTime::now(), true);
                }
                true
            }
            // A cache that cannot be written cannot be collected either, not by this user.
            Err(error) if error.kind() != ErrorKind::NotFound => true,
            Err(_) => {
                self.forget_listing();
                false
            }
        }
    }

    /// Appends an entry. When it returns, every process finds it.
    pub fn append(&self, kind: EntryKind, digest: &Digest, payload: &[u8]) -> io::Result<()> {
        let mut place = self.lock_writer();
        if place.as_ref().is_some_and(|writer| writer.size >= SEGMENT_BYTES) {
            self.seal_segment(&mut place);
        }
        let writer = match &mut *place {
            Some(writer) => writer,
            none => none.insert(self.begin()?),
        };
        let first = if writer.size == 0 { &MAGIC[..] } else { &[] };
        let offset = writer.size + first.len() as u64;
        let too_large = |_| io::Error::from(ErrorKind::FileTooLarge);
        let entry = Indexed {
            digest: *digest,
            kind,
            offset: u32::try_from(offset).map_err(too_large)?,
            length: u32::try_from(payload.len()).map_err(too_large)?,
        };
        let bytes = [first, &entry.header(), payload].concat();
        let mut written = writer.file.write_all(&bytes);
        if written.is_ok() && !self.is_local() {
            // Other machines see what their server has.
            written = self.store.sync(&self.path(&writer.name));
        }
        if let Err(error) = written {
            // What is cut off ends the segment: the next entry begins another.
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(segment) = state.segment_mut(&writer.name) {
                (segment.is_own, segment.is_sealed) = (false, true);
            }
            *place = None;
            return Err(error);
        }
        writer.size = entry.end();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.add(&writer.name, &entry);
        Ok(())
    }

    /// Makes an entry count no more: for all processes if a tombstone can be written, else for
    /// this one.
    pub fn bury(&self, packed: &Packed) -> io::Result<()> {
        let id = packed.id();
        let written = self.append(EntryKind::Tombstone, &packed.entry.digest, &tombstone(&id));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.tombstones.insert(id);
        written
    }

    /// Brings what was appended to the disk, where no call does that for a whole filesystem.
    pub fn flush(&self) -> io::Result<()> {
        self.lock_writer().as_mut().map_or(Ok(()), |writer| writer.file.flush())
    }

    /// Seals the segment of this process, so that others read its index alone.
    pub fn seal(&self) {
        self.seal_segment(&mut self.lock_writer());
    }

    /// Seals it if it has so many entries that others had better not read them one by one.
    pub fn seal_if_long(&self) {
        let mut place = self.lock_writer();
        let is_long = place.as_ref().is_some_and(|writer| {
            let state = self.read_state();
            state.segment(&writer.name).is_some_and(|own| own.index.len() >= LONG_SEGMENT)
        });
        if is_long {
            self.seal_segment(&mut place);
        }
    }

    fn seal_segment(&self, place: &mut Option<Writer>) {
        let Some(mut writer) = place.take() else { return };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(segment) = state.segment_mut(&writer.name) else { return };
        (segment.is_own, segment.is_sealed) = (false, true);
        segment.used = SystemTime::now();
        let seal = segment.index.seal(writer.size);
        if let Err(error) = writer.file.write_all(&seal).and_then(|()| writer.file.flush()) {
            // It is read entry by entry instead.
            tracing::debug!(%error, segment = %writer.name, "a segment cannot be sealed");
        }
    }

    fn begin(&self) -> io::Result<Writer> {
        let name = segment_name();
        let path = self.path(&name);
        let file = match self.store.begin(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.store.create_folder(&self.folder)?;
                self.store.begin(&path)?
            }
            begun => begun?,
        };
        let segment = Segment {
            name: name.clone(),
            file: self.store.open_at(&path)?.into(),
            index: SegmentIndex::default(),
            scanned: 0,
            looked_at: 0,
            is_sealed: false,
            is_own: true,
            is_doomed: false,
            used: SystemTime::now(),
            is_renewed: true,
        };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.segments.push(segment);
        Ok(Writer { name, file, size: 0 })
    }

    /// Looks at the folder, and at the segments that others append to. True if anything may be
    /// known that was not before.
    ///
    /// With `always`, whatever the time of the folder says.
    pub fn refresh(&self, always: bool) -> io::Result<bool> {
        let modified = match self.store.stat(&self.folder) {
            Ok(stat) => stat.modified,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let known = !self.read_state().segments.is_empty();
                if known {
                    *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::default();
                }
                return Ok(known);
            }
            Err(error) => return Err(error),
        };
        let is_local = self.is_local();
        let is_listed = |state: &State| !always && is_local && state.listed == Some(modified);
        let grows = |segment: &Segment| !segment.is_sealed && !segment.is_own;
        {
            let state = self.read_state();
            let has_grown = |segment: &Segment| {
                grows(segment)
                    && (!is_local
                        || segment.file.size().is_ok_and(|size| size != segment.looked_at))
            };
            if is_listed(&state) && !state.segments.iter().any(has_grown) {
                return Ok(false);
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !is_listed(&state) {
            self.list(&mut state)?;
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            state.listed = (age > SETTLED_AFTER).then_some(modified);
        }
        for at in 0..state.segments.len() {
            if grows(&state.segments[at]) {
                self.read_appended(&mut state, at)?;
            }
        }
        Ok(true)
    }

    /// Takes notice of segments that came, went, or lost their names.
    fn list(&self, state: &mut State) -> io::Result<()> {
        let names = self.segment_names()?;
        let is_named = |name: &str| names.iter().any(|(named, ..)| **named == *name);
        let before = state.segments.len();
        state.segments.retain(|segment| segment.is_own || is_named(&segment.name));
        if state.segments.len() < before {
            state.rebuild();
        }
        for (name, is_doomed, used) in names {
            if let Some(segment) = state.segment_mut(&name) {
                segment.is_doomed = is_doomed;
                continue;
            }
            let path = self.path(&name);
            let path = if is_doomed { with_end(&path, DOOMED) } else { path };
            let file: Arc<dyn ReadAt> = match self.store.open_at(&path) {
                Ok(file) => file.into(),
                // It has just gone, or is nothing that anybody wrote.
                Err(error) => {
                    tracing::debug!(path = %path.display(), %error, "a segment cannot be opened");
                    continue;
                }
            };
            state.segments.push(Segment {
                name: name.into(),
                file,
                index: SegmentIndex::default(),
                scanned: 0,
                looked_at: 0,
                is_sealed: false,
                is_own: false,
                is_doomed,
                used,
                is_renewed: false,
            });
        }
        Ok(())
    }

    /// The segments in the folder, whether a collection has renamed them, and their times.
    fn segment_names(&self) -> io::Result<Vec<(String, bool, SystemTime)>> {
        let mut names: Vec<(String, bool, SystemTime)> = Vec::new();
        for entry in self.store.list(&self.folder)? {
            let name = entry.name.strip_suffix(DOOMED).unwrap_or(&entry.name);
            if !name.ends_with(SEGMENT) || name.starts_with('.') || entry.stat.folder {
                continue;
            }
            if entry.stat.size > MAX_SEGMENT_BYTES {
                tracing::warn!(name, "a pack that is too large is not read");
                continue;
            }
            let is_doomed = name.len() < entry.name.len();
            // Sorted by name: one under both names comes first under its own.
            if names.last().is_none_or(|(last, ..)| last != name) {
                names.push((name.to_owned(), is_doomed, entry.stat.modified));
            }
        }
        Ok(names)
    }

    /// Reads what was appended to a segment of another process since it was looked at.
    fn read_appended(&self, state: &mut State, at: usize) -> io::Result<()> {
        let segment = &mut state.segments[at];
        if !self.is_local() && !segment.is_doomed && segment.looked_at > 0 {
            // What is opened anew has the size that the server says.
            match self.store.open_at(&self.folder.join(&*segment.name)) {
                Ok(file) => segment.file = file.into(),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let (file, size) = (segment.file.clone(), segment.file.size()?);
        let known = segment.index.len();
        if size == segment.looked_at {
            return Ok(());
        }
        segment.looked_at = size;
        match SegmentIndex::read_sealed(&*file, size)? {
            // What is known of it stays where it is known to be.
            Some(index) if index.len() >= known => {
                segment.index = index;
                segment.is_sealed = true;
            }
            _ => segment.scanned = segment.index.scan(&*file, segment.scanned, size)?,
        }
        state.enter(at, known);
        Ok(())
    }

    /// All segments, as their files say now, in the order of their names. What a killed collection
    /// has renamed is among them.
    pub fn segment_files(&self) -> io::Result<Vec<SegmentFile>> {
        if !self.exist() {
            return Ok(Vec::new());
        }
        self.refresh(true)?;
        let state = self.read_state();
        let mut files = Vec::new();
        for segment in &state.segments {
            let path = self.path(&segment.name);
            let path = if segment.is_doomed { with_end(&path, DOOMED) } else { path };
            let Ok(stat) = self.store.stat(&path) else { continue };
            files.push(SegmentFile {
                name: segment.name.clone(),
                size: stat.size,
                modified: stat.modified,
                is_sealed: segment.is_sealed,
                entries: segment.index.iter().map(|entry| segment.packed(entry)).collect(),
            });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// True if a tombstone says that an entry does not count.
    pub fn is_buried(&self, packed: &Packed) -> bool {
        self.read_state().tombstones.contains(&packed.id())
    }

    /// Writes entries into segments that are sealed and as old as `modified`, and gives these their
    /// names: whole or not at all.
    pub fn write_segments(
        &self,
        entries: &[(Packed, EntryKind)],
        modified: SystemTime,
    ) -> io::Result<()> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (mut bytes, mut index) = (MAGIC.to_vec(), SegmentIndex::default());
            while let [(packed, kind), after @ ..] = rest {
                if bytes.len() as u64 >= SEGMENT_BYTES {
                    break;
                }
                rest = after;
                let payload = packed.read()?;
                if payload.len() != packed.entry.length as usize {
                    // Cut short: nobody could read it.
                    continue;
                }
                let offset = bytes.len() as u32;
                let entry = Indexed { kind: *kind, offset, ..packed.entry };
                bytes.extend(entry.header());
                bytes.extend(&payload);
                index.push(&entry);
            }
            let seal = index.seal(bytes.len() as u64);
            let path = self.path(&segment_name());
            let temporary = temporary_beside(&path);
            let written = self.store.create(&temporary, &[&bytes, &seal]);
            let written = written.and_then(|()| self.store.set_modified(&temporary, modified));
            if let Err(error) = written.and_then(|()| self.store.rename(&temporary, &path)) {
                let _ = self.store.remove(&temporary);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The entry that a tombstone names; none when its payload is damaged.
    pub fn buried_by(packed: &Packed) -> Option<EntryId> {
        read_tombstone(&packed.read().ok()?)
    }

    /// Makes the next lookup list the folder before it answers, whatever its time says.
    pub fn forget_listing(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).listed = None;
        self.expire();
    }

    /// True if no other machine writes to the packs.
    pub fn is_local(&self) -> bool {
        *self
            .is_local
            .get_or_init(|| is_of_one_machine(self.folder.parent().unwrap_or(&self.folder)))
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Packs {
    fn drop(&mut self) {
        self.seal();
    }
}

impl State {
    fn segment(&self, name: &str) -> Option<&Segment> {
        self.segments.iter().find(|segment| *segment.name == *name)
    }

    fn segment_mut(&mut self, name: &str) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| *segment.name == *name)
    }

    /// The places of a digest, whatever their kinds.
    fn all(&self, digest: &Digest) -> impl Iterator<Item = (&Segment, Indexed)> {
        self.table.candidates(digest).filter_map(|position| {
            let segment = self.segments.get(position.segment as usize)?;
            let entry = position.entry as usize;
            let is_at = segment.index.is_at(entry, digest);
            is_at.then(|| segment.index.get(entry)).flatten().map(|entry| (segment, entry))
        })
    }

    fn find(&self, digest: &Digest, kind: EntryKind, of_doomed: bool) -> Option<Packed> {
        let found = self.find_entry(digest, kind, of_doomed);
        found.map(|(segment, entry)| segment.packed(entry))
    }

    fn find_entry(
        &self,
        digest: &Digest,
        kind: EntryKind,
        of_doomed: bool,
    ) -> Option<(&Segment, Indexed)> {
        let counts = |(segment, entry): &(&Segment, Indexed)| {
            entry.kind == kind
                && (of_doomed || !segment.is_doomed)
                && (self.tombstones.is_empty()
                    || !self.tombstones.contains(&(segment.name.clone(), entry.offset)))
        };
        self.all(digest).find(counts)
    }

    /// True if there is an entry of this length.
    fn has(&self, digest: &Digest, length: u64) -> bool {
        let found = self.find_entry(digest, EntryKind::Live, false);
        found.is_some_and(|(_, entry)| u64::from(entry.length) == length)
    }

    /// Adds an entry of this process.
    fn add(&mut self, name: &str, entry: &Indexed) {
        let Some(at) = self.segments.iter().position(|segment| *segment.name == *name) else {
            return;
        };
        let known = self.segments[at].index.len();
        self.segments[at].index.push(entry);
        self.enter(at, known);
    }

    /// Enters the entries of a segment from a position on into the table.
    fn enter(&mut self, at: usize, known: usize) {
        let Self { segments, table, tombstones, .. } = self;
        table.reserve(segments[at].index.len() - known, |position| {
            let segment = &segments[position.segment as usize];
            let entry = segment.index.get(position.entry as usize);
            entry.map_or(Digest::from([0; 32]), |entry| entry.digest)
        });
        for position in known..segments[at].index.len() {
            let Some(entry) = segments[at].index.get(position) else { continue };
            if entry.kind == EntryKind::Tombstone && !segments[at].is_own {
                let buried = segments[at].packed(entry).read().ok();
                tombstones.extend(buried.and_then(|payload| read_tombstone(&payload)));
            }
            let place = Position { segment: at as u32, entry: position as u32 };
            table.insert(&entry.digest, place);
        }
    }

    fn rebuild(&mut self) {
        self.table = Table::default();
        for at in 0..self.segments.len() {
            self.enter(at, 0);
        }
    }
}

impl Segment {
    fn packed(&self, entry: Indexed) -> Packed {
        Packed { segment: self.name.clone(), entry, file: self.file.clone() }
    }
}

/// A name that no segment has: in the order of time, roughly, for people.
fn segment_name() -> Arc<str> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let drawn = temporary_beside(Path::new(SEGMENT));
    let drawn = drawn.to_string_lossy().replace(crate::layout::TEMPORARY, "");
    format!("{:012x}{}{SEGMENT}", since.as_millis(), drawn.replacen('.', "-", 1)).into()
}

/// The payload of a tombstone: the segment and the offset of what it buries, and a checksum.
fn tombstone((segment, offset): &EntryId) -> Vec<u8> {
    let mut payload = offset.to_le_bytes().to_vec();
    payload.extend(segment.as_bytes());
    let checksum = Digest::hash(&payload);
    payload.extend(checksum.as_bytes());
    payload
}

fn read_tombstone(payload: &[u8]) -> Option<EntryId> {
    let (body, checksum) = payload.split_last_chunk::<32>()?;
    if Digest::hash(body).as_bytes() != checksum {
        return None;
    }
    let (offset, segment) = body.split_first_chunk::<4>()?;
    Some((str::from_utf8(segment).ok()?.into(), u32::from_le_bytes(*offset)))
}

#[cfg(test)]
mod tests;
