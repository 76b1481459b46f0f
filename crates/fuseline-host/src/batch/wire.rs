//! A batch as an Arrow IPC stream, for rules in another process.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, RecordBatch, make_array};
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use super::column::Column;
use super::{Answers, Batch, Embedding, Labels, new_identity};

/// Keys of the schema's metadata: JSON lists of names.
const MODALITIES: &str = "fuseline.modalities";
const CLASSES: &str = "fuseline.classes";

impl Batch {
    /// Writes the batch as an Arrow IPC stream of one record batch, its buffers 64-byte aligned
    /// within the stream. They go out as they are: a batch is not in memory twice.
    pub(crate) fn to_stream<W: Write>(&self, sink: W) -> Result<W, ArrowError> {
        let (modalities, classes) = (self.modalities.len(), self.classes.len());
        let mut columns = vec![
            plain("row_id", DataType::UInt64, self.rows, self.row_id.buffer())?,
            list(
                "evidence",
                DataType::Float64,
                modalities * classes,
                self.rows,
                self.evidence.buffer(),
            )?,
            list("available", DataType::UInt8, modalities, self.rows, self.available.buffer())?,
            list("quality", DataType::Float64, modalities, self.rows, self.quality.buffer())?,
        ];
        for embedding in &self.embeddings {
            let name = format!("embedding_{}", self.modalities[embedding.modality]);
            let values = embedding.values.buffer();
            columns.push(list(&name, DataType::Float64, embedding.width, self.rows, values)?);
        }
        if let Some(labels) = &self.labels {
            columns.push(match &labels.answers {
                Answers::Classes(label) => {
                    plain("label", DataType::Int32, self.rows, label.buffer())?
                }
                Answers::Numbers(target) => {
                    plain("target", DataType::Float64, self.rows, target.buffer())?
                }
            });
            columns.push(plain("weight", DataType::Float64, self.rows, labels.weight.buffer())?);
        }
        let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let names = |names: &[String]| serde_json::Value::from(names.to_vec()).to_string();
        let metadata = [
            (MODALITIES.to_owned(), names(&self.modalities)),
            (CLASSES.to_owned(), names(&self.classes)),
        ];
        let schema = Arc::new(Schema::new(fields).with_metadata(BTreeMap::from(metadata)));
        let record = RecordBatch::try_new(schema.clone(), arrays)?;
        let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)?;
        let mut writer = StreamWriter::try_new_with_options(sink, &schema, options)?;
        writer.write(&record)?;
        writer.finish()?;
        writer.into_inner()
    }

    /// Reads what [`Batch::to_stream`] wrote; the buffers stay where they are. The error says what
    /// is wrong.
    pub(crate) fn of_stream(bytes: MutableBuffer) -> Result<Self, String> {
        let mut buffer = Buffer::from(bytes);
        let mut decoder = StreamDecoder::new();
        let record = decoder
            .decode(&mut buffer)
            .map_err(|error| error.to_string())?
            .ok_or("the stream holds no batch")?;
        let schema = record.schema();
        let names = |key: &str| -> Option<Vec<String>> {
            serde_json::from_str(schema.metadata().get(key)?).ok()
        };
        let modalities = names(MODALITIES).ok_or("the stream names no modalities")?;
        let classes = names(CLASSES).ok_or("the stream names no classes")?;
        let (rows, width) = (record.num_rows(), modalities.len());
        let mut embeddings = Vec::new();
        for (place, name) in modalities.iter().enumerate() {
            let Some(column) = record.column_by_name(&format!("embedding_{name}")) else {
                continue;
            };
            if let DataType::FixedSizeList(_, embedding_width) = column.data_type() {
                let embedding_width = *embedding_width as usize;
                embeddings.push(Embedding {
                    modality: place,
                    width: embedding_width,
                    values: read(column, rows * embedding_width)
                        .ok_or("an embedding is not a list of numbers")?,
                });
            }
        }
        let column =
            |name: &str| record.column_by_name(name).ok_or(format!("there is no column {name}"));
        let short = "a column is shorter than it should be";
        let answers = match (record.column_by_name("label"), record.column_by_name("target")) {
            (Some(label), _) => Some(Answers::Classes(read(label, rows).ok_or(short)?)),
            (None, Some(target)) => Some(Answers::Numbers(read(target, rows).ok_or(short)?)),
            (None, None) => None,
        };
        let labels = match answers {
            None => None,
            Some(answers) => {
                Some(Labels { answers, weight: read(column("weight")?, rows).ok_or(short)? })
            }
        };
        Ok(Self {
            identity: new_identity(),
            rows,
            row_id: read(column("row_id")?, rows).ok_or(short)?,
            evidence: read(column("evidence")?, rows * width * classes.len()).ok_or(short)?,
            available: read(column("available")?, rows * width).ok_or(short)?,
            quality: read(column("quality")?, rows * width).ok_or(short)?,
            modalities,
            classes,
            embeddings,
            labels,
        })
    }
}

/// The values of a column of numbers, or of the numbers inside a column of lists.
fn read<T: arrow::datatypes::ArrowNativeType>(column: &ArrayRef, len: usize) -> Option<Column<T>> {
    let data = column.to_data();
    let values = data.child_data().first().unwrap_or(&data);
    if values.offset() != 0 {
        return None;
    }
    Column::of_buffer(values.buffers().first()?.clone(), len)
}

fn plain(
    name: &str,
    kind: DataType,
    rows: usize,
    values: Buffer,
) -> Result<(Field, ArrayRef), ArrowError> {
    let data = ArrayData::builder(kind.clone()).len(rows).add_buffer(values).build()?;
    Ok((Field::new(name, kind, false), make_array(data)))
}

fn list(
    name: &str,
    kind: DataType,
    width: usize,
    rows: usize,
    values: Buffer,
) -> Result<(Field, ArrayRef), ArrowError> {
    let item = Field::new("item", kind.clone(), false);
    let values = ArrayData::builder(kind).len(rows * width).add_buffer(values).build()?;
    let kind = DataType::FixedSizeList(Arc::new(item), width as i32);
    let data = ArrayData::builder(kind.clone()).len(rows).add_child_data(values).build()?;
    Ok((Field::new(name, kind, false), make_array(data)))
}
