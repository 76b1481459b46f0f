//! Packs: the records of a run in one object, named by its bytes.
//!
//! A pack is a magic line, then one stream of deflate: the names of the packs that it replaces
//! behind their number, then each record behind its key and length. A record checks itself, and its
//! key.

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, ActionRecord};
use thiserror::Error;

/// The first bytes of a pack.
const MAGIC: &[u8] = b"fuseline pack 1\n";
/// The largest pack that is fetched, in bytes.
pub(crate) const MAX_PACK_BYTES: u64 = 64 << 20;
/// The most bytes that a pack may unpack to.
pub(crate) const MAX_UNPACKED_BYTES: u64 = if cfg!(test) { 4 << 20 } else { 256 << 20 };
/// The digits of a generation in a name.
const GENERATION_DIGITS: usize = 6;

/// The name of a pack: how many times its records were merged, and the digest of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PackName {
    pub generation: u32,
    pub digest: Digest,
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0GENERATION_DIGITS$}-{}", self.generation, self.digest)
    }
}

impl FromStr for PackName {
    type Err = BadPack;

    fn from_str(text: &str) -> Result<Self, BadPack> {
        let (generation, digest) = text.split_once('-').ok_or(BadPack::Name)?;
        let is_number = generation.len() == GENERATION_DIGITS
            && generation.bytes().all(|digit| digit.is_ascii_digit());
        let generation = generation.parse().ok().filter(|_| is_number).ok_or(BadPack::Name)?;
        Ok(Self { generation, digest: digest.parse().map_err(|_| BadPack::Name)? })
    }
}

/// Bytes that are not the pack that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BadPack {
    /// The name is not that of a pack.
    #[error("its name is not that of a pack")]
    Name,
    /// The bytes are not those of the name.
    #[error("its bytes are not those of its name")]
    Digest,
    /// The pack does not begin as packs do.
    #[error("it is no pack, or one of a newer fuseline")]
    Magic,
    /// The pack does not hold what it should.
    #[error("its content is not understood")]
    Content,
    /// The pack unpacks to too much.
    #[error("it unpacks to more than {} MiB", MAX_UNPACKED_BYTES >> 20)]
    TooLarge,
}

/// A pack that has been unpacked.
#[derive(Debug)]
pub(crate) struct Pack {
    /// The packs whose records it has.
    pub replaces: Vec<Digest>,
    bytes: Bytes,
    /// The keys, and where their records lie in the bytes.
    records: Vec<(ActionKey, usize, usize)>,
}

impl Pack {
    /// The bytes of a pack, and its name.
    pub fn encode<'r>(
        generation: u32,
        replaces: &[Digest],
        records: impl Iterator<Item = (ActionKey, &'r [u8])>,
    ) -> (PackName, Vec<u8>) {
        let mut encoder = DeflateEncoder::new(MAGIC.to_vec(), Compression::default());
        let mut body = (replaces.len() as u32).to_le_bytes().to_vec();
        replaces.iter().for_each(|digest| body.extend(digest.as_bytes()));
        for (key, record) in records {
            body.extend(key.digest().as_bytes());
            body.extend((record.len() as u32).to_le_bytes());
            body.extend(record);
        }
        // A vector takes all that is written to it.
        let _ = encoder.write_all(&body);
        let bytes = encoder.finish().unwrap_or_default();
        (PackName { generation, digest: Digest::hash(&bytes) }, bytes)
    }

    /// Unpacks a pack after checking that it is the one of a name. Never panics, whatever the bytes
    /// are.
    pub fn decode(name: &PackName, bytes: &[u8]) -> Result<Self, BadPack> {
        if Digest::hash(bytes) != name.digest {
            return Err(BadPack::Digest);
        }
        let packed = bytes.strip_prefix(MAGIC).ok_or(BadPack::Magic)?;
        let mut body = Vec::new();
        let mut decoder = DeflateDecoder::new(packed).take(MAX_UNPACKED_BYTES + 1);
        decoder.read_to_end(&mut body).map_err(|_| BadPack::Content)?;
        if body.len() as u64 > MAX_UNPACKED_BYTES {
            return Err(BadPack::TooLarge);
        }
        Self::parse(body.into()).ok_or(BadPack::Content)
    }

    fn parse(bytes: Bytes) -> Option<Self> {
        let (count, mut rest) = bytes.split_first_chunk::<4>()?;
        let mut replaces = Vec::new();
        // Nothing is reserved by a number that was read.
        for _ in 0..u32::from_le_bytes(*count) {
            let (digest, behind) = rest.split_first_chunk::<32>()?;
            replaces.push(Digest::from(*digest));
            rest = behind;
        }
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (key, behind) = rest.split_first_chunk::<32>()?;
            let (length, behind) = behind.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (_, behind) = behind.split_at_checked(length)?;
            let end = bytes.len() - behind.len();
            records.push((ActionKey::from(Digest::from(*key)), end - length, length));
            rest = behind;
        }
        Some(Self { replaces, bytes, records })
    }

    /// The bytes that it holds in memory.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The encoded records by key.
    pub fn encoded_records(&self) -> impl Iterator<Item = (ActionKey, &[u8])> {
        self.records.iter().map(|&(key, start, length)| (key, &self.bytes[start..][..length]))
    }

    /// The record at a place; none when it is damaged.
    pub fn record(&self, place: usize) -> Option<ActionRecord> {
        let &(key, start, length) = self.records.get(place)?;
        ActionRecord::decode(&key, &self.bytes[start..][..length]).ok()
    }

    /// The places, keys and records, without those that are damaged.
    pub fn records(&self) -> impl Iterator<Item = (usize, ActionKey, ActionRecord)> {
        let places = self.records.iter().enumerate();
        places.filter_map(|(place, (key, ..))| Some((place, *key, self.record(place)?)))
    }
}

#[cfg(test)]
mod tests {
    use fuseline_cache::OutputRecord;

    use super::*;

    fn record(text: &str) -> (ActionKey, ActionRecord) {
        let output = OutputRecord {
            port: "out".to_owned(),
            kind: "table".to_owned(),
            digest: Digest::hash(text),
            size: text.len() as u64,
            media_type: None,
        };
        let key_text = vec![("with.seed".to_owned(), text.to_owned())];
        (
            ActionKey::from(Digest::hash(format!("key of {text}"))),
            ActionRecord { outputs: vec![output], key_text, seconds: 1.5 },
        )
    }

    fn example() -> (PackName, Vec<u8>, Vec<(ActionKey, ActionRecord)>) {
        let records = ["one", "two", "three"].map(record).to_vec();
        let encoded: Vec<_> = records.iter().map(|(key, of)| (*key, of.encode(key))).collect();
        let encoded = encoded.iter().map(|(key, bytes)| (*key, &bytes[..]));
        let (name, bytes) = Pack::encode(3, &[Digest::hash("old")], encoded);
        (name, bytes, records)
    }

    #[test]
    fn a_pack_gives_back_its_records() {
        let (name, bytes, records) = example();
        let pack = Pack::decode(&name, &bytes).unwrap();
        let unpacked: Vec<_> = pack.records().map(|(_, key, record)| (key, record)).collect();
        assert_eq!(unpacked, records);
        assert_eq!(pack.replaces, [Digest::hash("old")]);
        assert_eq!(name.to_string().parse(), Ok(name));
    }

    #[test]
    fn a_pack_that_is_torn_or_changed_is_refused() {
        let (name, bytes, _) = example();
        for length in 0..bytes.len() {
            assert_eq!(Pack::decode(&name, &bytes[..length]).unwrap_err(), BadPack::Digest);
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Pack::decode(&name, &changed).unwrap_err(), BadPack::Digest);
        }
    }

    #[test]
    fn whatever_is_named_by_its_digest_is_a_pack_or_an_error() {
        let (_, bytes, records) = example();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x41;
            let name = PackName { generation: 0, digest: Digest::hash(&changed) };
            if let Ok(pack) = Pack::decode(&name, &changed) {
                for (_, key, record) in pack.records() {
                    assert!(records.contains(&(key, record)), "a record checks itself");
                }
            }
        }
        let bomb = {
            let mut encoder = DeflateEncoder::new(MAGIC.to_vec(), Compression::best());
            let zeros = vec![0; 1 << 20];
            for _ in 0..=MAX_UNPACKED_BYTES >> 20 {
                encoder.write_all(&zeros).unwrap();
            }
            encoder.finish().unwrap()
        };
        let name = PackName { generation: 0, digest: Digest::hash(&bomb) };
        assert_eq!(Pack::decode(&name, &bomb).unwrap_err(), BadPack::TooLarge);
    }

    #[test]
    fn names_are_read_strictly() {
        let digest = Digest::hash("x");
        for name in ["", "1", "000001-", "000001-xyz", "+00001-", "1-"] {
            assert!(format!("{name}{digest}").parse::<PackName>().is_err() || name == "000001-");
        }
        assert!(format!("000001-{digest}#1").parse::<PackName>().is_err());
    }
}
