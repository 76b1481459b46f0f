//! A table, whatever the format of the file that holds it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, UInt64Type};
use bytes::Bytes;
use fuseline_engine::{Inputs, StageError};

use super::csv::TextFormat;
use super::jsonl::JsonColumn;
use super::notation::Notation;
use super::numeric::{number_text, truth_text};
use crate::pattern::{Column, closest};

/// Hint for a file that cannot be read as its expected format.
pub(crate) const DAMAGED: &str =
    "the file is cut short, damaged or of another format: copy it again, or write it anew";

/// Rows and columns of a file.
pub(crate) struct Table {
    /// The file's name without its folder, which does not matter to an error in it.
    pub file: String,
    /// Names of the columns.
    pub names: Vec<String>,
    /// The line in which each row begins, for a file of lines; rows of other files are counted
    /// from 1.
    pub lines: Option<Vec<u64>>,
    pub cells: Cells,
    /// The columns of the file and what became of them, where lists became several columns here.
    pub sources: Vec<Source>,
    /// Columns that hold something else than numbers.
    pub unfit: BTreeMap<usize, Unfit>,
    /// Places of the columns for which the file has no name.
    pub unnamed: Vec<usize>,
    /// True if the names are the first line of the file.
    pub has_header: bool,
    /// Notation of the values.
    pub notation: Notation,
    /// Cautions about the file for the readers of the results.
    pub cautions: Vec<String>,
}

/// The cells, as the format gives them.
pub(crate) enum Cells {
    /// Columns of text, in a table with lines.
    Text(Vec<TextColumn>),
    /// Columns of numbers, whole numbers or text; others are there and cannot be read.
    Arrow(Vec<ArrayRef>),
    /// Columns of JSON values, in a table with lines.
    Json(Vec<JsonColumn>),
    /// One column of ids, then numbers row by row.
    Matrix { ids: Vec<String>, values: Vec<f64> },
}

/// A column of a file and its columns in the table.
pub(crate) struct Source {
    /// Its name in the file.
    pub name: String,
    /// A list has a column for each of its places.
    pub columns: Range<usize>,
}

/// A column that holds something else than numbers.
pub(crate) struct Unfit {
    /// Description of its content and place: a lower-case fragment.
    pub holds: String,
    /// True if it can be read as text.
    pub is_text: bool,
}

/// A column of a file of text.
pub(crate) enum TextColumn {
    /// It is not read.
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

    /// Puts down a number in the next row, of a column of numbers.
    pub fn push_number(&mut self, number: f64) {
        if let Self::Numbers { values, .. } = self {
            values.push(number);
        }
    }

    /// Leaves the cells up to a row empty, of a column of numbers.
    pub fn fill(&mut self, rows: usize) {
        if let Self::Numbers { values, .. } = self {
            values.resize(rows, f64::NAN);
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

    pub fn cell(&self, row: usize) -> Cell<'_> {
        match (self.text(row), self) {
            (Some(text), _) if !text.is_empty() => Cell::Text(Cow::Borrowed(text)),
            (None, Self::Numbers { values, .. }) => match values.get(row) {
                Some(value) if !value.is_nan() => Cell::Number(*value),
                _ => Cell::Missing,
            },
            _ => Cell::Missing,
        }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'t> {
    Missing,
    Number(f64),
    Single(f32),
    Whole(i64),
    Natural(u64),
    Truth(bool),
    /// Text without space around it, and not empty.
    Text(Cow<'t, str>),
    /// Something that is neither a number nor text.
    Other,
}

impl Table {
    /// A table whose values are written as usual.
    pub fn new(file: String, names: Vec<String>, lines: Option<Vec<u64>>, cells: Cells) -> Self {
        let (sources, unfit, unnamed) = (Vec::new(), BTreeMap::new(), Vec::new());
        let (notation, cautions) = (Notation::default(), Vec::new());
        let has_header = false;
        Self { file, names, lines, cells, sources, unfit, unnamed, has_header, notation, cautions }
    }

    /// The same, its values written in another way.
    pub fn with_notation(self, notation: Notation) -> Self {
        Self { notation, ..self }
    }

    pub fn rows(&self) -> usize {
        match &self.cells {
            Cells::Text(_) | Cells::Json(_) => self.lines.as_ref().map_or(0, Vec::len),
            Cells::Arrow(columns) => columns.iter().map(Array::len).max().unwrap_or_default(),
            Cells::Matrix { ids, .. } => ids.len(),
        }
    }

    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        match &self.cells {
            Cells::Text(columns) => columns[column].cell(row),
            Cells::Arrow(columns) => arrow_cell(&columns[column], row),
            Cells::Json(columns) => columns[column].cell(row),
            Cells::Matrix { ids, .. } if column == 0 => text_cell(&ids[row]),
            Cells::Matrix { values, .. } => {
                let value = values[row * (self.names.len() - 1) + column - 1];
                if value.is_nan() { Cell::Missing } else { Cell::Number(value) }
            }
        }
    }

    /// The cell as text, a whole number without a point; `None` when there is nothing in it. What
    /// it reads says nothing of whether it is missing: an id may read NA.
    pub fn text(&self, row: usize, column: usize) -> Result<Option<Cow<'_, str>>, StageError> {
        let hint = || "write it as text or as whole numbers".to_owned();
        if let Some(Unfit { holds, is_text: false }) = self.unfit.get(&column) {
            return Err(self.holds(column, holds, hint()));
        }
        Ok(match self.cell(row, column) {
            Cell::Missing => None,
            Cell::Number(value) => Some(Cow::Owned(number_text(value))),
            Cell::Single(value) => Some(Cow::Owned(number_text(value))),
            Cell::Whole(value) => Some(Cow::Owned(value.to_string())),
            Cell::Natural(value) => Some(Cow::Owned(value.to_string())),
            Cell::Truth(value) => Some(Cow::Borrowed(truth_text(value))),
            Cell::Text(text) => Some(text),
            Cell::Other => return Err(self.holds(column, "neither numbers nor text", hint())),
        })
    }

    /// The cell as text; `None` when it is missing.
    pub fn label(&self, row: usize, column: usize) -> Result<Option<Cow<'_, str>>, StageError> {
        Ok(self.text(row, column)?.filter(|text| !self.notation.missing.has_text(text)))
    }

    /// The cell as a number; `None` when missing or NaN.
    #[expect(clippy::cast_precision_loss, reason = "a feature of more than 53 bits is rounded")]
    pub fn number(&self, row: usize, column: usize) -> Result<Option<f64>, StageError> {
        let value = match self.cell(row, column) {
            Cell::Missing if !self.unfit.contains_key(&column) => return Ok(None),
            Cell::Number(value) => value,
            Cell::Single(value) => value.into(),
            Cell::Whole(value) => value as f64,
            Cell::Natural(value) => value as f64,
            Cell::Truth(value) => return Ok(Some(value.into())),
            Cell::Text(text) if !self.unfit.contains_key(&column) => {
                self.notation.number(&text).ok_or_else(|| {
                    StageError::data(format!(
                        "{text:?} in {}, column {} ({}) of {} is not a number",
                        self.place(row),
                        column + 1,
                        self.names[column],
                        self.file
                    ))
                    .at("path")
                    .hint(match *text == self.names[column] {
                        true => "the names of the columns stand there again: take the line out"
                            .to_owned(),
                        false => self.notation.suggestion(&text),
                    })
                })?
            }
            _ => {
                let holds = match self.unfit.get(&column) {
                    Some(Unfit { holds, is_text: true }) => format!("{holds}, not numbers"),
                    Some(Unfit { holds, .. }) => holds.clone(),
                    None => "neither numbers nor text".to_owned(),
                };
                return Err(self.holds(column, &holds, exclude(&self.names[column])));
            }
        };
        Ok((!self.notation.missing.has_number(value)).then_some(value))
    }

    /// The error of the first cell of a column that is no number, with how many others there are,
    /// in place of that of any cell.
    pub fn first_of_column(&self, error: StageError, column: usize) -> StageError {
        let is_no_number = |row: &usize| {
            !self.unfit.contains_key(&column)
                && matches!(self.cell(*row, column), Cell::Text(_))
                && self.number(*row, column).is_err()
        };
        let mut rows = (0..self.rows()).filter(is_no_number);
        let first = rows.next().and_then(|row| self.number(row, column).err());
        match (first, rows.count()) {
            (None, _) => error,
            (Some(first), 0) => first,
            (Some(first), others) => {
                let others = match others {
                    1 => "is one other cell".to_owned(),
                    _ => format!("are {others} other cells"),
                };
                let message = format!("{}, nor {others} of the column", first.message);
                StageError { message, ..first }
            }
        }
    }

    fn holds(&self, column: usize, what: &str, hint: String) -> StageError {
        let name = &self.names[column];
        StageError::data(format!("column {name} of {} holds {what}", self.file))
            .at("path")
            .hint(hint)
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

    /// Name of a column in words: by its place where that is its place in the file, and by
    /// its name.
    pub fn column_text(&self, column: usize) -> String {
        let name = &self.names[column];
        match self.sources.is_empty() {
            true if self.unnamed.contains(&column) => format!("column {}", column + 1),
            true => format!("column {} ({name})", column + 1),
            false => format!("column {name:?}"),
        }
    }

    /// True if a column has numbers that count the rows, from 0 or from 1, as an index does that a
    /// program wrote.
    pub fn counts_rows(&self, column: usize) -> bool {
        let number = |row: usize| self.number(row, column).ok().flatten();
        let Some(first) = number(0).filter(|first| [0.0, 1.0].contains(first)) else {
            return false;
        };
        self.rows() > 2 && (0..self.rows()).all(|row| number(row) == Some(first + row as f64))
    }

    /// True if a column is empty.
    pub fn is_empty(&self, column: usize) -> bool {
        !self.unfit.contains_key(&column)
            && (0..self.rows()).all(|row| self.cell(row, column) == Cell::Missing)
    }

    /// True if the file has no name for a column, or one that pandas gave it.
    pub fn is_unnamed(&self, column: usize) -> bool {
        let name = &self.names[column];
        let is_numbered = |prefix, suffix| {
            name.strip_prefix(prefix)
                .and_then(|name: &str| name.strip_suffix(suffix))
                .is_some_and(|number| number.parse::<f64>().is_ok())
        };
        self.unnamed.contains(&column)
            || name.is_empty()
            || is_numbered("Unnamed: ", "")
            || is_numbered("__index_level_", "__")
    }

    /// Cautions about the file, given the columns that are taken from it.
    pub fn take_cautions<'c>(
        &mut self,
        taken: impl IntoIterator<Item = &'c Column>,
    ) -> Vec<String> {
        let mut cautions = std::mem::take(&mut self.cautions);
        // A name that is found is one.
        if taken.into_iter().all(Column::is_place) {
            cautions.extend(self.header_caution());
        }
        cautions
    }

    /// Caution when the first line was taken for names and looks like a row.
    fn header_caution(&self) -> Option<String> {
        let Cells::Text(columns) = &self.cells else { return None };
        let number = |name: &String| name.parse::<f64>().ok().filter(|number| number.is_finite());
        let numbers: Vec<f64> = self.names.iter().filter_map(number).collect();
        // pandas calls columns 0, 1, 2, ... that have no names.
        let count =
            |first: f64| (0..).zip(&numbers).all(|(nth, number)| *number == first + f64::from(nth));
        let are_values = !numbers.is_empty() && !count(0.0) && !count(1.0);
        let is_value = |(name, column): (&String, &TextColumn)| {
            let mut texts = (0..self.rows()).map_while(|row| column.text(row));
            let is_id = name.bytes().any(|byte| byte.is_ascii_digit())
                && texts.clone().next().is_some_and(|first| shape(first) == shape(name));
            matches!(column, TextColumn::Texts { .. }) && (is_id || texts.any(|text| text == name))
        };
        let looks_like_row = are_values || self.names.iter().zip(columns).any(is_value);
        (self.has_header && looks_like_row).then(|| {
            let names: Vec<_> = self.names.iter().take(5).map(String::as_str).collect();
            format!(
                "the first line of {} was taken for the names of its columns and looks like a row \
                 ({}{}): header: false reads it as one",
                self.file,
                names.join(", "),
                if names.len() < self.names.len() { ", ..." } else { "" }
            )
        })
    }

    /// Lets go of a column that is not needed any more.
    pub fn forget(&mut self, column: usize) {
        match &mut self.cells {
            Cells::Text(columns) => columns[column] = TextColumn::Unread,
            Cells::Arrow(columns) => columns[column] = new_null_array(&DataType::Null, 0),
            Cells::Json(columns) => columns[column] = JsonColumn::Unread,
            Cells::Matrix { .. } => {}
        }
    }

    /// The place of a column that an option names.
    pub fn column(&self, wanted: &Column, option: &str) -> Result<usize, StageError> {
        let found = match wanted {
            Column::Place(place) if self.sources.is_empty() => {
                (*place < self.names.len()).then_some(*place)
            }
            Column::Place(place) => match self.sources.get(*place) {
                Some(source) if source.columns.len() == 1 => Some(source.columns.start),
                Some(source) => return Err(self.is_list(source).at(option)),
                None => None,
            },
            Column::Name(wanted) => {
                let is_wanted = |place: &usize| self.names[*place] == *wanted;
                let mut places = (0..self.names.len()).filter(is_wanted);
                let first = places.next();
                if let (Some(first), Some(second)) = (first, places.next()) {
                    return Err(self.same_name(first, second).at(option));
                }
                first
            }
        };
        found.ok_or_else(|| match wanted {
            Column::Name(wanted) => match self.list(wanted) {
                Some(source) => self.is_list(source).at(option),
                None => self.no_column(wanted).at(option),
            },
            Column::Place(_) => self.no_column(&wanted.to_string()).at(option),
        })
    }

    /// The column of lists that has a name in the file.
    pub fn list(&self, name: &str) -> Option<&Source> {
        let mut lists = self.sources.iter().filter(|source| self.is_several(source));
        lists.find(|source| source.name == name)
    }

    /// The name in the file of the column of lists that a column is a place of.
    pub fn list_of(&self, column: usize) -> Option<&str> {
        let next = self.sources.partition_point(|source| source.columns.start <= column);
        let mut before = self.sources[..next].iter().rev();
        let source = before.find(|source| source.columns.contains(&column))?;
        self.is_several(source).then_some(&*source.name)
    }

    fn is_several(&self, source: &Source) -> bool {
        source.columns.len() != 1 || self.names[source.columns.start] != source.name
    }

    fn is_list(&self, source: &Source) -> StageError {
        let Source { name, columns } = source;
        StageError::data(format!(
            "column {name} of {} holds lists of {} values",
            self.file,
            columns.len()
        ))
        .hint("one text or number a row is needed; a list may be a feature for each of its places")
    }

    /// Error for two columns of one name.
    pub fn same_name(&self, first: usize, second: usize) -> StageError {
        StageError::data(format!(
            "columns {} and {} of {} are both called {}",
            first + 1,
            second + 1,
            self.file,
            self.names[second]
        ))
        .at("path")
        .hint(match self.sources.is_empty() {
            true => format!(
                "rename one of them; where an option takes a column by its place, counted from 0, \
                 they are {first} and {second}"
            ),
            false => "rename one of them, or leave one out".to_owned(),
        })
    }

    /// Error when a column is not there.
    pub fn no_column(&self, wanted: &str) -> StageError {
        // The name of a column of lists stands for all of its places.
        let lists = self.names.iter().filter_map(|name| Some(name.rsplit_once('.')?.0));
        let names = self.names.iter().map(String::as_str);
        let hint = match closest(wanted, names.chain(lists)) {
            Some(name) => format!("did you mean {name}"),
            None => self.columns_are(),
        };
        StageError::data(format!("{} has no column {wanted}", self.file)).hint(hint)
    }

    /// The columns that there are, or why there is only one.
    pub fn columns_are(&self) -> String {
        let name = self.names.first().map_or("", String::as_str);
        if let (Cells::Text(columns), 1) = (&self.cells, self.names.len()) {
            let first = columns.first().and_then(|column| column.text(0)).unwrap_or_default();
            if let Some(other) = other_delimiter(&[name, first].join(" "), '\0') {
                return format!(
                    "it has one column; if another character separates its cells, write \
                     delimiter: \"{other}\""
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
        let is_text = matches!(self.cells, Cells::Text(_));
        Err(StageError::data(format!("{} holds no row", self.file)).at("path").hint(format!(
            "each example is a row; {}",
            match self.names.len() {
                columns @ 2.. if is_text => {
                    format!("the first line names {columns} columns, and nothing follows")
                }
                _ => self.columns_are(),
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

/// A text with each run of digits as one 0 and each run of letters as one a.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for letter in text.chars() {
        let class = match letter {
            digit if digit.is_numeric() => '0',
            letter if letter.is_alphabetic() => 'a',
            other => other,
        };
        if !(shape.ends_with(class) && class.is_alphanumeric()) {
            shape.push(class);
        }
    }
    shape
}

fn arrow_cell(column: &ArrayRef, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Cell::Missing;
    }
    match column.data_type() {
        DataType::Null => Cell::Missing,
        DataType::Float64 => match column.as_primitive::<Float64Type>().value(row) {
            value if value.is_nan() => Cell::Missing,
            value => Cell::Number(value),
        },
        DataType::Float32 => match column.as_primitive::<Float32Type>().value(row) {
            value if value.is_nan() => Cell::Missing,
            value => Cell::Single(value),
        },
        DataType::Int64 => Cell::Whole(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => Cell::Natural(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Boolean => Cell::Truth(column.as_boolean().value(row)),
        DataType::Utf8 => text_cell(column.as_string::<i32>().value(row)),
        _ => Cell::Other,
    }
}

/// Hint that says how to leave a column out of the features.
pub(crate) fn exclude(name: &str) -> String {
    format!("leave the column out with columns: {{ exclude: [{name}] }}")
}

/// The file's own name.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Reads a table of any kind that the key names: a file, or a folder of parts of a Parquet file.
pub(crate) fn read(
    inputs: &Inputs<'_>,
    path: &Path,
    format: &TextFormat,
) -> Result<Table, StageError> {
    if inputs.parts(path).is_empty() {
        return open(path, inputs.read_file(path)?, format);
    }
    let part = |file, part| super::parquet::table(file, part, |_, _, _| true);
    super::parquet::read_parts(inputs, path, part)?
        .with_notation(format.notation.clone())
        .with_rows()
}

/// The ending of a file's name in lower case, without one that says that it is packed by gzip.
pub(crate) fn ending(path: &Path) -> Option<String> {
    let ending = |path: &Path| Some(path.extension()?.to_string_lossy().to_ascii_lowercase());
    match ending(path) {
        Some(gz) if gz == "gz" => ending(Path::new(path.file_stem()?)),
        plain => plain,
    }
}

/// Another likely separator of the cells of a text, as written in YAML.
pub(crate) fn other_delimiter(text: &str, delimiter: char) -> Option<String> {
    let mut others = [';', '\t', '|', ','].into_iter().filter(|other| *other != delimiter);
    others.find(|other| text.contains(*other)).map(|other| other.escape_default().to_string())
}

/// Reads a table of any kind, by the ending of the file's name: csv, tsv, jsonl, ndjson or parquet,
/// and all but the last packed by gzip where `.gz` follows.
pub(crate) fn open(path: &Path, bytes: Vec<u8>, format: &TextFormat) -> Result<Table, StageError> {
    let file = file_name(path);
    let all_texts = |_: usize, _: &str| TextColumn::texts();
    let table = match ending(path).as_deref() {
        Some("csv" | "txt" | "tsv" | "tab") => super::csv::table(file, &*bytes, format, all_texts),
        Some("jsonl" | "ndjson") => {
            super::jsonl::table(file, &bytes, &format.notation, |_, _, _| JsonColumn::values())
        }
        Some("parquet") => super::parquet::table(file, Bytes::from(bytes), |_, _, _| true),
        _ => Err(StageError::data(format!("{file} is no table that can be read here"))
            .at("path")
            .hint("its name must end in csv, tsv, txt, jsonl, ndjson or parquet")),
    };
    table?.with_notation(format.notation.clone()).with_rows()
}
