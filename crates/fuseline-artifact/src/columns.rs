//! Puts columns together into an artifact, and takes an artifact's columns apart.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, DictionaryArray, FixedSizeListArray,
    Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema};
use serde::de::DeserializeOwned;

use crate::artifact::{Artifact, Payload};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::schema::{TARGET_KEY, is_regression};
use crate::texts::Texts;

/// Columns and metadata on their way to an artifact. The first error is kept for
/// [`Builder::build`].
pub(crate) struct Builder {
    kind: ArtifactKind,
    rows: usize,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
    metadata: BTreeMap<String, String>,
    error: Option<ArtifactError>,
}

impl Builder {
    pub fn new(kind: ArtifactKind, rows: usize) -> Self {
        let (fields, arrays, metadata) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { kind, rows, fields, arrays, metadata, error: None }
    }

    fn fail(mut self, error: ArtifactError) -> Self {
        self.error.get_or_insert(error);
        self
    }

    /// A column of any type.
    pub fn column(mut self, name: &str, array: impl Array + 'static) -> Self {
        if array.len() != self.rows {
            let error = self.length(name, self.rows, array.len());
            return self.fail(error);
        }
        self.fields.push(Field::new(name, array.data_type().clone(), array.is_nullable()));
        self.arrays.push(Arc::new(array));
        self
    }

    /// A column of texts.
    pub fn texts(self, name: &str, texts: &Texts) -> Self {
        self.column(name, texts.array().clone())
    }

    /// The column `example_id`, each only once.
    pub fn example_ids(self, ids: &Texts) -> Self {
        match unique(self.kind, ids) {
            Ok(()) => self.texts("example_id", ids),
            Err(error) => self.fail(error),
        }
    }

    /// A column of classes, by index.
    pub fn classes(self, name: &str, indices: &[u32], classes: &[String]) -> Self {
        if let Some(row) = indices.iter().position(|&index| index as usize >= classes.len()) {
            let error = self.value(name, row, indices[row].to_string(), "the index of a class");
            return self.fail(error);
        }
        let keys = Int32Array::from_iter_values(indices.iter().map(|&index| index as i32));
        let values = Arc::new(StringArray::from_iter_values(classes));
        match DictionaryArray::<Int32Type>::try_new(keys, values) {
            Ok(array) => self.column(name, array),
            Err(error) => self.fail(error.into()),
        }
    }

    /// The column `probabilities`, from row-major values, one per row and class.
    pub fn probabilities(self, values: ScalarBuffer<f64>, classes: &[String]) -> Self {
        let expected = "a finite number that is not negative";
        let holds = |value: f64| value.is_finite() && value >= 0.0;
        self.lists("probabilities", values, classes, expected, holds)
    }

    /// A column of logits, from row-major values, one per row and class. That of a class may be
    /// -inf, of probability 0.
    pub fn logits(self, name: &str, values: ScalarBuffer<f64>, classes: &[String]) -> Self {
        self.lists(name, values, classes, "a number below inf", |value| value < f64::INFINITY)
    }

    /// A column of one number per class, from row-major values for which `holds` is true.
    fn lists(
        self,
        name: &str,
        values: ScalarBuffer<f64>,
        classes: &[String],
        expected: &'static str,
        holds: impl Fn(f64) -> bool,
    ) -> Self {
        let wide = classes.len();
        if values.len() != self.rows * wide {
            let error = self.length(name, self.rows * wide, values.len());
            return self.fail(error);
        }
        if let Some(at) = values.iter().position(|value| !holds(*value)) {
            let error = self.value(name, at / wide, values[at].to_string(), expected);
            return self.fail(error);
        }
        let item = Arc::new(Field::new("item", DataType::Float64, false));
        let values = Arc::new(Float64Array::new(values, None));
        match FixedSizeListArray::try_new(item, wide as i32, values, None) {
            Ok(array) => self.column(name, array),
            Err(error) => self.fail(error.into()),
        }
    }

    /// The metadata entry that says that the label is a number.
    pub fn regression(self) -> Self {
        self.metadata(TARGET_KEY, "regression")
    }

    /// A column of finite numbers.
    pub fn finite(self, name: &str, values: &[f64]) -> Self {
        match values.iter().position(|value| !value.is_finite()) {
            None => self.column(name, Float64Array::from(values.to_vec())),
            Some(row) => {
                let error = self.value(name, row, values[row].to_string(), "a finite number");
                self.fail(error)
            }
        }
    }

    /// An entry of the metadata.
    pub fn metadata(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// An entry of the metadata, where there is a value for it.
    pub fn optional_metadata(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.metadata(key, value),
            None => self,
        }
    }

    /// An entry of the metadata that is a list of names, each only once.
    pub fn names(self, key: &str, names: &[String]) -> Self {
        let text = serde_json::Value::from(names).to_string();
        if Texts::from_iter(names).first_duplicate().is_some() {
            let error = self.bad_metadata(key, text, "a list of distinct names");
            return self.fail(error);
        }
        self.metadata(key, text)
    }

    /// The metadata entry `classes`, at least one.
    pub fn class_names(self, classes: &[String]) -> Self {
        if classes.is_empty() {
            let error = self.bad_metadata("classes", "[]".to_owned(), "at least one class");
            return self.fail(error);
        }
        self.names("classes", classes)
    }

    /// The artifact, checked against the schema of its kind.
    pub fn build(self) -> Result<Artifact, ArtifactError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let kind = self.kind;
        let table = RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)?;
        let table = match kind.schema() {
            Some(schema) => schema.check(&table, &self.metadata)?,
            None => table,
        };
        Ok(Artifact { kind, payload: Payload::Table(table), metadata: self.metadata })
    }

    fn length(&self, column: &str, expected: usize, found: usize) -> ArtifactError {
        ArtifactError::ColumnLength { kind: self.kind, column: column.to_owned(), expected, found }
    }

    fn value(
        &self,
        column: &str,
        row: usize,
        value: String,
        expected: &'static str,
    ) -> ArtifactError {
        ArtifactError::Value { kind: self.kind, column: column.to_owned(), row, value, expected }
    }

    fn bad_metadata(&self, key: &str, value: String, expected: &'static str) -> ArtifactError {
        ArtifactError::Metadata { kind: self.kind, key: key.to_owned(), value, expected }
    }
}

/// An error when an example has two rows.
fn unique(kind: ArtifactKind, ids: &Texts) -> Result<(), ArtifactError> {
    match ids.first_duplicate() {
        Some(id) => Err(ArtifactError::DuplicateExample { kind, example_id: id.to_owned() }),
        None => Ok(()),
    }
}

/// An artifact's table, checked, and its metadata.
pub(crate) struct Columns<'a> {
    kind: ArtifactKind,
    pub table: RecordBatch,
    metadata: &'a BTreeMap<String, String>,
}

impl<'a> Columns<'a> {
    /// The columns of an artifact, which must be of this kind and of classes.
    pub fn read(artifact: &'a Artifact, kind: ArtifactKind) -> Result<Self, ArtifactError> {
        let columns = Self::read_any(artifact, kind)?;
        if columns.is_regression() { Err(ArtifactError::Regression { kind }) } else { Ok(columns) }
    }

    /// The same where the label may be a number: the columns are then those of
    /// [`ArtifactKind::regression_schema`].
    pub fn read_any(artifact: &'a Artifact, kind: ArtifactKind) -> Result<Self, ArtifactError> {
        let table = artifact.table(kind)?;
        let table = match kind.schema() {
            Some(schema) => schema.check(table, &artifact.metadata)?,
            None => table.clone(),
        };
        Ok(Self { kind, table, metadata: &artifact.metadata })
    }

    /// The columns of an artifact, which must be of this kind and of a label that is a number.
    pub fn read_regression(
        artifact: &'a Artifact,
        kind: ArtifactKind,
    ) -> Result<Self, ArtifactError> {
        let columns = Self::read_any(artifact, kind)?;
        if columns.is_regression() { Ok(columns) } else { Err(ArtifactError::Classes { kind }) }
    }

    /// True if the label is a number.
    pub fn is_regression(&self) -> bool {
        is_regression(self.metadata)
    }

    pub fn rows(&self) -> usize {
        self.table.num_rows()
    }

    fn array(&self, name: &str) -> Result<&ArrayRef, ArtifactError> {
        self.table.column_by_name(name).ok_or_else(|| ArtifactError::MissingColumn {
            kind: self.kind,
            column: name.to_owned(),
        })
    }

    /// A column, cast with one of the `as_.._opt` methods of arrow.
    fn cast<'t, T>(
        &'t self,
        name: &str,
        expected: &'static str,
        as_opt: impl Fn(&'t ArrayRef) -> Option<T>,
    ) -> Result<T, ArtifactError> {
        let array = self.array(name)?;
        as_opt(array).ok_or_else(|| ArtifactError::ColumnType {
            kind: self.kind,
            column: name.to_owned(),
            expected,
            found: array.data_type().to_string(),
        })
    }

    pub fn texts(&self, name: &str) -> Result<Texts, ArtifactError> {
        let strings: &StringArray = self.cast(name, "utf8", |array| array.as_string_opt())?;
        Ok(strings.clone().into())
    }

    /// Name and values of each column behind `example_id`, for kinds whose columns have any names.
    pub fn named_columns<T>(
        &self,
        read: impl Fn(&str) -> Result<T, ArtifactError>,
    ) -> Result<Vec<(String, T)>, ArtifactError> {
        let names = self.table.schema_ref().fields().iter().skip(1).map(|field| field.name());
        names.map(|name| Ok((name.clone(), read(name)?))).collect()
    }

    /// The labels of the point of each row, from the columns of the axes.
    pub fn points(&self, axes: &[String]) -> Result<Vec<Vec<String>>, ArtifactError> {
        let labels = axes.iter().map(|axis| self.texts(axis)).collect::<Result<Vec<_>, _>>()?;
        let point =
            |row: usize| labels.iter().map(|labels: &Texts| labels[row].to_owned()).collect();
        Ok((0..self.rows()).map(point).collect())
    }

    /// The column `example_id`, each only once.
    pub fn example_ids(&self) -> Result<Texts, ArtifactError> {
        let ids = self.texts("example_id")?;
        unique(self.kind, &ids)?;
        Ok(ids)
    }

    pub fn floats(&self, name: &str) -> Result<&Float64Array, ArtifactError> {
        self.cast(name, "float64", |array| array.as_primitive_opt::<Float64Type>())
    }

    pub fn ints32(&self, name: &str) -> Result<&Int32Array, ArtifactError> {
        self.cast(name, "int32", |array| array.as_primitive_opt::<Int32Type>())
    }

    pub fn ints64(&self, name: &str) -> Result<&Int64Array, ArtifactError> {
        self.cast(name, "int64", |array| array.as_primitive_opt::<Int64Type>())
    }

    pub fn booleans(&self, name: &str) -> Result<&BooleanArray, ArtifactError> {
        self.cast(name, "bool", |array| array.as_boolean_opt())
    }

    pub fn binary(&self, name: &str) -> Result<&BinaryArray, ArtifactError> {
        self.cast(name, "binary", |array| array.as_binary_opt())
    }

    /// The index of every row's class.
    pub fn class_indices(&self, name: &str, classes: &[String]) -> Result<Vec<u32>, ArtifactError> {
        let expected = "dictionary<int32, utf8>";
        let dictionary =
            self.cast(name, expected, |array| array.as_dictionary_opt::<Int32Type>())?;
        let values: &StringArray =
            dictionary.values().as_string_opt().ok_or_else(|| ArtifactError::ColumnType {
                kind: self.kind,
                column: name.to_owned(),
                expected,
                found: dictionary.data_type().to_string(),
            })?;
        // A dictionary that was read holds the names in the order in which they occur, and only
        // those.
        let class_of: Vec<Option<u32>> = values
            .iter()
            .map(|value| {
                (0..)
                    .zip(classes)
                    .find(|(_, class)| Some(class.as_str()) == value)
                    .map(|found| found.0)
            })
            .collect();
        let row_class = |(row, key): (usize, &i32)| {
            let at = usize::try_from(*key).unwrap_or(usize::MAX);
            class_of.get(at).copied().flatten().ok_or_else(|| ArtifactError::Value {
                kind: self.kind,
                column: name.to_owned(),
                row,
                value: if at < values.len() {
                    values.value(at).to_owned()
                } else {
                    key.to_string()
                },
                expected: "one of the classes",
            })
        };
        dictionary.keys().values().iter().enumerate().map(row_class).collect()
    }

    /// The column `probabilities` in row-major order, one per row and class.
    pub fn probabilities(&self, classes: &[String]) -> Result<ScalarBuffer<f64>, ArtifactError> {
        self.lists("probabilities", classes)
    }

    /// A column of one number per class that may be left out, as [`Self::probabilities`].
    pub fn optional_lists(
        &self,
        name: &str,
        classes: &[String],
    ) -> Result<Option<ScalarBuffer<f64>>, ArtifactError> {
        self.table.column_by_name(name).map(|_| self.lists(name, classes)).transpose()
    }

    fn lists(&self, name: &str, classes: &[String]) -> Result<ScalarBuffer<f64>, ArtifactError> {
        let expected = "fixed_size_list<float64>[classes]";
        let lists = self.cast(name, expected, |array| array.as_fixed_size_list_opt())?;
        let wide = lists.value_length() as usize;
        if wide != classes.len() {
            return Err(ArtifactError::ColumnLength {
                kind: self.kind,
                column: name.to_owned(),
                expected: self.rows() * classes.len(),
                found: self.rows() * wide,
            });
        }
        let start = lists.value_offset_at(0);
        let values = lists.values().as_primitive::<Float64Type>().values();
        Ok(values.slice(start, self.rows() * wide))
    }

    /// An entry of the metadata.
    pub fn text(&self, key: &str) -> Result<&'a str, ArtifactError> {
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| ArtifactError::MissingMetadata { kind: self.kind, key: key.to_owned() })
    }

    /// An entry of the metadata, read as something.
    pub fn parse<T: FromStr>(&self, key: &str, expected: &'static str) -> Result<T, ArtifactError> {
        let text = self.text(key)?;
        text.parse().map_err(|_| self.bad_metadata(key, expected))
    }

    /// An entry of the metadata that may be left out, read as something.
    pub fn parse_optional<T: FromStr>(
        &self,
        key: &str,
        expected: &'static str,
    ) -> Result<Option<T>, ArtifactError> {
        self.metadata.contains_key(key).then(|| self.parse(key, expected)).transpose()
    }

    /// An entry of the metadata that is a list of names.
    pub fn names(&self, key: &str) -> Result<Vec<String>, ArtifactError> {
        serde_json::from_str(self.text(key)?)
            .map_err(|_| self.bad_metadata(key, "a JSON list of texts"))
    }

    /// An entry of the metadata that may be left out, as JSON.
    pub fn parse_json<T: DeserializeOwned>(
        &self,
        key: &str,
        expected: &'static str,
    ) -> Result<Option<T>, ArtifactError> {
        let text = self.metadata.get(key);
        text.map(|text| serde_json::from_str(text))
            .transpose()
            .map_err(|_| self.bad_metadata(key, expected))
    }

    /// An entry of the metadata that is a list of whole numbers, if it is there.
    pub fn counts(&self, key: &str) -> Result<Option<Vec<u32>>, ArtifactError> {
        let text = self.metadata.get(key);
        text.map(|text| serde_json::from_str(text))
            .transpose()
            .map_err(|_| self.bad_metadata(key, "a JSON list of whole numbers"))
    }

    fn bad_metadata(&self, key: &str, expected: &'static str) -> ArtifactError {
        let value = self.metadata.get(key).cloned().unwrap_or_default();
        ArtifactError::Metadata { kind: self.kind, key: key.to_owned(), value, expected }
    }
}
