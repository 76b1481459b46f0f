//! `load.npz`: arrays that numpy saved become features.

use std::io::{Cursor, Read};
use std::path::PathBuf;

use fuseline_artifact::Features;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zip::ZipArchive;
use zip::result::ZipError;

use super::notation::{Missing, Notation};
use super::npy::{self, Npy, Values};
use super::reading::{Chosen, Id, NonFinite, Pool, Reading};
use super::table::{Cells, DAMAGED, Table, file_name};
use crate::pattern::{Column, Pattern};

/// Reads numeric features from a file of `numpy.savez` or `numpy.savez_compressed`.
///
/// One array holds the features, a row an example; another the example_ids, in the same order, as text or whole
/// numbers. Python objects are refused: reading them would run code. NaN is missing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadNpz {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Where the example_ids stand.
    id: IdArray,
    /// Where the features stand.
    features: FeatureArray,
    /// Which features to take; all when left out.
    #[serde(default)]
    columns: Chosen,
    /// Makes one example of all rows of an example_id: each feature becomes one for each word of this list.
    #[serde(default)]
    pool: Vec<Pool>,
    /// What stands for a missing value, besides NaN: a number such as -999.
    #[serde(default)]
    missing: Missing,
    /// What becomes of infinite values. The log says how many there were.
    #[serde(default)]
    non_finite: NonFinite,
}

/// Where the example_ids stand.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IdArray {
    /// The array of one dimension that holds them.
    array: String,
    /// Which part of the text is the example_id; all of it when left out.
    #[serde(default)]
    pattern: Option<Pattern>,
}

/// Where the features stand.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FeatureArray {
    /// The array of two dimensions that holds them, rows by features; one of one dimension is one feature.
    array: String,
    /// The array that names the features; they are `f0`, `f1`, ... when left out.
    #[serde(default)]
    names: Option<String>,
}

impl StageKind for LoadNpz {
    const NAME: &'static str = "load.npz";
    // 2: blanks around an id do not count.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str = "Reads features from arrays that numpy saved.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { path, id, features, columns, pool, missing, non_finite } = self;
        key.file("path", path);
        key.field("id", id);
        key.field("features", features);
        key.field("columns", columns);
        key.field("pool", pool);
        key.field("missing", missing);
        key.field("non_finite", non_finite);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let bytes = inputs.read_file(&self.path)?;
        let features = self.read(bytes, outputs)?;
        outputs.put("features", features)
    }
}

impl LoadNpz {
    fn read(&self, bytes: Vec<u8>, outputs: &mut Outputs) -> Result<Features, StageError> {
        let notation = Notation { missing: self.missing.clone(), ..Notation::default() };
        let table = self.table(bytes)?.with_notation(notation).with_rows()?;
        let id = Id::of_column(Column::Place(0), self.id.pattern.clone());
        let Self { columns, pool, non_finite, .. } = self;
        Reading { id: &id, columns, long: None, pool, non_finite: *non_finite }
            .features(table, outputs)
    }

    fn table(&self, bytes: Vec<u8>) -> Result<Table, StageError> {
        let file = file_name(&self.path);
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
            StageError::data(format!("{file} is no npz file: {error}")).at("path").hint(DAMAGED)
        })?;
        let ids = texts(array(&mut archive, &file, &self.id.array, "id.array")?);
        let found = array(&mut archive, &file, &self.features.array, "features.array")?;
        let name = &self.features.array;
        let (rows, width) = match found.shape[..] {
            [rows] => (rows, 1),
            [rows, width] => (rows, width),
            _ => {
                return Err(StageError::data(format!(
                    "array {name} of {file} has {} dimensions where 2 are wanted",
                    found.shape.len()
                ))
                .at("features.array"));
            }
        };
        if ids.len() != rows {
            return Err(StageError::data(format!(
                "array {} of {file} holds {} ids and array {name} has {rows} rows",
                self.id.array,
                ids.len()
            ))
            .at("id.array"));
        }
        let values = match found.values {
            Values::Numbers(values) => values,
            #[expect(
                clippy::cast_precision_loss,
                reason = "a feature of more than 53 bits is rounded"
            )]
            Values::Whole(values) => values.into_iter().map(|value| value as f64).collect(),
            Values::Texts(_) => {
                return Err(StageError::data(format!(
                    "array {name} of {file} holds text, not numbers"
                ))
                .at("features.array"));
            }
        };
        let mut names = vec![self.id.array.clone()];
        match &self.features.names {
            Some(of) => names.extend(texts(array(&mut archive, &file, of, "features.names")?)),
            None => names.extend((0..width).map(|place| format!("f{place}"))),
        }
        if names.len() != width + 1 {
            return Err(StageError::data(format!(
                "array {name} of {file} has {width} features and {} names",
                names.len() - 1
            ))
            .at("features.names"));
        }
        Ok(Table::new(file, names, None, Cells::Matrix { ids, values }))
    }
}

/// An array of the file, by its name.
fn array(
    archive: &mut ZipArchive<Cursor<Vec<u8>>>,
    file: &str,
    name: &str,
    option: &str,
) -> Result<Npy, StageError> {
    let mut names: Vec<_> =
        archive.file_names().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
    names.sort();
    let failed = |error: &dyn std::error::Error| {
        StageError::data(format!("array {name} of {file} cannot be read: {error}"))
            .at("path")
            .hint(DAMAGED)
    };
    let mut entry = archive.by_name(&format!("{name}.npy")).map_err(|error| match error {
        ZipError::FileNotFound => StageError::data(format!("{file} has no array {name}"))
            .at(option)
            .hint(format!("its arrays are {}", names.join(", "))),
        other => failed(&other),
    })?;
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    npy::read(&bytes).map_err(|reason| {
        StageError::data(format!("array {name} of {file} cannot be read: {reason}")).at(option)
    })
}

fn texts(array: Npy) -> Vec<String> {
    match array.values {
        Values::Texts(texts) => texts,
        Values::Whole(values) => values.iter().map(i64::to_string).collect(),
        Values::Numbers(values) => values.iter().map(f64::to_string).collect(),
    }
}

#[cfg(test)]
mod tests;
