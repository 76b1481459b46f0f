//! One modality's raw features.

use arrow::array::Float64Array;

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::EXAMPLE_ID;
use crate::schema::{Column, ColumnName, ColumnType, KindSchema};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Features,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column {
            name: ColumnName::Begins(""),
            of: ColumnType::Float64,
            nullable: true,
            help: "one column a feature; null where it was not observed",
        },
    ],
    metadata: &[],
    optional_metadata: &[],
};

/// One modality's raw features. An example that has no row does not have the modality.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// The example of each row.
    pub example_id: Texts,
    /// Name and values of each feature. Null is missing; values that are not finite are kept.
    pub columns: Vec<(String, Float64Array)>,
}

impl Typed for Features {
    const KIND: ArtifactKind = ArtifactKind::Features;

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
        let columns = columns.named_columns(|name| Ok(columns.floats(name)?.clone()))?;
        Ok(Self { example_id, columns })
    }
}
