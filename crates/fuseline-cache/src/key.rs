//! The name of an action: the digest of what its outputs depend on.

use std::fmt;
use std::str::FromStr;

use fuseline_artifact::{BadDigest, Digest};
use serde::{Deserialize, Serialize};

/// The key of an action. Its caller decides its contents; the cache only compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionKey(Digest);

impl ActionKey {
    /// The digest that it is.
    pub fn digest(&self) -> &Digest {
        &self.0
    }

    /// Its first bytes as a number, in the order of keys. Hardly any two keys have the same, and
    /// numbers compare at once.
    pub(crate) fn head(&self) -> u64 {
        self.0.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
    }
}

impl From<Digest> for ActionKey {
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ActionKey {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        text.parse().map(Self)
    }
}
