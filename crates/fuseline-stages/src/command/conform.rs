//! Conversion of a program's output to an artifact: columns by name, types as the schema has them,
//! rows in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, RecordBatch, UInt32Array,
};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use bytes::Bytes;
use fuseline_artifact::{Artifact, ArtifactKind, ColumnName, ColumnType, KindSchema, Payload};
use fuseline_engine::{Labelled, Point, StageError, codes};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::pattern::closest;

/// Metadata that follow from the inputs, so that a program need not repeat them.
pub(super) struct Known {
    classes: Option<String>,
    modality: Option<String>,
    only_evidence: bool,
}

impl Known {
    pub fn gather<'a>(given: impl Iterator<Item = &'a Labelled<Artifact>>, point: &Point) -> Self {
        let mut known = Self { classes: None, modality: None, only_evidence: true };
        let mut modalities = Vec::new();
        for Labelled { artifact, .. } in given {
            if let Some(classes) = artifact.metadata.get("classes") {
                known.classes.get_or_insert_with(|| classes.clone());
            }
            if let Some(modality) = artifact.metadata.get("modality") {
                modalities.push(modality.clone());
            }
            known.only_evidence &= artifact.kind == ArtifactKind::Evidence;
        }
        modalities.dedup();
        let axis = point.iter().find(|(axis, _)| axis == "modality");
        known.modality = match modalities.as_slice() {
            [only] => Some(only.clone()),
            _ => axis.map(|(_, label)| label.clone()),
        };
        known
    }

    fn says(&self, kind: ArtifactKind, key: &str) -> Option<String> {
        match (kind, key) {
            (_, "classes") => self.classes.clone(),
            (_, "modality") => self.modality.clone(),
            (ArtifactKind::Quality, "source") => Some("command".to_owned()),
            (ArtifactKind::Quality, "control") => Some("native".to_owned()),
            (ArtifactKind::Quality, "evidence_derived") => Some(self.only_evidence.to_string()),
            (ArtifactKind::Table, "axes") => Some("[]".to_owned()),
            _ => None,
        }
    }
}

/// Reads a Parquet file as an artifact of a kind.
pub(super) fn read(
    kind: ArtifactKind,
    bytes: Vec<u8>,
    declared: &BTreeMap<String, String>,
    known: &Known,
) -> Result<Artifact, StageError> {
    let wrong = |error: &dyn std::error::Error| StageError::data(format!("not Parquet: {error}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
        .map_err(|error| wrong(&error))?;
    let said: BTreeMap<String, String> = reader
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((entry.key.clone(), entry.value.clone()?)))
        .collect();
    let arrow_schema = reader.schema().clone();
    let batches = reader
        .build()
        .map_err(|error| wrong(&error))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&error))?;
    let table = concat_batches(&arrow_schema, &batches).map_err(|error| wrong(&error))?;

    let schema =
        kind.schema().ok_or_else(|| StageError::failed(format!("{kind} is not a table")))?;
    let mut metadata = BTreeMap::new();
    for entry in schema.metadata {
        let value = declared
            .get(entry.key)
            .or_else(|| said.get(entry.key))
            .cloned()
            .or_else(|| known.says(kind, entry.key));
        let Some(value) = value else {
            return Err(StageError::data(format!("{kind} needs {}: {}", entry.key, entry.help))
                .hint(format!("say it under `metadata: {{ {}: ... }}` of the output", entry.key)));
        };
        metadata.insert(entry.key.to_owned(), value);
    }
    if let Some(extra) = declared.keys().find(|key| !metadata.contains_key(*key)) {
        return Err(StageError::data(format!("{kind} has no metadata {extra}")));
    }
    let classes: Vec<String> = metadata
        .get("classes")
        .and_then(|classes| serde_json::from_str(classes).ok())
        .unwrap_or_default();
    let table = columns(schema.for_metadata(&metadata), &table, &classes)?;
    let table = in_order(kind, &table)?;
    let artifact = Artifact { kind, payload: Payload::Table(table), metadata };
    artifact.encode().map_err(|error| StageError::data(error.to_string()))?;
    super::task::check_values(&artifact)?;
    Ok(artifact)
}

/// The columns of the kind's schema, by name and cast to its types.
fn columns(
    schema: &KindSchema,
    table: &RecordBatch,
    classes: &[String],
) -> Result<RecordBatch, StageError> {
    let (kind, schema) = (schema.kind, schema.columns);
    let found = table.schema();
    let mut used = Vec::new();
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in schema {
        let names: Vec<String> = match column.name {
            ColumnName::Is(name) => vec![name.to_owned()],
            ColumnName::Optional(name) => {
                found.column_with_name(name).map(|_| name.to_owned()).into_iter().collect()
            }
            ColumnName::Begins(prefix) => found
                .fields()
                .iter()
                .map(|field| field.name())
                .filter(|name| {
                    name.starts_with(prefix)
                        && !is_index(name)
                        && !schema.iter().any(|known| match known.name {
                            ColumnName::Is(fixed) | ColumnName::Optional(fixed) => fixed == *name,
                            ColumnName::Begins(_) => false,
                        })
                })
                .cloned()
                .collect(),
        };
        for name in names {
            let array = match (table.column_by_name(&name), column.of) {
                (Some(array), of) => {
                    used.push(name.clone());
                    as_type(array, of, classes).map_err(|problem| {
                        StageError::data(format!("column {name} of {kind} {problem}"))
                    })?
                }
                (None, ColumnType::Probabilities) => {
                    used.extend(classes.iter().cloned());
                    from_classes(kind, table, classes)?
                }
                (None, _) => {
                    let given: Vec<&str> =
                        found.fields().iter().map(|field| field.name().as_str()).collect();
                    let hint = match closest(&name, given.iter().copied()) {
                        Some(near) => format!("what the program gives is called {near}"),
                        None => format!("the program gives {}", given.join(", ")),
                    };
                    let message = format!("{kind} needs a column {name}: {}", column.help);
                    return Err(StageError::data(message).hint(hint));
                }
            };
            fields.push(Field::new(&name, array.data_type().clone(), column.nullable));
            arrays.push(array);
        }
    }
    let extra = found.fields().iter().find(|of| !used.contains(of.name()) && !is_index(of.name()));
    if let Some(extra) = extra {
        return Err(StageError::data(format!("{kind} has no column {}", extra.name())));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| StageError::data(error.to_string()))
}

/// The column in which pandas keeps its index.
fn is_index(name: &str) -> bool {
    name.starts_with("__index_level_")
}

fn as_type(array: &ArrayRef, of: ColumnType, classes: &[String]) -> Result<ArrayRef, String> {
    let wanted = match of {
        ColumnType::Utf8 => DataType::Utf8,
        ColumnType::Categories => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Binary => DataType::Binary,
        ColumnType::Probabilities => return lists(array, classes.len()),
    };
    if array.data_type() == &wanted {
        return Ok(array.clone());
    }
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    arrow::compute::cast_with_options(array, &wanted, &options)
        .map_err(|error| format!("should be {}: {error}", of.name()))
}

/// Lists of numbers, one a class.
fn lists(array: &ArrayRef, classes: usize) -> Result<ArrayRef, String> {
    let large = DataType::LargeList(Arc::new(Field::new_list_field(DataType::Float64, true)));
    let array = cast(array, &large).map_err(|error| format!("should be a list: {error}"))?;
    let lists = array.as_list::<i64>();
    let mut values = Vec::with_capacity(lists.len() * classes);
    for row in 0..lists.len() {
        let list = lists.value(row);
        let list = list.as_primitive::<Float64Type>();
        if list.len() != classes || list.null_count() > 0 {
            return Err(format!("should have {classes} numbers in each row, one a class"));
        }
        values.extend_from_slice(list.values());
    }
    probabilities(values, classes)
}

/// One column a class, as a data frame has them.
fn from_classes(
    kind: ArtifactKind,
    table: &RecordBatch,
    classes: &[String],
) -> Result<ArrayRef, StageError> {
    let columns = classes
        .iter()
        .map(|class| {
            let column = table.column_by_name(class).ok_or_else(|| {
                StageError::data(format!(
                    "{kind} needs a column probabilities, or a column for each of the classes {}: \
                     {class} is missing",
                    classes.join(", ")
                ))
            })?;
            let column = as_type(column, ColumnType::Float64, &[]).map_err(|problem| {
                StageError::data(format!("column {class} of {kind} {problem}"))
            })?;
            Ok(column.as_primitive::<Float64Type>().clone())
        })
        .collect::<Result<Vec<Float64Array>, StageError>>()?;
    let values = (0..table.num_rows())
        .flat_map(|row| columns.iter().map(move |column| column.value(row)))
        .collect();
    probabilities(values, classes.len()).map_err(StageError::data)
}

fn probabilities(values: Vec<f64>, classes: usize) -> Result<ArrayRef, String> {
    let item = Arc::new(Field::new_list_field(DataType::Float64, false));
    let width = i32::try_from(classes).map_err(|error| error.to_string())?;
    let list = FixedSizeListArray::try_new(item, width, Arc::new(Float64Array::from(values)), None);
    Ok(Arc::new(list.map_err(|error| error.to_string())?))
}

/// Rows by example_id in code-point order, so that the order in which a program writes them does
/// not count.
fn in_order(kind: ArtifactKind, table: &RecordBatch) -> Result<RecordBatch, StageError> {
    let Some(ids) = table.column_by_name("example_id") else { return Ok(table.clone()) };
    let ids = ids.as_string::<i32>();
    if ids.null_count() > 0 {
        return Err(StageError::data(format!("{kind} has a row without example_id")));
    }
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    order.sort_by_key(|&row| ids.value(row as usize));
    if let Some(pair) =
        order.windows(2).find(|pair| ids.value(pair[0] as usize) == ids.value(pair[1] as usize))
    {
        let id = ids.value(pair[0] as usize);
        return Err(StageError::data(format!("{kind} has example {id} in more than one row"))
            .code(&codes::LEAK_DUPLICATE_EXAMPLE)
            .hint("give each example one row, and different examples different example_ids"));
    }
    take_record_batch(table, &UInt32Array::from(order))
        .map_err(|error| StageError::failed(error.to_string()))
}
