//! Effect of permuting quality on each example.

use arrow::array::{BooleanArray, Float64Array, Int64Array};

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::EXAMPLE_ID;
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType, TARGET};
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
    metadata: &[PERMUTATIONS],
    optional_metadata: &[],
};

const PERMUTATIONS: MetadataKey = MetadataKey {
    key: "permutations",
    of: MetadataType::Count,
    help: "how many permutations were counted",
};

pub(crate) static REGRESSION: KindSchema = KindSchema {
    columns: &[
        EXAMPLE_ID,
        Column::full("clean_prediction", ColumnType::Float64, "the prediction under Clean-Q"),
        Column::full(
            "broken_prediction",
            ColumnType::Float64,
            "its mean over the permutations of quality",
        ),
        Column::full(
            "broken_absolute_error",
            ColumnType::Float64,
            "mean of |prediction - label| over the permutations",
        ),
        Column::full(
            "broken_squared_error",
            ColumnType::Float64,
            "mean of (prediction - label)^2 over the permutations",
        ),
        Column::full(
            "prediction_shift",
            ColumnType::Float64,
            "mean of |prediction - that of Clean-Q| over the permutations",
        ),
    ],
    metadata: &[TARGET, PERMUTATIONS],
    ..SCHEMA
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

/// Effect of permuting quality on each example whose label is a number.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionEffects {
    /// Number of permutations counted.
    pub permutations: u32,
    /// The example of each row.
    pub example_id: Texts,
    /// The prediction under Clean-Q.
    pub clean_prediction: Vec<f64>,
    /// Its mean over the permutations; so are the means below.
    pub broken_prediction: Vec<f64>,
    /// Mean of |prediction - label|.
    pub broken_absolute_error: Vec<f64>,
    /// Mean of (prediction - label)^2.
    pub broken_squared_error: Vec<f64>,
    /// Mean of |prediction - that of Clean-Q|.
    pub prediction_shift: Vec<f64>,
}

impl Typed for RegressionEffects {
    const KIND: ArtifactKind = ArtifactKind::ExampleEffects;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.example_id.len())
            .regression()
            .metadata("permutations", self.permutations)
            .example_ids(&self.example_id)
            .finite("clean_prediction", &self.clean_prediction)
            .finite("broken_prediction", &self.broken_prediction)
            .finite("broken_absolute_error", &self.broken_absolute_error)
            .finite("broken_squared_error", &self.broken_squared_error)
            .finite("prediction_shift", &self.prediction_shift)
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read_regression(artifact, Self::KIND)?;
        let floats = |name: &str| Ok::<_, ArtifactError>(columns.floats(name)?.values().to_vec());
        Ok(Self {
            permutations: columns.parse("permutations", "a whole number")?,
            example_id: columns.example_ids()?,
            clean_prediction: floats("clean_prediction")?,
            broken_prediction: floats("broken_prediction")?,
            broken_absolute_error: floats("broken_absolute_error")?,
            broken_squared_error: floats("broken_squared_error")?,
            prediction_shift: floats("prediction_shift")?,
        })
    }
}
