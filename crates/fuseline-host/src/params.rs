//! Parameters of a rule, checked against its schema.

use std::fmt;

use serde_json::{Map, Value};

/// The parameters of a rule: checked, with defaults filled in, and canonical.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    values: Map<String, Value>,
    json: String,
}

/// One thing that is wrong with given parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// Names joined by dots; empty for the object itself.
    pub path: String,
    /// A fragment, as "-1 is below the minimum 0".
    pub message: String,
    /// Hint, if one is known.
    pub hint: Option<String>,
    /// True if the name is wrong, not the value.
    pub at_name: bool,
    /// The name written and the one that was likely meant.
    pub meant: Option<(String, String)>,
}

impl fmt::Display for ParamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl Params {
    /// Takes values that have been checked.
    pub(crate) fn checked(values: Map<String, Value>) -> Self {
        let values = sorted(values);
        let json = Value::Object(values.clone()).to_string();
        Self { values, json }
    }

    /// One JSON object with sorted keys and no white space.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// A value by its path, names joined by dots.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let first = self.values.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }
}

fn sorted(object: Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<_> = object.into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries.into_iter().map(|(name, value)| (name, sorted_value(value))).collect()
}

fn sorted_value(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(sorted(object)),
        Value::Array(items) => Value::Array(items.into_iter().map(sorted_value).collect()),
        other => other,
    }
}
