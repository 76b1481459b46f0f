//! YAML text to a tree in which everything has its place.
//!
//! The tree keeps scalars as written, with their style: a scalar is interpreted when its
//! wanted type is known.

mod parse;
mod scalar;
mod slips;

use serde_json::{Map, Value};

use crate::codes;
use crate::diagnostic::{Diagnostic, Fix};
use crate::files::Place;

pub(crate) use parse::parse;
pub(crate) use scalar::{content_place, plain_value};

/// A value of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub place: Place,
    pub data: Data,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A text as written, unescaped.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub text: String,
    pub style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Block,
}

/// A key with its value. Keys of one mapping differ.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub value: Node,
}

impl Node {
    /// True if nothing is written, or `null`.
    pub fn is_null(&self) -> bool {
        match &self.data {
            Data::Scalar(scalar) => {
                scalar.style == Style::Plain
                    && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// True if it is `yes`, `off` or the like: true or false to some readers of YAML.
    pub fn is_yes_or_no(&self) -> bool {
        let problem = self.scalar().and_then(|scalar| plain_value(scalar).err());
        problem.is_some_and(|problem| problem.as_bool().is_some())
    }

    /// The text of a scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Describes it in words.
    pub fn describe(&self) -> String {
        match &self.data {
            Data::Sequence(_) => "a list".to_owned(),
            Data::Mapping(_) => "a mapping".to_owned(),
            Data::Scalar(scalar) => match plain_value(scalar) {
                Ok(value) => describe(&value),
                Err(_) => format!("`{}`", crate::names::short(&scalar.text)),
            },
        }
    }

    /// The value, for places where expressions have no meaning; reports mistakes in scalars.
    pub fn to_value(&self, found: &mut Vec<Diagnostic>) -> Option<Value> {
        match &self.data {
            Data::Scalar(scalar) => match plain_value(scalar) {
                Ok(value) => Some(value),
                Err(problem) => {
                    found.push(problem.diagnostic(&self.place));
                    None
                }
            },
            Data::Sequence(items) => {
                let values: Vec<_> = items.iter().map(|item| item.to_value(found)).collect();
                values.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
            }
            Data::Mapping(entries) => {
                let mut map = Map::new();
                let mut whole = true;
                for entry in entries {
                    match entry.value.to_value(found) {
                        Some(value) => _ = map.insert(entry.key.clone(), value),
                        None => whole = false,
                    }
                }
                whole.then_some(Value::Object(map))
            }
        }
    }

    /// The entries of a mapping; reports anything else.
    pub fn mapping(&self, what: &str, found: &mut Vec<Diagnostic>) -> Option<&[Entry]> {
        match &self.data {
            Data::Mapping(entries) => Some(entries),
            data => {
                let mut mistake = self.not_a(what, "a mapping");
                if let Data::Sequence(items) = data
                    && let Some(Data::Mapping(entries)) = items.first().map(|item| &item.data)
                    && let Some(entry) = entries.first()
                {
                    let name = crate::names::short(&entry.key);
                    mistake.hint =
                        Some(format!("remove the dashes: names are written `{name}: …`"));
                }
                found.push(mistake);
                None
            }
        }
    }

    /// The items of a list; reports anything else.
    pub fn sequence(&self, what: &str, found: &mut Vec<Diagnostic>) -> Option<&[Node]> {
        match &self.data {
            Data::Sequence(items) => Some(items),
            _ => {
                let mistake = self.not_a(what, "a list");
                found.push(match self.as_list() {
                    Some(list) => mistake.write(&list),
                    None => mistake,
                });
                None
            }
        }
    }

    /// The list that was likely meant by one text, `a, b`, or by names in braces, `{a, b}`.
    pub fn as_list(&self) -> Option<String> {
        match &self.data {
            Data::Scalar(scalar) => {
                let text = scalar.text.trim().trim_start_matches('[').trim_end_matches(']');
                let is_short = !text.is_empty() && !text.contains(['\n', '{', '[', ']', '#']);
                is_short.then(|| format!("[{text}]"))
            }
            Data::Mapping(entries) => {
                let names: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
                let are_names = entries.iter().all(|entry| entry.value.is_null());
                (are_names && !names.is_empty()).then(|| format!("[{}]", names.join(", ")))
            }
            Data::Sequence(_) => None,
        }
    }

    /// The text of a scalar that means a text; reports anything else.
    pub fn text(&self, what: &str, found: &mut Vec<Diagnostic>) -> Option<&str> {
        let Some(scalar) = self.scalar() else {
            found.push(self.not_a(what, "text"));
            return None;
        };
        match plain_value(scalar) {
            Ok(Value::String(_)) => Some(&scalar.text),
            Ok(_) => {
                let mistake = self.not_a(what, "text");
                found.push(match self.is_null() {
                    true => mistake,
                    false => {
                        let quoted = format!("\"{}\"", scalar.text);
                        let place = self.place.clone();
                        mistake.hint(format!("quote it: {quoted}")).fix(Fix::new(
                            format!("write {quoted}"),
                            place,
                            quoted,
                        ))
                    }
                });
                None
            }
            Err(problem) => {
                found.push(problem.diagnostic(&self.place));
                None
            }
        }
    }

    /// The diagnostic for a value of the wrong shape.
    pub fn not_a(&self, what: &str, wanted: &str) -> Diagnostic {
        let got = self.describe();
        Diagnostic::error(
            codes::WRONG_SHAPE,
            &self.place,
            format!("{what} must be {wanted}, not {got}"),
        )
    }
}

/// Describes a value in words, for messages.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text \"{}\"", crate::names::short(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}
