//! `load.parquet`: a Parquet file becomes features.

use std::path::PathBuf;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::reader::ChunkReader;
use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use fuseline_artifact::{Features, batch_size, in_one};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::{Missing, Notation};
use super::reading::{Chosen, Id, Long, NonFinite, Pool, Reading, Use};
use super::table::{Cells, DAMAGED, Table, file_name};

/// Reads numeric features from a Parquet file, one row an example.
///
/// Numbers of every width, truth values (0 and 1) and text that reads as numbers are features; null and NaN are missing,
/// and text as `missing` says.
/// A column of lists becomes one feature for each place, `name.0`, `name.1`, ..., which is how embeddings are read; its
/// lists must be equally long. Files compressed with snappy, gzip, lz4 or zstd, or not at all, are read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadParquet {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Where the example_id stands.
    id: Id,
    /// Which columns become features; all but the one of the id when left out.
    #[serde(default)]
    columns: Chosen,
    /// For a table with one row for each example and feature: where name and value stand. Features are sorted by name.
    #[serde(default)]
    long: Option<Long>,
    /// Makes one example of all rows of an example_id: each feature becomes one for each word of this list.
    #[serde(default)]
    pool: Vec<Pool>,
    /// What stands for a missing value where there is text or a number, besides null, NaN and empty text.
    #[serde(default)]
    missing: Missing,
    /// What becomes of infinite values. The log says how many there were.
    #[serde(default)]
    non_finite: NonFinite,
}

impl StageKind for LoadParquet {
    const NAME: &'static str = "load.parquet";
    // 2: text may stand for a missing value, and blanks around text do not count.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str = "Reads features from a Parquet file, one row an example.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { path, id, columns, long, pool, missing, non_finite } = self;
        key.file("path", path);
        key.field("id", id);
        key.field("columns", columns);
        key.field("long", long);
        key.field("pool", pool);
        key.field("missing", missing);
        key.field("non_finite", non_finite);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features = inputs.through_file(&self.path, |file| self.read(file, outputs))?;
        outputs.put("features", features)
    }
}

impl LoadParquet {
    fn read(
        &self,
        bytes: impl ChunkReader + 'static,
        outputs: &mut Outputs,
    ) -> Result<Features, StageError> {
        let Self { id, columns, long, pool, non_finite, .. } = self;
        let reading = Reading { id, columns, long: long.as_ref(), pool, non_finite: *non_finite };
        // A column of lists moves the places of those after it, and how long its lists are is not known yet.
        let is_read =
            |name: &str| reading.goes_by_place() || reading.use_of(usize::MAX, name) != Use::None;
        let notation = Notation { missing: self.missing.clone(), ..Notation::default() };
        let table = table(file_name(&self.path), bytes, is_read)?.with_notation(notation);
        reading.features(table.with_rows()?, outputs)
    }
}

/// The rows of a Parquet file. Of columns that are no lists only those are read that `is_read` wants by their names; the
/// others are there and empty.
pub(crate) fn table(
    file: String,
    bytes: impl ChunkReader + 'static,
    is_read: impl Fn(&str) -> bool,
) -> Result<Table, StageError> {
    let unreadable = |error: &dyn std::error::Error| {
        StageError::data(format!("{file} cannot be read as Parquet: {error}"))
            .at("path")
            .hint(DAMAGED)
    };
    let size = usize::try_from(bytes.len()).unwrap_or(usize::MAX);
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| unreadable(&error))?;
    let fields = builder.schema().fields().clone();
    let wanted: Vec<bool> =
        fields.iter().map(|field| field.data_type().is_nested() || is_read(field.name())).collect();
    let roots = wanted.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(root, _)| root);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows());
    let rows = rows.unwrap_or(usize::MAX);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(batch_size(rows, size))
        .build()
        .map_err(|error| unreadable(&error))?;
    let whole = in_one(reader).map_err(|error| unreadable(&error))?;
    let mut read = whole.columns().to_vec().into_iter();
    drop(whole);
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    for (field, wanted) in fields.iter().zip(wanted) {
        let Some(column) = (if wanted { read.next() } else { None }) else {
            names.push(field.name().clone());
            columns.push(new_null_array(&DataType::Null, rows));
            continue;
        };
        for (name, column) in plain(&file, field.name(), &column)? {
            names.push(name);
            columns.push(column);
        }
    }
    if columns.is_empty() {
        return Err(StageError::data(format!("{file} has no columns")).at("path"));
    }
    Ok(Table::new(file, names, None, Cells::Arrow(columns)))
}

/// A column as 64-bit numbers or text; a column of lists as one column for each place.
fn plain(file: &str, name: &str, column: &ArrayRef) -> Result<Vec<(String, ArrayRef)>, StageError> {
    use DataType::{
        Decimal128, Dictionary, FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32,
        Int64, LargeList, LargeUtf8, List, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    let failed = |error: arrow::error::ArrowError| {
        StageError::data(format!("column {name} of {file} cannot be read: {error}")).at("path")
    };
    let to = |wanted| Ok(vec![(name.to_owned(), cast(column, wanted).map_err(failed)?)]);
    match column.data_type() {
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => to(&Int64),
        Float16 | Float32 | Float64 | Decimal128(..) => to(&Float64),
        UInt64 | Utf8 | LargeUtf8 | Utf8View => to(&Utf8),
        Dictionary(_, values) => plain(file, name, &cast(column, values).map_err(failed)?),
        FixedSizeList(..) | List(_) => {
            let item = match column.data_type() {
                FixedSizeList(item, _) | List(item) => item.clone(),
                _ => return Ok(vec![(name.to_owned(), column.clone())]),
            };
            places(file, name, &cast(column, &LargeList(item)).map_err(failed)?)
        }
        LargeList(_) => places(file, name, column),
        _ => Ok(vec![(name.to_owned(), column.clone())]),
    }
}

/// One column for each place of a column of equally long lists.
fn places(
    file: &str,
    name: &str,
    column: &ArrayRef,
) -> Result<Vec<(String, ArrayRef)>, StageError> {
    let lists = column.as_list::<i64>();
    if !lists.value_type().is_numeric() {
        return Ok(vec![(name.to_owned(), column.clone())]);
    }
    let there: Vec<usize> = (0..lists.len()).filter(|&row| lists.is_valid(row)).collect();
    let Some(&first) = there.first() else { return Ok(Vec::new()) };
    let length = lists.value_length(first);
    if let Some(&other) = there.iter().find(|&&row| lists.value_length(row) != length) {
        return Err(StageError::data(format!(
            "column {name} of {file} holds lists of {length} values in row {} and of {} in row {}",
            first + 1,
            lists.value_length(other),
            other + 1
        ))
        .at("path")
        .hint(format!("leave the column out with columns: {{ exclude: [{name}] }}")));
    }
    let offsets = lists.value_offsets();
    (0..length)
        .map(|place| {
            let at: arrow::array::Int64Array = (0..lists.len())
                .map(|row| lists.is_valid(row).then_some(offsets[row] + place))
                .collect();
            let values = arrow::compute::take(lists.values(), &at, None)
                .and_then(|values| cast(&values, &DataType::Float64))
                .map_err(|error| {
                    StageError::data(format!("column {name} of {file} cannot be read: {error}"))
                })?;
            Ok((format!("{name}.{place}"), values))
        })
        .collect()
}

#[cfg(test)]
mod tests;
