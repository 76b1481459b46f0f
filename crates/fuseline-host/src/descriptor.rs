//! Descriptors of rules.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::{Batch, BatchError};
use crate::params::{ParamProblem, Params};
use crate::schema;

/// Descriptor of a rule. Members that a later version of the ABI may add are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Descriptor {
    /// Reverse domain name, as in the tag; its last part is the rule's short name.
    pub id: String,
    /// For people.
    pub name: String,
    /// Version of the rule, as MAJOR.MINOR.PATCH.
    pub version: String,
    /// Licence as an SPDX expression.
    pub licence: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of the parameters: an object.
    pub params: Value,
    /// The most that the rule takes.
    pub limits: Limits,
    /// Capabilities and accepted inputs of the rule.
    pub capabilities: Capabilities,
    /// Numbers of modalities and classes that it takes, within `limits`.
    #[serde(default, skip_serializing_if = "Accepts::is_any")]
    pub accepts: Accepts,
}

/// The most that a rule takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Limits {
    /// Modalities.
    pub modalities: usize,
    /// Classes.
    pub classes: usize,
}

/// Capabilities and accepted inputs of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Capabilities {
    /// Quality can change what is predicted.
    pub uses_quality: bool,
    /// A row's prediction does not depend on the rows beside it.
    pub row_independent: bool,
    /// Rows may have unavailable modalities, even all of them.
    pub accepts_missing: bool,
    /// Embeddings are read when they are there.
    pub accepts_embeddings: bool,
    /// It can be fitted.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub fits: bool,
    /// It loads models that were fitted elsewhere: the extension `fuseline.load/1`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub loads: bool,
    /// It takes a label that is a number too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub regression: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Numbers of modalities and classes that a rule takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "BTreeMap<String, Count>")]
pub struct Accepts {
    /// Allowed numbers of modalities.
    #[serde(skip_serializing_if = "Count::is_any")]
    pub modalities: Count,
    /// Allowed numbers of classes.
    #[serde(skip_serializing_if = "Count::is_any")]
    pub classes: Count,
}

impl Accepts {
    fn is_any(&self) -> bool {
        *self == Self::default()
    }
}

impl TryFrom<BTreeMap<String, Count>> for Accepts {
    type Error = String;

    /// A key that is not known is an error: a rule that is misspelt would take anything.
    fn try_from(counts: BTreeMap<String, Count>) -> Result<Self, String> {
        let mut accepts = Self::default();
        for (key, count) in counts {
            match key.as_str() {
                "modalities" => accepts.modalities = count,
                "classes" => accepts.classes = count,
                _ => {
                    return Err(format!(
                        "accepts: there is no key {key:?}; the keys are modalities and classes"
                    ));
                }
            }
        }
        Ok(accepts)
    }
}

/// A number that a rule asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Count {
    /// Any within its limits.
    #[default]
    Any,
    /// This many.
    Exactly(usize),
    /// This many or more.
    AtLeast(usize),
}

impl Count {
    fn is_any(&self) -> bool {
        *self == Self::Any
    }

    /// True if a number is one of them.
    pub fn allows(self, count: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(number) => count == number,
            Self::AtLeast(least) => count >= least,
        }
    }
}

impl TryFrom<String> for Count {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse().ok();
        let exactly = text.strip_prefix("exactly ").and_then(number).map(Self::Exactly);
        let at_least = || text.strip_prefix("at least ").and_then(number).map(Self::AtLeast);
        match text.as_str() {
            "any" => Ok(Self::Any),
            _ => exactly.or_else(at_least).ok_or_else(|| {
                format!("accepts: {text:?} is neither `exactly N` nor `at least N`")
            }),
        }
    }
}

impl From<Count> for String {
    fn from(count: Count) -> Self {
        count.to_string()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Exactly(number) => write!(f, "exactly {number}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
        }
    }
}

impl Descriptor {
    /// Reads and checks a descriptor; the error is a fragment such as "version is not
    /// MAJOR.MINOR.PATCH".
    pub(crate) fn parse(json: &str, id_in_tag: &str) -> Result<Self, String> {
        let descriptor: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if descriptor.id != id_in_tag {
            return Err(format!("its id is {} and the tag says {id_in_tag}", descriptor.id));
        }
        if descriptor.name.is_empty() || descriptor.licence.is_empty() {
            return Err("name and licence may not be empty".to_owned());
        }
        let shown = [&descriptor.name, &descriptor.licence, &descriptor.summary];
        if shown.iter().any(|text| text.contains(char::is_control)) {
            return Err("its name, licence or summary has control characters".to_owned());
        }
        if !is_version(&descriptor.version) {
            return Err(format!("version {:?} is not MAJOR.MINOR.PATCH", descriptor.version));
        }
        if descriptor.limits.modalities < 1 || descriptor.limits.classes < 2 {
            return Err("its limits are below 1 modality or 2 classes".to_owned());
        }
        schema::check_schema(&descriptor.params)?;
        Ok(descriptor)
    }

    /// Checks parameters against the schema and fills its defaults; gives every problem.
    pub fn check_params(&self, given: &Map<String, Value>) -> Result<Params, Vec<ParamProblem>> {
        schema::params(&self.params, given)
    }

    /// The last part of the id.
    pub fn short_name(&self) -> &str {
        self.id.rsplit('.').next().unwrap_or(&self.id)
    }

    /// An error when the rule asks for another number of modalities.
    pub fn accepts_modalities(&self, found: usize) -> Result<(), BatchError> {
        self.accepts("modalities", self.accepts.modalities, found)
    }

    /// An error when the rule asks for another number of classes.
    pub fn accepts_classes(&self, found: usize) -> Result<(), BatchError> {
        self.accepts("classes", self.accepts.classes, found)
    }

    fn accepts(&self, what: &'static str, count: Count, found: usize) -> Result<(), BatchError> {
        if count.allows(found) {
            return Ok(());
        }
        Err(BatchError::Accepts { id: self.id.clone(), what, count, found })
    }

    /// An error when the rule says that it does not take such a batch.
    pub(crate) fn takes(&self, batch: &Batch) -> Result<(), BatchError> {
        let (modalities, classes) = (batch.modalities().len(), batch.classes().len());
        if batch.is_regression() && !self.capabilities.regression {
            return Err(BatchError::Numbers { id: self.id.clone() });
        }
        for (what, limit, found) in [
            ("modalities", self.limits.modalities, modalities),
            ("classes", self.limits.classes, classes),
        ] {
            if found > limit {
                return Err(BatchError::Limit { id: self.id.clone(), what, limit, found });
            }
        }
        self.accepts_modalities(modalities)?;
        if !batch.is_regression() {
            self.accepts_classes(classes)?;
        }
        let missing = batch.available().iter().position(|&available| available == 0);
        match missing {
            Some(cell) if !self.capabilities.accepts_missing => Err(BatchError::Missing {
                id: self.id.clone(),
                modality: batch.modalities()[cell % modalities].clone(),
                row: cell / modalities,
            }),
            _ => Ok(()),
        }
    }
}

fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<_> = core.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_of_accepts_is_an_error_that_names_the_keys() {
        let read = |json: &str| serde_json::from_str::<Accepts>(json).map_err(|e| e.to_string());
        let error = read(r#"{"modality": "exactly 3"}"#).unwrap_err();
        let expected =
            r#"accepts: there is no key "modality"; the keys are modalities and classes"#;
        assert!(error.starts_with(expected), "{error}");
        let accepts = read(r#"{"classes": "at least 2"}"#).unwrap();
        let expected = Accepts { modalities: Count::Any, classes: Count::AtLeast(2) };
        assert_eq!(accepts, expected);
        let written = serde_json::to_string(&accepts).unwrap();
        assert_eq!(read(&written).unwrap(), accepts, "as memos keep it");
    }
}
