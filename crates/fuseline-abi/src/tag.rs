//! The bytes that identify a plugin file without running any of its code.

use core::fmt;

use crate::{ABI_MAJOR, ABI_MINOR};

/// The first bytes of every tag.
pub const TAG_MAGIC: &[u8] = b"FUSELINE-FUSION\0";

const _: () = assert!(ABI_MAJOR < 10 && ABI_MINOR < 10, "the tag writes one digit each");
const ABI_TEXT: [u8; 8] =
    [b'a', b'b', b'i', b'=', b'0' + ABI_MAJOR as u8, b'.', b'0' + ABI_MINOR as u8, 0];

/// Number of bytes that [`tag`] makes for this id.
pub const fn tag_len(id: &str) -> usize {
    TAG_MAGIC.len() + ABI_TEXT.len() + "id=".len() + id.len() + 2
}

/// The tag of a plugin, for the exported symbol [`crate::TAG_SYMBOL`]; `LEN` is [`tag_len`] of the
/// id.
pub const fn tag<const LEN: usize>(id: &str) -> [u8; LEN] {
    assert!(LEN == tag_len(id), "the length is tag_len(id)");
    let mut bytes = [0; LEN];
    let mut at = copy(&mut bytes, 0, TAG_MAGIC);
    at = copy(&mut bytes, at, &ABI_TEXT);
    at = copy(&mut bytes, at, b"id=");
    copy(&mut bytes, at, id.as_bytes());
    bytes
}

const fn copy(to: &mut [u8], start: usize, from: &[u8]) -> usize {
    let mut at = 0;
    while at < from.len() {
        to[start + at] = from[at];
        at += 1;
    }
    start + at
}

/// Content of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'t> {
    /// Major and minor version of the ABI that the plugin was built for.
    pub abi: (u16, u16),
    /// The rule's id.
    pub id: &'t str,
}

/// Why bytes are not a tag: a fragment such as "it does not end".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagError(&'static str);

impl fmt::Display for TagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for TagError {}

impl<'t> Tag<'t> {
    /// Reads a tag; bytes after its end are ignored, and so are keys that a later version may add.
    pub fn parse(bytes: &'t [u8]) -> Result<Self, TagError> {
        let mut rest = bytes
            .strip_prefix(TAG_MAGIC)
            .ok_or(TagError("it does not begin with FUSELINE-FUSION"))?;
        let (mut abi, mut id) = (None, None);
        loop {
            let end = rest.iter().position(|&byte| byte == 0).ok_or(TagError("it does not end"))?;
            let (field, after) = rest.split_at(end);
            rest = &after[1..];
            if field.is_empty() {
                break;
            }
            let field = str::from_utf8(field).map_err(|_| TagError("it is not UTF-8"))?;
            match field.split_once('=') {
                Some(("abi", version)) => {
                    let (major, minor) =
                        version.split_once('.').ok_or(TagError("its ABI is not MAJOR.MINOR"))?;
                    let number = |text: &str| {
                        text.parse().map_err(|_| TagError("its ABI is not MAJOR.MINOR"))
                    };
                    abi = Some((number(major)?, number(minor)?));
                }
                Some(("id", name)) => id = Some(name),
                _ => {}
            }
        }
        let abi = abi.ok_or(TagError("it does not say abi="))?;
        let id = id.ok_or(TagError("it does not say id="))?;
        if !is_id(id) {
            return Err(TagError(
                "its id is not a reverse domain name such as org.example.rule, of a-z, 0-9, _ and \
                 -",
            ));
        }
        Ok(Self { abi, id })
    }
}

/// True if this is a reverse domain name of at least two parts.
pub fn is_id(id: &str) -> bool {
    id.contains('.')
        && id.split('.').all(|part| {
            !part.is_empty()
                && part.bytes().all(|byte| {
                    byte.is_ascii_lowercase()
                        || byte.is_ascii_digit()
                        || byte == b'_'
                        || byte == b'-'
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_is_made_can_be_read() {
        const ID: &str = "org.example.rule";
        let bytes: [u8; tag_len(ID)] = tag(ID);
        assert_eq!(&bytes, b"FUSELINE-FUSION\0abi=1.0\0id=org.example.rule\0\0");
        assert_eq!(Tag::parse(&bytes), Ok(Tag { abi: (1, 0), id: ID }));
    }

    #[test]
    fn keys_of_later_versions_are_ignored() {
        let bytes = b"FUSELINE-FUSION\0abi=1.7\0colour=red\0id=a.b\0\0rubbish";
        assert_eq!(Tag::parse(bytes), Ok(Tag { abi: (1, 7), id: "a.b" }));
    }

    #[test]
    fn every_prefix_of_a_tag_is_an_error() {
        let bytes: [u8; tag_len("a.b")] = tag("a.b");
        for len in 0..bytes.len() {
            assert!(Tag::parse(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn ids_are_reverse_domain_names() {
        for id in ["rule", "a..b", ".a", "a.B", "a.b c", "a/b.c", ""] {
            assert!(!is_id(id), "{id}");
        }
        assert!(is_id("org.fuseline.weighted_mean"));
    }
}
