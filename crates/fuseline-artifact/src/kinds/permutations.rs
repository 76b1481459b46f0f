//! Counts of right decisions under every permutation of quality.

use arrow::array::{Int32Array, Int64Array};
use serde::{Deserialize, Serialize};

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::digest::Digest;
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::CLASSES;
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType, TARGET};

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Permutations,
    version: 1,
    columns: &[
        Column::full("permutation", ColumnType::Int32, "the permutation, from 0; -1 is Clean-Q"),
        Column::full("class", ColumnType::Categories, "the true class"),
        Column::full("n", ColumnType::Int64, "how many test examples are of the class"),
        Column::full("correct", ColumnType::Int64, "how many of them were decided rightly"),
    ],
    metadata: &[CLASSES, MODEL, PLUGIN, SCHEME],
    optional_metadata: &[
        MetadataKey {
            key: "reads_quality",
            of: MetadataType::Boolean,
            help: "whether the rule declares that it reads quality",
        },
        MetadataKey {
            key: "quality_moved",
            of: MetadataType::Number,
            help: "test examples whose quality a permutation changes, on average",
        },
        MetadataKey {
            key: "quality_movable",
            of: MetadataType::Number,
            help: "the same of a joint permutation",
        },
    ],
};

const MODEL: MetadataKey = MetadataKey {
    key: "model_digest",
    of: MetadataType::Digest,
    help: "digest of the frozen model",
};
const PLUGIN: MetadataKey =
    MetadataKey { key: "plugin_id", of: MetadataType::Text, help: "the fusion rule" };
const SCHEME: MetadataKey =
    MetadataKey { key: "scheme", of: MetadataType::Text, help: "how quality was permuted" };

pub(crate) static REGRESSION: KindSchema = KindSchema {
    columns: &[
        Column::full("permutation", ColumnType::Int32, "the permutation, from 0; -1 is Clean-Q"),
        Column::full("n", ColumnType::Int64, "how many test examples there are"),
        sum("sum_absolute_error", "sum of |prediction - label|"),
        sum("sum_squared_error", "sum of (prediction - label)^2"),
        sum("sum_label", "sum of the labels, each less the origin"),
        sum("sum_prediction", "sum of the predictions, each less the origin"),
        sum("sum_label_squared", "sum of the squares of the labels less the origin"),
        sum("sum_prediction_squared", "sum of the squares of the predictions less the origin"),
        sum("sum_product", "sum of the products of label and prediction, each less the origin"),
    ],
    metadata: &[
        TARGET,
        MetadataKey {
            key: "origin",
            of: MetadataType::Number,
            help: "what labels and predictions are counted from: the mean label of the cohort",
        },
        MODEL,
        PLUGIN,
        SCHEME,
    ],
    ..SCHEMA
};

const fn sum(name: &'static str, help: &'static str) -> Column {
    Column::full(name, ColumnType::Float64, help)
}

/// Counts of right decisions under every permutation of quality. Counts, so that folds pool
/// exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct Permutations {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The digest of the frozen model.
    pub model_digest: Digest,
    /// The fusion rule.
    pub plugin_id: String,
    /// Scheme by which quality was permuted.
    pub scheme: String,
    /// True if the rule declares that it reads quality.
    pub reads_quality: Option<bool>,
    /// Test examples whose quality a permutation changes, on average.
    pub quality_moved: Option<f64>,
    /// The same of a joint permutation: among all examples with the same modalities.
    pub quality_movable: Option<f64>,
    /// The permutation of each row, from 0; -1 is Clean-Q.
    pub permutation: Vec<i32>,
    /// The index of the true class.
    pub class: Vec<u32>,
    /// Number of test examples of the class.
    pub n: Vec<i64>,
    /// Number of them that were decided rightly.
    pub correct: Vec<i64>,
}

impl Typed for Permutations {
    const KIND: ArtifactKind = ArtifactKind::Permutations;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.permutation.len())
            .class_names(&self.classes)
            .metadata("model_digest", self.model_digest)
            .metadata("plugin_id", self.plugin_id)
            .metadata("scheme", self.scheme)
            .optional_metadata("reads_quality", self.reads_quality)
            .optional_metadata("quality_moved", self.quality_moved)
            .optional_metadata("quality_movable", self.quality_movable)
            .column("permutation", Int32Array::from(self.permutation))
            .classes("class", &self.class, &self.classes)
            .column("n", Int64Array::from(self.n))
            .column("correct", Int64Array::from(self.correct))
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let classes = columns.names("classes")?;
        Ok(Self {
            model_digest: columns.text("model_digest")?.parse()?,
            plugin_id: columns.text("plugin_id")?.to_owned(),
            scheme: columns.text("scheme")?.to_owned(),
            reads_quality: columns.parse_optional("reads_quality", "true or false")?,
            quality_moved: columns.parse_optional("quality_moved", "a number")?,
            quality_movable: columns.parse_optional("quality_movable", "a number")?,
            permutation: columns.ints32("permutation")?.values().to_vec(),
            class: columns.class_indices("class", &classes)?,
            n: columns.ints64("n")?.values().to_vec(),
            correct: columns.ints64("correct")?.values().to_vec(),
            classes,
        })
    }
}

/// Sums under one permutation of quality, from which every metric of numbers is computed. Sums, so
/// that folds pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermutationSums {
    /// Test examples.
    pub n: i64,
    /// Sum of |prediction - label|.
    pub absolute_error: f64,
    /// Sum of (prediction - label)^2.
    pub squared_error: f64,
    /// Sum of the labels, each less the origin; so are the sums below.
    pub label: f64,
    /// Sum of the predictions.
    pub prediction: f64,
    /// Sum of the squares of the labels.
    pub label_squared: f64,
    /// Sum of the squares of the predictions.
    pub prediction_squared: f64,
    /// Sum of label x prediction.
    pub product: f64,
}

/// Sums of errors under every permutation of quality, where the label is a number.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionPermutations {
    /// The number that labels and predictions are counted from.
    pub origin: f64,
    /// The digest of the frozen model.
    pub model_digest: Digest,
    /// The fusion rule.
    pub plugin_id: String,
    /// Scheme by which quality was permuted.
    pub scheme: String,
    /// True if the rule declares that it reads quality.
    pub reads_quality: Option<bool>,
    /// Test examples whose quality a permutation changes, on average.
    pub quality_moved: Option<f64>,
    /// The same of a joint permutation.
    pub quality_movable: Option<f64>,
    /// The permutation of each row, from 0; -1 is Clean-Q.
    pub permutation: Vec<i32>,
    /// Sums of each row.
    pub sums: Vec<PermutationSums>,
}

impl Typed for RegressionPermutations {
    const KIND: ArtifactKind = ArtifactKind::Permutations;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let of = |value: fn(&PermutationSums) -> f64| -> Vec<f64> {
            self.sums.iter().map(value).collect()
        };
        Builder::new(Self::KIND, self.permutation.len())
            .regression()
            .metadata("origin", self.origin)
            .metadata("model_digest", self.model_digest)
            .metadata("plugin_id", &self.plugin_id)
            .metadata("scheme", &self.scheme)
            .optional_metadata("reads_quality", self.reads_quality)
            .optional_metadata("quality_moved", self.quality_moved)
            .optional_metadata("quality_movable", self.quality_movable)
            .column("permutation", Int32Array::from(self.permutation.clone()))
            .column("n", self.sums.iter().map(|sums| sums.n).collect::<Int64Array>())
            .finite("sum_absolute_error", &of(|sums| sums.absolute_error))
            .finite("sum_squared_error", &of(|sums| sums.squared_error))
            .finite("sum_label", &of(|sums| sums.label))
            .finite("sum_prediction", &of(|sums| sums.prediction))
            .finite("sum_label_squared", &of(|sums| sums.label_squared))
            .finite("sum_prediction_squared", &of(|sums| sums.prediction_squared))
            .finite("sum_product", &of(|sums| sums.product))
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read_regression(artifact, Self::KIND)?;
        let n = columns.ints64("n")?.values();
        let mut sums: Vec<PermutationSums> =
            n.iter().map(|&n| PermutationSums { n, ..Default::default() }).collect();
        let mut fill = |name: &str, place: fn(&mut PermutationSums) -> &mut f64| {
            let values = columns.floats(name)?.values();
            sums.iter_mut().zip(values).for_each(|(sums, value)| *place(sums) = *value);
            Ok::<(), ArtifactError>(())
        };
        fill("sum_absolute_error", |sums| &mut sums.absolute_error)?;
        fill("sum_squared_error", |sums| &mut sums.squared_error)?;
        fill("sum_label", |sums| &mut sums.label)?;
        fill("sum_prediction", |sums| &mut sums.prediction)?;
        fill("sum_label_squared", |sums| &mut sums.label_squared)?;
        fill("sum_prediction_squared", |sums| &mut sums.prediction_squared)?;
        fill("sum_product", |sums| &mut sums.product)?;
        Ok(Self {
            origin: columns.parse("origin", "a number")?,
            model_digest: columns.text("model_digest")?.parse()?,
            plugin_id: columns.text("plugin_id")?.to_owned(),
            scheme: columns.text("scheme")?.to_owned(),
            reads_quality: columns.parse_optional("reads_quality", "true or false")?,
            quality_moved: columns.parse_optional("quality_moved", "a number")?,
            quality_movable: columns.parse_optional("quality_movable", "a number")?,
            permutation: columns.ints32("permutation")?.values().to_vec(),
            sums,
        })
    }
}

/// Effect of permutations of quality, for labels that are classes or numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyPermutations {
    /// Counts of right decisions.
    Classes(Permutations),
    /// Sums of errors.
    Regression(RegressionPermutations),
}

impl Typed for AnyPermutations {
    const KIND: ArtifactKind = ArtifactKind::Permutations;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        match self {
            Self::Classes(counts) => counts.into_artifact(),
            Self::Regression(sums) => sums.into_artifact(),
        }
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        match Columns::read_any(artifact, Self::KIND)?.is_regression() {
            true => RegressionPermutations::from_artifact(artifact).map(Self::Regression),
            false => Permutations::from_artifact(artifact).map(Self::Classes),
        }
    }
}
