//! A fitted fusion rule.

use arrow::array::BinaryArray;

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::digest::Digest;
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::CLASSES;
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType};

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Model,
    version: 2,
    columns: &[
        Column::full("bytes", ColumnType::Binary, "the model as its plugin wrote it; one row"),
        Column::full(
            "fitted_on",
            ColumnType::Binary,
            "the rows it was fitted on: 16 bytes of the digest of each example_id, sorted",
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
        CLASSES,
    ],
};

/// The examples that a model was fitted on: enough to recognise one, not enough to read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FittedOn(Vec<u8>);

/// Bytes of a digest that are kept of each example: two of a billion examples agree by chance once in 10^20 models.
const KEPT: usize = 16;

impl FittedOn {
    /// Takes note of examples.
    pub fn examples<'i>(ids: impl IntoIterator<Item = &'i str>) -> Self {
        let mut kept: Vec<[u8; KEPT]> = ids.into_iter().map(kept).collect();
        kept.sort_unstable();
        Self(kept.concat())
    }

    /// Whether the model was fitted on an example.
    pub fn contains(&self, id: &str) -> bool {
        let (rows, _) = self.0.as_chunks::<KEPT>();
        rows.binary_search(&kept(id)).is_ok()
    }
}

fn kept(id: &str) -> [u8; KEPT] {
    let digest = Digest::of(id.as_bytes());
    let mut kept = [0; KEPT];
    kept.copy_from_slice(&digest.as_bytes()[..KEPT]);
    kept
}

/// A fitted fusion rule, frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The fusion rule.
    pub plugin_id: String,
    /// Its version, as it says.
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
    /// The model as its plugin wrote it.
    pub bytes: Vec<u8>,
}

impl Model {
    /// The digest of the bytes: what proves that the model stayed frozen.
    pub fn model_digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

impl Typed for Model {
    const KIND: ArtifactKind = ArtifactKind::Model;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        if i32::try_from(self.bytes.len()).is_err() {
            let problem = format!("the model has {} bytes", self.bytes.len());
            return Err(ArtifactError::TooLarge { kind: Self::KIND, problem });
        }
        Builder::new(Self::KIND, 1)
            .column("bytes", BinaryArray::from_vec(vec![&self.bytes]))
            .column("fitted_on", BinaryArray::from_vec(vec![&self.fitted_on.0]))
            .metadata("plugin_id", self.plugin_id)
            .metadata("plugin_version", self.plugin_version)
            .metadata("plugin_digest", self.plugin_digest)
            .metadata("rows_digest", self.rows_digest)
            .names("modalities", &self.modalities)
            .class_names(&self.classes)
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::of(artifact, Self::KIND)?;
        if columns.rows() != 1 {
            let (column, found) = ("bytes".to_owned(), columns.rows());
            return Err(ArtifactError::ColumnLength {
                kind: Self::KIND,
                column,
                expected: 1,
                found,
            });
        }
        Ok(Self {
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
}
