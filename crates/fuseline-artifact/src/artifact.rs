//! Any artifact: its kind, its table or bytes, its metadata.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use bytes::Bytes;

use crate::encoding;
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;

/// Any artifact, as it travels between stages and the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// Its content.
    pub payload: Payload,
    /// What is said of the whole table. The kind and its version are added when it is encoded.
    pub metadata: BTreeMap<String, String>,
}

/// The content of an artifact.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// A table, stored as Parquet. The metadata of its own schema is not looked at.
    Table(RecordBatch),
    /// A document, stored as it is.
    Bytes {
        /// What the bytes are, such as `text/html`.
        media_type: String,
        /// The document.
        bytes: Bytes,
    },
}

/// What bytes are when nobody says.
const UNKNOWN_MEDIA_TYPE: &str = "application/octet-stream";

impl Artifact {
    /// The bytes to store: Parquet for a table. Checked against the schema of the kind first.
    pub fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        match (&self.payload, self.kind.schema()) {
            (Payload::Table(table), Some(schema)) => {
                encoding::encode(&schema.check(table, &self.metadata)?, &self.metadata, schema)
            }
            (Payload::Bytes { bytes, .. }, None) => Ok(bytes.to_vec()),
            (Payload::Table(_), None) => Err(self.is_not("a table")),
            (Payload::Bytes { .. }, Some(_)) => Err(self.is_not("a document")),
        }
    }

    /// Reads an artifact back. Damaged bytes, another kind and another schema are errors.
    ///
    /// `media_type` is what was recorded for a document; a table has none.
    pub fn decode(
        kind: ArtifactKind,
        media_type: Option<&str>,
        bytes: impl Into<Bytes>,
    ) -> Result<Self, ArtifactError> {
        let Some(schema) = kind.schema() else {
            let media_type = media_type.unwrap_or(UNKNOWN_MEDIA_TYPE).to_owned();
            let payload = Payload::Bytes { media_type, bytes: bytes.into() };
            return Ok(Self { kind, payload, metadata: BTreeMap::new() });
        };
        let (table, metadata) = encoding::decode(schema, bytes.into(), None)?;
        let table = schema.check(&table, &metadata)?;
        Ok(Self { kind, payload: Payload::Table(table), metadata })
    }

    /// Reads only the named columns of a table, in the order in which it has them.
    pub fn decode_columns(
        kind: ArtifactKind,
        bytes: impl Into<Bytes>,
        columns: &[&str],
    ) -> Result<RecordBatch, ArtifactError> {
        let Some(schema) = kind.schema() else {
            return Err(ArtifactError::WrongKind { expected: kind, found: "a table".to_owned() });
        };
        encoding::decode(schema, bytes.into(), Some(columns)).map(|(table, _)| table)
    }

    /// The table of an artifact of this kind.
    pub fn table(&self, kind: ArtifactKind) -> Result<&RecordBatch, ArtifactError> {
        match &self.payload {
            Payload::Table(table) if self.kind == kind => Ok(table),
            _ => Err(ArtifactError::WrongKind { expected: kind, found: self.kind.to_string() }),
        }
    }

    /// What the bytes of a document are; a table has no media type.
    pub fn media_type(&self) -> Option<&str> {
        match &self.payload {
            Payload::Table(_) => None,
            Payload::Bytes { media_type, .. } => Some(media_type),
        }
    }

    fn is_not(&self, found: &str) -> ArtifactError {
        ArtifactError::WrongKind { expected: self.kind, found: found.to_owned() }
    }
}

/// An artifact of one kind, as stages see it.
pub trait Typed: Sized {
    /// The kind.
    const KIND: ArtifactKind;

    /// Makes it an artifact. Columns of unequal length and values outside their range are errors.
    fn into_artifact(self) -> Result<Artifact, ArtifactError>;

    /// Reads it from an artifact, which must be of this kind.
    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError>;
}

#[cfg(test)]
mod tests;
