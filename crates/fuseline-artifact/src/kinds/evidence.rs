//! An expert's class probabilities.

use arrow::buffer::ScalarBuffer;

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::{CLASSES, EXAMPLE_ID};
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Evidence,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column::full("probabilities", ColumnType::Probabilities, "the probability of each class"),
    ],
    metadata: &[
        MetadataKey { key: "modality", of: MetadataType::Text, help: "the modality of the expert" },
        CLASSES,
    ],
};

/// An expert's class probabilities. An example that has no row does not have the modality.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The modality of the expert.
    pub modality: String,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The example of each row.
    pub example_id: Texts,
    /// Probabilities in row-major order: as many a row as there are classes.
    pub probabilities: ScalarBuffer<f64>,
}

impl Typed for Evidence {
    const KIND: ArtifactKind = ArtifactKind::Evidence;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.example_id.len())
            .metadata("modality", self.modality)
            .class_names(&self.classes)
            .example_ids(&self.example_id)
            .probabilities(self.probabilities, &self.classes)
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::of(artifact, Self::KIND)?;
        let classes = columns.names("classes")?;
        Ok(Self {
            modality: columns.text("modality")?.to_owned(),
            example_id: columns.example_ids()?,
            probabilities: columns.probabilities(&classes)?,
            classes,
        })
    }
}
