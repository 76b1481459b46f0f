//! `load.csv`: a delimited text file becomes features.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use fuseline_artifact::Features;
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::{Decimal, Missing, Notation};
use super::reading::{Chosen, Id, Long, NonFinite, Pool, Reading, Use};
use super::table::{Cells, DAMAGED, Table, TextColumn, ending, file_name, other_delimiter};
use super::text;

mod records;

use records::{Fault, Records};

/// Reads numeric features from a delimited text file, one row an example.
///
/// Rows are sorted by example_id. The text is UTF-8, or UTF-16 with a byte order mark, and may be
/// packed by gzip. A row with no value at all is left out, so that the modality is unavailable for
/// that example.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadCsv {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// True if the first line names the columns. Without it they are called `c0`, `c1`, ... by
    /// their place.
    #[serde(default = "super::yes")]
    header: bool,
    /// Place of the example_id: a column, or the number of the row.
    id: Id,
    /// Separator of the cells; when left out, a tab in a file whose name ends in tsv and a comma
    /// in others.
    #[serde(default)]
    delimiter: Option<char>,
    /// Decimal separator.
    #[serde(default)]
    decimal: Decimal,
    /// Thousands separator; none when left out.
    #[serde(default)]
    thousands: Option<char>,
    /// Which columns become features; when left out, all but the one of the id, those without a
    /// name and those that are called an index and count the rows.
    #[serde(default)]
    columns: Chosen,
    /// For a table with one row for each example and feature: where name and value stand. Features
    /// are sorted by name.
    #[serde(default)]
    long: Option<Long>,
    /// Makes one example of all rows of an example_id: each feature becomes one for each word of
    /// this list.
    #[serde(default)]
    pool: Vec<Pool>,
    /// Notations of a missing value, besides an empty cell: `...` is NA, N/A, NaN, null, None,
    /// `<NA>`, #N/A and #NA in any case; all else counts as it is written, as in [..., "-", -999].
    #[serde(default)]
    missing: Missing,
    /// Treatment of infinite values. The log says how many there were.
    #[serde(default)]
    non_finite: NonFinite,
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
        let Self {
            path,
            header: _,
            id,
            delimiter: _,
            decimal: _,
            thousands: _,
            columns,
            long,
            pool,
            missing: _,
            non_finite,
        } = self;
        key.file("path", path);
        self.format().write_key(key, "", path);
        key.field("id", id);
        key.field("columns", columns);
        key.field("long", long);
        key.field("pool", pool);
        key.field("non_finite", non_finite);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.format().problems("").into_iter().for_each(|problem| site.report(problem));
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
        let format = self.format();
        let table = table(file_name(&self.path), file, &format, column)?;
        let table = table.with_notation(format.notation);
        reading.features(table.with_rows()?, outputs)
    }

    fn format(&self) -> TextFormat {
        let Self { delimiter, header, decimal, thousands, missing, .. } = self;
        let (decimal, thousands, missing) = (*decimal, *thousands, missing.clone());
        let options = &["missing", "decimal", "thousands"];
        let notation = Notation { missing, decimal, thousands, options };
        TextFormat { delimiter: *delimiter, header: *header, notation }
    }
}

/// Format of a file of delimited text.
#[derive(Debug, Clone)]
pub(crate) struct TextFormat {
    /// Separator of the cells; the ending of the file's name says so when there is none here.
    pub delimiter: Option<char>,
    /// True if the first line names the columns.
    pub header: bool,
    pub notation: Notation,
}

impl Default for TextFormat {
    fn default() -> Self {
        Self { delimiter: None, header: true, notation: Notation::default() }
    }
}

impl TextFormat {
    /// Separator of the cells of a file.
    fn delimiter_of(&self, file: &str) -> char {
        let is_tab = ["tsv", "tab"].contains(&&*ending(Path::new(file)).unwrap_or_default());
        self.delimiter.unwrap_or(if is_tab { '\t' } else { ',' })
    }

    /// Writes it into a key, each option under the name that it has there.
    pub fn write_key(&self, key: &mut KeyWriter<'_>, prefix: &str, path: &Path) {
        let Self { delimiter: _, header, notation } = self;
        let Notation { missing, decimal, thousands, options: _ } = notation;
        let name = |option: &str| format!("{prefix}{option}");
        key.field(&name("delimiter"), &self.delimiter_of(&file_name(path)));
        key.field(&name("header"), header);
        key.field(&name("missing"), missing);
        key.field(&name("decimal"), decimal);
        key.field(&name("thousands"), thousands);
    }

    /// Problems with the options of a table of any format.
    pub fn problems_of_table(&self, prefix: &str, path: &Path) -> Vec<Problem> {
        let mut problems = self.problems(prefix);
        let is_text = !["jsonl", "ndjson", "parquet"].contains(&&*ending(path).unwrap_or_default());
        for (option, is_set) in [("delimiter", self.delimiter.is_some()), ("header", !self.header)]
        {
            if is_set && !is_text {
                let message = format!("only a file of delimited text has a {option}");
                problems.push(Problem::new(format!("{prefix}{option}"), message));
            }
        }
        problems
    }

    /// Problems with the options, whatever the file.
    pub fn problems(&self, prefix: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |option: &str, message: &str| {
            problems.push(Problem::new(format!("{prefix}{option}"), message));
        };
        let no_delimiter =
            |delimiter: char| !delimiter.is_ascii() || "\"\r\n\0".contains(delimiter);
        if self.delimiter.is_some_and(no_delimiter) {
            report("delimiter", "the delimiter must be one ASCII character, and no quotation mark");
        }
        let Notation { decimal, thousands, .. } = &self.notation;
        let no_separator = |separator: char| {
            separator.is_alphanumeric() || "+-\"".contains(separator) || separator == decimal.sign()
        };
        if thousands.is_some_and(no_separator) {
            let message = "thousands are separated by a character that is no letter, digit, sign \
                or decimal mark";
            report("thousands", message);
        }
        problems
    }
}

/// The rows of a file of delimited text. `column` says of each column, by place and name, what is
/// kept of it.
pub(crate) fn table(
    file: String,
    bytes: impl Read,
    format: &TextFormat,
    column: impl Fn(usize, &str) -> TextColumn,
) -> Result<Table, StageError> {
    let delimiter = u8::try_from(format.delimiter_of(&file)).map_err(|_| {
        StageError::data("the delimiter must be one ASCII character").at("delimiter")
    })?;
    let text = BufReader::with_capacity(1 << 18, text::decode(&file, bytes)?);
    let mut records = Records::new(text, delimiter);
    let (mut columns, mut lines, mut unnamed) = (Vec::new(), Vec::new(), Vec::new());
    let mut names = Vec::<String>::new();
    let mut swallowed = None;
    loop {
        let record = match records.next() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(fault) => return Err(unreadable(&file, &names, fault)),
        };
        if names.is_empty() {
            for (place, written) in record.cells().enumerate() {
                let has_name = format.header && !written.is_empty();
                names.push(if has_name { written.into_owned() } else { format!("c{place}") });
                if format.header && !has_name {
                    unnamed.push(place);
                }
            }
            columns = (0..).zip(&names).map(|(place, name)| column(place, name)).collect();
            if format.header {
                continue;
            }
        }
        if record.len() != names.len() {
            let line = record.line;
            let message = format!(
                "line {line} of {file} has {} cells where the first line has {}",
                record.len(),
                names.len()
            );
            let hint = ragged(&names, record.len(), lines.is_empty() && format.header, delimiter);
            return Err(StageError::data(message).at("path").hint(hint));
        }
        if swallowed.is_none() {
            swallowed = record.tall_cells().find(|(column, (first, last))| {
                let text = record.cells().nth(*column).unwrap_or_default();
                last - first >= TALL_LINES
                    || looks_like_rows(&text, delimiter, *column, names.len())
            });
        }
        for (column, cell) in columns.iter_mut().zip(record.cells()) {
            column.push(&cell, &format.notation);
        }
        lines.push(record.line);
    }
    if names.is_empty() {
        return Err(StageError::data(format!("{file} is empty"))
            .at("path")
            .hint("each example is a line, below one that names the columns"));
    }
    let mut table = Table::new(file, names, Some(lines), Cells::Text(columns));
    if let Some((column, (first, last))) = swallowed {
        table.cautions.push(format!(
            "one cell of {}, in column {} ({}), goes on from line {first} to line {last}: if \
             those are rows, the quotation mark in line {first} is closed too late",
            table.file,
            column + 1,
            table.names[column],
        ));
    }
    table.unnamed = unnamed;
    table.has_header = format.header;
    Ok(table)
}

/// A cell of this many more lines is unlikely to be intended.
const TALL_LINES: u64 = 10;

/// True if the text of a cell is the end of a row and the beginning of another, or has rows between
/// them.
fn looks_like_rows(text: &str, delimiter: u8, column: usize, columns: usize) -> bool {
    let delimiters = |line: &str| line.bytes().filter(|byte| *byte == delimiter).count();
    let mut lines = text.lines().map(delimiters);
    let (first, last) = (lines.next(), lines.next_back());
    let is_torn = first == Some(columns - 1 - column) && last == Some(column);
    columns > 1 && (is_torn || lines.any(|delimiters| delimiters == columns - 1))
}

/// Hint for a line that has another number of cells than the first.
fn ragged(names: &[String], cells: usize, follows_header: bool, delimiter: u8) -> String {
    if names[0].to_ascii_lowercase().starts_with("sep=") {
        return "the first line is a note to Excel: take it out".to_owned();
    }
    if let Some(other) =
        other_delimiter(&names.join(" "), delimiter.into()).filter(|_| names.len() == 1)
    {
        return format!("if another character separates the cells, write delimiter: \"{other}\"");
    }
    if follows_header && cells == names.len() + 1 {
        return "the first line names one column too few: R's write.table leaves out the name of \
            its row names, and write.csv does not"
            .to_owned();
    }
    "each line holds as many cells as the first; a cell with the delimiter in it stands in \
     quotation marks"
        .to_owned()
}

fn unreadable(file: &str, names: &[String], fault: Fault) -> StageError {
    let cell = |line: u64, column: usize| {
        let name = names.get(column).map(|name| format!(" ({name})")).unwrap_or_default();
        format!("line {line}, column {}{name} of {file}", column + 1)
    };
    let (message, hint) = match fault {
        Fault::Unreadable(error) => return text::unreadable(file, &error),
        Fault::Unclosed { line, column } => (
            format!("the quotation mark that opens {} is never closed", cell(line, column)),
            "close it, or take it out; a quotation mark inside a quoted cell is written twice",
        ),
        Fault::TextAfterQuote { line, column, closed } => (
            format!(
                "the quotation mark that opens {} is closed in line {closed}, and text follows \
                 where the cell should end",
                cell(line, column)
            ),
            "close it where the cell ends, or take it out; a quotation mark inside a quoted cell \
             is written twice",
        ),
        Fault::NotUtf8 { line, byte } => {
            (format!("line {line} of {file} is not UTF-8 text at byte {byte}"), "save it as UTF-8")
        }
        Fault::Nul { line, byte, is_utf16: true } => (
            format!(
                "line {line} of {file} is not UTF-8 text (NUL at byte {byte}): it looks like \
                 UTF-16 without a byte order mark"
            ),
            "save it as UTF-8",
        ),
        Fault::Nul { line, byte, is_utf16: false } => (
            format!("line {line} of {file} holds a NUL byte, which no text does, at byte {byte}"),
            DAMAGED,
        ),
    };
    StageError::data(message).at("path").hint(hint)
}

#[cfg(test)]
mod tests;
