//! Large objects, never held in memory as a whole: written while they are made, hashed while they
//! are read.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fuseline_artifact::{Digest, Sequence};

use crate::cache::Cache;
use crate::error::CacheError;
use crate::store::{ReadSeek, Store};

/// Bytes that are hashed and written at once; an object up to this size is held whole.
const PART: usize = if cfg!(test) { 1 << 12 } else { 1 << 20 };

/// An object while it is read, once and in order. What it gave counts only if
/// [`Cache::read_object`] returns it.
pub struct ObjectReader {
    file: Box<dyn ReadSeek>,
    size: u64,
    at: u64,
    /// The bytes at the end that were looked at before: these are hashed, and not read again.
    last: Bytes,
    hasher: blake3::Hasher,
}

impl ObjectReader {
    pub(crate) fn open(store: &dyn Store, path: &Path) -> io::Result<Self> {
        let mut file = store.open(path)?;
        let size = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Self { file, size, at: 0, last: Bytes::new(), hasher: blake3::Hasher::new() })
    }

    /// An object that is in memory.
    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        let (size, hasher) = (bytes.len() as u64, blake3::Hasher::new());
        Self { file: Box::new(Cursor::new(bytes)), size, at: 0, last: Bytes::new(), hasher }
    }

    /// The digest of all bytes, those already read and those left.
    pub(crate) fn digest(mut self) -> io::Result<Digest> {
        self.skip(self.size - self.at)?;
        // It may have become longer since.
        let mut beyond = Vec::new();
        self.file.seek(SeekFrom::Start(self.size))?;
        self.file.take(1).read_to_end(&mut beyond)?;
        self.hasher.update(&beyond);
        Ok(Digest::from(*self.hasher.finalize().as_bytes()))
    }

    /// Number of the next bytes that are not among the last ones that are known already.
    fn unread(&self, length: u64) -> io::Result<u64> {
        if length > self.size - self.at {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(length.min((self.size - self.last.len() as u64).saturating_sub(self.at)))
    }

    /// The next `length` of the last bytes, which are known already.
    fn known(&mut self, length: u64) -> Bytes {
        if length == 0 {
            return Bytes::new();
        }
        let from = self.last.len() - (self.size - self.at) as usize;
        self.last.slice(from..from + length as usize)
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
    }
}

impl Sequence for ObjectReader {
    fn size(&self) -> u64 {
        self.size
    }

    fn last(&mut self, length: usize) -> io::Result<Bytes> {
        let offset = self.size.checked_sub(length as u64).filter(|_| self.at == 0);
        self.file.seek(SeekFrom::Start(offset.ok_or(ErrorKind::UnexpectedEof)?))?;
        self.last = read_exactly(&mut self.file, length)?.into();
        self.file.rewind()?;
        Ok(self.last.clone())
    }

    fn next(&mut self, length: usize) -> io::Result<Bytes> {
        let unread = self.unread(length as u64)? as usize;
        if unread == 0 {
            let bytes = self.known(length as u64);
            self.pass(&bytes);
            return Ok(bytes);
        }
        let mut bytes = read_exactly(&mut self.file, unread)?;
        self.pass(&bytes);
        if unread < length {
            let known = self.known((length - unread) as u64);
            self.pass(&known);
            bytes.extend_from_slice(&known);
        }
        Ok(bytes.into())
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let mut unread = self.unread(length)?;
        let known = length - unread;
        let mut buffer = vec![0; unread.min(PART as u64) as usize];
        while unread > 0 {
            let part = &mut buffer[..unread.min(PART as u64) as usize];
            self.file.read_exact(part)?;
            unread -= part.len() as u64;
            self.hasher.update(part);
            self.at += part.len() as u64;
        }
        let known = self.known(known);
        self.pass(&known);
        Ok(())
    }
}

/// A length that is false must be an error and not the end of the process.
fn read_exactly(file: &mut dyn ReadSeek, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length)?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// An object to read parts of, unchecked.
#[derive(Debug)]
pub enum ObjectFile {
    /// One that has a file.
    Open(File),
    /// A small one.
    Packed(Bytes),
}

impl ObjectFile {
    /// Its length in bytes.
    pub fn size(&self) -> io::Result<u64> {
        match self {
            Self::Open(file) => Ok(file.metadata()?.len()),
            Self::Packed(bytes) => Ok(bytes.len() as u64),
        }
    }
}

impl Read for ObjectFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.read(buffer),
            Self::Packed(bytes) => {
                let part = bytes.split_to(buffer.len().min(bytes.len()));
                buffer[..part.len()].copy_from_slice(&part);
                Ok(part.len())
            }
        }
    }
}

/// An object while it is written. It has no name until all of it is there.
pub struct ObjectWriter<'c> {
    cache: &'c Cache,
    /// Bytes that are not hashed and written yet.
    part: Vec<u8>,
    hasher: blake3::Hasher,
    size: u64,
    file: Option<(PathBuf, Box<dyn Write + Send>)>,
    /// Error of a failed write: the writer may report less.
    pub(crate) failed: Option<CacheError>,
}

impl<'c> ObjectWriter<'c> {
    pub(crate) fn new(cache: &'c Cache) -> Self {
        let (part, hasher) = (Vec::new(), blake3::Hasher::new());
        Self { cache, part, hasher, size: 0, file: None, failed: None }
    }

    /// The digest of all that was written so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from(*self.hasher.clone().update(&self.part).finalize().as_bytes())
    }

    /// Gives the object its name: its digest and size.
    pub(crate) fn finish(mut self) -> Result<(Digest, u64), CacheError> {
        if self.file.is_none() {
            return Ok((self.cache.put_object(&self.part)?, self.size));
        }
        self.put_down()?;
        let digest = Digest::from(*self.hasher.finalize().as_bytes());
        if let Some((path, file)) = &mut self.file {
            file.flush().map_err(CacheError::write(path))?;
            self.cache.name_object(path, &digest)?;
            self.file = None;
        }
        Ok((digest, self.size))
    }

    /// Hashes and writes the part.
    fn put_down(&mut self) -> Result<(), CacheError> {
        self.hasher.update(&self.part);
        let (path, file) = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.cache.begin_nameless()?),
        };
        file.write_all(&self.part).map_err(CacheError::write(path))?;
        self.part.clear();
        Ok(())
    }
}

impl Write for ObjectWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Err(io::Error::other("an earlier write failed"));
        }
        self.part.extend_from_slice(bytes);
        self.size += bytes.len() as u64;
        if self.part.len() >= PART
            && let Err(error) = self.put_down()
        {
            self.failed = Some(error);
            return Err(io::Error::other("the object cannot be written"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectWriter<'_> {
    fn drop(&mut self) {
        if let Some((path, file)) = self.file.take() {
            drop(file);
            let _ = self.cache.store.remove(&path);
        }
    }
}
