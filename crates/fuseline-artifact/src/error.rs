//! Why a table is not an artifact.

use std::io;

use parquet::errors::ParquetError;
use thiserror::Error;

use crate::digest::BadDigest;
use crate::kind::ArtifactKind;

/// Why a table is not an artifact of a kind, or bytes are not one.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// A column of the schema is not there.
    #[error("{kind} have no column {column}")]
    MissingColumn {
        /// The expected kind.
        kind: ArtifactKind,
        /// The column.
        column: String,
    },
    /// A column that is not in the schema, or not at its position there.
    #[error("{kind} cannot have column {column} at place {place}")]
    UnexpectedColumn {
        /// The expected kind.
        kind: ArtifactKind,
        /// The column.
        column: String,
        /// Its position, from 0.
        place: usize,
    },
    /// Two columns of one name.
    #[error("{kind} have two columns {column}")]
    DuplicateColumn {
        /// The expected kind.
        kind: ArtifactKind,
        /// The column.
        column: String,
    },
    /// A column of another type.
    #[error("column {column} of {kind} is {found}, not {expected}")]
    ColumnType {
        /// The expected kind.
        kind: ArtifactKind,
        /// The column.
        column: String,
        /// The type in the schema.
        expected: &'static str,
        /// The type that it has.
        found: String,
    },
    /// A null where none may be.
    #[error("column {column} of {kind} has {nulls} missing values and may have none")]
    UnexpectedNull {
        /// The expected kind.
        kind: ArtifactKind,
        /// The column.
        column: String,
        /// Number of nulls.
        nulls: usize,
    },
    /// A column that is longer or shorter than the others.
    #[error("column {column} of {kind} has {found} values for {expected} rows")]
    ColumnLength {
        /// The expected kind.
        kind: ArtifactKind,
        /// The column.
        column: String,
        /// The number of rows, times the values in each.
        expected: usize,
        /// The number of values.
        found: usize,
    },
    /// A value that the kind does not allow.
    #[error("row {row} of {kind} has {value} in column {column}, where {expected} is expected")]
    Value {
        /// The expected kind.
        kind: ArtifactKind,
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The value as text.
        value: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// An example with two rows.
    #[error("{kind} have example_id {example_id} twice")]
    DuplicateExample {
        /// The expected kind.
        kind: ArtifactKind,
        /// The example.
        example_id: String,
    },
    /// Required metadata that the table does not have.
    #[error("{kind} have no metadata {key}")]
    MissingMetadata {
        /// The expected kind.
        kind: ArtifactKind,
        /// The key.
        key: String,
    },
    /// Metadata that the schema does not know.
    #[error("{kind} cannot have metadata {key}")]
    UnexpectedMetadata {
        /// The expected kind.
        kind: ArtifactKind,
        /// The key.
        key: String,
    },
    /// Metadata that cannot be read as the type in the schema.
    #[error("metadata {key} of {kind} is {value:?}, where {expected} is expected")]
    Metadata {
        /// The expected kind.
        kind: ArtifactKind,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// Evidence of a modality that no expert has rated.
    #[error("modality {modality} has no expert, and its evidence is needed here")]
    NoExpert {
        /// The modality.
        modality: String,
    },
    /// An artifact of another kind than the expected one.
    #[error("{expected} are expected and {found} were given")]
    WrongKind {
        /// The expected kind.
        expected: ArtifactKind,
        /// The kind found.
        found: String,
    },
    /// An artifact of a cohort whose label is a number, where classes are expected.
    #[error(
        "the label is a number (regression: true), and these {kind} are read where classes are \
         expected"
    )]
    Regression {
        /// The kind.
        kind: ArtifactKind,
    },
    /// An artifact of a cohort of classes, where a number is expected.
    #[error("the label is a class, and these {kind} are read where a number is expected")]
    Classes {
        /// The kind.
        kind: ArtifactKind,
    },
    /// An artifact written by a newer fuseline.
    #[error("these {kind} are of version {found}, and this fuseline reads version {known}")]
    Version {
        /// The kind.
        kind: ArtifactKind,
        /// The version it states.
        found: String,
        /// The version that is understood.
        known: u32,
    },
    /// More rows or bytes than the format can hold.
    #[error("{kind} are too large: {problem}")]
    TooLarge {
        /// The kind.
        kind: ArtifactKind,
        /// The part that is too large.
        problem: String,
    },
    /// Bytes that are not a Parquet file, or a damaged one.
    #[error("the bytes are not a sound Parquet file")]
    Parquet(#[from] ParquetError),
    /// Bytes that could not be brought here or taken away.
    #[error("the bytes cannot be read or written")]
    Io(#[from] io::Error),
    /// Columns that do not make a table.
    #[error("the columns do not make a table")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A table of results of another form.
    #[error("a table {expected} is expected and a table {found} was given")]
    TableForm {
        /// The expected form.
        expected: &'static str,
        /// The form found.
        found: String,
    },
    /// Metadata that should be a digest.
    #[error("the metadata holds a bad digest")]
    Digest(#[from] BadDigest),
}
