//! Options that name text by a regular expression or a column by its name or place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A regular expression with at least one group; what the first group matches is what is meant.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Text matched by the first group, if the expression matches and the group took part.
    pub fn first_group<'t>(&self, text: &'t str) -> Option<&'t str> {
        Some(self.0.captures(text)?.get(1)?.as_str())
    }

    /// Texts matched by the first two groups, if the expression matches and both took part.
    pub fn first_two_groups<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str)> {
        let captures = self.0.captures(text)?;
        Some((captures.get(1)?.as_str(), captures.get(2)?.as_str()))
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.0.captures_len() - 1
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Expressions that [`compile`] keeps.
const MAX_COMPILED: usize = 64;

/// Compiles an expression, or clones one that was compiled before: compiling takes longer than all
/// else that is read of a stage, and many stages have the same.
fn compile(text: &str) -> Result<Regex, regex::Error> {
    static COMPILED: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let compiled = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = compiled().get(text) {
        return Ok(regex.clone());
    }
    let regex = Regex::new(text)?;
    let mut compiled = compiled();
    if compiled.len() < MAX_COMPILED {
        compiled.insert(text.to_owned(), regex.clone());
    }
    Ok(regex)
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let regex = compile(&text).map_err(|error| {
            // The last line of the message says what is wrong; the lines before draw the
            // expression.
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or(&message).trim_start_matches("error: ");
            de::Error::custom(format!("the pattern does not compile: {reason}"))
        })?;
        if regex.captures_len() < 2 {
            return Err(de::Error::custom(
                "the pattern needs a group: parentheses around the part that is meant",
            ));
        }
        Ok(Self(regex))
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "regex",
            "description": "A regular expression; its first group is what is meant."
        })
    }
}

/// A column of a file: its name, or its place counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Column {
    /// Counted from 0.
    Place(usize),
    /// As in the header.
    Name(String),
}

impl Column {
    /// True if it is taken by its place.
    pub(crate) fn is_place(&self) -> bool {
        matches!(self, Self::Place(_))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => write!(f, "{place}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ColumnVisitor;
        impl Visitor<'_> for ColumnVisitor {
            type Value = Column;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column's name, or its place counted from 0")
            }

            fn visit_u64<E: de::Error>(self, place: u64) -> Result<Column, E> {
                usize::try_from(place).map(Column::Place).map_err(de::Error::custom)
            }

            fn visit_i64<E: de::Error>(self, place: i64) -> Result<Column, E> {
                usize::try_from(place)
                    .map(Column::Place)
                    .map_err(|_| de::Error::invalid_value(de::Unexpected::Signed(place), &self))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Column, E> {
                Ok(Column::Name(name.to_owned()))
            }
        }
        deserializer.deserialize_any(ColumnVisitor)
    }
}

impl JsonSchema for Column {
    fn schema_name() -> Cow<'static, str> {
        "Column".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "description": "A column's name, or its place counted from 0."
        })
    }
}

/// The known name that is closest to a mistyped one, if any is close.
pub(crate) fn closest<'n>(wanted: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = wanted.to_lowercase();
    known
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= (wanted.chars().count() + 1) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_is_what_is_meant() {
        let pattern: Pattern = serde_json::from_str(r#""^(.+?)(?:[.]wav)?$""#).unwrap();
        assert_eq!(pattern.first_group("chdf_Counting2.wav"), Some("chdf_Counting2"));
        assert_eq!(pattern.first_group("chdf_Counting2"), Some("chdf_Counting2"));
        assert_eq!(pattern.first_group(""), None);
    }

    #[test]
    fn a_pattern_that_does_not_compile_or_has_no_group_is_refused_in_words() {
        let refuse = |text: &str| {
            serde_json::from_value::<Pattern>(serde_json::json!(text)).unwrap_err().to_string()
        };
        assert_eq!(refuse("(a"), "the pattern does not compile: unclosed group");
        assert!(refuse("a+").starts_with("the pattern needs a group"));
    }

    #[test]
    fn a_column_is_a_name_or_a_place() {
        let read = |value: serde_json::Value| serde_json::from_value::<Column>(value);
        assert_eq!(read(serde_json::json!(3)).unwrap(), Column::Place(3));
        assert_eq!(read(serde_json::json!("id")).unwrap(), Column::Name("id".to_owned()));
        assert!(read(serde_json::json!(-1)).is_err());
    }

    #[test]
    fn a_close_name_is_found_and_a_far_one_is_not() {
        let known = ["physio", "video", "audio"];
        assert_eq!(closest("vidoe", known.into_iter()), Some("video"));
        assert_eq!(closest("thermal", known.into_iter()), None);
    }
}
