//! The fold that tests each example.

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::EXAMPLE_ID;
use crate::schema::{Column, ColumnType, KindSchema};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Folds,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column::full("fold", ColumnType::Int32, "the fold in which the example is tested"),
    ],
    metadata: &[],
    optional_metadata: &[],
};

/// The fold that tests each example.
#[derive(Debug, Clone, PartialEq)]
pub struct Folds {
    /// The example of each row.
    pub example_id: Texts,
    /// The fold in which it is tested.
    pub fold: Vec<i32>,
}

impl Typed for Folds {
    const KIND: ArtifactKind = ArtifactKind::Folds;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.example_id.len())
            .example_ids(&self.example_id)
            .column("fold", arrow::array::Int32Array::from(self.fold))
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        Ok(Self {
            example_id: columns.example_ids()?,
            fold: columns.ints32("fold")?.values().to_vec(),
        })
    }
}
