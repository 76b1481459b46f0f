//! `load.csv`: a delimited text file becomes features.

use std::io::Read;
use std::path::PathBuf;

use ::csv::{Position, ReaderBuilder, StringRecord};
use fuseline_artifact::Features;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::{Missing, Notation};
use super::reading::{Chosen, Id, Long, NonFinite, Pool, Reading, Use};
use super::table::{Cells, DAMAGED, Table, TextColumn, file_name};

/// Reads numeric features from a delimited text file, one row an example.
///
/// Rows are sorted by example_id. A row with no value at all is left out, so that the modality is unavailable for that example.
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
    columns: Chosen,
    /// For a table with one row for each example and feature: where name and value stand. Features are sorted by name.
    #[serde(default)]
    long: Option<Long>,
    /// Makes one example of all rows of an example_id: each feature becomes one for each word of this list.
    #[serde(default)]
    pool: Vec<Pool>,
    /// What stands for a missing value, besides an empty cell.
    #[serde(default)]
    missing: Missing,
    /// What becomes of infinite values. The log says how many there were.
    #[serde(default)]
    non_finite: NonFinite,
}

fn yes() -> bool {
    true
}

fn comma() -> char {
    ','
}

impl StageKind for LoadCsv {
    const NAME: &'static str = "load.csv";
    // 2: more texts stand for a missing value.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str = "Reads features from a delimited text file, one row an example.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { path, header, id, delimiter, columns, long, pool, missing, non_finite } = self;
        key.file("path", path);
        key.field("header", header);
        key.field("id", id);
        key.field("delimiter", delimiter);
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
        let features = inputs.through_file(&self.path, |file| self.read(file, outputs))?;
        outputs.put("features", features)
    }
}

impl LoadCsv {
    fn read(&self, file: impl Read, outputs: &mut Outputs) -> Result<Features, StageError> {
        let Self { id, columns, long, pool, non_finite, .. } = self;
        let reading = Reading { id, columns, long: long.as_ref(), pool, non_finite: *non_finite };
        let column = |place: usize, name: &str| match reading.use_of(place, name) {
            Use::None => TextColumn::Unread,
            Use::Text => TextColumn::texts(),
            Use::Number => TextColumn::numbers(),
        };
        let notation = Notation { missing: self.missing.clone(), ..Notation::default() };
        let name = file_name(&self.path);
        let table = table(name, file, self.delimiter, self.header, &notation, column)?;
        reading.features(table.with_notation(notation).with_rows()?, outputs)
    }
}

/// The rows of a delimited text file. `column` says of each column, by place and name, what is kept of it.
pub(crate) fn table(
    file: String,
    bytes: impl Read,
    delimiter: char,
    header: bool,
    notation: &Notation,
    column: impl Fn(usize, &str) -> TextColumn,
) -> Result<Table, StageError> {
    let delimiter = u8::try_from(delimiter).ok().filter(u8::is_ascii).ok_or_else(|| {
        StageError::data("the delimiter must be one ASCII character").at("delimiter")
    })?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(1 << 18)
        .from_reader(bytes);
    let (mut columns, mut lines, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| unreadable(&file, &error))? {
        let line = record.position().map_or(0, Position::line);
        if names.is_empty() {
            let name = |place: usize| match record[place].trim() {
                written if header && !written.is_empty() => written.to_owned(),
                _ => format!("c{place}"),
            };
            names = (0..record.len()).map(name).collect::<Vec<_>>();
            columns = (0..).zip(&names).map(|(place, name)| column(place, name)).collect();
            if header {
                continue;
            }
        }
        if record.len() != names.len() {
            return Err(StageError::data(format!(
                "line {line} of {file} has {} cells where the first line has {}",
                record.len(),
                names.len()
            ))
            .at("path")
            .hint("each line holds as many cells as the first; a cell with the delimiter in it stands in quotation marks"));
        }
        columns
            .iter_mut()
            .zip(&record)
            .for_each(|(column, cell)| column.push(cell.trim(), notation));
        lines.push(line);
    }
    if names.is_empty() {
        return Err(StageError::data(format!("{file} is empty"))
            .at("path")
            .hint("each example is a line, below one that names the columns"));
    }
    Ok(Table::new(file, names, Some(lines), Cells::Text(columns)))
}

fn unreadable(file: &str, error: &::csv::Error) -> StageError {
    let line = error.position().map_or(0, Position::line);
    let (what, hint) = match error.kind() {
        ::csv::ErrorKind::Utf8 { .. } => ("is not UTF-8 text".to_owned(), "save it as UTF-8"),
        _ => (format!("cannot be read: {error}"), DAMAGED),
    };
    StageError::data(format!("line {line} of {file} {what}")).at("path").hint(hint)
}

#[cfg(test)]
mod tests;
