//! Index of the actions that the last run of a workflow file used, in one file: a run in which
//! nothing changed reads it instead of a record an action.
//!
//! An index only repeats what records say, and is trusted less: an entry counts only while every
//! object that it names is there with its length. `docs/design/cache.md` describes its part in
//! garbage collection.

use std::io::{self, BufReader, ErrorKind, Read, SeekFrom, Write};
use std::num::NonZero;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fuseline_artifact::Digest;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::layout::DOOMED;
use crate::store::ReadSeek;

/// The first bytes of an index.
const MAGIC: &[u8] = b"fuseline index 3\n";
/// Bytes of a digest.
const DIGEST: usize = 32;
/// Bytes of an action before its outputs: key and number of outputs.
const ACTION: u64 = DIGEST as u64 + 4;
/// Bytes of an output: digest and length.
const OUTPUT: u64 = DIGEST as u64 + 8;
/// Bytes before the first action: the lengths of actions, note and attachment, and the digest of
/// the last.
const HEAD: usize = MAGIC.len() + 3 * size_of::<u64>() + DIGEST;
/// Bytes that are read or copied at once: few enough to stay in the processor's second cache, and
/// to need few pages.
const PART: usize = 1 << 16;
/// The end of its file's name.
pub(crate) const INDEX: &str = ".index";
/// Number of files that are worth a thread to ask for them.
const FILES_FOR_A_THREAD: usize = 512;
/// The same of entries that are looked up in memory.
const PACKED_FOR_A_THREAD: usize = 1 << 14;

/// End of an index's file, for whoever repeats a run: as long as all the rest or longer, so that it
/// is read only where it is needed.
pub struct Attachment {
    file: Box<dyn ReadSeek>,
    offset: u64,
    size: u64,
    digest: Digest,
}

impl Attachment {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// True if it holds these bytes, in parts.
    pub fn holds(&self, parts: &[Bytes]) -> bool {
        let size: usize = parts.iter().map(Bytes::len).sum();
        size as u64 == self.size && digest_of_parts(parts) == self.digest
    }

    /// True if its bytes are those that were written.
    pub fn is_sound(&mut self) -> io::Result<bool> {
        let mut hasher = blake3::Hasher::new();
        self.copy(0..self.size, &mut hasher)?;
        Ok(Digest::from(*hasher.finalize().as_bytes()) == self.digest)
    }

    /// Copies a part of it. One that reaches beyond its end is an error.
    pub(crate) fn copy(&mut self, part: Range<u64>, to: &mut dyn Write) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.offset.saturating_add(part.start)))?;
        let mut left = part.end.saturating_sub(part.start);
        let mut buffer = vec![0; left.min(PART as u64) as usize];
        while left > 0 {
            let part = &mut buffer[..left.min(PART as u64) as usize];
            self.file.read_exact(part)?;
            to.write_all(part)?;
            left -= part.len() as u64;
        }
        Ok(())
    }
}

/// The outputs of actions by their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Sorted by key once it is complete.
    entries: Vec<Entry>,
    outputs: Vec<Made>,
    note: Bytes,
}

/// An output of an action: its digest and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The object.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// An action, and the positions of its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    key: ActionKey,
    first: u32,
    outputs: u32,
}

impl Index {
    /// The outputs of an action, in the order of its ports, if it is known.
    pub fn get(&self, key: &ActionKey) -> Option<&[Made]> {
        self.find(key).map(|at| self.outputs(at))
    }

    /// Position of an action, if it is known.
    pub fn find(&self, key: &ActionKey) -> Option<usize> {
        let head = key.head();
        let first = self.first_from(head);
        let alike = self.entries[first..].iter().take_while(|entry| entry.key.head() == head);
        alike.enumerate().find(|(_, entry)| entry.key == *key).map(|(at, _)| first + at)
    }

    /// The position of the first key whose head is not below a number. Keys are digests and so
    /// spread evenly: where one would be is guessed, and searched around in steps that double.
    fn first_from(&self, head: u64) -> usize {
        let count = self.entries.len();
        let is_below = |at: usize| self.entries[at].key.head() < head;
        let guess = ((u128::from(head) * count as u128) >> 64) as usize;
        let (mut low, mut high, mut step) = (guess, guess, 8);
        while low > 0 && !is_below(low - 1) {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 8;
        while high < count && is_below(high) {
            high = (high + step).min(count);
            step *= 2;
        }
        low + self.entries[low..high].partition_point(|entry| entry.key.head() < head)
    }

    /// The outputs of the action at a position.
    pub fn outputs(&self, at: usize) -> &[Made] {
        self.made(&self.entries[at])
    }

    /// Number of known actions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The index with other actions: of its own it has those that are kept, unless they are among
    /// the others.
    #[must_use]
    pub fn with(&self, others: &Self, kept: impl Fn(usize) -> bool) -> Self {
        let mut index = Self {
            entries: Vec::with_capacity(self.entries.len() + others.entries.len()),
            outputs: Vec::with_capacity(self.outputs.len() + others.outputs.len()),
            note: Bytes::new(),
        };
        let kept = self.entries.iter().enumerate().filter(|(at, _)| kept(*at));
        let mut own = kept.map(|(_, entry)| entry).peekable();
        for other in &others.entries {
            while let Some(entry) = own.next_if(|entry| entry.key < other.key) {
                index.push(entry.key, self.made(entry).iter().copied());
            }
            own.next_if(|entry| entry.key == other.key);
            index.push(other.key, others.made(other).iter().copied());
        }
        own.for_each(|entry| index.push(entry.key, self.made(entry).iter().copied()));
        index
    }

    fn made(&self, entry: &Entry) -> &[Made] {
        &self.outputs[entry.first as usize..][..entry.outputs as usize]
    }

    /// True if no action is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Note stored with the actions; empty when there is none, and when an object of any of them is
    /// not there any more.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// Every action with its outputs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&ActionKey, &[Made])> {
        self.entries.iter().map(|entry| (&entry.key, self.made(entry)))
    }

    fn push(&mut self, key: ActionKey, outputs: impl Iterator<Item = Made>) {
        let first = self.outputs.len();
        self.outputs.extend(outputs);
        let outputs = (self.outputs.len() - first) as u32;
        self.entries.push(Entry { key, first: first as u32, outputs });
    }

    /// Everything before the attachment.
    fn encode(&self, note: &[u8], attachment: &[Bytes]) -> Vec<u8> {
        let actions = self.entries.len() * ACTION as usize + self.outputs.len() * OUTPUT as usize;
        let mut bytes = Vec::with_capacity(HEAD + actions + note.len() + DIGEST);
        bytes.extend(MAGIC);
        let attached: usize = attachment.iter().map(Bytes::len).sum();
        for length in [actions, note.len(), attached] {
            bytes.extend((length as u64).to_le_bytes());
        }
        bytes.extend(digest_of_parts(attachment).as_bytes());
        for (key, outputs) in self.iter() {
            bytes.extend(key.digest().as_bytes());
            bytes.extend((outputs.len() as u32).to_le_bytes());
            for Made { digest, size } in outputs {
                bytes.extend(digest.as_bytes());
                bytes.extend(size.to_le_bytes());
            }
        }
        bytes.extend(note);
        let checksum = Digest::hash(&bytes);
        bytes.extend(checksum.as_bytes());
        bytes
    }

    /// Reads an index up to its attachment; none when the bytes are not those of one. Never panics,
    /// whatever they are.
    fn decode(mut file: Box<dyn ReadSeek>) -> io::Result<Option<(Self, Attachment)>> {
        let size = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut head = Vec::with_capacity(HEAD);
        file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head);
        let Some(head) = Head::decode(&head, size) else { return Ok(None) };
        let body = file.by_ref().take(head.actions + head.note);
        // In parts: a large index would be twice in memory.
        let mut body = BufReader::with_capacity(PART, Hashed { read: body, hasher });
        let index = match Self::read_entries(&mut body, &head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
            index => index?,
        };
        let Some(index) = index else { return Ok(None) };
        let hasher = body.into_inner().hasher;
        let mut checksum = [0; DIGEST];
        file.read_exact(&mut checksum)?;
        let is_sorted = index.entries.is_sorted_by(|a, b| a.key < b.key);
        if *hasher.finalize().as_bytes() != checksum || !is_sorted {
            return Ok(None);
        }
        let Head { offset, digest, .. } = head;
        Ok(Some((index, Attachment { file, offset, size: size - offset, digest })))
    }

    /// Reads actions and note, unverified.
    fn read_entries(body: &mut impl Read, head: &Head) -> io::Result<Option<Self>> {
        let mut index = Self::default();
        // Most actions have one output.
        let likely = usize::try_from(head.actions / (ACTION + OUTPUT)).unwrap_or(usize::MAX);
        index.entries.try_reserve_exact(likely)?;
        index.outputs.try_reserve_exact(likely)?;
        let mut left = head.actions;
        while left > 0 {
            let (mut key, mut outputs) = ([0; DIGEST], [0; 4]);
            body.read_exact(&mut key)?;
            body.read_exact(&mut outputs)?;
            let (first, outputs) = (index.outputs.len() as u32, u32::from_le_bytes(outputs));
            let after = left.checked_sub(ACTION + u64::from(outputs) * OUTPUT);
            let Some(after) = after else { return Ok(None) };
            left = after;
            for _ in 0..outputs {
                let (mut digest, mut size) = ([0; DIGEST], [0; 8]);
                body.read_exact(&mut digest)?;
                body.read_exact(&mut size)?;
                let (digest, size) = (Digest::from(digest), u64::from_le_bytes(size));
                index.outputs.push(Made { digest, size });
            }
            let key = ActionKey::from(Digest::from(key));
            index.entries.push(Entry { key, first, outputs });
        }
        let mut note = Vec::new();
        note.try_reserve_exact(usize::try_from(head.note).unwrap_or(usize::MAX))?;
        body.read_to_end(&mut note)?;
        index.note = note.into();
        Ok(Some(index))
    }
}

/// Bytes that are hashed as they are read.
struct Hashed<R> {
    read: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(bytes)?;
        self.hasher.update(&bytes[..read]);
        Ok(read)
    }
}

fn digest_of_parts(parts: &[impl AsRef<[u8]>]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| _ = hasher.update(part.as_ref()));
    Digest::from(*hasher.finalize().as_bytes())
}

/// The beginning of an index's file.
struct Head {
    /// Bytes of the actions.
    actions: u64,
    /// Bytes of the note.
    note: u64,
    /// Where the attachment begins: behind actions, note and their checksum.
    offset: u64,
    /// Digest of the attachment.
    digest: Digest,
}

impl Head {
    /// Reads it; none when it is not that of a file of this size.
    fn decode(bytes: &[u8], size: u64) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (lengths, digest) = rest.split_first_chunk::<24>()?;
        let [actions, note, attached] = lengths.as_chunks::<8>().0 else { return None };
        let [actions, note, attached] =
            [actions, note, attached].map(|bytes| u64::from_le_bytes(*bytes));
        let offset = [actions, note, DIGEST as u64]
            .into_iter()
            .try_fold(HEAD as u64, |sum, length| sum.checked_add(length))?;
        if offset.checked_add(attached)? != size {
            return None;
        }
        let digest = Digest::from(<[u8; DIGEST]>::try_from(digest).ok()?);
        Some(Self { actions, note, offset, digest })
    }
}

impl FromIterator<(ActionKey, Vec<Made>)> for Index {
    fn from_iter<I: IntoIterator<Item = (ActionKey, Vec<Made>)>>(entries: I) -> Self {
        let mut index = Self::default();
        for (key, outputs) in entries {
            index.push(key, outputs.into_iter());
        }
        index.entries.sort_by_key(|entry| (entry.key.head(), entry.key));
        index.entries.dedup_by(|a, b| a.key == b.key);
        index
    }
}

impl Cache {
    /// The index of a workflow file, without the actions of which an object is missing or of
    /// another length. Empty when there is none, or none that is sound: it saves reading
    /// records, and that is all.
    pub fn index(&self, workflow: &Path) -> Index {
        self.with_existing_objects(self.index_as_written(workflow).0)
    }

    /// The same without a trace: the index is not renewed.
    pub fn peek_index(&self, workflow: &Path) -> Index {
        self.with_existing_objects(self.decode_index(&self.index_path(workflow)).0)
    }

    /// The same before any object is asked for, and what is attached. Nothing of it may be relied on
    /// but by [`Cache::with_existing_objects`].
    pub fn index_as_written(&self, workflow: &Path) -> (Index, Option<Attachment>) {
        let path = self.index_path(workflow);
        // Renewed before it is read: a collection that is about to remove it, and with it what it
        // names, sees that it is used. A cache that cannot be written cannot be collected either.
        if self.store.touch(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Default::default();
        }
        self.decode_index(&path)
    }

    fn decode_index(&self, path: &Path) -> (Index, Option<Attachment>) {
        match self.store.open(path).and_then(Index::decode) {
            Ok(Some((index, attachment))) => (index, Some(attachment)),
            Ok(None) => {
                let path = path.display();
                tracing::warn!(%path, "an index that is damaged or of another form is not used");
                Default::default()
            }
            Err(_) => Default::default(),
        }
    }

    /// An index without the actions of which an object is missing or of another length.
    pub fn with_existing_objects(&self, mut index: Index) -> Index {
        let there = self.are_there(&index.outputs);
        let known = index.entries.len();
        index.entries.retain(|entry| {
            let made = entry.first as usize..(entry.first + entry.outputs) as usize;
            there[made].iter().all(|there| *there)
        });
        if index.entries.len() < known {
            index.note.clear();
        }
        index
    }

    /// Keeps the index of a workflow file. Its objects and records must have been put before.
    ///
    /// With it goes a note for whoever reads the index while all objects are there, and an
    /// attachment, in parts, for whoever wants that too.
    ///
    /// Records of actions that the index before named, and this one does not, are renewed: they
    /// were used as lately as that index was.
    pub fn write_index(
        &self,
        workflow: &Path,
        before: &Index,
        index: &Index,
        note: &[u8],
        attachment: &[Bytes],
    ) -> Result<(), CacheError> {
        let mut still = index.entries.iter().peekable();
        for Entry { key, .. } in &before.entries {
            while still.next_if(|entry| entry.key < *key).is_some() {}
            if still.peek().is_none_or(|entry| entry.key != *key) {
                self.renew_action(key);
            }
        }
        let bytes = index.encode(note, attachment);
        let attachment = attachment.iter().map(Bytes::as_ref);
        let parts: Vec<&[u8]> = std::iter::once(&*bytes).chain(attachment).collect();
        self.publish(&self.index_path(workflow), &parts)
    }

    /// The files of all indexes.
    pub(crate) fn index_paths(&self) -> Result<Vec<PathBuf>, CacheError> {
        self.workflow_files(INDEX)
    }

    /// The files of damaged indexes.
    pub fn damaged_indexes(&self) -> Result<Vec<PathBuf>, CacheError> {
        let mut damaged = Vec::new();
        for path in self.index_paths()? {
            // One that is gone by now is none.
            let is_sound = match self.store.open(&path).and_then(Index::decode) {
                Ok(Some((_, mut attachment))) => attachment.is_sound(),
                Ok(None) => Ok(false),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
                Err(error) => Err(error),
            };
            if !is_sound.map_err(CacheError::read(&path))? {
                damaged.push(path);
            }
        }
        Ok(damaged)
    }

    /// Removes what killed collections have left of indexes.
    pub(crate) fn remove_doomed_indexes(&self) -> Result<(), CacheError> {
        let left = self.workflow_files(&format!("{INDEX}{DOOMED}"))?;
        left.iter().try_for_each(|path| self.remove_if_there(path))
    }

    fn workflow_files(&self, end: &str) -> Result<Vec<PathBuf>, CacheError> {
        let entries = self.list(&self.layout.workflows)?.into_iter();
        let files = entries.filter(|entry| entry.name.ends_with(end));
        Ok(files.map(|entry| self.layout.workflows.join(entry.name)).collect())
    }

    /// An index as it is, unless it is gone or damaged.
    pub(crate) fn read_index(&self, path: &Path) -> Option<Index> {
        Some(self.store.open(path).and_then(Index::decode).ok()??.0)
    }

    /// Removes all indexes, so that the next run of each workflow looks at the records themselves.
    pub(crate) fn forget_indexes(&self) -> Result<(), CacheError> {
        for path in self.index_paths()? {
            self.remove_if_there(&path)?;
        }
        Ok(())
    }

    /// A path may be long and of any characters, so the index is named by the path's digest.
    fn index_path(&self, workflow: &Path) -> PathBuf {
        let name = Digest::hash(workflow.as_os_str().as_encoded_bytes());
        self.layout.workflows.join(format!("{name}{INDEX}"))
    }

    /// Flag per object: true if it is there with its length. What is in packs is found in memory;
    /// the files of the others are asked for on a few threads.
    fn are_there(&self, objects: &[Made]) -> Vec<bool> {
        let mut there = vec![false; objects.len()];
        if let Ok(known) = self.object_packs.known()
            && !known.is_empty()
        {
            let has = known.has();
            on_threads(PACKED_FOR_A_THREAD, objects, &mut there, |object| {
                has(&object.digest, object.size)
            });
        }
        let places = (0..objects.len()).filter(|&place| !there[place]);
        let (places, others): (Vec<_>, Vec<_>) =
            places.map(|place| (place, objects[place])).unzip();
        let mut found = vec![false; others.len()];
        on_threads(FILES_FOR_A_THREAD, &others, &mut found, |object| {
            self.has_object(&object.digest, object.size)
        });
        places.into_iter().zip(found).for_each(|(place, found)| there[place] = found);
        there
    }
}

/// Answers a question about each object, on as many threads as that is worth.
fn on_threads(
    for_a_thread: usize,
    objects: &[Made],
    answers: &mut [bool],
    answer: impl Fn(&Made) -> bool + Sync,
) {
    let ask = |answers: &mut [bool], objects: &[Made]| {
        answers.iter_mut().zip(objects).for_each(|(place, object)| *place = answer(object));
    };
    let wanted = objects.len().div_ceil(for_a_thread);
    if wanted < 2 {
        return ask(answers, objects);
    }
    let most = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = objects.len().div_ceil(wanted.min(most));
    std::thread::scope(|scope| {
        let mut shares = answers.chunks_mut(share).zip(objects.chunks(share));
        let own = shares.next();
        for (answers, objects) in shares {
            scope.spawn(move || ask(answers, objects));
        }
        if let Some((answers, objects)) = own {
            ask(answers, objects);
        }
    });
}

#[cfg(test)]
mod tests;
