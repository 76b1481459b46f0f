//! Counts of right decisions under every permutation of quality.

use arrow::array::{Int32Array, Int64Array};

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::digest::Digest;
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::CLASSES;
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType};

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Permutations,
    version: 1,
    columns: &[
        Column::full("permutation", ColumnType::Int32, "the permutation, from 0; -1 is Clean-Q"),
        Column::full("class", ColumnType::Categories, "the true class"),
        Column::full("n", ColumnType::Int64, "how many test examples are of the class"),
        Column::full("correct", ColumnType::Int64, "how many of them were decided rightly"),
    ],
    metadata: &[
        CLASSES,
        MetadataKey {
            key: "model_digest",
            of: MetadataType::Digest,
            help: "digest of the frozen model",
        },
        MetadataKey { key: "plugin_id", of: MetadataType::Text, help: "the fusion rule" },
        MetadataKey { key: "scheme", of: MetadataType::Text, help: "how quality was permuted" },
    ],
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
