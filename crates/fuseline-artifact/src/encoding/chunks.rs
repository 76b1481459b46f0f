//! Parquet read once from the first byte to the last, one column of one group of rows at a time.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Builder, RecordBatch, RecordBatchOptions, new_empty_array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Float64Type, Schema};
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::{BATCH_ROWS, rows_of};
use crate::error::ArtifactError;
use crate::sequence::Sequence;

/// Reads the metadata at the end of a file.
pub(super) fn load(bytes: &mut dyn Sequence) -> Result<ArrowReaderMetadata, ArtifactError> {
    let size = bytes.size();
    if size < FOOTER_SIZE as u64 {
        return Err(ParquetError::EOF(format!("{size} bytes are no Parquet file")).into());
    }
    let footer = bytes.last(FOOTER_SIZE)?;
    // The length of what is before it, then four letters.
    let before = footer.clone().get_u32_le() as usize;
    let length = before.saturating_add(FOOTER_SIZE);
    let last = if length as u64 > size { footer } else { bytes.last(length)? };
    let piece = Piece { start: size - last.len() as u64, size, bytes: last };
    Ok(ArrowReaderMetadata::load(&piece, ArrowReaderOptions::new())?)
}

/// The wanted columns of all rows.
pub(super) fn read(
    file: &ArrowReaderMetadata,
    wanted: impl Fn(&str) -> bool,
    bytes: &mut dyn Sequence,
) -> Result<RecordBatch, ArtifactError> {
    let fields = file.schema().fields();
    let groups = file.metadata().row_groups();
    if groups.iter().any(|group| group.num_columns() != fields.len()) {
        let problem = "a column is stored as several".to_owned();
        return Err(ParquetError::General(problem).into());
    }
    let most = usize::try_from(bytes.size()).unwrap_or(usize::MAX).max(BATCH_ROWS);
    let rows = rows_of(file).min(most);
    let mut columns: Vec<Option<Column>> = fields
        .iter()
        .map(|field| {
            wanted(field.name()).then(|| Column::new(field.data_type(), groups.len(), rows))
        })
        .collect();
    let mut passed = 0;
    for (number, group) in groups.iter().enumerate() {
        let rows = usize::try_from(group.num_rows()).unwrap_or(usize::MAX).clamp(1, most);
        for (leaf, column) in columns.iter_mut().enumerate() {
            let Some(column) = column else { continue };
            let (start, length) = place(group.column(leaf), passed, bytes.size())?;
            bytes.skip(start - passed)?;
            let chunk = Piece { start, size: bytes.size(), bytes: bytes.next(length)? };
            passed = start + length as u64;
            // Only this chunk is read, so the reader needs no other.
            let leaf = ProjectionMask::leaves(file.parquet_schema(), [leaf]);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(chunk, file.clone())
                .with_row_groups(vec![number])
                .with_projection(leaf)
                .with_batch_size(rows)
                .build()?;
            for batch in reader {
                column.take(batch?.column(0));
            }
        }
    }
    let mut read = (Vec::new(), Vec::new());
    for (field, column) in fields.iter().zip(columns) {
        let Some(column) = column else { continue };
        read.1.push(column.finish(field.data_type())?);
        read.0.push(field.clone());
    }
    let (fields, columns) = read;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

/// Start and length of a chunk. Chunks come one after the other.
fn place(
    chunk: &ColumnChunkMetaData,
    passed: u64,
    size: u64,
) -> Result<(u64, usize), ArtifactError> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let place = || {
        let (start, length) =
            (u64::try_from(start).ok()?, usize::try_from(chunk.compressed_size()).ok()?);
        let end = start.checked_add(length as u64)?;
        (start >= passed && end <= size).then_some((start, length))
    };
    place().ok_or_else(|| {
        ParquetError::General(format!("a chunk of a column is said to begin at {start}")).into()
    })
}

/// A column on its way.
enum Column {
    /// Numbers of several groups: each is appended while it is still near the
    /// processor.
    Floats(Float64Builder),
    /// All other columns, and those of a single chunk.
    Pieces(Vec<ArrayRef>),
}

impl Column {
    fn new(of: &DataType, groups: usize, rows: usize) -> Self {
        match of {
            DataType::Float64 if groups > 1 => Self::Floats(Float64Builder::with_capacity(rows)),
            _ => Self::Pieces(Vec::with_capacity(groups)),
        }
    }

    fn take(&mut self, piece: &ArrayRef) {
        match self {
            Self::Floats(floats) => floats.append_array(piece.as_primitive::<Float64Type>()),
            Self::Pieces(pieces) => pieces.push(piece.clone()),
        }
    }

    fn finish(self, of: &DataType) -> Result<ArrayRef, ArtifactError> {
        match self {
            Self::Floats(mut floats) => Ok(Arc::new(floats.finish())),
            Self::Pieces(pieces) => match &pieces[..] {
                [] => Ok(new_empty_array(of)),
                [one] => Ok(one.clone()),
                many => {
                    let many: Vec<&dyn Array> = many.iter().map(AsRef::as_ref).collect();
                    Ok(concat(&many)?)
                }
            },
        }
    }
}

/// A part of a file, at its place.
struct Piece {
    start: u64,
    size: u64,
    bytes: Bytes,
}

impl Piece {
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let offset = start.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        match offset.filter(|offset| *offset <= self.bytes.len()) {
            Some(offset) => Ok(self.bytes.slice(offset..)),
            None => Err(ParquetError::EOF(format!("byte {start} is not part of the chunk"))),
        }
    }
}

impl Length for Piece {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Piece {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} end beyond the chunk"
            )));
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}
