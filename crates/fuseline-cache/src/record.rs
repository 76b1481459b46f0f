//! Record of an executed action, and its bytes.
//!
//! The bytes are a magic line, then every field behind its length, then a checksum over the key and
//! all before: a torn or flipped record is found, and so is a record under the name of another key.

use fuseline_artifact::Digest;
use thiserror::Error;

use crate::key::ActionKey;

/// The first bytes of a record. Raised together with the cache's format.
const MAGIC: &[u8] = b"fuseline action record 1\n";
/// Bytes of the checksum: enough against accidents, which is all it is for.
const CHECKSUM: usize = 16;

/// Record of an executed action.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActionRecord {
    /// Its outputs, in the order of its ports.
    pub outputs: Vec<OutputRecord>,
    /// The fields whose digest is the key, as text: what a plan compares to say what changed.
    pub key_text: Vec<(String, String)>,
    /// Duration of the execution in seconds. Not part of the key.
    pub seconds: f64,
}

/// One output of an executed action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRecord {
    /// Its port.
    pub port: String,
    /// The kind of the artifact.
    pub kind: String,
    /// The object.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Media type of a document's bytes.
    pub media_type: Option<String>,
}

/// Bytes that are not the record of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadRecord {
    /// The record does not begin as records do.
    #[error("it is not an action record")]
    Magic,
    /// The record is torn, changed, or that of another key.
    #[error("its checksum is wrong")]
    Checksum,
    /// The record's content is not understood.
    #[error("its content is not understood")]
    Content,
}

impl ActionRecord {
    /// The bytes of the record.
    pub fn encode(&self, key: &ActionKey) -> Vec<u8> {
        let Self { outputs, key_text, seconds } = self;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(seconds.to_le_bytes());
        put_length(&mut bytes, outputs.len());
        for OutputRecord { port, kind, digest, size, media_type } in outputs {
            put_text(&mut bytes, port);
            put_text(&mut bytes, kind);
            bytes.extend(digest.as_bytes());
            bytes.extend(size.to_le_bytes());
            bytes.push(u8::from(media_type.is_some()));
            if let Some(media_type) = media_type {
                put_text(&mut bytes, media_type);
            }
        }
        put_length(&mut bytes, key_text.len());
        for (name, value) in key_text {
            put_text(&mut bytes, name);
            put_text(&mut bytes, value);
        }
        let checksum = checksum(key, &bytes);
        bytes.extend(checksum);
        bytes
    }

    /// Reads a record. Never panics, whatever the bytes are.
    pub fn decode(key: &ActionKey, bytes: &[u8]) -> Result<Self, BadRecord> {
        if !bytes.starts_with(MAGIC) {
            return Err(BadRecord::Magic);
        }
        let (body, found) = bytes.split_last_chunk::<CHECKSUM>().ok_or(BadRecord::Checksum)?;
        if *found != checksum(key, body) {
            return Err(BadRecord::Checksum);
        }
        let mut reader = Reader(body.get(MAGIC.len()..).ok_or(BadRecord::Content)?);
        reader.record().filter(|_| reader.0.is_empty()).ok_or(BadRecord::Content)
    }
}

fn checksum(key: &ActionKey, body: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.digest().as_bytes());
    hasher.update(body);
    let mut checksum = [0; CHECKSUM];
    hasher.finalize_xof().fill(&mut checksum);
    checksum
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend((length as u64).to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_length(bytes, text.len());
    bytes.extend(text.as_bytes());
}

/// Bytes left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }

    fn media_type(&mut self) -> Option<Option<String>> {
        match self.array()? {
            [0] => Some(None),
            [1] => Some(Some(self.text()?)),
            _ => None,
        }
    }

    fn record(&mut self) -> Option<ActionRecord> {
        let seconds = self.array().map(f64::from_le_bytes)?;
        // Nothing is reserved by a number that was read: a false one runs out of bytes before it
        // runs out of memory.
        let mut outputs = Vec::new();
        for _ in 0..self.number()? {
            outputs.push(OutputRecord {
                port: self.text()?,
                kind: self.text()?,
                digest: Digest::from(self.array()?),
                size: self.number()?,
                media_type: self.media_type()?,
            });
        }
        let mut key_text = Vec::new();
        for _ in 0..self.number()? {
            key_text.push((self.text()?, self.text()?));
        }
        Some(ActionRecord { outputs, key_text, seconds })
    }
}

#[cfg(test)]
mod tests;
