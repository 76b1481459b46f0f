//! What an action's key is made of.
//!
//! The encoding is written down, with test vectors, in `docs/design/action-key.md`. One walk writes both the digest and
//! the fields that `fuseline plan` compares to say what changed.

use std::path::{Path, PathBuf};

use fuseline_artifact::Digest;
use fuseline_cache::ActionKey;
use serde::Serialize;

use crate::codes;
use crate::kind::Problem;
use crate::services::Services;

/// The first bytes of every key's encoding: raised when the encoding changes, so that no old key can match.
pub const ENCODING: &[u8] = b"fuseline action key 1\n";

/// One field of a key: a dotted name and its value as text.
pub type Field = (String, String);

/// Feeds one field into a key's digest: both texts, each behind its length.
pub fn hash_field(hasher: &mut blake3::Hasher, name: &str, value: &str) {
    encode_field(name, value, &mut |bytes| {
        hasher.update(bytes);
    });
}

/// The encoding of one field, piece by piece.
fn encode_field(name: &str, value: &str, sink: &mut impl FnMut(&[u8])) {
    for text in [name, value] {
        sink(&(text.len() as u64).to_le_bytes());
        sink(text.as_bytes());
    }
}

/// The key that a list of fields gives.
pub(crate) fn key_of(fields: &[Field]) -> ActionKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(ENCODING);
    for (name, value) in fields {
        hash_field(&mut hasher, name, value);
    }
    ActionKey::from(Digest::from(*hasher.finalize().as_bytes()))
}

/// Where a stage kind writes what its results depend on, besides its inputs.
pub struct KeyWriter<'a> {
    services: &'a Services,
    seed: u64,
    /// Look at files but do not read them through: enough to check a workflow, not to key an action.
    existence_only: bool,
    fields: Vec<Field>,
    files: Vec<(PathBuf, Digest)>,
    problems: Vec<Problem>,
}

impl<'a> KeyWriter<'a> {
    pub(crate) fn new(services: &'a Services, seed: u64, existence_only: bool) -> Self {
        Self {
            services,
            seed,
            existence_only,
            fields: Vec::new(),
            files: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// An option, as its JSON text.
    pub fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        match serde_json::to_string(value) {
            Ok(text) => self.fields.push((format!("with.{name}"), text)),
            Err(error) => self.problems.push(Problem::new(name, error.to_string())),
        }
    }

    /// A file that the stage reads: its content counts, its path does not.
    pub fn file(&mut self, name: &str, path: &Path) {
        let digest = if self.existence_only {
            self.services.files.exists(path).map(|()| Digest::of(b""))
        } else {
            self.services.files.digest(path)
        };
        match digest {
            Ok(digest) => {
                self.fields.push((format!("with.{name}"), format!("file {digest}")));
                self.files.push((path.to_owned(), digest));
            }
            Err(error) => self.problems.push(
                Problem::new(name, format!("cannot read {}: {error}", path.display()))
                    .code(codes::MISSING_FILE)
                    .hint("a relative path in the workflow is relative to the workflow's folder, one given with --set to the working directory"),
            ),
        }
    }

    /// A fusion rule, by name: the digest of its plugin counts.
    pub fn rule(&mut self, name: &str, rule: &str) {
        match self.services.plugins.find(rule) {
            Ok(file) => {
                self.fields.push((format!("with.{name}"), file.id.clone()));
                self.fields.push(("plugin".to_owned(), file.digest.to_string()));
            }
            Err(error) => self.problems.push(
                Problem::new(name, error.to_string()).code(codes::UNKNOWN_RULE).hint(
                    "`fuseline plugin list` shows the rules on the plugin path; add a folder with --plugin-path",
                ),
            ),
        }
    }

    /// The workflow's seed, for a kind that draws random numbers.
    pub fn seed(&mut self) {
        self.fields.push(("seed".to_owned(), self.seed.to_string()));
    }

    pub(crate) fn finish(self) -> KeyPart {
        KeyPart { fields: self.fields, files: self.files, problems: self.problems }
    }
}

/// The part of a key that all actions with the same options share.
pub(crate) struct KeyPart {
    pub fields: Vec<Field>,
    pub files: Vec<(PathBuf, Digest)>,
    pub problems: Vec<Problem>,
}

#[cfg(test)]
mod tests;
