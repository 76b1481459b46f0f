//! `load.csv`: a delimited text file becomes features.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::csv::{Position, ReaderBuilder, StringRecord};
use arrow::array::{Float64Array, StringArray};
use fuseline_artifact::{ArtifactKind, Features};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, StageError, StageKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pattern::{Column, Pattern, closest};

/// Reads numeric features from a delimited text file, one row an example.
///
/// Rows are sorted by example_id. A cell that is empty or reads `NA`, `N/A`, `NaN`, `null` or `None` (in any case) is
/// missing; `inf` is kept as it is, and experts treat it as missing. A row with no value at all is left out, so that the
/// modality is unavailable for that example.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadCsv {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Whether the first line names the columns. Without it they are called `c0`, `c1`, ... by their place.
    #[serde(default = "yes")]
    header: bool,
    /// Where the example_id stands.
    id: Id,
    /// What separates the cells.
    #[serde(default = "comma")]
    delimiter: char,
    /// Which columns become features; all but the one of the id when left out.
    #[serde(default)]
    columns: Columns,
}

/// Where the example_id stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Id {
    /// Its column.
    column: Column,
    /// Which part of the cell is the example_id; the whole cell when left out.
    #[serde(default)]
    pattern: Option<Pattern>,
}

/// Which columns become features.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Columns {
    /// These, in the order of the file.
    #[serde(default)]
    include: Option<Vec<String>>,
    /// All but these.
    #[serde(default)]
    exclude: Vec<String>,
}

fn yes() -> bool {
    true
}

fn comma() -> char {
    ','
}

impl StageKind for LoadCsv {
    const NAME: &'static str = "load.csv";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "Reads features from a delimited text file, one row an example.";

    fn ports() -> Ports {
        Ports::new().output(
            "features",
            ArtifactKind::Features,
            "The features, sorted by example_id.",
        )
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { path, header, id, delimiter, columns } = self;
        key.file("path", path);
        key.field("header", header);
        key.field("id", id);
        key.field("delimiter", delimiter);
        key.field("columns", columns);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let bytes = inputs.read_file(&self.path)?;
        outputs.put("features", self.read(&bytes)?)
    }
}

/// Cells of the file, row by row, as numbers; a missing cell is marked.
#[derive(Default)]
struct Cells {
    ids: Vec<String>,
    values: Vec<f64>,
    missing: Vec<bool>,
}

impl LoadCsv {
    fn read(&self, bytes: &[u8]) -> Result<Features, StageError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let delimiter =
            u8::try_from(self.delimiter).ok().filter(u8::is_ascii).ok_or_else(|| {
                StageError::data("the delimiter must be one ASCII character").at("delimiter")
            })?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(bytes);
        let mut record = StringRecord::new();
        let mut next = |record: &mut StringRecord| {
            reader.read_record(record).map_err(|error| self.unreadable(&error))
        };
        if !next(&mut record)? {
            return Err(StageError::data(format!("{} is empty", name(&self.path))).at("path"));
        }
        let width = record.len();
        let names: Vec<String> = (0..width)
            .map(|place| match record[place].trim() {
                written if self.header && !written.is_empty() => written.to_owned(),
                _ => format!("c{place}"),
            })
            .collect();
        let id = self.id_place(&names)?;
        let chosen = self.chosen(&names, id)?;

        let mut cells = Cells::default();
        let mut lines = BTreeMap::new();
        let mut without_values = 0_usize;
        let mut more = !self.header || next(&mut record)?;
        while more {
            let line = record.position().map_or(0, Position::line);
            if record.len() != width {
                return Err(StageError::data(format!(
                    "line {line} of {} has {} cells where the first line has {width}",
                    name(&self.path),
                    record.len()
                ))
                .at("path"));
            }
            let example_id = self.example_id(record[id].trim(), line)?;
            if let Some(earlier) = lines.insert(example_id.clone(), line) {
                return Err(StageError::data(format!(
                    "lines {earlier} and {line} of {} are both {example_id}",
                    name(&self.path)
                ))
                .at("id")
                .hint("each example_id may stand in one row only"));
            }
            let start = cells.values.len();
            for &place in &chosen {
                let value = self.value(&record[place], line, place, &names)?;
                cells.values.push(value.unwrap_or(f64::NAN));
                cells.missing.push(value.is_none());
            }
            if cells.missing[start..].iter().all(|missing| *missing) {
                cells.values.truncate(start);
                cells.missing.truncate(start);
                without_values += 1;
            } else {
                cells.ids.push(example_id);
            }
            more = next(&mut record)?;
        }
        if without_values > 0 {
            tracing::info!(file = %name(&self.path), rows = without_values, "left out rows without any value");
        }
        if cells.ids.is_empty() {
            return Err(StageError::data(format!(
                "{} holds no row with a value",
                name(&self.path)
            ))
            .at("path"));
        }
        Ok(sorted(cells, chosen.iter().map(|&place| names[place].clone()).collect()))
    }

    fn unreadable(&self, error: &::csv::Error) -> StageError {
        let line = error.position().map_or(0, Position::line);
        let what = match error.kind() {
            ::csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        StageError::data(format!("line {line} of {} {what}", name(&self.path))).at("path")
    }

    fn id_place(&self, names: &[String]) -> Result<usize, StageError> {
        let found = match &self.id.column {
            Column::Place(place) => (*place < names.len()).then_some(*place),
            Column::Name(wanted) => names.iter().position(|name| name == wanted),
        };
        found.ok_or_else(|| self.no_column(&self.id.column.to_string(), names).at("id.column"))
    }

    fn no_column(&self, wanted: &str, names: &[String]) -> StageError {
        let hint = match closest(wanted, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean {name}"),
            None if !self.header => {
                format!("without a header the columns are c0 to c{}", names.len().saturating_sub(1))
            }
            None => {
                let first: Vec<_> = names.iter().take(8).map(String::as_str).collect();
                format!("its {} columns begin {}", names.len(), first.join(", "))
            }
        };
        StageError::data(format!("{} has no column {wanted}", name(&self.path))).hint(hint)
    }

    /// Places of the columns that become features.
    fn chosen(&self, names: &[String], id: usize) -> Result<Vec<usize>, StageError> {
        for (option, wanted) in [
            ("columns.include", self.columns.include.as_deref().unwrap_or_default()),
            ("columns.exclude", &self.columns.exclude),
        ] {
            if let Some(unknown) = wanted.iter().find(|wanted| !names.contains(wanted)) {
                return Err(self.no_column(unknown, names).at(option));
            }
        }
        let chosen: Vec<usize> = (0..names.len())
            .filter(|&place| {
                place != id
                    && self
                        .columns
                        .include
                        .as_ref()
                        .is_none_or(|include| include.contains(&names[place]))
                    && !self.columns.exclude.contains(&names[place])
            })
            .collect();
        let mut seen = BTreeMap::new();
        for &place in &chosen {
            if let Some(earlier) = seen.insert(&names[place], place) {
                return Err(StageError::data(format!(
                    "columns {} and {} of {} are both called {}",
                    earlier + 1,
                    place + 1,
                    name(&self.path),
                    names[place]
                ))
                .at("path"));
            }
        }
        if chosen.is_empty() {
            return Err(StageError::data(format!(
                "no column of {} is left as a feature",
                name(&self.path)
            ))
            .at("columns"));
        }
        Ok(chosen)
    }

    fn example_id(&self, cell: &str, line: u64) -> Result<String, StageError> {
        let found = match &self.id.pattern {
            Some(pattern) => pattern.first_group(cell).ok_or_else(|| {
                StageError::data(format!(
                    "the pattern {} does not match the id {cell:?} in line {line} of {}",
                    pattern.as_str(),
                    name(&self.path)
                ))
                .at("id.pattern")
            })?,
            None => cell,
        };
        if found.is_empty() {
            return Err(StageError::data(format!(
                "the id in line {line} of {} is empty",
                name(&self.path)
            ))
            .at("id"));
        }
        Ok(found.to_owned())
    }

    fn value(
        &self,
        cell: &str,
        line: u64,
        place: usize,
        names: &[String],
    ) -> Result<Option<f64>, StageError> {
        let cell = cell.trim();
        if is_missing(cell) {
            return Ok(None);
        }
        cell.parse().map(Some).map_err(|_| {
            StageError::data(format!(
                "{cell:?} in line {line}, column {} ({}) of {} is not a number",
                place + 1,
                names[place],
                name(&self.path)
            ))
            .at("path")
            .hint(format!(
                "leave the column out with columns: {{ exclude: [{}] }}, or write a missing value as an empty cell",
                names[place]
            ))
        })
    }
}

fn is_missing(cell: &str) -> bool {
    ["", "na", "n/a", "nan", "null", "none"].iter().any(|text| cell.eq_ignore_ascii_case(text))
}

fn sorted(cells: Cells, names: Vec<String>) -> Features {
    let mut order: Vec<usize> = (0..cells.ids.len()).collect();
    order.sort_by(|&a, &b| cells.ids[a].cmp(&cells.ids[b]));
    let width = names.len();
    let columns = names
        .into_iter()
        .enumerate()
        .map(|(column, name)| {
            let values = order.iter().map(|row| {
                let cell = row * width + column;
                (!cells.missing[cell]).then_some(cells.values[cell])
            });
            (name, values.collect::<Float64Array>())
        })
        .collect();
    let example_id = StringArray::from_iter_values(order.iter().map(|&row| &cells.ids[row]));
    Features { example_id, columns }
}

/// The file's own name: where it lies says nothing about what is wrong in it.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
