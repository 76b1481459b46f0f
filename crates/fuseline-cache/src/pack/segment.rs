//! Bytes of a segment: a magic line, entries, and, once it is sealed, an index of them.
//!
//! An entry is a header and its payload. The checksum of a header covers its offset, so that a walk
//! over the entries ends at what is torn, changed, or left of another file. It says nothing of the
//! payload: objects have their digest, records and jobs a checksum of their own.

use std::io::{self, ErrorKind};

use fuseline_artifact::Digest;

use crate::store::ReadAt;

/// The first bytes of a segment.
pub(super) const MAGIC: &[u8; 16] = b"fuseline pack 1\n";
/// The last bytes of a sealed segment.
const SEAL: &[u8; 16] = b"fuseline sealed\n";
/// Bytes before the payload of an entry.
pub(super) const HEADER_BYTES: usize = 48;
/// Bytes of an entry in an index.
const INDEXED_BYTES: usize = 41;
/// Bytes behind the index of a sealed segment.
const TRAILER_BYTES: usize = 64;
/// Largest segment that is read: several times what a writer makes, and a bound for what somebody
/// plants.
pub(super) const MAX_SEGMENT_BYTES: u64 = 1 << 28;

/// Kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// An object, a record or a job, of the digest that it has.
    Live = 0,
    /// A record whose objects were collected, which serves explanations alone.
    Faded = 1,
    /// The payload names an entry that does not count any more.
    Tombstone = 2,
}

impl EntryKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Live, Self::Faded, Self::Tombstone].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Place of an entry in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub digest: Digest,
    pub kind: EntryKind,
    /// Of its header.
    pub offset: u32,
    /// Bytes of its payload.
    pub length: u32,
}

impl Indexed {
    /// Offset of the payload.
    pub fn payload(&self) -> u64 {
        u64::from(self.offset) + HEADER_BYTES as u64
    }

    /// Offset behind the entry.
    pub fn end(&self) -> u64 {
        self.payload() + u64::from(self.length)
    }

    /// The header that an entry at this place has.
    pub fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&self.length.to_le_bytes());
        header[4] = self.kind as u8;
        header[8..40].copy_from_slice(self.digest.as_bytes());
        let checksum = header_checksum(self.offset, &header);
        header[40..].copy_from_slice(&checksum);
        header
    }

    /// The entry whose header is at an offset; none when it is not a header that was written there.
    fn from_header(offset: u32, header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let length = u32::from_le_bytes(*header.first_chunk()?);
        let kind = EntryKind::from_byte(header[4])?;
        let digest = Digest::from(*header[8..40].first_chunk::<32>()?);
        let entry = Self { digest, kind, offset, length };
        (entry.header() == *header).then_some(entry)
    }
}

fn header_checksum(offset: u32, header: &[u8; HEADER_BYTES]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(&header[..40]);
    let mut checksum = [0; 8];
    hasher.finalize_xof().fill(&mut checksum);
    checksum
}

/// The entries of a segment, in the order of their offsets, as their bytes in an index.
#[derive(Debug, Default)]
pub(super) struct SegmentIndex(Vec<u8>);

impl SegmentIndex {
    pub fn len(&self) -> usize {
        self.0.len() / INDEXED_BYTES
    }

    pub fn push(&mut self, entry: &Indexed) {
        self.0.extend(entry.digest.as_bytes());
        self.0.extend(entry.offset.to_le_bytes());
        self.0.extend(entry.length.to_le_bytes());
        self.0.push(entry.kind as u8);
    }

    /// The entry at a position.
    pub fn get(&self, position: usize) -> Option<Indexed> {
        let bytes = self.0.get(position * INDEXED_BYTES..)?.first_chunk::<INDEXED_BYTES>()?;
        Some(Indexed {
            digest: Digest::from(*bytes.first_chunk::<32>()?),
            offset: u32::from_le_bytes(*bytes[32..].first_chunk()?),
            length: u32::from_le_bytes(*bytes[36..].first_chunk()?),
            kind: EntryKind::from_byte(bytes[40])?,
        })
    }

    /// True if the entry at a position has this digest.
    pub fn is_at(&self, position: usize, digest: &Digest) -> bool {
        let digest_at = self.0.get(position * INDEXED_BYTES..).and_then(|bytes| bytes.get(..32));
        digest_at == Some(digest.as_bytes())
    }

    pub fn iter(&self) -> impl Iterator<Item = Indexed> {
        (0..self.len()).filter_map(|position| self.get(position))
    }

    /// Bytes that seal a segment of so many bytes of entries.
    pub fn seal(&self, entries_end: u64) -> Vec<u8> {
        let mut bytes = self.0.clone();
        bytes.extend(entries_end.to_le_bytes());
        bytes.extend((self.0.len() as u64).to_le_bytes());
        let checksum = Digest::hash(&bytes);
        bytes.extend(checksum.as_bytes());
        bytes.extend(SEAL);
        bytes
    }

    /// The index of a sealed segment of this size; none when it is not sealed, or its seal is
    /// damaged.
    pub fn read_sealed(file: &dyn ReadAt, size: u64) -> io::Result<Option<Self>> {
        let Some(start) = size.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        let trailer = read_exactly(file, start, TRAILER_BYTES)?;
        if trailer.len() < TRAILER_BYTES || !trailer.ends_with(SEAL) {
            return Ok(None);
        }
        let number = |from: usize| {
            trailer[from..].first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
        };
        let (entries_end, length) = (number(0), number(8));
        if length > size || entries_end.checked_add(length) != Some(start) {
            return Ok(None);
        }
        let mut bytes = read_exactly(file, entries_end, length as usize + 16)?;
        if bytes.len() != length as usize + 16
            || trailer[16..48] != *Digest::hash(&bytes).as_bytes()
        {
            return Ok(None);
        }
        bytes.truncate(length as usize);
        let index = Self(bytes);
        let is_within = |entry: Option<Indexed>| entry.is_some_and(|at| at.end() <= entries_end);
        let is_sound = (0..index.len()).all(|position| is_within(index.get(position)));
        Ok((index.0.len().is_multiple_of(INDEXED_BYTES) && is_sound).then_some(index))
    }

    /// Adds the entries from an offset on, up to the first that is not whole. The offset behind the
    /// last one.
    pub fn scan(&mut self, file: &dyn ReadAt, mut offset: u64, size: u64) -> io::Result<u64> {
        if offset == 0 {
            if read_exactly(file, 0, MAGIC.len())? != MAGIC {
                return Ok(0);
            }
            offset = MAGIC.len() as u64;
        }
        while offset + HEADER_BYTES as u64 <= size.min(MAX_SEGMENT_BYTES) {
            let header = read_exactly(file, offset, HEADER_BYTES)?;
            let entry = header
                .first_chunk()
                .and_then(|header| Indexed::from_header(u32::try_from(offset).ok()?, header))
                .filter(|entry| entry.end() <= size);
            let Some(entry) = entry else { break };
            self.push(&entry);
            offset = entry.end();
        }
        Ok(offset)
    }
}

/// Bytes from an offset on; fewer where the file ends before. Nothing is reserved by a number that
/// is larger than a segment.
pub(super) fn read_exactly(file: &dyn ReadAt, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    if length as u64 > MAX_SEGMENT_BYTES {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
