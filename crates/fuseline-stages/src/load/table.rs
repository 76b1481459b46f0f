//! A table, whatever the format of the file that holds it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use bytes::Bytes;
use fuseline_engine::StageError;
use serde_json::Value;

use super::notation::Notation;
use crate::pattern::{Column, closest};

/// What to do about a file that cannot be read as what it should be.
pub(crate) const DAMAGED: &str =
    "the file is cut short, damaged or of another format: copy it again, or write it anew";

/// Rows and columns of a file.
pub(crate) struct Table {
    /// The file's own name: where it lies says nothing about what is wrong in it.
    pub file: String,
    /// Names of the columns.
    pub names: Vec<String>,
    /// The line in which each row begins, for a file of lines; rows of other files are counted from 1.
    pub lines: Option<Vec<u64>>,
    pub cells: Cells,
    /// How the values are written.
    pub notation: Notation,
    /// What whoever reads the results must know of the file.
    pub cautions: Vec<String>,
}

/// The cells, as the format gives them.
pub(crate) enum Cells {
    /// Columns of text, in a table with lines.
    Text(Vec<TextColumn>),
    /// Columns of numbers, whole numbers or text; others are there and cannot be read.
    Arrow(Vec<ArrayRef>),
    /// Rows of JSON values; a row may end early.
    Json(Vec<Vec<Value>>),
    /// One column of ids, then numbers row by row.
    Matrix { ids: Vec<String>, values: Vec<f64> },
}

/// A column of a file of text.
pub(crate) enum TextColumn {
    /// Nobody asks for it.
    Unread,
    /// Its cells one after the other, without space around them, and where each ends.
    Texts { text: String, ends: Vec<usize> },
    /// Its cells as numbers, NaN where one is missing; and those that are no numbers, by row.
    Numbers { values: Vec<f64>, others: BTreeMap<usize, String> },
}

impl TextColumn {
    pub fn texts() -> Self {
        Self::Texts { text: String::new(), ends: Vec::new() }
    }

    pub fn numbers() -> Self {
        Self::Numbers { values: Vec::new(), others: BTreeMap::new() }
    }

    /// Puts down the cell of the next row, without space around it.
    pub fn push(&mut self, cell: &str, notation: &Notation) {
        match self {
            Self::Unread => {}
            Self::Texts { text, ends } => {
                text.push_str(cell);
                ends.push(text.len());
            }
            Self::Numbers { values, others } => {
                let value = notation.number(cell);
                if value.is_none() {
                    others.insert(values.len(), cell.to_owned());
                }
                values.push(value.unwrap_or(f64::NAN));
            }
        }
    }

    /// The text of a cell, of a column of text.
    fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Texts { text, ends } => {
                let start = row.checked_sub(1).map_or(0, |before| ends[before]);
                text.get(start..*ends.get(row)?)
            }
            Self::Numbers { others, .. } => others.get(&row).map(String::as_str),
            Self::Unread => None,
        }
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        match (self.text(row), self) {
            (Some(text), _) if !text.is_empty() => Cell::Text(Cow::Borrowed(text)),
            (None, Self::Numbers { values, .. }) if !values[row].is_nan() => {
                Cell::Number(values[row])
            }
            _ => Cell::Missing,
        }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'t> {
    Missing,
    Number(f64),
    Whole(i64),
    Truth(bool),
    /// Text without space around it, and not empty.
    Text(Cow<'t, str>),
    /// Something that is neither a number nor text, by the name of its type.
    Other(String),
}

impl Table {
    /// A table whose values are written as usual.
    pub fn new(file: String, names: Vec<String>, lines: Option<Vec<u64>>, cells: Cells) -> Self {
        let notation = Notation::default();
        Self { file, names, lines, cells, notation, cautions: Vec::new() }
    }

    /// The same, its values written in another way.
    pub fn with_notation(self, notation: Notation) -> Self {
        Self { notation, ..self }
    }

    pub fn rows(&self) -> usize {
        match &self.cells {
            Cells::Text(_) => self.lines.as_ref().map_or(0, Vec::len),
            Cells::Arrow(columns) => columns.iter().map(Array::len).max().unwrap_or_default(),
            Cells::Json(rows) => rows.len(),
            Cells::Matrix { ids, .. } => ids.len(),
        }
    }

    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        match &self.cells {
            Cells::Text(columns) => columns[column].cell(row),
            Cells::Arrow(columns) => arrow_cell(&columns[column], row),
            Cells::Json(rows) => rows[row].get(column).map_or(Cell::Missing, json_cell),
            Cells::Matrix { ids, .. } if column == 0 => text_cell(&ids[row]),
            Cells::Matrix { values, .. } => {
                let value = values[row * (self.names.len() - 1) + column - 1];
                if value.is_nan() { Cell::Missing } else { Cell::Number(value) }
            }
        }
    }

    /// The cell as text, a whole number without a point; `None` when there is nothing in it. What it reads says nothing
    /// of whether it is missing: an id may read NA.
    pub fn text(&self, row: usize, column: usize) -> Result<Option<Cow<'_, str>>, StageError> {
        Ok(match self.cell(row, column) {
            Cell::Missing => None,
            Cell::Number(value) => Some(Cow::Owned(value.to_string())),
            Cell::Whole(value) => Some(Cow::Owned(value.to_string())),
            Cell::Truth(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
            Cell::Text(text) => Some(text),
            Cell::Other(of) => return Err(self.unreadable(row, column, &of)),
        })
    }

    /// The cell as text; `None` when it is missing.
    pub fn label(&self, row: usize, column: usize) -> Result<Option<Cow<'_, str>>, StageError> {
        Ok(self.text(row, column)?.filter(|text| !self.notation.missing.has_text(text)))
    }

    /// The cell as a number; `None` when missing or NaN.
    pub fn number(&self, row: usize, column: usize) -> Result<Option<f64>, StageError> {
        let value = match self.cell(row, column) {
            Cell::Missing => return Ok(None),
            Cell::Number(value) => value,
            #[expect(
                clippy::cast_precision_loss,
                reason = "a feature of more than 53 bits is rounded"
            )]
            Cell::Whole(value) => value as f64,
            Cell::Truth(value) => return Ok(Some(value.into())),
            Cell::Text(text) => self.notation.number(&text).ok_or_else(|| {
                StageError::data(format!(
                    "{text:?} in {}, column {} ({}) of {} is not a number",
                    self.place(row),
                    column + 1,
                    self.names[column],
                    self.file
                ))
                .at("path")
                .hint(self.notation.suggestion(&text))
            })?,
            Cell::Other(of) => return Err(self.unreadable(row, column, &of)),
        };
        Ok((!self.notation.missing.has_number(value)).then_some(value))
    }

    fn unreadable(&self, row: usize, column: usize, of: &str) -> StageError {
        StageError::data(format!(
            "column {} of {} holds {of} in {}, not numbers or text",
            self.names[column],
            self.file,
            self.place(row)
        ))
        .at("path")
        .hint(format!("leave the column out with columns: {{ exclude: [{}] }}", self.names[column]))
    }

    /// `line 3`, or `row 3`.
    pub fn place(&self, row: usize) -> String {
        match &self.lines {
            Some(lines) => format!("line {}", lines[row]),
            None => format!("row {}", row + 1),
        }
    }

    /// `lines 3 and 5`, or `rows 3 and 5`.
    pub fn places(&self, row: usize, other: usize) -> String {
        match &self.lines {
            Some(lines) => format!("lines {} and {}", lines[row], lines[other]),
            None => format!("rows {} and {}", row + 1, other + 1),
        }
    }

    /// Lets go of a column that is not needed any more.
    pub fn forget(&mut self, column: usize) {
        match &mut self.cells {
            Cells::Text(columns) => columns[column] = TextColumn::Unread,
            Cells::Arrow(columns) => columns[column] = new_null_array(&DataType::Null, 0),
            Cells::Json(_) | Cells::Matrix { .. } => {}
        }
    }

    /// The place of a column that an option names.
    pub fn column(&self, wanted: &Column, option: &str) -> Result<usize, StageError> {
        let found = match wanted {
            Column::Place(place) => (*place < self.names.len()).then_some(*place),
            Column::Name(wanted) => self.names.iter().position(|name| name == wanted),
        };
        found.ok_or_else(|| self.no_column(&wanted.to_string()).at(option))
    }

    /// What to say when a column is not there.
    pub fn no_column(&self, wanted: &str) -> StageError {
        let hint = match closest(wanted, self.names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean {name}"),
            None => self.columns_are(),
        };
        StageError::data(format!("{} has no column {wanted}", self.file)).hint(hint)
    }

    /// Which columns there are, or why there is only one.
    pub fn columns_are(&self) -> String {
        let name = self.names.first().map_or("", String::as_str);
        if let (Cells::Text(columns), 1) = (&self.cells, self.names.len()) {
            let first = columns.first().and_then(|column| column.text(0)).unwrap_or_default();
            let other = [';', '\t', '|', ','];
            if let Some(other) =
                other.iter().find(|other| [name, first].join(" ").contains(**other))
            {
                return format!(
                    "it has one column; if another character separates its cells, write delimiter: \"{}\"",
                    other.escape_default()
                );
            }
        }
        let first: Vec<_> = self.names.iter().take(8).map(String::as_str).collect();
        match self.names.len() {
            many @ 9.. => format!("its {many} columns begin {}", first.join(", ")),
            _ => format!("its columns are {}", first.join(", ")),
        }
    }

    /// An error when there is no row.
    pub fn with_rows(self) -> Result<Self, StageError> {
        if self.rows() > 0 {
            return Ok(self);
        }
        Err(StageError::data(format!("{} holds no row", self.file)).at("path").hint(format!(
            "each example is a row; {}",
            if self.names.len() > 1 {
                format!("the first line names {} columns, and nothing follows", self.names.len())
            } else {
                self.columns_are()
            }
        )))
    }
}

/// A cell of text; there is nothing in one that is empty or holds blanks alone.
fn text_cell(text: &str) -> Cell<'_> {
    match text.trim() {
        "" => Cell::Missing,
        text => Cell::Text(Cow::Borrowed(text)),
    }
}

fn arrow_cell(column: &ArrayRef, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Cell::Missing;
    }
    match column.data_type() {
        DataType::Float64 => match column.as_primitive::<Float64Type>().value(row) {
            value if value.is_nan() => Cell::Missing,
            value => Cell::Number(value),
        },
        DataType::Int64 => Cell::Whole(column.as_primitive::<Int64Type>().value(row)),
        DataType::Boolean => Cell::Truth(column.as_boolean().value(row)),
        DataType::Utf8 => text_cell(column.as_string::<i32>().value(row)),
        other => Cell::Other(other.to_string()),
    }
}

fn json_cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Null => Cell::Missing,
        Value::Bool(value) => Cell::Truth(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Cell::Whole(whole),
            (None, Some(value)) => Cell::Number(value),
            (None, None) => Cell::Other("a number out of range".to_owned()),
        },
        // JSON has no NaN and no infinities, so that writers put them down as text.
        Value::String(text) => text_cell(text),
        Value::Array(_) => Cell::Other("a list".to_owned()),
        Value::Object(_) => Cell::Other("an object".to_owned()),
    }
}

/// The file's own name.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Reads a table of any kind, by the ending of the file's name: csv, tsv, jsonl, ndjson or parquet.
pub(crate) fn open(path: &Path, bytes: Vec<u8>, notation: Notation) -> Result<Table, StageError> {
    let file = file_name(path);
    let all_texts = |_: usize, _: &str| TextColumn::texts();
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let table = match ending.as_deref() {
        Some("csv" | "txt") => super::csv::table(file, &*bytes, ',', true, &notation, all_texts),
        Some("tsv") => super::csv::table(file, &*bytes, '\t', true, &notation, all_texts),
        Some("jsonl" | "ndjson") => super::jsonl::table(file, &bytes),
        Some("parquet") => super::parquet::table(file, Bytes::from(bytes), |_| true),
        _ => Err(StageError::data(format!("{file} is no table that can be read here"))
            .at("path")
            .hint("its name must end in csv, tsv, jsonl, ndjson or parquet")),
    };
    table?.with_notation(notation).with_rows()
}
