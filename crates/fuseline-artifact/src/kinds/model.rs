//! A fitted fusion rule.

use arrow::array::BinaryArray;
use serde::Deserialize;
use serde_json::json;

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::digest::Digest;
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::CLASSES;
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType};

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Model,
    version: 3,
    columns: &[
        Column::full("bytes", ColumnType::Binary, "the model as its plugin wrote it; one row"),
        Column::full(
            "fitted_on",
            ColumnType::Binary,
            "the rows it was fitted on: 16 bytes of the digest of each example_id, sorted",
        ),
        Column::full(
            "embedding_scales",
            ColumnType::Binary,
            "what its embeddings are standardised by: means, then scales, of each in turn, as \
             little-endian float64",
        ),
    ],
    metadata: &[
        MetadataKey { key: "plugin_id", of: MetadataType::Text, help: "the fusion rule" },
        MetadataKey {
            key: "plugin_version",
            of: MetadataType::Text,
            help: "its version, as it says",
        },
        MetadataKey {
            key: "plugin_digest",
            of: MetadataType::Digest,
            help: "digest of its shared library",
        },
        MetadataKey {
            key: "rows_digest",
            of: MetadataType::Digest,
            help: "digest of the rows it was fitted on",
        },
        MetadataKey {
            key: "modalities",
            of: MetadataType::Names,
            help: "the modalities, in the order of its inputs",
        },
        MetadataKey {
            key: "embeddings",
            of: MetadataType::Text,
            help: "JSON: of each embedding the modality, the columns, the columns that the rule \
                does not see, and `raw` where it is not standardised",
        },
        CLASSES,
    ],
    optional_metadata: &[],
};

/// The examples that a model was fitted on: enough to recognise one, not enough to read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FittedOn(Vec<u8>);

/// Bytes of a digest that are kept of each example: two of a billion examples agree by chance once
/// in 10^20 models.
const KEPT: usize = 16;

impl FittedOn {
    /// Takes note of examples.
    pub fn examples<'i>(ids: impl IntoIterator<Item = &'i str>) -> Self {
        let mut kept: Vec<[u8; KEPT]> = ids.into_iter().map(kept).collect();
        kept.sort_unstable();
        Self(kept.into_flattened())
    }

    /// True if the model was fitted on an example.
    pub fn contains(&self, id: &str) -> bool {
        let (rows, _) = self.0.as_chunks::<KEPT>();
        rows.binary_search(&kept(id)).is_ok()
    }
}

fn kept(id: &str) -> [u8; KEPT] {
    let digest = Digest::hash(id.as_bytes());
    let mut kept = [0; KEPT];
    kept.copy_from_slice(&digest.as_bytes()[..KEPT]);
    kept
}

/// One modality's embedding, as a rule was fitted on it.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingScale {
    /// The modality.
    pub modality: String,
    /// The columns that the rule sees, in their order.
    pub columns: Vec<String>,
    /// Columns that the rule does not see.
    pub excluded: Vec<String>,
    /// The mean of each column over the fitting rows, which replaces missing values.
    pub mean: Vec<f64>,
    /// Divisor of each column.
    pub scale: Vec<f64>,
    /// True if the rule takes the columns as they are: mean 0 and scale 1, and no missing value.
    pub raw: bool,
}

impl EmbeddingScale {
    /// An embedding that a rule takes as it is.
    pub fn raw(modality: String, columns: Vec<String>, excluded: Vec<String>) -> Self {
        let width = columns.len();
        let (mean, scale) = (vec![0.0; width], vec![1.0; width]);
        Self { modality, columns, excluded, mean, scale, raw: true }
    }
}

/// A fitted fusion rule, frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The fusion rule.
    pub plugin_id: String,
    /// Its version, as it states.
    pub plugin_version: String,
    /// The digest of its shared library.
    pub plugin_digest: Digest,
    /// The digest of the rows it was fitted on.
    pub rows_digest: Digest,
    /// The same rows, to recognise each.
    pub fitted_on: FittedOn,
    /// The modalities, in the order of its inputs.
    pub modalities: Vec<String>,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The embeddings that it takes, if any; they are frozen with it.
    pub embeddings: Vec<EmbeddingScale>,
    /// The model as its plugin wrote it.
    pub bytes: Vec<u8>,
}

impl Model {
    /// Digest of the frozen parts, which proves that the model did not change: its bytes, and how
    /// its embeddings are standardised where it takes any.
    pub fn model_digest(&self) -> Digest {
        if self.embeddings.is_empty() {
            return Digest::hash(&self.bytes);
        }
        let names = self.embedding_names();
        let parts = [names.into_bytes(), self.embedding_scales(), self.bytes.clone()];
        let lengths = parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes());
        Digest::hash([lengths.collect(), parts.concat()].concat())
    }

    fn embedding_names(&self) -> String {
        let each = self.embeddings.iter().map(|of| {
            let mut names = json!({
                "modality": of.modality, "columns": of.columns, "excluded": of.excluded
            });
            if of.raw {
                names["raw"] = true.into();
            }
            names
        });
        serde_json::Value::Array(each.collect()).to_string()
    }

    fn embedding_scales(&self) -> Vec<u8> {
        let values = self.embeddings.iter().flat_map(|of| of.mean.iter().chain(&of.scale));
        values.flat_map(|value| value.to_le_bytes()).collect()
    }
}

/// Reads the names and numbers of embeddings back; none when they do not fit together.
fn read_embeddings(names: &str, scales: &[u8]) -> Option<Vec<EmbeddingScale>> {
    let names: Vec<EmbeddingNames> = serde_json::from_str(names).ok()?;
    let (values, []) = scales.as_chunks::<8>() else { return None };
    let mut values = values.iter().map(|bytes| f64::from_le_bytes(*bytes));
    let mut take = |count| {
        let taken: Vec<f64> = values.by_ref().take(count).collect();
        (taken.len() == count).then_some(taken)
    };
    let mut embeddings = Vec::with_capacity(names.len());
    for EmbeddingNames { modality, columns, excluded, raw } in names {
        let (mean, scale) = (take(columns.len())?, take(columns.len())?);
        embeddings.push(EmbeddingScale { modality, columns, excluded, mean, scale, raw });
    }
    values.next().is_none().then_some(embeddings)
}

#[derive(Deserialize)]
struct EmbeddingNames {
    modality: String,
    columns: Vec<String>,
    excluded: Vec<String>,
    #[serde(default)]
    raw: bool,
}

impl Typed for Model {
    const KIND: ArtifactKind = ArtifactKind::Model;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        if i32::try_from(self.bytes.len()).is_err() {
            let problem = format!("the model has {} bytes", self.bytes.len());
            return Err(ArtifactError::TooLarge { kind: Self::KIND, problem });
        }
        let (names, scales) = (self.embedding_names(), self.embedding_scales());
        Builder::new(Self::KIND, 1)
            .column("bytes", BinaryArray::from_vec(vec![&self.bytes]))
            .column("fitted_on", BinaryArray::from_vec(vec![&self.fitted_on.0]))
            .column("embedding_scales", BinaryArray::from_vec(vec![&scales]))
            .metadata("embeddings", names)
            .metadata("plugin_id", self.plugin_id)
            .metadata("plugin_version", self.plugin_version)
            .metadata("plugin_digest", self.plugin_digest)
            .metadata("rows_digest", self.rows_digest)
            .names("modalities", &self.modalities)
            .class_names(&self.classes)
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        if columns.rows() != 1 {
            let (column, found) = ("bytes".to_owned(), columns.rows());
            return Err(ArtifactError::ColumnLength {
                kind: Self::KIND,
                column,
                expected: 1,
                found,
            });
        }
        let names = columns.text("embeddings")?;
        let scales = columns.binary("embedding_scales")?.value(0);
        let embeddings = read_embeddings(names, scales).ok_or_else(|| ArtifactError::Metadata {
            kind: Self::KIND,
            key: "embeddings".to_owned(),
            value: names.to_owned(),
            expected: "as many columns as there are means and scales",
        })?;
        Ok(Self {
            embeddings,
            plugin_id: columns.text("plugin_id")?.to_owned(),
            plugin_version: columns.text("plugin_version")?.to_owned(),
            plugin_digest: columns.text("plugin_digest")?.parse()?,
            rows_digest: columns.text("rows_digest")?.parse()?,
            modalities: columns.names("modalities")?,
            classes: columns.names("classes")?,
            fitted_on: FittedOn(columns.binary("fitted_on")?.value(0).to_vec()),
            bytes: columns.binary("bytes")?.value(0).to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_that_a_model_was_fitted_on_are_recognised_and_no_others() {
        let ids: Vec<String> = (0..500).map(|number| format!("person{number}_task")).collect();
        let fitted = FittedOn::examples(ids.iter().step_by(2).map(String::as_str));
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(fitted.contains(id), number % 2 == 0, "{id}");
        }
        assert!(!FittedOn::default().contains(""));
    }

    #[test]
    fn how_embeddings_are_standardised_is_frozen_with_the_model() {
        let mut model = crate::samples::model();
        let digest = model.model_digest();
        let bare = Model { embeddings: Vec::new(), ..model.clone() };
        assert_ne!(digest, bare.model_digest());
        assert_eq!(bare.model_digest(), Digest::hash(&bare.bytes));
        model.embeddings[0].scale[1] = f64::from_bits(model.embeddings[0].scale[1].to_bits() + 1);
        assert_ne!(digest, model.model_digest());
    }

    #[test]
    fn names_and_numbers_of_embeddings_that_do_not_fit_together_are_refused() {
        let mut artifact = crate::samples::model().into_artifact().unwrap();
        let names = r#"[{"modality": "audio", "columns": ["a"], "excluded": []}]"#;
        artifact.metadata.insert("embeddings".to_owned(), names.to_owned());
        let error = Model::from_artifact(&artifact).unwrap_err();
        assert!(error.to_string().contains("as many columns"), "{error}");
    }
}
