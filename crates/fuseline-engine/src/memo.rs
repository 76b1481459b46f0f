//! Memos: knowledge of one run that saves work in the next, kept in the cache behind a digest of
//! its bytes.
//!
//! A flipped bit in a memo must not become the digest of a file or the schema of a rule: what is
//! damaged counts as lost.

use fuseline_artifact::Digest;
use fuseline_cache::{Cache, CacheError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Keeps a memo; it must be made of what JSON can say.
pub(crate) fn write(cache: &Cache, name: &str, memo: &impl Serialize) -> Result<(), CacheError> {
    let json = serde_json::to_vec(memo).unwrap_or_default();
    cache.write_memo(name, &[Digest::hash(&json).as_bytes(), json.as_slice()].concat())
}

/// Reads a memo; none when it is not there, damaged, or of another form.
pub(crate) fn read<T: DeserializeOwned>(cache: &Cache, name: &str) -> Option<T> {
    let bytes = cache.read_memo(name).ok()??;
    let (digest, json) = bytes.split_first_chunk::<32>()?;
    (Digest::hash(json).as_bytes() == digest).then(|| serde_json::from_slice(json).ok())?
}

/// True if there is no memo of this name, or its bytes are those that were written.
pub(crate) fn is_whole(cache: &Cache, name: &str) -> Result<bool, CacheError> {
    let Some(bytes) = cache.read_memo(name)? else { return Ok(true) };
    let parts = bytes.split_first_chunk::<32>();
    Ok(parts.is_some_and(|(digest, json)| Digest::hash(json).as_bytes() == digest))
}
