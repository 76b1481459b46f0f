//! The schema of an artifact kind: columns, metadata, and the check of a table against them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::table;

/// The schema of an artifact kind. Its text is in `schemas/arrow/`.
#[derive(Debug)]
pub struct KindSchema {
    /// The kind.
    pub kind: ArtifactKind,
    /// Raised whenever a reader of the last version could be misled.
    pub version: u32,
    /// The columns, in order.
    pub columns: &'static [Column],
    /// Required metadata, besides the kind and its version.
    pub metadata: &'static [MetadataKey],
    /// Optional metadata. Nothing else may be there.
    pub optional_metadata: &'static [MetadataKey],
}

/// One column, or several of one type.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: ColumnName,
    /// The type of its values.
    pub of: ColumnType,
    /// True if values may be missing.
    pub nullable: bool,
    /// Its description.
    pub help: &'static str,
}

/// Name of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnName {
    /// Exactly this.
    Is(&'static str),
    /// Exactly this, or no column.
    Optional(&'static str),
    /// Any number of columns whose names begin so; none of them may have the name of another
    /// column.
    Begins(&'static str),
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Utf8,
    /// Text from a small set of names.
    Categories,
    /// A number.
    Float64,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// True or false.
    Boolean,
    /// Bytes.
    Binary,
    /// One number per class, none of them missing.
    Probabilities,
}

/// One entry of the metadata.
#[derive(Debug)]
pub struct MetadataKey {
    /// Its key.
    pub key: &'static str,
    /// Type of its value.
    pub of: MetadataType,
    /// Its description.
    pub help: &'static str,
}

/// Key of the metadata that says what the label is, where it is no class.
pub(crate) const TARGET_KEY: &str = "target";
/// Its only value.
const REGRESSION: &str = "regression";

/// The entry that every table of a cohort whose label is a number has.
pub(crate) const TARGET: MetadataKey = MetadataKey {
    key: TARGET_KEY,
    of: MetadataType::Word(&[REGRESSION]),
    help: "what the label is: a number",
};

/// True if metadata say that the label is a number.
pub(crate) fn is_regression(metadata: &BTreeMap<String, String>) -> bool {
    metadata.get(TARGET_KEY).is_some_and(|target| target == REGRESSION)
}

/// Type of the value of a metadata entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataType {
    /// Any text.
    Text,
    /// A JSON list of texts.
    Names,
    /// A digest.
    Digest,
    /// A whole number, not negative.
    Count,
    /// A finite number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A JSON list of whole numbers, one a row.
    CountPerRow,
}

impl Column {
    /// A column that has a value in every row.
    pub(crate) const fn full(name: &'static str, of: ColumnType, help: &'static str) -> Self {
        Self { name: ColumnName::Is(name), of, nullable: false, help }
    }
}

impl ColumnType {
    /// Its name in the schema files and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Categories => "dictionary<int32, utf8>",
            Self::Float64 => "float64",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Boolean => "bool",
            Self::Binary => "binary",
            Self::Probabilities => "fixed_size_list<float64>[classes]",
        }
    }

    fn is(self, found: &DataType) -> bool {
        match (self, found) {
            (Self::Utf8, DataType::Utf8)
            | (Self::Float64, DataType::Float64)
            | (Self::Int32, DataType::Int32)
            | (Self::Int64, DataType::Int64)
            | (Self::Boolean, DataType::Boolean)
            | (Self::Binary, DataType::Binary) => true,
            (Self::Categories, DataType::Dictionary(key, value)) => {
                **key == DataType::Int32 && **value == DataType::Utf8
            }
            (Self::Probabilities, DataType::FixedSizeList(item, _)) => {
                *item.data_type() == DataType::Float64 && !item.is_nullable()
            }
            _ => false,
        }
    }
}

impl MetadataType {
    /// The words for a valid value.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Names => "a JSON list of texts",
            Self::Digest => "a digest",
            Self::Count => "a whole number",
            Self::Number => "a finite number",
            Self::Boolean => "true or false",
            Self::Word(_) => "one of the words of its schema",
            Self::CountPerRow => "a JSON list of whole numbers, one a row",
        }
    }

    /// True if this is a valid value in a table of `rows` rows.
    fn holds(self, value: &str, rows: usize) -> bool {
        match self {
            Self::Text => true,
            Self::Names => serde_json::from_str::<Vec<String>>(value).is_ok(),
            Self::Digest => value.parse::<Digest>().is_ok(),
            Self::Count => value.parse::<u64>().is_ok(),
            Self::Number => value.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Boolean => value.parse::<bool>().is_ok(),
            Self::Word(words) => words.contains(&value),
            Self::CountPerRow => {
                serde_json::from_str::<Vec<u32>>(value).is_ok_and(|counts| counts.len() == rows)
            }
        }
    }
}

impl KindSchema {
    /// Checks a table and its metadata, and gives the table with the schema's own fields: no
    /// metadata of its own, and nullable only where the schema is.
    pub fn check(
        &self,
        table: &RecordBatch,
        metadata: &BTreeMap<String, String>,
    ) -> Result<RecordBatch, ArtifactError> {
        self.for_metadata(metadata).check_columns(table, metadata)
    }

    /// The schema of a table with this metadata: another one where the label is a number, or for
    /// the form of a table of results.
    pub fn for_metadata(&self, metadata: &BTreeMap<String, String>) -> &Self {
        let named = match self.kind {
            ArtifactKind::Table => metadata.get(table::FORM_KEY).map(String::as_str),
            _ => is_regression(metadata).then_some(REGRESSION),
        };
        let mut variants = self.variants();
        named.and_then(|named| variants.find(|(name, _)| *name == named)).map_or(self, |of| of.1)
    }

    /// The schemas that take the place of this one under some metadata, by name.
    pub(crate) fn variants(&self) -> impl Iterator<Item = (&'static str, &'static Self)> {
        let forms = if self.kind == ArtifactKind::Table { &table::FORMS[..] } else { &[] };
        let regression = self.kind.regression_schema().map(|schema| (REGRESSION, schema));
        forms.iter().map(|(name, schema)| (*name, schema)).chain(regression)
    }

    fn check_columns(
        &self,
        table: &RecordBatch,
        metadata: &BTreeMap<String, String>,
    ) -> Result<RecordBatch, ArtifactError> {
        self.check_metadata(metadata, table.num_rows())?;
        let columns = self.match_columns(table)?;
        let kind = self.kind;
        let mut fields = Vec::with_capacity(columns.len());
        for ((field, array), column) in
            table.schema_ref().fields().iter().zip(table.columns()).zip(columns)
        {
            let name = field.name();
            if !column.of.is(field.data_type()) {
                let (expected, found) = (column.of.name(), field.data_type().to_string());
                return Err(ArtifactError::ColumnType {
                    kind,
                    column: name.clone(),
                    expected,
                    found,
                });
            }
            let nulls = array.logical_null_count();
            if nulls > 0 && !column.nullable {
                return Err(ArtifactError::UnexpectedNull { kind, column: name.clone(), nulls });
            }
            fields.push(Field::new(name, field.data_type().clone(), column.nullable));
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), table.columns().to_vec())?)
    }

    /// The column of the schema that each column of the table is.
    fn match_columns(&self, table: &RecordBatch) -> Result<Vec<&Column>, ArtifactError> {
        let kind = self.kind;
        let fields = table.schema_ref().fields();
        let mut seen = BTreeSet::new();
        if let Some(twice) = fields.iter().find(|field| !seen.insert(field.name())) {
            return Err(ArtifactError::DuplicateColumn { kind, column: twice.name().clone() });
        }
        let mut found = Vec::with_capacity(fields.len());
        for column in self.columns {
            match column.name {
                ColumnName::Is(name) => match fields.get(found.len()) {
                    Some(field) if field.name() == name => found.push(column),
                    Some(field) if seen.iter().any(|seen| *seen == name) => {
                        return Err(self.unexpected(field, found.len()));
                    }
                    _ => {
                        return Err(ArtifactError::MissingColumn { kind, column: name.to_owned() });
                    }
                },
                ColumnName::Optional(name) => {
                    let next = fields.get(found.len()).filter(|field| field.name() == name);
                    found.extend(next.map(|_| column));
                }
                ColumnName::Begins(prefix) => {
                    let rest = fields.iter().skip(found.len());
                    let many = rest.take_while(|field| {
                        field.name().starts_with(prefix) && !self.has_fixed(field.name())
                    });
                    found.extend(many.map(|_| column));
                }
            }
        }
        match fields.get(found.len()) {
            Some(field) => Err(self.unexpected(field, found.len())),
            None => Ok(found),
        }
    }

    fn has_fixed(&self, name: &str) -> bool {
        self.columns.iter().any(|column| match column.name {
            ColumnName::Is(fixed) | ColumnName::Optional(fixed) => fixed == name,
            ColumnName::Begins(_) => false,
        })
    }

    fn unexpected(&self, field: &Field, place: usize) -> ArtifactError {
        ArtifactError::UnexpectedColumn { kind: self.kind, column: field.name().clone(), place }
    }

    fn check_metadata(
        &self,
        metadata: &BTreeMap<String, String>,
        rows: usize,
    ) -> Result<(), ArtifactError> {
        let kind = self.kind;
        for (MetadataKey { key, of, .. }, required) in self.metadata_entries() {
            match metadata.get(*key) {
                None if required => {
                    return Err(ArtifactError::MissingMetadata { kind, key: (*key).to_owned() });
                }
                Some(value) if !of.holds(value, rows) => {
                    let (key, value) = ((*key).to_owned(), value.clone());
                    return Err(ArtifactError::Metadata {
                        kind,
                        key,
                        value,
                        expected: of.expected(),
                    });
                }
                _ => {}
            }
        }
        match metadata
            .keys()
            .find(|key| !self.metadata_entries().any(|(known, _)| known.key == *key))
        {
            Some(key) => Err(ArtifactError::UnexpectedMetadata { kind, key: key.clone() }),
            None => Ok(()),
        }
    }

    /// The entries of the metadata, and whether each must be there.
    pub(crate) fn metadata_entries(&self) -> impl Iterator<Item = (&'static MetadataKey, bool)> {
        let required = self.metadata.iter().map(|entry| (entry, true));
        required.chain(self.optional_metadata.iter().map(|entry| (entry, false)))
    }

    /// The schema as JSON, as it stands in `schemas/arrow/`; under `regression` that of a cohort
    /// whose label is a number, where it is another one, and under `forms` those of a table.
    pub fn to_json(&self) -> Value {
        let mut json = self.own_json();
        for (name, other) in self.variants() {
            let mut other = other.own_json();
            if self.kind == ArtifactKind::Table {
                json["forms"][name] = other["columns"].take();
            } else {
                json[name] = json!({
                    "columns": other["columns"].take(),
                    "metadata": other["metadata"].take(),
                });
            }
        }
        json
    }

    fn own_json(&self) -> Value {
        let columns = self.columns.iter().map(|column| {
            let (field, name, optional) = match column.name {
                ColumnName::Is(name) => ("name", name, false),
                ColumnName::Optional(name) => ("name", name, true),
                ColumnName::Begins(prefix) => ("name_begins", prefix, false),
            };
            let mut json =
                json!({ field: name, "type": column.of.name(), "nullable": column.nullable });
            if optional {
                json["optional"] = json!(true);
            }
            json["help"] = json!(column.help);
            json
        });
        let metadata = self.metadata_entries().map(|(entry, required)| {
            let mut json = json!({ "key": entry.key, "type": match entry.of {
                MetadataType::Text => "text",
                MetadataType::Names => "json list of texts",
                MetadataType::Digest => "digest",
                MetadataType::Count => "count",
                MetadataType::Number => "number",
                MetadataType::Boolean => "bool",
                MetadataType::Word(_) => "word",
                MetadataType::CountPerRow => "json list of counts, one a row",
            }});
            if let MetadataType::Word(words) = entry.of {
                json["words"] = json!(words);
            }
            if !required {
                json["optional"] = json!(true);
            }
            json["help"] = json!(entry.help);
            json
        });
        json!({
            "kind": self.kind.name(),
            "version": self.version,
            "columns": columns.collect::<Vec<_>>(),
            "metadata": metadata.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests;
