//! Effect of permuting quality on each example.

use arrow::array::{BooleanArray, Float64Array, Int64Array};

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::EXAMPLE_ID;
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::ExampleEffects,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column::full("clean_correct", ColumnType::Boolean, "whether the Clean-Q decision is right"),
        Column::full(
            "broken_correct",
            ColumnType::Int64,
            "under how many permutations the decision is right",
        ),
        Column::full(
            "flips",
            ColumnType::Int64,
            "under how many permutations the decision differs from Clean-Q",
        ),
        Column::full(
            "probability_shift",
            ColumnType::Float64,
            "mean total-variation distance of the probabilities from those of Clean-Q",
        ),
    ],
    metadata: &[MetadataKey {
        key: "permutations",
        of: MetadataType::Count,
        help: "how many permutations were counted",
    }],
    optional_metadata: &[],
};

/// Effect of permuting quality on each example.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleEffects {
    /// Number of permutations counted.
    pub permutations: u32,
    /// The example of each row.
    pub example_id: Texts,
    /// True if the Clean-Q decision is right.
    pub clean_correct: Vec<bool>,
    /// Number of permutations under which the decision is right.
    pub broken_correct: Vec<i64>,
    /// Number of permutations under which the decision differs from that of Clean-Q.
    pub flips: Vec<i64>,
    /// Mean total-variation distance of the probabilities from those of Clean-Q.
    pub probability_shift: Vec<f64>,
}

impl Typed for ExampleEffects {
    const KIND: ArtifactKind = ArtifactKind::ExampleEffects;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.example_id.len())
            .metadata("permutations", self.permutations)
            .example_ids(&self.example_id)
            .column("clean_correct", BooleanArray::from(self.clean_correct))
            .column("broken_correct", Int64Array::from(self.broken_correct))
            .column("flips", Int64Array::from(self.flips))
            .column("probability_shift", Float64Array::from(self.probability_shift))
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        Ok(Self {
            permutations: columns.parse("permutations", "a whole number")?,
            example_id: columns.example_ids()?,
            clean_correct: columns.booleans("clean_correct")?.iter().flatten().collect(),
            broken_correct: columns.ints64("broken_correct")?.values().to_vec(),
            flips: columns.ints64("flips")?.values().to_vec(),
            probability_shift: columns.floats("probability_shift")?.values().to_vec(),
        })
    }
}
