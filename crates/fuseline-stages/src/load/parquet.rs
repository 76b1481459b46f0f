//! `load.parquet`: a Parquet file becomes features.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use ::parquet::basic::{Compression, LogicalType};
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::ChunkReader;
use arrow::array::new_null_array;
use arrow::datatypes::DataType;
use fuseline_artifact::{Features, batch_size, in_one};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;

use self::columns::{Plain, plain};
use super::format::{Format, HEAD_BYTES, unreadable_as};
use super::limits::{check_expansion, contain_panics, table_bytes, within_memory};
use super::notation::{Missing, Notation};
use super::reading::{Chosen, Id, Long, NonFinite, Pool, Reading, Use};
use super::table::{Cells, DAMAGED, Source, Table, Unfit, file_name};

/// Reads numeric features from a Parquet file, one row an example.
///
/// Numbers of every width, truth values (0 and 1), decimals and text that reads as numbers are
/// features; null and NaN are missing, and text as `missing` says. Ids may be dates, UUIDs and
/// decimals too. A column of lists becomes one feature for each place, `name.0`, `name.1`, ...,
/// which is how embeddings are read; its lists must be equally long. `columns` takes the names of
/// single places and of whole lists, and what it leaves out is not read. Files compressed with
/// snappy, gzip, brotli, lz4 or zstd, or not at all, are read. A folder, as Spark and pandas write
/// them, is read as one table: its files in the order of their names, without those that begin with
/// `_` or `.`; folders in it such as `site=a` are a column `site`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadParquet {
    /// The file, or the folder of its parts.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Place of the example_id: a column, or the number of the row.
    id: Id,
    /// Which columns become features; when left out, all but the one of the id, those without a
    /// name and those that are called an index and count the rows.
    #[serde(default)]
    columns: Chosen,
    /// For a table with one row for each example and feature: where name and value stand. Features
    /// are sorted by name.
    #[serde(default)]
    long: Option<Long>,
    /// Makes one example of all rows of an example_id: each feature becomes one for each word of
    /// this list.
    #[serde(default)]
    pool: Vec<Pool>,
    /// Notations of a missing value, besides null, NaN and empty text: `...` is NA, N/A, NaN,
    /// null, None, `<NA>`, #N/A and #NA in any case; all else counts as it is written, as in [...,
    /// "-", -999].
    #[serde(default)]
    missing: Missing,
    /// Treatment of infinite values. The log says how many there were.
    #[serde(default)]
    non_finite: NonFinite,
}

impl StageKind for LoadParquet {
    const NAME: &'static str = "load.parquet";
    // 2: text may stand for a missing value, and blanks around text do not count; decimals are read
    // to their last digit; floats that are ids are written as Python writes them; a place counts
    // the columns of the file.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str = "Reads features from a Parquet file, one row an example.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { path, id, columns, long, pool, missing, non_finite } = self;
        key.file_or_folder("path", path);
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
        let table = read_parts(inputs, &self.path, |file, part| self.table(file, part))?;
        let features = self.features(table, outputs)?;
        outputs.put("features", features)
    }
}

impl LoadParquet {
    fn reading(&self) -> Reading<'_> {
        let Self { id, columns, long, pool, non_finite, .. } = self;
        Reading { id, columns, long: long.as_ref(), pool, non_finite: *non_finite }
    }

    fn table(&self, file: String, bytes: impl ChunkReader + 'static) -> Result<Table, StageError> {
        let reading = self.reading();
        table(file, bytes, |place, name, is_list| {
            reading.use_of(place, name) != Use::None || is_list && reading.reads_list(name)
        })
    }

    fn features(&self, table: Table, outputs: &mut Outputs) -> Result<Features, StageError> {
        let notation = Notation {
            missing: self.missing.clone(),
            options: &["missing"],
            ..Notation::default()
        };
        self.reading().features(table.with_notation(notation).with_rows()?, outputs)
    }
}

/// The table of a file, or of the files of a folder one below the other.
pub(crate) fn read_parts(
    inputs: &Inputs<'_>,
    path: &Path,
    read: impl Fn(String, File) -> Result<Table, StageError>,
) -> Result<Table, StageError> {
    let read = |file, part| within_memory(inputs, || read(file, part));
    let file = file_name(path);
    let parts = inputs.parts(path);
    if parts.is_empty() {
        return inputs.through_file(path, |part| read(file, part));
    }
    let mut tables = Vec::with_capacity(parts.len());
    for part in parts {
        let name = format!("{file}/{}", part.strip_prefix(path).unwrap_or(part).display());
        let table = inputs.through_file(part, |part| read(name, part))?;
        tables.push(parts::with_folder_columns(table, part.strip_prefix(path).unwrap_or(part))?);
    }
    parts::joined(file, tables)
}

/// The rows of a Parquet file. Only columns that `is_read` wants are read, given their places,
/// their names and whether they hold lists; the others are there and empty.
pub(crate) fn table(
    file: String,
    bytes: impl ChunkReader + 'static,
    is_read: impl Fn(usize, &str, bool) -> bool,
) -> Result<Table, StageError> {
    contain_panics(&file, || read_table(&file, bytes, is_read))
}

fn read_table(
    file: &str,
    bytes: impl ChunkReader + 'static,
    is_read: impl Fn(usize, &str, bool) -> bool,
) -> Result<Table, StageError> {
    let size = bytes.len();
    let head_bytes = usize::try_from(size).map_or(HEAD_BYTES, |size| size.min(HEAD_BYTES));
    let head = bytes.get_bytes(0, head_bytes).unwrap_or_default();
    let unreadable = |error: &dyn std::error::Error| {
        unreadable_as(Format::Parquet, file, &head, "Parquet", &error)
    };
    let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())
        .map_err(|error| unreadable(&error))?;
    let fields = metadata.schema().fields().clone();
    let wanted: Vec<bool> = fields
        .iter()
        .enumerate()
        .map(|(place, field)| is_read(place, field.name(), field.data_type().is_list()))
        .collect();
    let roots = metadata.parquet_schema().root_schema().get_fields();
    let is_uuid = |place: usize| {
        let kind = roots.get(place).and_then(|root| root.get_basic_info().logical_type_ref());
        kind == Some(&LogicalType::Uuid)
            || fields[place].extension_type_name() == Some("arrow.uuid")
    };
    let uuids: Vec<bool> = (0..fields.len()).map(is_uuid).collect();
    let places = wanted.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(root, _)| root);
    let mask = ProjectionMask::roots(metadata.parquet_schema(), places);
    check_chunks(file, &bytes, metadata.metadata(), &mask)?;
    let rows = usize::try_from(metadata.metadata().file_metadata().num_rows());
    let rows = rows.unwrap_or(usize::MAX);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
        .with_projection(mask)
        .with_batch_size(batch_size(rows, usize::try_from(size).unwrap_or(usize::MAX)))
        .build()
        .map_err(|error| unreadable(&error))?;
    let whole = in_one(reader).map_err(|error| unreadable(&error))?;
    let mut read = whole.columns().to_vec().into_iter();
    drop(whole);
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    let (mut sources, mut unfit) = (Vec::new(), BTreeMap::new());
    for ((field, wanted), is_uuid) in fields.iter().zip(wanted).zip(uuids) {
        let (name, first) = (field.name().clone(), columns.len());
        let read = if wanted { read.next() } else { None };
        let column = read.map(|column| plain(&column, is_uuid)).transpose().map_err(|error| {
            StageError::data(format!("column {name} of {file} cannot be read: {error}")).at("path")
        })?;
        match column {
            Some(Plain::Column(column)) => columns.push(column),
            Some(Plain::Text(column, holds)) => {
                columns.push(column);
                unfit.insert(first, Unfit { holds: holds.to_owned(), is_text: true });
            }
            Some(Plain::Lists(places)) => {
                names.extend((0..places.len()).map(|place| format!("{name}.{place}")));
                columns.extend(places);
                sources.push(Source { name, columns: first..columns.len() });
                continue;
            }
            Some(Plain::Unfit(holds)) => {
                columns.push(new_null_array(&DataType::Null, rows));
                unfit.insert(first, Unfit { holds, is_text: false });
            }
            None => columns.push(new_null_array(&DataType::Null, rows)),
        }
        names.push(name.clone());
        sources.push(Source { name, columns: first..columns.len() });
    }
    if sources.is_empty() {
        return Err(StageError::data(format!("{file} has no columns")).at("path"));
    }
    let table = Table::new(file.to_owned(), names, None, Cells::Arrow(columns));
    Ok(Table { sources, unfit, ..table })
}

/// An error when the columns that are read take more memory than a file of its size may unfold to,
/// or are packed in a way that is not read.
fn check_chunks(
    file: &str,
    bytes: &impl ChunkReader,
    metadata: &ParquetMetaData,
    mask: &ProjectionMask,
) -> Result<(), StageError> {
    let positive = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
    let mut total = 0_u64;
    for group in metadata.row_groups() {
        let columns = group.columns().iter().enumerate();
        for (_, column) in columns.filter(|(leaf, _)| mask.leaf_included(*leaf)) {
            let (name, compression) = (column.column_path().string(), column.compression());
            if compression == Compression::LZO {
                return Err(StageError::data(format!(
                    "column {name} of {file} is compressed with {compression}, which is not read"
                ))
                .at("path")
                .hint("write the file with snappy, gzip, zstd, lz4 or brotli, or uncompressed"));
            }
            let values = positive(column.num_values());
            let rows = positive(group.num_rows()).max(values);
            total = total.saturating_add(table_bytes(rows, 1));
            check_expansion(file, bytes.len(), "the table", total)?;
            let wrong = |what: &str| {
                StageError::data(format!("column {name} of {file} cannot be read: {what}"))
                    .at("path")
                    .hint(DAMAGED)
            };
            let (start, length) = column.byte_range();
            let pages = pages::headers(bytes, start, start.saturating_add(length), values)
                .map_err(|error| wrong(&error.to_string()))?;
            for page in pages {
                // A value of a dictionary takes a byte at least.
                if page.is_dictionary && page.values > page.uncompressed_bytes {
                    return Err(wrong("its dictionary says that it holds more values than bytes"));
                }
                total = total.saturating_add(page.uncompressed_bytes);
            }
            check_expansion(file, bytes.len(), "the table", total)?;
        }
    }
    Ok(())
}

mod columns;
mod pages;
mod parts;
#[cfg(test)]
mod tests;
