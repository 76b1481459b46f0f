//! Headers of pages, checked before the pages are read: the reader reserves the memory that a
//! header states.

use std::io::{self, Read};

use ::parquet::file::reader::ChunkReader;

/// Structs nest less deep in a sound header.
const MAX_DEPTH: usize = 16;

/// Header of a page.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    pub uncompressed_bytes: u64,
    compressed_bytes: u64,
    pub values: u64,
    pub is_dictionary: bool,
}

/// The headers of the pages of a column that begins at `start`, until they have this many values or
/// the column ends.
pub(super) fn headers(
    file: &impl ChunkReader,
    start: u64,
    end: u64,
    values: u64,
) -> io::Result<Vec<Page>> {
    let (mut pages, mut at, mut read) = (Vec::new(), start, 0_u64);
    while at < end && read < values {
        let reader = file.get_read(at).map_err(io::Error::other)?;
        let mut compact = Compact { reader, consumed: 0 };
        let page = compact.page()?;
        at = at.saturating_add(compact.consumed).saturating_add(page.compressed_bytes);
        if !page.is_dictionary {
            read = read.saturating_add(page.values);
        }
        pages.push(page);
    }
    Ok(pages)
}

/// A reader of Thrift's compact protocol.
struct Compact<R> {
    reader: R,
    consumed: u64,
}

impl<R: Read> Compact<R> {
    fn page(&mut self) -> io::Result<Page> {
        let (mut page, mut last) = (Page::default(), 0);
        while let Some((field, kind)) = self.next_field(&mut last)? {
            match (field, kind) {
                (2, 5) => page.uncompressed_bytes = self.size()?,
                (3, 5) => page.compressed_bytes = self.size()?,
                // Headers of data, of a dictionary, and of data in the second form: each begins
                // with its number of values.
                (5 | 7 | 8, 12) => {
                    page.is_dictionary = field == 7;
                    let mut last = 0;
                    while let Some((field, kind)) = self.next_field(&mut last)? {
                        match (field, kind) {
                            (1, 5) => page.values = self.size()?,
                            (_, kind) => self.skip(kind, 0)?,
                        }
                    }
                }
                (_, kind) => self.skip(kind, 0)?,
            }
        }
        Ok(page)
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.consumed += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(malformed())
    }

    fn signed(&mut self) -> io::Result<i64> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number that is not negative.
    fn size(&mut self) -> io::Result<u64> {
        u64::try_from(self.signed()?).map_err(|_| malformed())
    }

    /// The number and the type of the next field of a struct; none at its end.
    fn next_field(&mut self, last: &mut i64) -> io::Result<Option<(i64, u8)>> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        *last = match header >> 4 {
            0 => self.signed()?,
            step => last.saturating_add(step.into()),
        };
        Ok(Some((*last, header & 0x0f)))
    }

    fn skip_bytes(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.reader.by_ref().take(count), &mut io::sink())?;
        self.consumed += skipped;
        if skipped == count { Ok(()) } else { Err(malformed()) }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(malformed());
        }
        match kind {
            // A truth value is its type.
            1 | 2 => Ok(()),
            3 => self.skip_bytes(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let header = self.byte()?;
                let length = match header >> 4 {
                    15 => self.varint()?,
                    length => length.into(),
                };
                (0..length).try_for_each(|_| self.skip_item(header & 0x0f, depth + 1))
            }
            11 => {
                let length = self.varint()?;
                let kinds = if length > 0 { self.byte()? } else { 0 };
                (0..length).try_for_each(|_| {
                    self.skip_item(kinds >> 4, depth + 1)?;
                    self.skip_item(kinds & 0x0f, depth + 1)
                })
            }
            12 => {
                let mut last = 0;
                while let Some((_, kind)) = self.next_field(&mut last)? {
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(malformed()),
        }
    }

    /// In a list a truth value is a byte.
    fn skip_item(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if matches!(kind, 1 | 2) { self.skip_bytes(1) } else { self.skip(kind, depth) }
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the header of a page is malformed")
}
