//! `load.jsonl`: a file of JSON lines becomes features.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fuseline_artifact::Features;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::notation::{Missing, Notation};
use super::reading::{Chosen, Id, Long, NonFinite, Pool, Reading};
use super::table::{Cells, Table, file_name};

/// Reads numeric features from a file that holds one JSON object a line, each an example.
///
/// A name that a line lacks is missing there, and so is `null`; `true` is 1 and `false` is 0. A list of numbers becomes
/// one feature for each of its places, `name.0`, `name.1`, ..., which is how embeddings are read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadJsonl {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Where the example_id stands.
    id: Id,
    /// Which names become features; all but the one of the id when left out.
    #[serde(default)]
    columns: Chosen,
    /// For lines of one example and feature each: where name and value stand. Features are sorted by name.
    #[serde(default)]
    long: Option<Long>,
    /// Makes one example of all lines of an example_id: each feature becomes one for each word of this list.
    #[serde(default)]
    pool: Vec<Pool>,
    /// What stands for a missing value where there is text or a number, besides `null` and empty text.
    #[serde(default)]
    missing: Missing,
    /// What becomes of infinite values (written as text, since JSON has none). The log says how many there were.
    #[serde(default)]
    non_finite: NonFinite,
}

impl StageKind for LoadJsonl {
    const NAME: &'static str = "load.jsonl";
    // 2: more texts stand for a missing value, and an id may read NA.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str = "Reads features from JSON lines, one object an example.";

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
        let bytes = inputs.read_file(&self.path)?;
        let features = self.read(&bytes, outputs)?;
        outputs.put("features", features)
    }
}

impl LoadJsonl {
    fn read(&self, bytes: &[u8], outputs: &mut Outputs) -> Result<Features, StageError> {
        let notation = Notation { missing: self.missing.clone(), ..Notation::default() };
        let table = table(file_name(&self.path), bytes)?.with_notation(notation).with_rows()?;
        let Self { id, columns, long, pool, non_finite, .. } = self;
        Reading { id, columns, long: long.as_ref(), pool, non_finite: *non_finite }
            .features(table, outputs)
    }
}

/// The lines of a file of JSON objects. Columns come in the order in which their names first appear.
pub(crate) fn table(file: String, bytes: &[u8]) -> Result<Table, StageError> {
    let (mut names, mut rows, mut lines) = (Vec::<String>::new(), Vec::new(), Vec::new());
    let mut places = BTreeMap::<String, usize>::new();
    for (line, text) in (1_u64..).zip(bytes.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let object: Map<String, Value> = serde_json::from_slice(text).map_err(|error| {
            // The error counts lines from this one.
            let reason = error.to_string();
            let reason = reason.rsplit_once(" at line ").map_or(&*reason, |(reason, _)| reason);
            StageError::data(format!(
                "line {line} of {file} is no JSON object: {reason} at column {}",
                error.column()
            ))
            .at("path")
            .hint(match error.is_eof() {
                true => "the line ends early: is the file cut short? copy it again, or take the line out",
                false => r#"each line holds one object, such as {"id": "e1", "a": 0.5}"#,
            })
        })?;
        let mut row = vec![Value::Null; names.len()];
        for (name, value) in flat(object) {
            let place = *places.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                names.len() - 1
            });
            if place >= row.len() {
                row.resize(place + 1, Value::Null);
            }
            row[place] = value;
        }
        rows.push(row);
        lines.push(line);
    }
    if names.is_empty() {
        return Err(StageError::data(format!("{file} is empty"))
            .at("path")
            .hint(r#"each line holds one object, such as {"id": "e1", "a": 0.5}"#));
    }
    Ok(Table::new(file, names, Some(lines), Cells::Json(rows)))
}

/// Names and values, a list of numbers as one for each of its places.
fn flat(object: Map<String, Value>) -> Vec<(String, Value)> {
    let mut cells = Vec::with_capacity(object.len());
    for (name, value) in object {
        match value {
            Value::Array(items) if items.iter().all(|item| item.is_number() || item.is_null()) => {
                let items = items.into_iter().enumerate();
                cells.extend(items.map(|(place, item)| (format!("{name}.{place}"), item)));
            }
            value => cells.push((name, value)),
        }
    }
    cells
}

#[cfg(test)]
mod tests;
