//! Reason why an action runs: the first field of its key that differs from last time.

use fuseline_cache::{ActionKey, ActionRecord, Cache, PreviousKeys};

use crate::key::Field;

/// An action now, and what is remembered of it.
pub(crate) struct History {
    /// The fields of its key now.
    pub fields: Vec<Field>,
    /// The record of its last success.
    pub last: Option<ActionRecord>,
    /// The key with which it failed, if it has not been executed since.
    pub failed: Option<ActionKey>,
    /// Its key now.
    pub key: ActionKey,
}

impl History {
    /// `label`: the action as `stage[axis=label]`; `key`: its key now.
    pub fn recall(
        cache: &Cache,
        previous: &PreviousKeys,
        label: &str,
        key: ActionKey,
        fields: Vec<Field>,
    ) -> Self {
        let last = last_record(cache, previous.get(label));
        let failed = previous.get(&failed_label(label));
        Self { fields, last, failed, key }
    }
}

/// The last record of an action, by the key remembered for it.
pub(crate) fn last_record(cache: &Cache, key: Option<ActionKey>) -> Option<ActionRecord> {
    cache.recall_action(&key?).ok().flatten()
}

/// Name under which the key of a failed action is remembered; no action has it.
pub(crate) fn failed_label(label: &str) -> String {
    format!("failed {label}")
}

/// Reason why an action is not cached.
pub(crate) fn reason(history: &History) -> String {
    let History { fields, last, failed, key } = history;
    match (failed, last) {
        (Some(failed), _) if failed == key => "failed when it was last executed".to_owned(),
        (Some(_), None) => "changed since it failed".to_owned(),
        (None, None) => "never executed".to_owned(),
        (_, Some(last)) => first_difference(&last.key_text, fields)
            .unwrap_or_else(|| "its outputs are no longer in the cache".to_owned()),
    }
}

/// The first field that came, went or has another value, in words.
pub(crate) fn first_difference(last: &[Field], now: &[Field]) -> Option<String> {
    let value = |fields: &[Field], name: &str| {
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    for (name, new) in now {
        match value(last, name) {
            Some(old) if old == *new => {}
            Some(old) => return Some(changed(name, &old, new)),
            None => return Some(format!("{name} is new")),
        }
    }
    let gone = last.iter().find(|(name, _)| value(now, name).is_none())?;
    Some(format!("{} is gone", gone.0))
}

fn changed(name: &str, old: &str, new: &str) -> String {
    if let Some(port) = name.strip_prefix("inputs.") {
        return format!("input {port} changed ({} -> {})", short(old), short(new));
    }
    match name {
        "kind" => format!("stage kind {old} -> {new}"),
        "revision" => format!("stage kind revision {old} -> {new}"),
        "plugin" => format!("plugin changed ({} -> {})", short(old), short(new)),
        "provenance" => "where its inputs come from changed".to_owned(),
        _ => match (old.strip_prefix("file "), new.strip_prefix("file ")) {
            (Some(old), Some(new)) => {
                format!("{name}: file content changed ({} -> {})", short(old), short(new))
            }
            _ => match (old.strip_prefix("folder "), new.strip_prefix("folder ")) {
                (Some(old), Some(new)) => {
                    format!(
                        "{name}: files of the folder changed ({} -> {})",
                        short(old),
                        short(new)
                    )
                }
                _ => format!("{name} {old} -> {new}"),
            },
        },
    }
}

/// Enough of a digest to tell two apart.
fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(of: &[(&str, &str)]) -> Vec<Field> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn reason(now: &[Field], last: Option<&ActionRecord>) -> String {
        let (fields, last) = (now.to_vec(), last.cloned());
        super::reason(&History {
            fields,
            last,
            failed: None,
            key: fuseline_artifact::Digest::hash("").into(),
        })
    }

    #[test]
    fn the_first_changed_field_is_named_with_both_values() {
        let last = ActionRecord {
            key_text: fields(&[("kind", "a.b"), ("with.seed", "1")]),
            ..Default::default()
        };
        let now = fields(&[("kind", "a.b"), ("with.seed", "2")]);
        assert_eq!(reason(&now, Some(&last)), "with.seed 1 -> 2");
    }

    #[test]
    fn a_field_that_came_or_went_is_named() {
        let last = ActionRecord { key_text: fields(&[("kind", "a.b")]), ..Default::default() };
        let now = fields(&[("kind", "a.b"), ("seed", "2")]);
        assert_eq!(reason(&now, Some(&last)), "seed is new");
        let last = ActionRecord { key_text: now, ..Default::default() };
        assert_eq!(reason(&fields(&[("kind", "a.b")]), Some(&last)), "seed is gone");
    }

    #[test]
    fn an_action_without_a_past_was_never_executed() {
        assert_eq!(reason(&[], None), "never executed");
    }
}
