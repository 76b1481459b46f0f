//! Cautions: what a reader of an action's results must know although the action succeeded.
//!
//! They are part of the result: a list of texts in the cache, named by the action's record after
//! its declared outputs, so that a cached action still has them. An action without any has no such
//! object.

use std::collections::BTreeMap;

use fuseline_artifact::Digest;
use fuseline_cache::{Cache, CacheError, OutputRecord};
use serde::{Deserialize, Serialize};

use crate::error::StageError;

/// The port and the kind of the object in a record. No artifact is of this kind.
const NAME: &str = "cautions";

/// One caution, with the actions that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caution {
    /// `stage[axis=label]`, in the plan's order.
    pub actions: Vec<String>,
    /// Text of the caution.
    pub text: String,
}

/// The cautions of one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionCautions {
    /// `stage[axis=label]`.
    pub action: String,
    /// The object that holds the texts.
    pub digest: Digest,
    /// The texts, once the object was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
}

impl Caution {
    /// Groups the cautions of many actions by their texts, in the order in which they first come.
    pub fn group(all: &[ActionCautions]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut by_text = BTreeMap::new();
        for ActionCautions { action, texts, .. } in all {
            for text in texts {
                let group = *by_text.entry(text).or_insert_with(|| {
                    groups.push(Self { actions: Vec::new(), text: text.clone() });
                    groups.len() - 1
                });
                groups[group].actions.push(action.clone());
            }
        }
        groups
    }

    /// One line: `stage[axis=label] and 3 more: text`.
    pub fn line(&self) -> String {
        match self.actions.as_slice() {
            [first, more @ ..] if !more.is_empty() => {
                format!("{first} and {} more: {}", more.len(), self.text)
            }
            actions => format!("{}: {}", actions.concat(), self.text),
        }
    }
}

/// Stores an action's cautions in the cache, each once; nothing when there are none.
pub(crate) fn store(cache: &Cache, texts: &[String]) -> Result<Option<OutputRecord>, CacheError> {
    if texts.is_empty() {
        return Ok(None);
    }
    let mut unique: Vec<&str> = Vec::new();
    for text in texts {
        if !unique.contains(&text.as_str()) {
            unique.push(text);
        }
    }
    // A list of texts always serialises.
    let bytes = serde_json::to_vec(&unique).unwrap_or_default();
    put_beside(cache, NAME, &bytes).map(Some)
}

/// Stores JSON that a record names behind its declared outputs, under a reserved port.
pub(crate) fn put_beside(
    cache: &Cache,
    name: &str,
    json: &[u8],
) -> Result<OutputRecord, CacheError> {
    Ok(OutputRecord {
        port: name.to_owned(),
        kind: name.to_owned(),
        digest: cache.put_object(json)?,
        size: json.len() as u64,
        media_type: Some("application/json".to_owned()),
    })
}

/// True if an output of a record holds its cautions.
pub fn is_cautions(output: &OutputRecord) -> bool {
    output.kind == NAME
}

/// Reads the texts of an object of cautions.
pub fn read_cautions(cache: &Cache, digest: &Digest) -> Result<Vec<String>, StageError> {
    let missing = |problem: String| {
        StageError::failed(problem)
            .hint("`fuseline cache verify` finds what else is; the next run makes it again")
            .lost(*digest)
    };
    let bytes = cache
        .get_object(digest)
        .map_err(|error| StageError::from(error).lost(*digest))?
        .ok_or_else(|| missing(format!("object {digest} is missing from the cache")))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| missing(format!("object {digest} holds no cautions: {error}")))
}

/// Reads the texts that are not read yet; those of many actions are often the same. The error is
/// the first of several: all are read, so that every loss is known when the actions run again.
pub(crate) fn read_all(cache: &Cache, all: &mut [ActionCautions]) -> Result<(), StageError> {
    let mut known: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    let mut read = Ok(());
    for of in all.iter_mut().filter(|of| of.texts.is_empty()) {
        of.texts = match known.get(&of.digest) {
            Some(texts) => texts.clone(),
            None => {
                let texts = read_cautions(cache, &of.digest).unwrap_or_else(|error| {
                    read = std::mem::replace(&mut read, Ok(())).and(Err(error));
                    Vec::new()
                });
                known.entry(of.digest).or_insert(texts).clone()
            }
        };
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caution(action: &str, texts: &[&str]) -> ActionCautions {
        ActionCautions {
            action: action.to_owned(),
            digest: Digest::hash(texts.concat()),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn the_same_text_of_many_actions_is_said_once() {
        let all = [
            caution("a[fold=0]", &["lost"]),
            caution("a[fold=1]", &["lost", "late"]),
            caution("b", &["late"]),
        ];
        let lines: Vec<_> = Caution::group(&all).iter().map(Caution::line).collect();
        assert_eq!(lines, ["a[fold=0] and 1 more: lost", "a[fold=1] and 1 more: late"]);
        assert_eq!(Caution::group(&all[2..])[0].line(), "b: late");
    }

    #[test]
    fn cautions_are_kept_once_each_and_damaged_ones_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        assert_eq!(store(&cache, &[]).unwrap(), None);
        let texts = ["second".to_owned(), "first".to_owned(), "second".to_owned()];
        let record = store(&cache, &texts).unwrap().unwrap();
        assert!(is_cautions(&record));
        assert_eq!(read_cautions(&cache, &record.digest).unwrap(), ["second", "first"]);
        let other = cache.put_object(b"no list").unwrap();
        assert_eq!(read_cautions(&cache, &other).unwrap_err().lost.as_deref(), Some(&other));
        let gone = Digest::hash("gone");
        assert_eq!(read_cautions(&cache, &gone).unwrap_err().lost.as_deref(), Some(&gone));
    }
}
