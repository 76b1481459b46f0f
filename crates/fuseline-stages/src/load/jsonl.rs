//! `load.jsonl`: a file of JSON lines becomes features.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use fuseline_artifact::Features;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::field::JsonColumn;
use self::field::{Field, Shape};
use self::json::{Json, JsonError};
use super::limits::{check_expansion, table_bytes, within_memory};
use super::notation::{Missing, Notation};
use super::reading::{Chosen, Id, Long, NonFinite, Pool, Reading, Use};
use super::table::{Cells, Source, Table, Unfit, file_name};
use super::text;

/// Reads numeric features from a file that holds one JSON object a line, each an example.
///
/// A name that a line lacks is missing there, and so are `null` and the `NaN` of Python; `true` is
/// 1 and `false` is 0. A list of numbers becomes one feature for each of its places, `name.0`,
/// `name.1`, ..., which is how embeddings are read; the lists of a name must be equally long.
/// `columns` takes the names of single places and of whole lists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadJsonl {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Place of the example_id: a column, or the number of the row.
    id: Id,
    /// Which names become features; when left out, all but the one of the id, those without a name
    /// and those that are called an index and count the rows.
    #[serde(default)]
    columns: Chosen,
    /// For lines of one example and feature each: where name and value stand. Features are sorted
    /// by name.
    #[serde(default)]
    long: Option<Long>,
    /// Makes one example of all lines of an example_id: each feature becomes one for each word of
    /// this list.
    #[serde(default)]
    pool: Vec<Pool>,
    /// Notations of a missing value, besides `null` and empty text: `...` is NA, N/A, NaN, null,
    /// None, `<NA>`, #N/A and #NA in any case; all else counts as it is written, as in [...,
    /// "-", -999].
    #[serde(default)]
    missing: Missing,
    /// Treatment of infinite values (`Infinity`, or the text "inf"). The log says how many there
    /// were.
    #[serde(default)]
    non_finite: NonFinite,
}

impl StageKind for LoadJsonl {
    const NAME: &'static str = "load.jsonl";
    // 2: more texts stand for a missing value, and an id may read NA; numbers are read to their
    // last bit, ids keep all of their digits; NaN and Infinity are read; lists of other lengths and
    // names that come twice are errors.
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
        let features = within_memory(inputs, || self.read(&bytes, outputs))?;
        outputs.put("features", features)
    }
}

impl LoadJsonl {
    fn read(&self, bytes: &[u8], outputs: &mut Outputs) -> Result<Features, StageError> {
        let notation = Notation {
            missing: self.missing.clone(),
            options: &["missing"],
            ..Notation::default()
        };
        let Self { id, columns, long, pool, non_finite, .. } = self;
        let reading = Reading { id, columns, long: long.as_ref(), pool, non_finite: *non_finite };
        let column = |place: usize, name: &str, item: Option<usize>| {
            let usage = match item {
                None => reading.use_of(place, name),
                Some(item) => reading.use_of_item(name, item),
            };
            match usage {
                Use::None => JsonColumn::Unread,
                Use::Text => JsonColumn::values(),
                Use::Number => JsonColumn::numbers(),
            }
        };
        let table = table(file_name(&self.path), bytes, &notation, column)?.with_rows()?;
        reading.features(table, outputs)
    }
}

/// The lines of a file of JSON objects. Columns come in the order in which their names first
/// appear. `column` says what is kept of each: it is given the place in the file, the name there,
/// and the place in the list where there are lists.
pub(crate) fn table(
    file: String,
    bytes: &[u8],
    notation: &Notation,
    column: impl Fn(usize, &str, Option<usize>) -> JsonColumn,
) -> Result<Table, StageError> {
    let (mut fields, mut lines) = (Vec::<Field>::new(), Vec::new());
    let mut places = BTreeMap::<String, usize>::new();
    let bytes = text::decode_all(&file, bytes)?;
    let mut width = 0_u64;
    let check_size = |rows: usize, width: u64| {
        let table = table_bytes(rows as u64, width);
        check_expansion(&file, bytes.len() as u64, "the table", table).map_err(|error| {
            error.hint(
                "its lines name different columns, so that most of the table is missing: long: { \
                 name: COLUMN, value: COLUMN } reads one feature a line",
            )
        })
    };
    for (line, text) in (1_u64..).zip(bytes.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        for (name, value) in object(&file, line, text)? {
            let place = places.get(&*name).copied().unwrap_or(fields.len());
            if place == fields.len() {
                places.insert(name.clone().into_owned(), place);
                fields.push(Field::new(name.into_owned()));
            }
            let field = &mut fields[place];
            if std::mem::replace(&mut field.line, line) == line {
                return Err(StageError::data(format!(
                    "line {line} of {file} names {} twice",
                    field.name
                ))
                .at("path")
                .hint("an object holds each name once: which of the values is meant?"));
            }
            let before = field.columns.len();
            field.put(lines.len(), &value, notation, |name, item| column(place, name, item));
            if field.columns.len() > before {
                width += (field.columns.len() - before) as u64;
                check_size(lines.len(), width)?;
            }
        }
        lines.push(line);
    }
    if fields.is_empty() {
        return Err(StageError::data(format!("{file} is empty")).at("path").hint(ONE_A_LINE));
    }
    check_size(lines.len(), width)?;
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    let (mut sources, mut unfit) = (Vec::new(), BTreeMap::new());
    for field in fields {
        let first = columns.len();
        if let Some(holds) = field.fault {
            unfit.insert(first, Unfit { holds, is_text: false });
        } else if let Shape::List { length, .. } = field.shape {
            names.extend((0..length).map(|place| format!("{}.{place}", field.name)));
            columns.extend(field.columns);
            sources.push(Source { name: field.name, columns: first..columns.len() });
            continue;
        }
        names.push(field.name.clone());
        columns.push(field.columns.into_iter().next().unwrap_or_default());
        sources.push(Source { name: field.name, columns: first..columns.len() });
    }
    let table = Table::new(file, names, Some(lines), Cells::Json(columns));
    Ok(Table { sources, unfit, ..table.with_notation(notation.clone()) })
}

/// Description of such a file, for errors.
const ONE_A_LINE: &str = r#"each line holds one object, such as {"id": "e1", "a": 0.5}"#;

/// The names and values of a line.
fn object<'l>(
    file: &str,
    line: u64,
    text: &'l [u8],
) -> Result<Vec<(Cow<'l, str>, Json<'l>)>, StageError> {
    let text = std::str::from_utf8(text).map_err(|_| {
        StageError::data(format!("line {line} of {file} is not UTF-8 text"))
            .at("path")
            .hint("save it as UTF-8")
    })?;
    json::object(text).map_err(|error| {
        let JsonError { reason, column, is_cut } = error;
        let reason = if is_cut { format!("EOF, {reason}") } else { reason };
        let message =
            format!("line {line} of {file} is no JSON object: {reason} at column {column}");
        let is_list = text.trim_start().starts_with('[');
        StageError::data(message).at("path").hint(match (is_cut, is_list) {
            (_, true) => {
                "a list of objects is no file of lines: pandas writes one with to_json(FILE, \
                 orient=\"records\", lines=True)"
            }
            (true, _) => {
                "the line ends early: is the file cut short? copy it again, or take the line out; \
                 an object over several lines is written on one"
            }
            _ => ONE_A_LINE,
        })
    })
}

mod field;
mod json;
#[cfg(test)]
mod tests;
