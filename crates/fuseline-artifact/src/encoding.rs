//! Tables as Parquet: one way to write each, so that the same table is the same bytes.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, RecordBatch, RecordBatchReader,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float64Type, Schema};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::{ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::error::ArtifactError;
use crate::schema::{ColumnName, ColumnType, KindSchema};
use crate::sequence::Sequence;

mod chunks;

/// The metadata key that holds the kind.
const KIND: &str = "kind";
/// The metadata key that holds the version of the kind's schema.
const VERSION: &str = "version";
/// The writer that a file names. Constant: a new version of the software writes the same table as
/// the same bytes.
const CREATED_BY: &str = "fuseline";
/// Rows a row group, of which one column is buffered while writing: 1 MiB of numbers.
const ROW_GROUP_ROWS: usize = 1 << 17;
/// Rows that may be read into one batch however few bytes there are.
const BATCH_ROWS: usize = 1 << 20;

/// Writes a checked table. The same table, metadata and schema give the same bytes.
pub(crate) fn encode(
    table: &RecordBatch,
    metadata: &BTreeMap<String, String>,
    schema: &KindSchema,
    sink: impl Write + Send,
) -> Result<(), ArtifactError> {
    let entries = entries(metadata, schema);
    let table = with_one_nan(table, &entries)?;
    let options = ArrowWriterOptions::new().with_properties(properties(&entries, schema));
    let writer = ArrowWriter::try_new_with_options(sink, table.schema(), options)?;
    let (mut file, groups) = writer.into_serialized_writer()?;
    for (number, start) in (0..table.num_rows()).step_by(ROW_GROUP_ROWS).enumerate() {
        let rows = table.slice(start, ROW_GROUP_ROWS.min(table.num_rows() - start));
        let mut group = file.next_row_group()?;
        let columns = rows.schema_ref().fields().iter().zip(rows.columns());
        // A column at a time, so that no more than one of a group is held encoded; and each in one
        // call, since where pages end depends on how rows are cut into calls.
        for (mut writer, (field, column)) in
            groups.create_column_writers(number)?.into_iter().zip(columns)
        {
            for leaf in compute_leaves(field, column)? {
                writer.write(&leaf)?;
            }
            writer.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
    }
    file.close()?;
    Ok(())
}

/// All metadata of the table in the file: the kind and its version first.
fn entries(metadata: &BTreeMap<String, String>, schema: &KindSchema) -> Vec<(String, String)> {
    let own = [(KIND, schema.kind.name().to_owned()), (VERSION, schema.version.to_string())];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
    own.chain(metadata.clone()).collect()
}

fn properties(entries: &[(String, String)], schema: &KindSchema) -> WriterProperties {
    let entries = entries.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(entries.collect()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(None)
        // Measured numbers hardly shrink, and a reader without a codec is a simpler reader.
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in schema.columns {
        let ColumnName::Is(name) = column.name else { continue };
        let path = ColumnPath::from(name);
        properties = match column.of {
            ColumnType::Categories => properties.set_column_dictionary_enabled(path, true),
            ColumnType::Utf8 => {
                properties.set_column_dictionary_enabled(path, name != "example_id")
            }
            ColumnType::Binary => properties
                .set_column_encoding(path.clone(), Encoding::PLAIN)
                .set_column_statistics_enabled(path, EnabledStatistics::None),
            _ => properties,
        };
    }
    properties.build()
}

/// The table with one bit pattern for all NaN, since which one an operation gives differs between
/// processors.
///
/// Its schema repeats the file's metadata: readers of Arrow use that and not the file's own
/// metadata.
fn with_one_nan(
    table: &RecordBatch,
    entries: &[(String, String)],
) -> Result<RecordBatch, ArtifactError> {
    let metadata: BTreeMap<_, _> = entries.iter().cloned().collect();
    let schema = Schema::new_with_metadata(table.schema_ref().fields().clone(), metadata);
    let columns = table.columns().iter().map(one_nan).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

fn one_nan(array: &ArrayRef) -> Result<ArrayRef, ArtifactError> {
    match array.data_type() {
        DataType::Float64 => {
            let floats = array.as_primitive::<Float64Type>();
            let odd = |value: &f64| value.is_nan() && value.to_bits() != f64::NAN.to_bits();
            if !floats.values().iter().any(odd) {
                return Ok(array.clone());
            }
            let fixed: Float64Array =
                floats.unary(|value| if value.is_nan() { f64::NAN } else { value });
            Ok(Arc::new(fixed))
        }
        DataType::FixedSizeList(item, wide) => {
            let lists = array.as_fixed_size_list();
            let values = one_nan(lists.values())?;
            if Arc::ptr_eq(&values, lists.values()) {
                return Ok(array.clone());
            }
            let nulls = lists.nulls().cloned();
            Ok(Arc::new(FixedSizeListArray::try_new(item.clone(), *wide, values, nulls)?))
        }
        _ => Ok(array.clone()),
    }
}

/// Number of rows of a Parquet file of so many bytes to read at once: all, since one batch spares a
/// copy. The bound keeps a false number of rows from reserving memory.
pub fn batch_size(rows: usize, bytes: usize) -> usize {
    rows.clamp(1, bytes.max(BATCH_ROWS))
}

/// All that a reader gives, in one table.
pub fn in_one(reader: impl RecordBatchReader) -> Result<RecordBatch, ArrowError> {
    let schema = reader.schema();
    let mut batches = reader.collect::<Result<Vec<_>, _>>()?;
    match batches.len() {
        1 => Ok(batches.swap_remove(0)),
        _ => concat_batches(&schema, &batches),
    }
}

/// Reads a table and its metadata. The kind and version are checked and left out.
pub(crate) fn decode(
    schema: &KindSchema,
    bytes: Bytes,
) -> Result<(RecordBatch, BTreeMap<String, String>), ArtifactError> {
    guarded(|| {
        let size = bytes.len();
        let file = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())?;
        let metadata = own_metadata(schema, &file)?;
        let rows = rows_of(&file);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, file)
            .with_batch_size(batch_size(rows, size))
            .build()?;
        let shape = Arc::new(Schema::new(reader.schema().fields().clone()));
        let table = in_one(reader)?;
        check_rows(&table, rows)?;
        Ok((table.with_schema(shape)?, metadata))
    })
}

/// Reads like [`decode`], with no more bytes in memory than those of one column of one group of
/// rows.
pub(crate) fn read(
    schema: &KindSchema,
    columns: Option<&[&str]>,
    bytes: &mut dyn Sequence,
) -> Result<(RecordBatch, BTreeMap<String, String>), ArtifactError> {
    guarded(|| {
        let file = chunks::load(bytes)?;
        let metadata = own_metadata(schema, &file)?;
        let wanted = |name: &str| columns.is_none_or(|columns| columns.contains(&name));
        let table = chunks::read(&file, wanted, bytes)?;
        check_rows(&table, rows_of(&file))?;
        Ok((table, metadata))
    })
}

/// The reader is not proof against every damaged file: a panic in it is one more way of saying so.
fn guarded<T>(read: impl FnOnce() -> Result<T, ArtifactError>) -> Result<T, ArtifactError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|panic| Err(ParquetError::General(panic_text(panic.as_ref())).into()))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the reader panicked")
        .to_owned()
}

fn rows_of(file: &ArrowReaderMetadata) -> usize {
    usize::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(usize::MAX)
}

fn check_rows(table: &RecordBatch, rows: usize) -> Result<(), ArtifactError> {
    if table.num_rows() == rows {
        return Ok(());
    }
    let found = table.num_rows();
    Err(ParquetError::General(format!("{found} of {rows} rows were found")).into())
}

fn own_metadata(
    schema: &KindSchema,
    file: &ArrowReaderMetadata,
) -> Result<BTreeMap<String, String>, ArtifactError> {
    let kind = schema.kind;
    let entries = file.metadata().file_metadata().key_value_metadata();
    let mut metadata: BTreeMap<String, String> = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry.key != parquet::arrow::ARROW_SCHEMA_META_KEY)
        .map(|entry| (entry.key.clone(), entry.value.clone().unwrap_or_default()))
        .collect();
    match metadata.remove(KIND) {
        Some(found) if found == kind.name() => {}
        found => {
            let found = found.unwrap_or_else(|| "a Parquet file of no kind".to_owned());
            return Err(ArtifactError::WrongKind { expected: kind, found });
        }
    }
    match metadata.remove(VERSION) {
        Some(found) if found == schema.version.to_string() => Ok(metadata),
        found => {
            let found = found.unwrap_or_else(|| "none".to_owned());
            Err(ArtifactError::Version { kind, found, known: schema.version })
        }
    }
}

#[cfg(test)]
mod tests;
