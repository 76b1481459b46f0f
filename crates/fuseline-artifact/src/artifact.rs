//! Any artifact: its kind, its table or bytes, its metadata.

use std::collections::BTreeMap;
use std::io::Write;

use arrow::array::RecordBatch;
use bytes::Bytes;

use crate::encoding;
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::sequence::Sequence;

/// Any artifact, as it travels between stages and the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// Its kind.
    pub kind: ArtifactKind,
    /// Its content.
    pub payload: Payload,
    /// Metadata of the whole table. The kind and its version are added when it is encoded.
    pub metadata: BTreeMap<String, String>,
}

/// The content of an artifact.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// A table, stored as Parquet. The metadata of its own schema is ignored.
    Table(RecordBatch),
    /// A document, stored as it is.
    Bytes {
        /// Media type of the bytes, such as `text/html`.
        media_type: String,
        /// The document.
        bytes: Bytes,
    },
}

/// Media type of bytes that have none given.
const UNKNOWN_MEDIA_TYPE: &str = "application/octet-stream";

/// Up to this many bytes a table is read in one piece: there is nothing to save.
const SMALL: u64 = 1 << 20;

impl Artifact {
    /// The bytes to store: Parquet for a table. Checked against the schema of the kind first.
    pub fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the bytes of [`Artifact::encode`] as they are made, a group of rows at a time.
    pub fn write(&self, mut sink: impl Write + Send) -> Result<(), ArtifactError> {
        match (&self.payload, self.kind.schema()) {
            (Payload::Table(table), Some(schema)) => {
                let table = schema.check(table, &self.metadata)?;
                encoding::encode(&table, &self.metadata, schema.for_metadata(&self.metadata), sink)
            }
            (Payload::Bytes { bytes, .. }, None) => Ok(sink.write_all(bytes)?),
            (Payload::Table(_), None) => Err(self.is_not("a table")),
            (Payload::Bytes { .. }, Some(_)) => Err(self.is_not("a document")),
        }
    }

    /// Reads an artifact back. Damaged bytes, another kind and another schema are errors.
    ///
    /// `media_type` is the recorded media type of a document; a table has none.
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
        let (table, metadata) = encoding::decode(schema, bytes.into())?;
        let table = schema.check(&table, &metadata)?;
        Ok(Self { kind, payload: Payload::Table(table), metadata })
    }

    /// Reads an artifact back like [`Artifact::decode`], without holding its bytes: what is in
    /// memory is the table and one column of one group of rows.
    ///
    /// With `columns`, only those of a large table, as far as it has them and in its own order; the
    /// others are passed over, and what is left is not checked against the schema of the kind.
    pub fn read(
        kind: ArtifactKind,
        media_type: Option<&str>,
        columns: Option<&[&str]>,
        bytes: &mut dyn Sequence,
    ) -> Result<Self, ArtifactError> {
        let schema = kind.schema().filter(|_| bytes.size() > SMALL);
        let Some(schema) = schema else {
            let size = usize::try_from(bytes.size()).unwrap_or(usize::MAX);
            return Self::decode(kind, media_type, bytes.next(size)?);
        };
        let (mut table, metadata) = encoding::read(schema, columns, bytes)?;
        if columns.is_none() {
            table = schema.check(&table, &metadata)?;
        }
        Ok(Self { kind, payload: Payload::Table(table), metadata })
    }

    /// The table of an artifact of this kind.
    pub fn table(&self, kind: ArtifactKind) -> Result<&RecordBatch, ArtifactError> {
        match &self.payload {
            Payload::Table(table) if self.kind == kind => Ok(table),
            _ => Err(ArtifactError::WrongKind { expected: kind, found: self.kind.to_string() }),
        }
    }

    /// Media type of the bytes of a document; a table has none.
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
