//! Fused class probabilities and decisions.

use arrow::buffer::ScalarBuffer;

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::{CLASSES, EXAMPLE_ID};
use crate::schema::{Column, ColumnType, KindSchema, TARGET};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Predictions,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column::full(
            "probabilities",
            ColumnType::Probabilities,
            "the fused probability of each class",
        ),
        Column::full("decision", ColumnType::Categories, "the class that was decided for"),
    ],
    metadata: &[CLASSES],
    optional_metadata: &[],
};

pub(crate) static REGRESSION: KindSchema = KindSchema {
    columns: &[
        EXAMPLE_ID,
        Column::full("prediction", ColumnType::Float64, "the number that the fused model expects"),
    ],
    metadata: &[TARGET],
    ..SCHEMA
};

/// Fused class probabilities and decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The example of each row.
    pub example_id: Texts,
    /// Probabilities in row-major order, one per row and class.
    pub probabilities: ScalarBuffer<f64>,
    /// The index of the class that was decided for.
    pub decision: Vec<u32>,
}

impl Typed for Predictions {
    const KIND: ArtifactKind = ArtifactKind::Predictions;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.example_id.len())
            .class_names(&self.classes)
            .example_ids(&self.example_id)
            .probabilities(self.probabilities, &self.classes)
            .classes("decision", &self.decision, &self.classes)
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let classes = columns.names("classes")?;
        Ok(Self {
            example_id: columns.example_ids()?,
            probabilities: columns.probabilities(&classes)?,
            decision: columns.class_indices("decision", &classes)?,
            classes,
        })
    }
}

/// Fused predictions of a number.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionPredictions {
    /// The example of each row.
    pub example_id: Texts,
    /// The number that the fused model expects; finite.
    pub prediction: Vec<f64>,
}

impl Typed for RegressionPredictions {
    const KIND: ArtifactKind = ArtifactKind::Predictions;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.example_id.len())
            .regression()
            .example_ids(&self.example_id)
            .finite("prediction", &self.prediction)
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read_regression(artifact, Self::KIND)?;
        Ok(Self {
            example_id: columns.example_ids()?,
            prediction: columns.floats("prediction")?.values().to_vec(),
        })
    }
}
