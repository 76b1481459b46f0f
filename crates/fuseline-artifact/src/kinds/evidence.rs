//! An expert's class probabilities.

use arrow::buffer::ScalarBuffer;

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::{CLASSES, EXAMPLE_ID, VALUE};
use crate::schema::{
    Column, ColumnName, ColumnType, KindSchema, MetadataKey, MetadataType, TARGET,
};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Evidence,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column::full("probabilities", ColumnType::Probabilities, "the probability of each class"),
        Column {
            name: ColumnName::Optional(LOGITS),
            of: ColumnType::Probabilities,
            nullable: false,
            help: "the logit of each class before any calibration, where the expert keeps them; \
                   the softmax of those of a row are its uncalibrated probabilities",
        },
    ],
    metadata: &[MODALITY, CLASSES],
    optional_metadata: &[MetadataKey {
        key: INNER_FOLD,
        of: MetadataType::CountPerRow,
        help: "the inner fold of each training row: what made its evidence was fitted on the \
               rows of the others; left out where that is not known",
    }],
};

const MODALITY: MetadataKey =
    MetadataKey { key: "modality", of: MetadataType::Text, help: "the modality of the expert" };

pub(crate) static REGRESSION: KindSchema = KindSchema {
    columns: &[
        EXAMPLE_ID,
        Column::full("prediction", ColumnType::Float64, "the number that the expert expects"),
    ],
    metadata: &[MODALITY, TARGET],
    ..SCHEMA
};

/// The optional column of logits.
const LOGITS: &str = "logits";

/// The metadata with the inner fold of each row. Code that takes rows out of an artifact takes them
/// out of this, too.
pub const INNER_FOLD: &str = "inner_fold";

/// An expert's class probabilities. An example that has no row does not have the modality.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The modality of the expert.
    pub modality: String,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The example of each row.
    pub example_id: Texts,
    /// Probabilities in row-major order, one per row and class.
    pub probabilities: ScalarBuffer<f64>,
    /// The inner fold of each training row, where it is known: what made its evidence was fitted on
    /// the rows of the others.
    pub inner_fold: Option<Vec<u32>>,
    /// Logits before any calibration in row-major order, one per row and class, where they are
    /// kept.
    pub logits: Option<ScalarBuffer<f64>>,
}

impl Evidence {
    /// True if it is of a label that is a number: see [`AnyEvidence`].
    pub fn is_regression(&self) -> bool {
        self.classes == [VALUE]
    }

    /// Some rows, in the order given.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        let wide = self.classes.len();
        let of_rows = |values: &ScalarBuffer<f64>| -> ScalarBuffer<f64> {
            rows.iter().flat_map(|&row| &values[row * wide..][..wide]).copied().collect()
        };
        let inner_fold = self.inner_fold.as_ref();
        Self {
            modality: self.modality.clone(),
            classes: self.classes.clone(),
            example_id: self.example_id.take(rows.iter().copied()),
            probabilities: of_rows(&self.probabilities),
            inner_fold: inner_fold.map(|fold| rows.iter().map(|&row| fold[row]).collect()),
            logits: self.logits.as_ref().map(of_rows),
        }
    }
}

impl Typed for Evidence {
    const KIND: ArtifactKind = ArtifactKind::Evidence;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let builder = Builder::new(Self::KIND, self.example_id.len())
            .metadata("modality", self.modality)
            .class_names(&self.classes)
            .example_ids(&self.example_id)
            .probabilities(self.probabilities, &self.classes);
        let builder = match self.logits {
            Some(logits) => builder.logits(LOGITS, logits, &self.classes),
            None => builder,
        };
        let builder = match self.inner_fold {
            Some(fold) => builder.metadata(INNER_FOLD, serde_json::Value::from(fold)),
            None => builder,
        };
        builder.build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let classes = columns.names("classes")?;
        Ok(Self {
            modality: columns.text("modality")?.to_owned(),
            example_id: columns.example_ids()?,
            probabilities: columns.probabilities(&classes)?,
            logits: columns.optional_lists(LOGITS, &classes)?,
            inner_fold: columns.counts(INNER_FOLD)?,
            classes,
        })
    }
}

/// What an expert says, whether the label is a class or a number. Where it is a number, the
/// evidence is of the one class [`VALUE`] and its `probabilities` are what the expert expects.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyEvidence(pub Evidence);

impl Typed for AnyEvidence {
    const KIND: ArtifactKind = ArtifactKind::Evidence;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let Self(evidence) = self;
        if !evidence.is_regression() {
            return evidence.into_artifact();
        }
        let fold = evidence.inner_fold.map(serde_json::Value::from);
        Builder::new(Self::KIND, evidence.example_id.len())
            .regression()
            .metadata("modality", evidence.modality)
            .optional_metadata(INNER_FOLD, fold)
            .example_ids(&evidence.example_id)
            .finite("prediction", &evidence.probabilities)
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read_any(artifact, Self::KIND)?;
        if !columns.is_regression() {
            return Evidence::from_artifact(artifact).map(Self);
        }
        Ok(Self(Evidence {
            modality: columns.text("modality")?.to_owned(),
            classes: vec![VALUE.to_owned()],
            example_id: columns.example_ids()?,
            probabilities: columns.floats("prediction")?.values().clone(),
            inner_fold: columns.counts(INNER_FOLD)?,
            logits: None,
        }))
    }
}
