//! Artifacts as tables: for people, for spreadsheets, for programs.
//!
//! Knows Arrow columns and how to write them as text. Knows nothing of plans or caches.
//! **Invariant:** no form but the one for people rounds a number.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use arrow::error::ArrowError;
use bytes::Bytes;
use fuseline_artifact::{Artifact, ArtifactKind, INNER_FOLD, Payload, in_one};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::file::reader::ChunkReader;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use thiserror::Error;

mod human;

pub use human::Shown;

/// A table whose columns are texts, numbers, truth values or bytes.
#[derive(Debug, Clone)]
pub struct Table {
    /// Lists and categories are spelt out, but for [`Table::typed`].
    batch: RecordBatch,
    /// True if CSV has labels as they are, no exponents, and no point in whole numbers: tables of
    /// results are read as they were written before they had columns.
    is_decimal: bool,
    /// Columns that hold labels of axes.
    axes: BTreeSet<String>,
}

/// The beginning of a table in a file, and the file's metadata on all of it.
#[derive(Debug, Clone)]
pub struct FirstRows {
    /// The rows and columns that were read.
    pub table: Table,
    /// The names of all columns of the file; a list is one of them.
    pub names: Vec<String>,
    /// Their types, by Arrow's names.
    pub types: Vec<String>,
    /// Metadata of the table, by key.
    pub metadata: BTreeMap<String, String>,
    /// Rows of the whole table.
    pub rows: usize,
}

/// The forms that a table can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Comma-separated values, one line a row.
    Csv,
    /// A list of objects, one line a row.
    Json,
    /// Parquet.
    Parquet,
}

impl Form {
    /// The form for the name of a file.
    pub fn from_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A table that cannot be read or written.
#[derive(Debug, Error)]
pub enum TableError {
    /// Its columns do not go together.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// It cannot be read or written as Parquet.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// It cannot be written as CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// It cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// One value as text or number.
enum Cell {
    Missing,
    Text(String),
    Integer(i64),
    Float(f64),
    Truth(bool),
}

impl Table {
    /// The table of an artifact; `None` for a document.
    pub fn from_artifact(artifact: &Artifact) -> Result<Option<Self>, TableError> {
        let Payload::Table(table) = &artifact.payload else { return Ok(None) };
        let text = |key: &str| artifact.metadata.get(key).map(String::as_str);
        Self::new(table, Some(artifact.kind.name()), text("classes"), text("axes")).map(Some)
    }

    /// The table of an artifact with the types and the metadata of its columns, for Parquet; `None`
    /// for a document.
    pub fn typed(artifact: &Artifact) -> Option<Self> {
        let Payload::Table(table) = &artifact.payload else { return None };
        let schema = table.schema().as_ref().clone();
        let schema = schema.with_metadata(artifact.metadata.clone());
        let axes = names_in(artifact.metadata.get("axes").map(String::as_str));
        let batch = table.clone().with_schema(Arc::new(schema)).ok()?;
        Some(Self { batch, axes, is_decimal: false })
    }

    /// A table of named columns of one length.
    pub fn from_columns(columns: Vec<(String, ArrayRef)>) -> Result<Self, TableError> {
        let fields =
            columns.iter().map(|(name, column)| Field::new(name, column.data_type().clone(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let batch = RecordBatch::try_new(Arc::new(schema), columns)?;
        Ok(Self { batch, axes: BTreeSet::new(), is_decimal: false })
    }

    /// The table in the bytes of a Parquet file; `None` when they are something else.
    pub fn parquet(bytes: Bytes) -> Result<Option<Self>, TableError> {
        if !bytes.starts_with(b"PAR1") {
            return Ok(None);
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let schema = reader.schema().clone();
        let batch = in_one(reader.build()?)?;
        let text = |key: &str| schema.metadata().get(key).map(String::as_str);
        Self::new(&batch, text("kind"), text("classes"), text("axes")).map(Some)
    }

    /// The table in the bytes of a Parquet file with the types and the metadata of its columns, where
    /// its rows are points and the labels of an axis are numbers; `None` when they are something else.
    pub fn points(bytes: Bytes) -> Result<Option<Self>, TableError> {
        if !bytes.starts_with(b"PAR1") {
            return Ok(None);
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let schema = reader.schema().clone();
        let Some(axes) = schema.metadata().get("axes") else { return Ok(None) };
        let axes = names_in(Some(axes));
        let batch = in_one(reader.build()?)?.with_schema(schema)?;
        let table = Self { batch, axes, is_decimal: false };
        let batch = table.with_numeric_axes()?;
        let is_numeric = batch.schema() != table.batch.schema();
        Ok(is_numeric.then(|| Self { batch, axes: BTreeSet::new(), is_decimal: false }))
    }

    /// The first rows and columns of the table in a Parquet file, without reading the others;
    /// `None` when it is something else.
    pub fn first_rows(
        file: impl ChunkReader + 'static,
        rows: usize,
        columns: usize,
    ) -> Result<Option<FirstRows>, TableError> {
        let is_parquet = file.len() >= 4 && file.get_bytes(0, 4)?[..] == *b"PAR1";
        if !is_parquet {
            return Ok(None);
        }
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let metadata = builder.metadata().file_metadata();
        let total_rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
        let schema = builder.schema().clone();
        let total_columns = schema.fields().len();
        let mask = ProjectionMask::roots(builder.parquet_schema(), 0..columns.min(total_columns));
        let batch = in_one(builder.with_projection(mask).with_limit(rows).build()?)?;
        let text = |key: &str| schema.metadata().get(key).map(String::as_str);
        Ok(Some(FirstRows {
            table: Self::new(&batch, text("kind"), text("classes"), text("axes"))?,
            types: schema.fields().iter().map(|field| field.data_type().to_string()).collect(),
            names: schema.fields().iter().map(|field| field.name().clone()).collect(),
            metadata: schema.metadata().iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            rows: total_rows,
        }))
    }

    /// The columns, each with its name: texts, integers, floats, truth values or bytes.
    pub fn columns(&self) -> impl Iterator<Item = (String, &ArrayRef)> {
        self.names().into_iter().zip(self.batch.columns())
    }

    /// A value as text that gives the same value again; none when it is missing.
    pub fn text(&self, column: usize, row: usize) -> Option<String> {
        match cell(self.batch.column(column), row) {
            Cell::Missing => None,
            Cell::Text(text) => Some(text),
            Cell::Integer(number) => Some(number.to_string()),
            Cell::Float(number) => Some(format!("{number:?}")),
            Cell::Truth(truth) => Some(truth.to_string()),
        }
    }

    /// `classes`, `axes`: lists of names, as the metadata has them.
    fn new(
        table: &RecordBatch,
        kind: Option<&str>,
        classes: Option<&str>,
        axes: Option<&str>,
    ) -> Result<Self, TableError> {
        let classes: Vec<String> = names_in(classes);
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in table.schema().fields().iter().zip(table.columns()) {
            spell_out(field.name(), column, &classes, &mut fields, &mut columns)?;
        }
        // Without any column nothing else says how many rows there are.
        let rows = RecordBatchOptions::new().with_row_count(Some(table.num_rows()));
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new_with_options(schema, columns, &rows)?;
        let is_decimal = kind == Some(ArtifactKind::Table.name());
        Ok(Self { batch, axes: names_in(axes), is_decimal })
    }

    /// The table as other programs read it: an axis whose labels are numbers is one of numbers.
    fn with_numeric_axes(&self) -> Result<RecordBatch, TableError> {
        let schema = self.batch.schema();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in schema.fields().iter().zip(self.batch.columns()) {
            let labels = column.as_string_opt::<i32>();
            let labels = labels.filter(|_| self.axes.contains(field.name()));
            let column = labels.and_then(numbers).unwrap_or_else(|| column.clone());
            let field = field.as_ref().clone();
            fields.push(field.with_data_type(column.data_type().clone()));
            columns.push(column);
        }
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }

    /// Puts the coordinates of a point before the columns, where no column says them already. Where
    /// a column of the same name says something else, as that of an artifact of quality over an
    /// axis called quality, it is `axis_NAME`.
    pub fn at(self, point: &[(String, String)]) -> Result<Self, TableError> {
        let rows = self.batch.num_rows();
        let schema = self.batch.schema();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        let mut axes = self.axes;
        for (axis, label) in point {
            let coordinates = StringArray::from(vec![label.as_str(); rows]);
            let name = match self.batch.column_by_name(axis) {
                None => axis.clone(),
                Some(said) if said.as_string_opt::<i32>() == Some(&coordinates) => continue,
                Some(_) => format!("axis_{axis}"),
            };
            axes.insert(name.clone());
            fields.push(Field::new(name, DataType::Utf8, false));
            columns.push(Arc::new(coordinates) as ArrayRef);
        }
        fields.extend(schema.fields().iter().map(|field| field.as_ref().clone()));
        columns.extend(self.batch.columns().iter().cloned());
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        Ok(Self { batch: RecordBatch::try_new(Arc::new(schema), columns)?, axes, ..self })
    }

    /// Tables one under the other, with the metadata that all share; `None` when they do not have
    /// the same columns.
    pub fn stack(tables: Vec<Self>) -> Result<Option<Self>, TableError> {
        let Some(first) = tables.first() else { return Ok(None) };
        let schema = first.batch.schema();
        let schemas = || tables.iter().map(|table| table.batch.schema());
        if schemas().any(|other| other.fields() != schema.fields()) {
            return Ok(None);
        }
        let mut metadata = schema.metadata().clone();
        if tables.len() > 1 {
            metadata.remove(INNER_FOLD);
        }
        metadata
            .retain(|key, value| schemas().all(|other| other.metadata().get(key) == Some(value)));
        let schema = Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata));
        let batch = concat_batches(&schema, tables.iter().map(|table| &table.batch))?;
        Ok(Some(Self { batch, axes: first.axes.clone(), is_decimal: first.is_decimal }))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The bytes of the table in a form.
    pub fn write(&self, form: Form) -> Result<Vec<u8>, TableError> {
        let batch = self.with_numeric_axes()?;
        let table = Self { batch, axes: BTreeSet::new(), is_decimal: self.is_decimal };
        match form {
            // Labels as they are.
            Form::Csv if self.is_decimal => self.csv(),
            Form::Csv => table.csv(),
            Form::Json => table.json(),
            Form::Parquet => {
                let mut bytes = Vec::new();
                let schema = table.batch.schema();
                let mut writer = ArrowWriter::try_new(&mut bytes, schema, None)?;
                writer.write(&table.batch)?;
                writer.close()?;
                Ok(bytes)
            }
        }
    }

    /// Numbers in the fewest digits that give the same number again; a missing value is empty. A
    /// text that a spreadsheet would run as a formula has a `'` before it.
    fn csv(&self) -> Result<Vec<u8>, TableError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.names().iter().map(|name| inert(name).into_owned()))?;
        for row in 0..self.rows() {
            let cells = self.batch.columns().iter().map(|column| match cell(column, row) {
                Cell::Missing => String::new(),
                Cell::Text(text) => inert(&text).into_owned(),
                Cell::Integer(number) => number.to_string(),
                Cell::Float(number) if self.is_decimal => number.to_string(),
                Cell::Float(number) => format!("{number:?}"),
                Cell::Truth(truth) => truth.to_string(),
            });
            writer.write_record(cells)?;
        }
        writer.into_inner().map_err(|error| csv::Error::from(error.into_error()).into())
    }

    /// JSON has no infinity and no NaN: they are null, as missing values are.
    fn json(&self) -> Result<Vec<u8>, TableError> {
        let names = self.names();
        let mut bytes = b"[".to_vec();
        for row in 0..self.rows() {
            let cells = self.batch.columns().iter().map(|column| match cell(column, row) {
                Cell::Missing => Value::Null,
                Cell::Text(text) => text.into(),
                Cell::Integer(number) => number.into(),
                Cell::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
                Cell::Truth(truth) => truth.into(),
            });
            let object: Map<String, Value> = names.iter().cloned().zip(cells).collect();
            bytes.extend(if row == 0 { &b"\n"[..] } else { &b",\n"[..] });
            serde_json::to_writer(&mut bytes, &object)?;
        }
        bytes.extend(b"\n]\n");
        Ok(bytes)
    }
}

/// A list of names, as the metadata of a table has it.
fn names_in<T: DeserializeOwned + Default>(text: Option<&str>) -> T {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Labels as integers, or as floats, where each is written as such a number is: `007` is a name.
fn numbers(labels: &StringArray) -> Option<ArrayRef> {
    let integer = |label: &str| label.parse::<i64>().ok().filter(|of| of.to_string() == label);
    let float = |label: &str| {
        let number = label.parse::<f64>().ok().filter(|of| of.is_finite())?;
        (number.to_string() == label || format!("{number:?}") == label).then_some(number)
    };
    let labels: Vec<&str> = labels.iter().collect::<Option<_>>()?;
    if labels.is_empty() {
        return None;
    }
    let integers: Option<Vec<i64>> = labels.iter().map(|label| integer(label)).collect();
    if let Some(integers) = integers {
        return Some(Arc::new(Int64Array::from(integers)));
    }
    let floats: Option<Vec<f64>> = labels.iter().map(|label| float(label)).collect();
    floats.map(|floats| Arc::new(Float64Array::from(floats)) as ArrayRef)
}

/// A text that no spreadsheet takes for a formula: such a one, unless it is a number, gets a `'`
/// before it.
fn inert(text: &str) -> Cow<'_, str> {
    let begins = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.len() > 1;
    if begins && text.parse::<f64>().is_err() { format!("'{text}").into() } else { text.into() }
}

/// A column as plain ones: a list becomes a column for each of its places, a category its name.
fn spell_out(
    name: &str,
    column: &ArrayRef,
    classes: &[String],
    fields: &mut Vec<Field>,
    columns: &mut Vec<ArrayRef>,
) -> Result<(), TableError> {
    match column.data_type() {
        DataType::FixedSizeList(item, width) => {
            let lists = column.as_fixed_size_list();
            let width = *width as usize;
            for place in 0..width {
                let of = classes.get(place).cloned().unwrap_or_else(|| place.to_string());
                let rows = (0..lists.len()).map(|row| (row * width + place) as u32);
                let picked: arrow::array::UInt32Array = rows.collect();
                let values = arrow::compute::take(lists.values(), &picked, None)?;
                fields.push(Field::new(format!("{name}_{of}"), item.data_type().clone(), true));
                columns.push(values);
            }
        }
        plain => {
            let plain = match plain {
                DataType::Dictionary(..) => DataType::Utf8,
                DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt32 => {
                    DataType::Int64
                }
                other => other.clone(),
            };
            fields.push(Field::new(name, plain.clone(), true));
            columns.push(cast(column, &plain)?);
        }
    }
    Ok(())
}

fn cell(column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Missing;
    }
    match column.data_type() {
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Cell::Truth(column.as_boolean().value(row)),
        DataType::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            Cell::Text(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        // No artifact kind has a column of another type; arrow itself knows how to write one.
        _ => arrow::util::display::array_value_to_string(column, row)
            .map_or(Cell::Missing, Cell::Text),
    }
}

#[cfg(test)]
mod tests;
