//! Files of a folder as one table, as Spark and pandas write them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, new_null_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;
use fuseline_engine::StageError;

use crate::load::table::{Cells, Source, Table};

/// Name of a folder by which Hive marks a missing value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The table of a part with a column for each folder above it that is called `name=value`.
pub(super) fn with_folder_columns(mut table: Table, part: &Path) -> Result<Table, StageError> {
    let rows = table.rows();
    let folders = part.parent().into_iter().flat_map(Path::components);
    for folder in folders {
        let Component::Normal(folder) = folder else { continue };
        let folder = folder.to_string_lossy();
        let Some((name, value)) = folder.split_once('=') else { continue };
        let value = Some(unescaped(value)).filter(|value| value != NO_VALUE);
        let column = StringArray::from_iter((0..rows).map(|_| value.as_deref()));
        let Cells::Arrow(columns) = &mut table.cells else { continue };
        let first = columns.len();
        columns.push(Arc::new(column));
        table.sources.push(Source { name: name.to_owned(), columns: first..first + 1 });
        table.names.push(name.to_owned());
    }
    Ok(table)
}

/// A text with `%20` decoded to a blank, and the like.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) if byte == b'%' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The rows of all tables one below the other; an error where their columns differ.
pub(super) fn joined(file: String, tables: Vec<Table>) -> Result<Table, StageError> {
    let mut names: Option<(String, Vec<String>)> = None;
    let mut sources: Vec<(String, Range<usize>)> = Vec::new();
    let mut unfit = BTreeMap::new();
    let mut parts: Vec<Vec<ArrayRef>> = Vec::new();
    for table in tables {
        let Cells::Arrow(columns) = table.cells else { continue };
        match &names {
            None => {
                sources =
                    table.sources.into_iter().map(|source| (source.name, source.columns)).collect();
                names = Some((table.file, table.names));
            }
            Some((first, names)) if *names != table.names => {
                let lacks = |names: &[String], other: &[String]| {
                    other.iter().find(|name| !names.contains(name)).cloned()
                };
                let difference = match (lacks(&table.names, names), lacks(names, &table.names)) {
                    (Some(name), _) => {
                        format!("{first} has the column {name}, and {} has not", table.file)
                    }
                    (_, Some(name)) => {
                        format!("{} has the column {name}, and {first} has not", table.file)
                    }
                    _ => format!("{first} and {} have their columns in another order", table.file),
                };
                return Err(StageError::data(format!("the files of {file} differ: {difference}"))
                    .at("path")
                    .hint(
                        "write them anew with equal columns, or move what is no part of the table \
                         elsewhere; names that begin with _ or . are passed over",
                    ));
            }
            Some(_) => {}
        }
        unfit.extend(table.unfit);
        parts.push(columns);
    }
    let (_, names) = names.unwrap_or_default();
    let columns = names
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let columns: Vec<ArrayRef> = parts.iter().map(|part| part[place].clone()).collect();
            one_column(&columns).ok_or_else(|| {
                StageError::data(format!(
                    "column {name} holds text in one file of {file} and numbers in another"
                ))
                .at("path")
                .hint("write them anew with one type for each column")
            })
        })
        .collect::<Result<Vec<_>, StageError>>()?;
    let sources = sources.into_iter().map(|(name, columns)| Source { name, columns }).collect();
    Ok(Table { sources, unfit, ..Table::new(file, names, None, Cells::Arrow(columns)) })
}

/// Columns one below the other, as floats where they are different numbers; `None` where some are
/// text.
fn one_column(columns: &[ArrayRef]) -> Option<ArrayRef> {
    let mut kinds: Vec<&DataType> = columns.iter().map(|column| column.data_type()).collect();
    kinds.retain(|kind| **kind != DataType::Null);
    kinds.dedup();
    let kind = match kinds[..] {
        [] => DataType::Null,
        [only] => only.clone(),
        _ if kinds.iter().all(|kind| kind.is_numeric()) => DataType::Float64,
        _ => return None,
    };
    let alike: Vec<ArrayRef> = columns
        .iter()
        .map(|column| match column.data_type() {
            DataType::Null => Some(new_null_array(&kind, column.len())),
            other if *other == kind => Some(column.clone()),
            _ => cast(column, &kind).ok(),
        })
        .collect::<Option<_>>()?;
    let alike: Vec<&dyn Array> = alike.iter().map(AsRef::as_ref).collect();
    concat(&alike).ok()
}
