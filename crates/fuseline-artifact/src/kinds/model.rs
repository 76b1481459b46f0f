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
    version: 1,
    columns: &[Column::full(
        "bytes",
        ColumnType::Binary,
        "the model as its plugin wrote it; one row",
    )],
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
            bytes: columns.binary("bytes")?.value(0).to_vec(),
        })
    }
}
