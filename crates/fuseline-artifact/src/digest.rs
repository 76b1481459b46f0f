//! The name of bytes: their blake3 hash.

use std::fmt;
use std::io::{self, Read};
use std::ops::Deref;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The two hexadecimal digits of each byte.
const DIGITS: [[u8; 2]; 256] = {
    let (digits, mut pairs, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};
/// Bytes of a reader that are hashed at once.
const PART: u64 = 1 << 18;

/// The blake3 hash of some bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a digest: 64 lower-case hexadecimal digits are expected")]
pub struct BadDigest(String);

impl Digest {
    /// The digest of bytes in memory.
    pub fn hash(bytes: impl AsRef<[u8]>) -> Self {
        Self(*blake3::hash(bytes.as_ref()).as_bytes())
    }

    /// The digest of bytes that are given in consecutive pieces.
    pub fn of_pieces(give: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Self {
        let mut hasher = blake3::Hasher::new();
        give(&mut |piece| {
            hasher.update(piece);
        });
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest of everything that a reader gives.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let (mut hasher, mut part) = (blake3::Hasher::new(), Vec::new());
        while reader.by_ref().take(PART).read_to_end(&mut part)? > 0 {
            hasher.update(&part);
            part.clear();
        }
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// The 32 bytes themselves.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// All 64 hexadecimal digits.
    pub fn to_hex(&self) -> Hex {
        let mut digits = [0; 64];
        for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(self.0) {
            *pair = DIGITS[usize::from(byte)];
        }
        Hex(digits)
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_hex()[..12].to_owned()
    }
}

/// The hexadecimal digits of a digest.
#[derive(Debug, Clone, Copy)]
pub struct Hex([u8; 64]);

impl Deref for Hex {
    type Target = str;

    fn deref(&self) -> &str {
        // Digits alone are always text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        // Not in upper case: a second spelling of one digest would be a second file name.
        let half = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let digest = || {
            let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
            let mut bytes = [0; 32];
            for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
                *byte = half(*high)? << 4 | half(*low)?;
            }
            Some(Self(bytes))
        };
        digest().ok_or_else(|| BadDigest(text.chars().take(80).collect()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Most forms lend the text that they have.
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    #[test]
    fn the_digest_of_nothing_is_that_of_the_blake3_paper() {
        assert_eq!(Digest::hash(b"").to_string(), EMPTY);
        assert_eq!(Digest::of_reader(&b""[..]).unwrap().to_string(), EMPTY);
        assert_eq!(Digest::hash(b"").short(), &EMPTY[..12]);
    }

    #[test]
    fn a_digest_reads_back_from_its_text_and_from_nothing_else() {
        let digest = Digest::hash(b"fuseline");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        for bad in
            ["", "ab", &EMPTY.to_uppercase(), &EMPTY[1..], &format!("{EMPTY}0"), "../../../etc"]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reader_and_its_bytes_have_one_digest() {
        let bytes: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
        assert_eq!(Digest::of_reader(&bytes[..]).unwrap(), Digest::hash(&bytes));
    }
}
