//! `load.npz`: arrays that numpy saved become features.

use std::io::{Cursor, Read};
use std::path::PathBuf;

use fuseline_artifact::Features;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zip::ZipArchive;
use zip::result::ZipError;

use super::format::{Format, HEAD_BYTES, unreadable_as};
use super::limits::{check_expansion, contain_panics, part_limit, table_bytes, within_memory};
use super::notation::{Missing, Notation};
use super::npy::{self, Npy};
use super::reading::{Chosen, Id, NonFinite, Pool, Reading};
use super::table::{Cells, DAMAGED, Table, file_name};
use crate::pattern::{Column, Pattern};

/// Reads numeric features from a file of `numpy.savez` or `numpy.savez_compressed`.
///
/// One array holds the features, a row an example; another the example_ids, in the same order, as
/// text or whole numbers. Numbers of every width and truth values (0 and 1) are features; NaN is
/// missing. Python objects are refused: reading them would run code.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadNpz {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Array of the example_ids.
    id: IdArray,
    /// Array of the features.
    features: FeatureArray,
    /// Which features to take; all when left out.
    #[serde(default)]
    columns: Chosen,
    /// Makes one example of all rows of an example_id: each feature becomes one for each word of
    /// this list.
    #[serde(default)]
    pool: Vec<Pool>,
    /// Notations of a missing value, besides NaN: a number such as -999.
    #[serde(default)]
    missing: Missing,
    /// Treatment of infinite values. The log says how many there were.
    #[serde(default)]
    non_finite: NonFinite,
}

/// Array of the example_ids.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IdArray {
    /// The array of one dimension that holds them.
    array: String,
    /// Which part of the text is the example_id; all of it when left out.
    #[serde(default)]
    pattern: Option<Pattern>,
}

/// Array of the features.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FeatureArray {
    /// The array of two dimensions that holds them, rows by features; one of one dimension is one
    /// feature.
    array: String,
    /// The array that names the features; they are `f0`, `f1`, ... when left out.
    #[serde(default)]
    names: Option<String>,
}

impl StageKind for LoadNpz {
    const NAME: &'static str = "load.npz";
    // 2: blanks around an id do not count; ids of bytes that are no UTF-8 and codes that are no
    // characters are errors, and NULs within an id are kept; ids that are floats are written as
    // Python writes them; whole numbers beyond 63 bits are read.
    // 3: an id that is NaN is none, and no text `NaN`; a header that says one thing twice, or that
    // stands before more than its shape holds, is an error.
    const REVISION: u32 = 3;
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
        let features = within_memory(inputs, || self.read(bytes, outputs))?;
        outputs.put("features", features)
    }
}

impl LoadNpz {
    fn read(&self, bytes: Vec<u8>, outputs: &mut Outputs) -> Result<Features, StageError> {
        let file = file_name(&self.path);
        let notation = Notation {
            missing: self.missing.clone(),
            options: &["missing"],
            ..Notation::default()
        };
        let table = contain_panics(&file, || self.table(&file, bytes))?;
        let table = table.with_notation(notation).with_rows()?;
        let id = Id::of_column(Column::Place(0), self.id.pattern.clone());
        let Self { columns, pool, non_finite, .. } = self;
        Reading { id: &id, columns, long: None, pool, non_finite: *non_finite }
            .features(table, outputs)
    }

    fn table(&self, file: &str, bytes: Vec<u8>) -> Result<Table, StageError> {
        let mut archive = Archive::open(file, bytes)?;
        let ids = archive.array(&self.id.array, "id.array")?;
        let ids = archive.texts(&ids, &self.id.array, "id.array")?;
        let name = &self.features.array;
        let features = archive.array(name, "features.array")?;
        let (rows, width) = match features.shape[..] {
            [rows] => (rows, 1),
            [rows, width] => (rows, width),
            _ => {
                return Err(StageError::data(format!(
                    "array {name} of {file} has {} dimensions where 2 are wanted",
                    features.shape.len()
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
        let what = format!("array {name}");
        let bytes = table_bytes(rows as u64, width as u64);
        check_expansion(file, archive.file_bytes, &what, bytes)?;
        let Some(values) = features.numbers() else {
            return Err(StageError::data(format!(
                "array {name} of {file} holds text, not numbers"
            ))
            .at("features.array"));
        };
        let mut names = vec![self.id.array.clone()];
        match &self.features.names {
            Some(name) => {
                let array = archive.array(name, "features.names")?;
                names.extend(archive.texts(&array, name, "features.names")?);
            }
            None => names.extend((0..width).map(|place| format!("f{place}"))),
        }
        if names.len() != width + 1 {
            return Err(StageError::data(format!(
                "array {name} of {file} has {width} features and {} names",
                names.len() - 1
            ))
            .at("features.names"));
        }
        Ok(Table::new(file.to_owned(), names, None, Cells::Matrix { ids, values }))
    }
}

/// A file of arrays.
struct Archive<'f> {
    file: &'f str,
    file_bytes: u64,
    zip: ZipArchive<Cursor<Vec<u8>>>,
}

/// The number of entries that the end of an archive declares; none where it is too large to stand
/// there.
fn declared_entries(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"PK\x05\x06";
    let at = bytes.windows(END.len()).rposition(|found| found == END)?;
    let number = bytes.get(at + 10..at + 12)?;
    let number = u16::from_le_bytes(number.try_into().ok()?);
    (number != u16::MAX).then_some(number.into())
}

impl<'f> Archive<'f> {
    fn open(file: &'f str, bytes: Vec<u8>) -> Result<Self, StageError> {
        let file_bytes = bytes.len() as u64;
        let entries = declared_entries(&bytes);
        let head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| unreadable_as(Format::Zip, file, &head, "npz", &error))?;
        // Of two entries of one name an archive shows the last.
        if entries.is_some_and(|entries| entries != zip.len()) {
            let message = format!("two arrays of {file} have one name");
            return Err(StageError::data(message).at("path").hint(DAMAGED));
        }
        Ok(Self { file, file_bytes, zip })
    }

    /// An array, by its name.
    fn array(&mut self, name: &str, option: &str) -> Result<Npy, StageError> {
        let Self { file, file_bytes, zip } = self;
        let mut names: Vec<_> =
            zip.file_names().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
        names.sort();
        let failed = |error: &dyn std::error::Error| {
            StageError::data(format!("array {name} of {file} cannot be read: {error}"))
                .at("path")
                .hint(DAMAGED)
        };
        let entry = zip.by_name(&format!("{name}.npy")).map_err(|error| match error {
            ZipError::FileNotFound => StageError::data(format!("{file} has no array {name}"))
                .at(option)
                .hint(format!("its arrays are {}", names.join(", "))),
            other => failed(&other),
        })?;
        let what = format!("array {name}");
        // The size that it declares first; what it declares need not be so.
        check_expansion(file, *file_bytes, &what, entry.size())?;
        let mut bytes = Vec::new();
        let limit = part_limit(*file_bytes);
        entry
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| failed(&error))?;
        check_expansion(file, *file_bytes, &what, bytes.len() as u64)?;
        npy::read(&bytes).map_err(|reason| self.unreadable(name, option, &reason))
    }

    /// The texts of an array.
    fn texts(&self, array: &Npy, name: &str, option: &str) -> Result<Vec<String>, StageError> {
        // A text takes more memory than a number of the file.
        let bytes = array.shape.iter().fold(64, |bytes: u64, &n| bytes.saturating_mul(n as u64));
        check_expansion(self.file, self.file_bytes, &format!("array {name}"), bytes)?;
        array.texts().map_err(|reason| self.unreadable(name, option, &reason))
    }

    fn unreadable(&self, name: &str, option: &str, reason: &str) -> StageError {
        StageError::data(format!("array {name} of {} cannot be read: {reason}", self.file))
            .at(option)
            .hint("arrays of numbers (bool, int, uint, float16 to float64) and of text are read")
    }
}

#[cfg(test)]
mod tests;
