//! The examples under study.

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::{CLASSES, EXAMPLE_ID};
use crate::schema::{Column, ColumnType, KindSchema};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Cohort,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column::full(
            "group",
            ColumnType::Utf8,
            "what belongs together and is never split, such as a person",
        ),
        Column::full("label", ColumnType::Categories, "the class of the example"),
    ],
    metadata: &[CLASSES],
    optional_metadata: &[],
};

/// The examples under study. The order of their rows is the order of everything after.
#[derive(Debug, Clone, PartialEq)]
pub struct Cohort {
    /// The example of each row.
    pub example_id: Texts,
    /// Its group.
    pub group: Texts,
    /// The index of its class.
    pub label: Vec<u32>,
    /// The names of the classes.
    pub classes: Vec<String>,
}

impl Cohort {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.example_id.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.example_id.is_empty()
    }
}

impl Typed for Cohort {
    const KIND: ArtifactKind = ArtifactKind::Cohort;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.len())
            .example_ids(&self.example_id)
            .texts("group", &self.group)
            .classes("label", &self.label, &self.classes)
            .class_names(&self.classes)
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let classes = columns.names("classes")?;
        Ok(Self {
            example_id: columns.example_ids()?,
            group: columns.texts("group")?,
            label: columns.class_indices("label", &classes)?,
            classes,
        })
    }
}
