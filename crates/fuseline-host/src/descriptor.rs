//! What a rule says about itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::{Batch, BatchError};
use crate::params::{ParamProblem, Params};
use crate::schema;

/// What a rule says about itself. Members that a later version of the ABI may add are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Descriptor {
    /// Reverse domain name, as in the tag; its last part is the rule's short name.
    pub id: String,
    /// For people.
    pub name: String,
    /// Of the rule, as MAJOR.MINOR.PATCH.
    pub version: String,
    /// As an SPDX expression.
    pub licence: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of the parameters: an object.
    pub params: Value,
    /// The most that the rule takes.
    pub limits: Limits,
    /// What the rule does and takes.
    pub capabilities: Capabilities,
}

/// The most that a rule takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Limits {
    /// Modalities.
    pub modalities: usize,
    /// Classes.
    pub classes: usize,
}

/// What a rule does and takes.
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
}

impl Descriptor {
    /// Reads and checks a descriptor; the error is a fragment such as "version is not MAJOR.MINOR.PATCH".
    pub(crate) fn parse(json: &str, id_in_tag: &str) -> Result<Self, String> {
        let descriptor: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if descriptor.id != id_in_tag {
            return Err(format!("its id is {} and the tag says {id_in_tag}", descriptor.id));
        }
        if descriptor.name.is_empty() || descriptor.licence.is_empty() {
            return Err("name and licence may not be empty".to_owned());
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

    /// An error when the rule says that it does not take such a batch.
    pub(crate) fn takes(&self, batch: &Batch) -> Result<(), BatchError> {
        let (modalities, classes) = (batch.modalities().len(), batch.classes().len());
        for (what, limit, found) in [
            ("modalities", self.limits.modalities, modalities),
            ("classes", self.limits.classes, classes),
        ] {
            if found > limit {
                return Err(BatchError::Limit { id: self.id.clone(), what, limit, found });
            }
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
