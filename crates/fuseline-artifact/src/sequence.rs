//! Bytes that are read once, in order, and never held in memory all at once.

use std::io;

use bytes::Bytes;

/// Bytes that are read once, from the first to the last; the last may be read first.
///
/// The source can verify them while they are read.
pub trait Sequence {
    /// Number of bytes.
    fn size(&self) -> u64;
    /// The last ones. An error once [`Sequence::next`] has been called.
    fn last(&mut self, length: usize) -> io::Result<Bytes>;
    /// The next ones, exactly `length` of them.
    fn next(&mut self, length: usize) -> io::Result<Bytes>;
    /// Passes over the next ones.
    fn skip(&mut self, length: u64) -> io::Result<()>;
}

/// Bytes in memory.
#[cfg(test)]
pub(crate) struct Held {
    bytes: Bytes,
    at: usize,
}

#[cfg(test)]
impl Held {
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), at: 0 }
    }
}

#[cfg(test)]
impl Sequence for Held {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn last(&mut self, length: usize) -> io::Result<Bytes> {
        assert_eq!(self.at, 0, "the end is looked at before the beginning");
        Ok(self.bytes.slice(self.bytes.len() - length..))
    }

    fn next(&mut self, length: usize) -> io::Result<Bytes> {
        let bytes = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        self.next(length as usize).map(drop)
    }
}
