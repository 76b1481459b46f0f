//! Metadata of the examples beside features, group and label.

use arrow::array::StringArray;

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::EXAMPLE_ID;
use crate::schema::{Column, ColumnName, ColumnType, KindSchema};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Metadata,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column {
            name: ColumnName::Begins(""),
            of: ColumnType::Utf8,
            nullable: true,
            help: "one column each, such as sex or site; null where it is not known",
        },
    ],
    metadata: &[],
    optional_metadata: &[],
};

/// Metadata of the examples, such as sex or site: for subgroups and audits, never for models.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// The example of each row.
    pub example_id: Texts,
    /// Name and values of each column. Null is not known.
    pub columns: Vec<(String, StringArray)>,
}

impl Typed for Metadata {
    const KIND: ArtifactKind = ArtifactKind::Metadata;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let mut builder =
            Builder::new(Self::KIND, self.example_id.len()).example_ids(&self.example_id);
        for (name, values) in self.columns {
            builder = builder.column(&name, values);
        }
        builder.build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let example_id = columns.example_ids()?;
        let columns = columns.named_columns(|name| Ok(columns.texts(name)?.array().clone()))?;
        Ok(Self { example_id, columns })
    }
}
