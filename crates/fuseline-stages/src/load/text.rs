//! Files of text, however they are packed or encoded, as UTF-8.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;
use fuseline_engine::StageError;

use super::format::{HEAD_BYTES, refuse_known};
use super::limits::expansion_limit;
use super::table::DAMAGED;

/// The text of a file as UTF-8, without a byte order mark: gzip is unpacked, and UTF-16 decoded
/// where a byte order mark says that it is. Whether what else there is is UTF-8 is not looked at.
pub(super) fn decode<'r>(
    file: &str,
    mut bytes: impl Read + 'r,
) -> Result<Box<dyn Read + 'r>, StageError> {
    let head = head(file, &mut bytes)?;
    let packed = head.starts_with(b"\x1f\x8b");
    let bytes = Cursor::new(head.clone()).chain(bytes);
    let (head, mut bytes): (Vec<u8>, Box<dyn Read + 'r>) = match packed {
        true => {
            let gzip = MultiGzDecoder::new(Counted { bytes, count: 0 });
            let mut unpacked = Unpacked { gzip, count: 0, limit: expansion_limit };
            let head = self::head(file, &mut unpacked)?;
            (head.clone(), Box::new(Cursor::new(head).chain(unpacked)))
        }
        false => (head, Box::new(bytes)),
    };
    refuse_known(file, &head)?;
    match head[..] {
        [0xef, 0xbb, 0xbf, ..] => skip(file, &mut bytes, 3)?,
        [0xff, 0xfe, ..] => return utf16(file, bytes, u16::from_le_bytes),
        [0xfe, 0xff, ..] => return utf16(file, bytes, u16::from_be_bytes),
        _ => {}
    }
    Ok(bytes)
}

/// The same of a file that is in memory.
pub(super) fn decode_all(file: &str, bytes: &[u8]) -> Result<Vec<u8>, StageError> {
    let mut text = Vec::new();
    decode(file, bytes)?.read_to_end(&mut text).map_err(|error| unreadable(file, &error))?;
    Ok(text)
}

/// Bytes that are counted.
struct Counted<R> {
    bytes: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

/// Reader of gzip output, limited in proportion to the compressed size.
struct Unpacked<R> {
    gzip: MultiGzDecoder<Counted<R>>,
    count: u64,
    /// Maximum decompressed bytes by compressed bytes.
    limit: fn(u64) -> u64,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.gzip.read(buffer)?;
        self.count += read as u64;
        if self.count > (self.limit)(self.gzip.get_ref().count) {
            return Err(io::Error::other("it unpacks to far more than text does"));
        }
        Ok(read)
    }
}

/// The first bytes, as many as are needed to tell what a file is.
fn head(file: &str, bytes: &mut impl Read) -> Result<Vec<u8>, StageError> {
    let mut head = Vec::new();
    bytes
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|error| unreadable(file, &error))?;
    Ok(head)
}

fn skip(file: &str, bytes: &mut impl Read, count: usize) -> Result<(), StageError> {
    bytes.read_exact(&mut vec![0; count]).map_err(|error| unreadable(file, &error))
}

/// Decodes all of a file, which such files are small enough for.
fn utf16<'r>(
    file: &str,
    mut bytes: impl Read,
    unit: fn([u8; 2]) -> u16,
) -> Result<Box<dyn Read + 'r>, StageError> {
    let mut all = Vec::new();
    bytes.read_to_end(&mut all).map_err(|error| unreadable(file, &error))?;
    let (pairs, rest) = all.as_chunks();
    let units = pairs.iter().skip(1).copied().map(unit);
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match (text, rest) {
        (Ok(text), []) => Ok(Box::new(Cursor::new(text.into_bytes()))),
        _ => Err(StageError::data(format!("{file} begins as UTF-16 text and is none further on"))
            .at("path")
            .hint("save it as UTF-8")),
    }
}

/// Error for a file that cannot be read to its end.
pub(super) fn unreadable(file: &str, error: &io::Error) -> StageError {
    StageError::data(format!("{file} cannot be read: {error}")).at("path").hint(DAMAGED)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_unpacks_to_far_more_than_text_does_is_refused() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b' '; 1 << 16]).unwrap();
        let bomb = bomb.finish().unwrap();
        let read = |limit| {
            let gzip = MultiGzDecoder::new(Counted { bytes: bomb.as_slice(), count: 0 });
            let read = io::copy(&mut Unpacked { gzip, count: 0, limit }, &mut io::sink());
            read.map_err(|error| error.to_string())
        };
        assert_eq!(read(expansion_limit), Ok(1 << 16));
        let refused = "it unpacks to far more than text does".to_owned();
        assert_eq!(read(|packed| 16 * packed), Err(refused));
    }
}
