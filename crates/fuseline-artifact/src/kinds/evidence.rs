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
    optional_metadata: &[
        INNER_FOLDS,
        MetadataKey {
            key: HAS_EXPERT,
            of: MetadataType::Boolean,
            help: "`false` where the modality has no expert: the probabilities are alike and say \
                   nothing; left out otherwise",
        },
    ],
};

pub(crate) static REGRESSION: KindSchema = KindSchema {
    columns: &[
        EXAMPLE_ID,
        Column::full("prediction", ColumnType::Float64, "the number that the expert expects"),
    ],
    metadata: &[MODALITY, TARGET],
    optional_metadata: &[INNER_FOLDS],
    ..SCHEMA
};

const MODALITY: MetadataKey =
    MetadataKey { key: "modality", of: MetadataType::Text, help: "the modality of the expert" };

const INNER_FOLDS: MetadataKey = MetadataKey {
    key: INNER_FOLD,
    of: MetadataType::CountPerRow,
    help: "the inner fold of each training row: what made its evidence was fitted on the rows of \
           the others; left out where that is not known",
};

/// The metadata of the rows of a modality that has no expert.
const HAS_EXPERT: &str = "has_expert";

/// The optional column of logits.
const LOGITS: &str = "logits";

/// The metadata with the inner fold of each row. Code that takes rows out of an artifact takes them
/// out of this, too.
pub const INNER_FOLD: &str = "inner_fold";

/// An expert's class probabilities. An example that has no row does not have the modality.
///
/// An artifact of a modality without an expert is an error here: those who need no more than its
/// rows read [`OptionalEvidence`].
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

/// Evidence of a modality, or the rows of one that has no expert.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionalEvidence {
    /// Modality, classes and rows. The probabilities say nothing where there is no expert.
    pub rows: Evidence,
    /// True if an expert has rated the rows.
    pub has_expert: bool,
}

impl OptionalEvidence {
    /// Rows that no expert has rated: every class is as probable as any other.
    pub fn unrated(modality: String, classes: Vec<String>, example_id: Texts) -> Self {
        let probability = 1.0 / classes.len() as f64;
        let probabilities = std::iter::repeat_n(probability, example_id.len() * classes.len());
        let probabilities = probabilities.collect();
        let rows = Evidence {
            modality,
            classes,
            example_id,
            probabilities,
            logits: None,
            inner_fold: None,
        };
        Self { rows, has_expert: false }
    }

    /// Some rows, in the order given.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        Self { rows: self.rows.take(rows), has_expert: self.has_expert }
    }
}

impl From<Evidence> for OptionalEvidence {
    fn from(rows: Evidence) -> Self {
        Self { rows, has_expert: true }
    }
}

impl Typed for OptionalEvidence {
    const KIND: ArtifactKind = ArtifactKind::Evidence;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        self.rows
            .builder()
            .optional_metadata(HAS_EXPERT, (!self.has_expert).then_some(false))
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let has_expert = columns.parse_optional(HAS_EXPERT, "true or false")?.unwrap_or(true);
        Ok(Self { rows: Evidence::read(&columns)?, has_expert })
    }
}

impl Evidence {
    fn builder(self) -> Builder {
        let builder = Builder::new(Self::KIND, self.example_id.len())
            .metadata("modality", self.modality)
            .class_names(&self.classes)
            .example_ids(&self.example_id)
            .probabilities(self.probabilities, &self.classes);
        let builder = match self.logits {
            Some(logits) => builder.logits(LOGITS, logits, &self.classes),
            None => builder,
        };
        match self.inner_fold {
            Some(fold) => builder.metadata(INNER_FOLD, serde_json::Value::from(fold)),
            None => builder,
        }
    }

    fn read(columns: &Columns<'_>) -> Result<Self, ArtifactError> {
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

impl Typed for Evidence {
    const KIND: ArtifactKind = ArtifactKind::Evidence;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        self.builder().build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        match OptionalEvidence::from_artifact(artifact)? {
            OptionalEvidence { rows, has_expert: true } => Ok(rows),
            OptionalEvidence { rows, .. } => {
                Err(ArtifactError::NoExpert { modality: rows.modality })
            }
        }
    }
}

/// What an expert says, whether the label is a class or a number, or the rows of a modality that has
/// none. Where it is a number, the evidence is of the one class [`VALUE`] and its `probabilities` are
/// what the expert expects.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyEvidence(pub OptionalEvidence);

impl Typed for AnyEvidence {
    const KIND: ArtifactKind = ArtifactKind::Evidence;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let Self(any) = self;
        if !any.rows.is_regression() {
            return any.into_artifact();
        }
        let evidence = any.rows;
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
            return OptionalEvidence::from_artifact(artifact).map(Self);
        }
        let rows = Evidence {
            modality: columns.text("modality")?.to_owned(),
            classes: vec![VALUE.to_owned()],
            example_id: columns.example_ids()?,
            probabilities: columns.floats("prediction")?.values().clone(),
            inner_fold: columns.counts(INNER_FOLD)?,
            logits: None,
        };
        Ok(Self(rows.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_an_expert_are_no_evidence() {
        let classes = vec!["rest".to_owned(), "stress".to_owned()];
        let ids = Texts::from_iter(["a", "b", "c"]);
        let unrated = OptionalEvidence::unrated("text".to_owned(), classes, ids);
        let artifact = unrated.clone().into_artifact().unwrap();
        assert_eq!(OptionalEvidence::from_artifact(&artifact).unwrap(), unrated);
        let error = Evidence::from_artifact(&artifact).unwrap_err();
        assert_eq!(
            error.to_string(),
            "modality text has no expert, and its evidence is needed here"
        );

        let rated: OptionalEvidence = unrated.rows.into();
        let artifact = rated.clone().into_artifact().unwrap();
        assert_eq!(Evidence::from_artifact(&artifact).unwrap(), rated.rows);
        assert_eq!(artifact, rated.rows.into_artifact().unwrap(), "no other bytes than before");
    }
}
