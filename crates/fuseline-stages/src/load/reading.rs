//! Conversion of the rows of a table to features: ids, columns, wide and long layouts, pooling,
//! values that are not finite.

use std::collections::BTreeMap;

use arrow::array::{AsArray, BooleanArray, Float64Array, Float64Builder};
use arrow::compute::filter;
use arrow::datatypes::Float64Type;
use fuseline_artifact::Features;
use fuseline_engine::{Outputs, StageError, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notation::sentinel;
use super::table::{Table, exclude};
use crate::pattern::{Column, Pattern, closest};

/// Place of the example_id: a column, or the number of the row.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "IdOptions")]
pub struct Id {
    /// Its column; the number of the row is the example_id when there is none.
    pub(crate) column: Option<Column>,
    pattern: Option<Pattern>,
}

/// Place of the example_id, as written in the options.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Id")]
struct IdOptions {
    /// Its column.
    #[serde(default)]
    column: Option<Column>,
    /// True if the number of the row, counted from 0, is the example_id: for tables that have none
    /// and whose rows are in one order.
    #[serde(default)]
    row: bool,
    /// Which part of the cell is the example_id; the whole cell when left out.
    #[serde(default)]
    pattern: Option<Pattern>,
}

impl TryFrom<IdOptions> for Id {
    type Error = &'static str;

    fn try_from(options: IdOptions) -> Result<Self, Self::Error> {
        let IdOptions { column, row, pattern } = options;
        match (&column, row, &pattern) {
            (None, false, _) => {
                Err("the id needs a column, or row: true where its number is the example_id")
            }
            (Some(_), true, _) => Err("the id has either a column or row: true"),
            (None, true, Some(_)) => Err("the number of a row needs no pattern"),
            _ => Ok(Self { column, pattern }),
        }
    }
}

/// Which columns become features.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// These, in the order of the file. The name of a column of lists stands for all of its places.
    /// A column without a name, such as the index that pandas or R writes, is a feature only where
    /// it is named here: by its place, `c0`, in a file of delimited text.
    #[serde(default)]
    include: Option<Vec<String>>,
    /// All but these.
    #[serde(default)]
    exclude: Vec<String>,
}

/// A table that has one row for each example and feature.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Long {
    /// The column that names the feature.
    name: Column,
    /// The column of its value.
    value: Column,
}

/// Pooling of several values of one example and feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Their mean.
    Mean,
    /// Their population standard deviation; 0 when there is one.
    Sd,
    /// The least.
    Min,
    /// The largest.
    Max,
}

/// Treatment of an infinite value. NaN is missing, whatever this says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// It is kept as it is; experts and quality estimators treat it as missing.
    #[default]
    Keep,
    /// It becomes a missing value.
    Missing,
    /// It is an error.
    Error,
}

impl Pool {
    fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sd => "sd",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// Of at least one value.
    pub(crate) fn pool(self, values: &[f64]) -> f64 {
        let count = values.len() as f64;
        let mean = || values.iter().sum::<f64>() / count;
        match self {
            Self::Mean => mean(),
            Self::Sd => {
                let mean = mean();
                (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count)
                    .sqrt()
            }
            Self::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// Names of the features after pooling: `name.mean`, feature by feature.
pub(crate) fn pooled_names(names: &[String], pool: &[Pool]) -> Vec<String> {
    let each = |name: &String| {
        let name = name.clone();
        pool.iter().map(move |pool| format!("{name}.{}", pool.name()))
    };
    names.iter().flat_map(each).collect()
}

/// Counts values that are not finite while it lets them through, turns them into missing ones, or
/// refuses them.
#[derive(Default)]
pub(crate) struct Gate {
    pub rule: NonFinite,
    pub seen: usize,
}

impl Gate {
    /// The value as it counts from here on; `None` when it is missing.
    pub fn admit(
        &mut self,
        value: Option<f64>,
        place: impl FnOnce() -> String,
    ) -> Result<Option<f64>, StageError> {
        let Some(value) = value.filter(|value| !value.is_nan()) else { return Ok(None) };
        if value.is_finite() {
            return Ok(Some(value));
        }
        self.seen += 1;
        match self.rule {
            NonFinite::Keep => Ok(Some(value)),
            NonFinite::Missing => Ok(None),
            NonFinite::Error => Err(StageError::data(format!("{value} in {}", place()))
                .at("non_finite")
                .hint("non_finite: missing makes a missing value of it")),
        }
    }

    /// Cautions of the infinite values, if there were any.
    pub fn report(&self, file: &str, outputs: &mut Outputs) {
        let became = match self.rule {
            NonFinite::Missing => "made missing",
            _ => "kept, and treated as missing",
        };
        match self.seen {
            0 => {}
            1 => outputs.caution(format!("1 value of {file} is infinite; it is {became}")),
            seen => {
                outputs.caution(format!("{seen} values of {file} are infinite; they are {became}"));
            }
        }
    }
}

/// Settings for reading a table.
pub(crate) struct Reading<'o> {
    pub id: &'o Id,
    pub columns: &'o Chosen,
    pub long: Option<&'o Long>,
    pub pool: &'o [Pool],
    pub non_finite: NonFinite,
}

/// Use of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nothing.
    None,
    /// Ids or names.
    Text,
    /// Values.
    Number,
}

impl Reading<'_> {
    /// Use of a column.
    pub fn use_of(&self, place: usize, name: &str) -> Use {
        let is = |column: &Column| match column {
            Column::Place(wanted) => *wanted == place,
            Column::Name(wanted) => wanted == name,
        };
        match self.long {
            _ if self.id.column.as_ref().is_some_and(is) => Use::Text,
            Some(long) if is(&long.name) => Use::Text,
            Some(long) if is(&long.value) => Use::Number,
            None if self.columns.takes(name, None) => Use::Number,
            _ => Use::None,
        }
    }

    /// Use of a place in the lists of a column.
    pub fn use_of_item(&self, list: &str, place: usize) -> Use {
        let name = || format!("{list}.{place}");
        match self.long.is_none() && self.columns.takes(&name(), Some(list)) {
            true => Use::Number,
            false => Use::None,
        }
    }

    /// True if any place in the lists of a column may be read.
    pub fn reads_list(&self, list: &str) -> bool {
        let Chosen { include, exclude } = self.columns;
        let is_of = |name: &String| {
            name.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.long.is_none()
            && !exclude.iter().any(|name| name == list)
            && include.as_ref().is_none_or(|include| include.iter().any(is_of))
    }

    /// The features that a table holds, sorted by example_id; what must be known of them becomes
    /// cautions.
    pub fn features(
        &self,
        mut table: Table,
        outputs: &mut Outputs,
    ) -> Result<Features, StageError> {
        let named = self.columns.include.iter().flatten().chain(&self.columns.exclude);
        let named: Vec<_> = named.cloned().map(Column::Name).collect();
        let taken = self.long.into_iter().flat_map(|long| [&long.name, &long.value]);
        let taken = taken.chain(&self.id.column).chain(&named);
        table.take_cautions(taken).into_iter().for_each(|caution| outputs.caution(caution));
        let id = self.id.column(&table, "id.column")?;
        let rows = table.rows();
        let mut gate = Gate { rule: self.non_finite, seen: 0 };
        let features = match self.long {
            Some(long) => self.long(&table, id, long, &mut gate)?,
            None => self.wide(&mut table, id, &mut gate, outputs)?,
        };
        gate.report(&table.file, outputs);
        if features.example_id.is_empty() {
            return Err(StageError::data(format!(
                "none of the {rows} rows of {} has a value",
                table.file
            ))
            .at("path")
            .hint("an example without any value is left out; at least one must have a number"));
        }
        Ok(features)
    }

    /// Column by column, each of which the table lets go of when it is a feature.
    fn wide(
        &self,
        table: &mut Table,
        id: Option<usize>,
        gate: &mut Gate,
        outputs: &mut Outputs,
    ) -> Result<Features, StageError> {
        let chosen = self.chosen(table, id, outputs)?;
        let mut keyed = (0..table.rows())
            .map(|row| Ok((self.id.read(table, row, id)?, row)))
            .collect::<Result<Vec<_>, StageError>>()?;
        // Rows of one example stay in the order of the file.
        keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
        let examples: Vec<_> = keyed.chunk_by(|(a, _), (b, _)| a == b).collect();
        let second = examples.iter().filter(|rows| self.pool.is_empty() && rows.len() > 1);
        if let Some([(example, earlier), (_, row), ..]) = second.min_by_key(|rows| rows[1].1) {
            return Err(twice(table, *earlier, *row, example));
        }
        let mut assembly = Assembly::new(examples.len(), self.pool);
        for &column in &chosen {
            let values = (0..table.rows()).filter_map(|row| table.number(row, column).ok()?);
            if let Some(sentinel) = sentinel(values) {
                let (column, file) = (table.column_text(column), &table.file);
                let option = table.notation.missing.option_with(&sentinel.value.to_string());
                outputs.caution(format!(
                    "{column} of {file} {sentinel}: write {option} where it stands for a missing \
                     value"
                ));
            }
            assembly.feature(&table.names[column], |example, values| {
                for &(_, row) in examples[example] {
                    let value = feature(table, row, column)?;
                    values.extend(gate.admit(value, || place(table, row, column))?);
                }
                Ok(())
            })?;
            table.forget(column);
        }
        assembly.features(&table.file, examples.iter().map(|rows| rows[0].0.as_str()))
    }

    fn long(
        &self,
        table: &Table,
        id: Option<usize>,
        long: &Long,
        gate: &mut Gate,
    ) -> Result<Features, StageError> {
        let column = |wanted, option| {
            table.column(wanted, option).map_err(|error| {
                let hint = error.hint.clone().unwrap_or_default();
                error.hint(format!(
                    "{hint}; without long, each row holds all features of an example"
                ))
            })
        };
        let name_column = column(&long.name, "long.name")?;
        let value_column = column(&long.value, "long.value")?;
        let mut observed = BTreeMap::<String, BTreeMap<String, Vec<(usize, Option<f64>)>>>::new();
        let mut names = BTreeMap::<String, usize>::new();
        for row in 0..table.rows() {
            let example = self.id.read(table, row, id)?;
            let Some(feature) = table.text(row, name_column)? else {
                return Err(StageError::data(format!(
                    "the name of the feature in {} of {} is empty",
                    table.place(row),
                    table.file
                ))
                .at("long.name"));
            };
            if !self.columns.takes(&feature, None) {
                continue;
            }
            let value = table.number(row, value_column)?;
            let value = gate.admit(value, || place(table, row, value_column))?;
            names.insert(feature.clone().into_owned(), 0);
            let cells = observed
                .entry(example.clone())
                .or_default()
                .entry(feature.into_owned())
                .or_default();
            if let (Some(&(earlier, _)), true) = (cells.first(), self.pool.is_empty()) {
                return Err(twice(table, earlier, row, &example));
            }
            cells.push((row, value));
        }
        let names: Vec<String> = names.into_keys().collect();
        let include = self.columns.include.as_deref().unwrap_or_default();
        if let Some(unknown) = include.iter().find(|wanted| !names.contains(wanted)) {
            let all: Vec<_> =
                (0..table.rows()).filter_map(|row| table.text(row, name_column).ok()?).collect();
            let hint = match closest(unknown, all.iter().map(|name| &**name)) {
                Some(name) => format!("did you mean {name}"),
                None => format!("its first feature is {}", all[0]),
            };
            return Err(StageError::data(format!("{} has no feature {unknown}", table.file))
                .at("columns.include")
                .hint(hint));
        }
        if names.iter().any(|name| name == RESERVED) {
            return Err(reserved(&table.file, "a feature"));
        }
        let mut assembly = Assembly::new(observed.len(), self.pool);
        let examples: Vec<_> = observed.iter().collect();
        for name in &names {
            assembly.feature(name, |example, values| {
                let cells = examples[example].1.get(name).into_iter().flatten();
                values.extend(cells.filter_map(|(_, value)| *value));
                Ok(())
            })?;
        }
        assembly.features(&table.file, examples.iter().map(|(example, _)| example.as_str()))
    }

    /// Without the columns that have no name, and those that count the rows and are called so: rows
    /// are often sorted by label, and these were not chosen as features. Cautions say so, and of
    /// other columns that count the rows too.
    fn without_indices(
        &self,
        table: &Table,
        places: impl Iterator<Item = usize>,
        outputs: &mut Outputs,
    ) -> Vec<usize> {
        let is_asked_for =
            |name: &String| self.columns.include.iter().flatten().any(|wanted| wanted == name);
        let (mut kept, mut unnamed) = (Vec::new(), Vec::new());
        for place in places {
            let name = &table.names[place];
            let column = format!("{} of {}", table.column_text(place), table.file);
            if is_asked_for(name) {
                kept.push(place);
            } else if table.is_unnamed(place) {
                if !table.is_empty(place) {
                    unnamed.push(place);
                }
            } else if table.counts_rows(place) {
                if INDEX_NAMES.contains(&name.as_str()) {
                    outputs.caution(format!(
                        "{column} counts the rows, as the index of a table does, and is no \
                         feature: columns: {{ include: [{name}, ...] }} makes it one"
                    ));
                    continue;
                }
                kept.push(place);
                outputs.caution(format!(
                    "{column} counts the rows and is a feature: where rows are sorted by label it \
                     gives the label away; columns: {{ exclude: [{name}] }} leaves it out"
                ));
            } else {
                kept.push(place);
            }
        }
        if let Some(&first) = unnamed.first() {
            let called: Vec<_> = unnamed.iter().map(|place| table.column_text(*place)).collect();
            let (have, are) = match called.len() {
                1 => ("has no name", "is no feature"),
                _ => ("have no names", "are no features"),
            };
            let counts = match table.counts_rows(first) {
                true => " (it counts the rows, as an index does that pandas or R wrote)",
                false => "",
            };
            outputs.caution(format!(
                "{} of {} {have} and {are}{counts}: columns: {{ include: [{:?}, ...] }} makes it \
                 one",
                called.join(", "),
                table.file,
                table.names[first]
            ));
        }
        kept
    }

    /// Places of the columns that become features.
    fn chosen(
        &self,
        table: &Table,
        id: Option<usize>,
        outputs: &mut Outputs,
    ) -> Result<Vec<usize>, StageError> {
        let include = self.columns.include.as_deref().unwrap_or_default();
        for (option, wanted) in
            [("columns.include", include), ("columns.exclude", &self.columns.exclude)]
        {
            let is_there = |name: &String| table.names.contains(name) || table.list(name).is_some();
            if let Some(unknown) = wanted.iter().find(|name| !is_there(name)) {
                return Err(table.no_column(unknown).at(option));
            }
        }
        let taken = (0..table.names.len()).filter(|&place| {
            Some(place) != id && self.columns.takes(&table.names[place], table.list_of(place))
        });
        let chosen = self.without_indices(table, taken, outputs);
        let mut seen: BTreeMap<_, _> = id.map(|id| (&table.names[id], id)).into_iter().collect();
        for &place in &chosen {
            let name = &table.names[place];
            if let Some(other) = seen.insert(name, place) {
                return Err(table.same_name(other.min(place), other.max(place)));
            }
            if name == RESERVED {
                return Err(reserved(&table.file, &format!("column {}", place + 1)));
            }
        }
        if chosen.is_empty() {
            return Err(StageError::data(format!(
                "no column of {} is left as a feature",
                table.file
            ))
            .at("columns")
            .hint(format!(
                "{}; that of the id is no feature, and those without a name are where \
                 columns.include names them",
                table.columns_are()
            )));
        }
        Ok(chosen)
    }
}

/// Names that programs give to a column of row numbers.
const INDEX_NAMES: [&str; 7] =
    ["index", "level_0", "X", "...1", "rownames", "row.names", "row_names"];

/// The name of the ids in every artifact.
const RESERVED: &str = "example_id";

fn reserved(file: &str, what: &str) -> StageError {
    StageError::data(format!(
        "{what} of {file} is called {RESERVED}, as ids are in every table that is made here"
    ))
    .at("path")
    .hint(format!("leave it out with columns: {{ exclude: [{RESERVED}] }}, or rename it"))
}

impl Chosen {
    /// True if a column is taken, by its own name or by that of the lists that it is a place of.
    fn takes(&self, name: &str, list: Option<&str>) -> bool {
        let names = |names: &[String]| {
            names.iter().any(|named| named == name || Some(named.as_str()) == list)
        };
        self.include.as_deref().is_none_or(names) && !names(&self.exclude)
    }
}

impl Id {
    /// Ids in a column.
    pub(crate) fn of_column(column: Column, pattern: Option<Pattern>) -> Self {
        Self { column: Some(column), pattern }
    }

    /// The place of the column; none when the number of the row is the id. `option` is how the
    /// workflow names it.
    pub(crate) fn column(&self, table: &Table, option: &str) -> Result<Option<usize>, StageError> {
        self.column.as_ref().map(|column| table.column(column, option)).transpose()
    }

    /// The example_id of a row, given the place of the column.
    pub(crate) fn read(
        &self,
        table: &Table,
        row: usize,
        id: Option<usize>,
    ) -> Result<String, StageError> {
        let Some(id) = id else { return Ok(row.to_string()) };
        let cell = table.text(row, id)?.unwrap_or_default();
        let found = match &self.pattern {
            Some(pattern) => pattern.first_group(&cell).ok_or_else(|| {
                let matches = |row: &usize| {
                    let cell = table.text(*row, id).ok().flatten().unwrap_or_default();
                    pattern.first_group(&cell).is_some()
                };
                let matched = (0..table.rows()).filter(matches).count();
                let what = format!("ids of {}", table.file);
                let place = format!(" in {}", table.place(row));
                unmatched(pattern, (matched, table.rows()), &what, &cell, &place).at("id.pattern")
            })?,
            None => &cell,
        };
        let found = without_point(found);
        if found.is_empty() {
            return Err(StageError::data(format!(
                "the id in {} of {} is empty",
                table.place(row),
                table.file
            ))
            .at("id"));
        }
        Ok(found.to_owned())
    }
}

/// A whole number that is written as a float, such as 12.0, without its point: the ids of a column
/// are the same whether a format or a missing value made floats of them or not.
fn without_point(id: &str) -> &str {
    let Some((whole, fraction)) = id.split_once('.') else { return id };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_plain = digits == "0" || !digits.is_empty() && !digits.starts_with('0');
    let is_whole = is_plain
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte == b'0');
    if is_whole { whole } else { id }
}

/// The value of a feature.
fn feature(table: &Table, row: usize, column: usize) -> Result<Option<f64>, StageError> {
    table.number(row, column).map_err(|error| {
        let error = table.first_of_column(error, column);
        let out = exclude(&table.names[column]);
        match &error.hint {
            Some(hint) if *hint != out => {
                let hint = format!("{hint}; or {out}");
                error.hint(hint)
            }
            _ => error,
        }
    })
}

fn place(table: &Table, row: usize, column: usize) -> String {
    format!(
        "{}, column {} ({}) of {}",
        table.place(row),
        column + 1,
        table.names[column],
        table.file
    )
}

/// Error when a pattern matches only some of all texts, or none; `missed` is one that it does
/// not match.
pub(crate) fn unmatched(
    pattern: &Pattern,
    (matched, all): (usize, usize),
    what: &str,
    missed: &str,
    place: &str,
) -> StageError {
    let pattern = pattern.as_str();
    let message = match matched {
        0 => format!(
            "the pattern {pattern} matches none of the {all} {what}, such as {missed:?}{place}"
        ),
        _ => format!(
            "the pattern {pattern} does not match {} of the {all} {what}, such as \
             {missed:?}{place}",
            all - matched
        ),
    };
    StageError::data(message).hint(format!(
        "change the pattern so that its first group, in parentheses, matches the part of \
         {missed:?} that is meant; ^(.*)$ takes all of it"
    ))
}

/// Error for two rows of one example.
pub(crate) fn twice(table: &Table, earlier: usize, row: usize, example: &str) -> StageError {
    StageError::data(format!("{} of {} are both {example}", table.places(earlier, row), table.file))
        .at("id")
        .code(&codes::LEAK_DUPLICATE_EXAMPLE)
        .hint(
            "each example_id may stand in one row only; pool: [mean, sd] makes one example of \
             several rows, and long: { name: COLUMN, value: COLUMN } reads one feature a row",
        )
}

/// Features under construction, one after the other.
struct Assembly<'o> {
    pool: &'o [Pool],
    columns: Vec<(String, Float64Array)>,
    /// True if an example has any value so far.
    observed: Vec<bool>,
}

impl<'o> Assembly<'o> {
    fn new(examples: usize, pool: &'o [Pool]) -> Self {
        Self { pool, columns: Vec::new(), observed: vec![false; examples] }
    }

    /// The next feature; `values_of` puts the values of an example into the list that it is given.
    fn feature(
        &mut self,
        name: &str,
        mut values_of: impl FnMut(usize, &mut Vec<f64>) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let examples = self.observed.len();
        let mut built: Vec<_> =
            (0..self.pool.len().max(1)).map(|_| Float64Builder::with_capacity(examples)).collect();
        let mut values = Vec::new();
        for (example, observed) in self.observed.iter_mut().enumerate() {
            values.clear();
            values_of(example, &mut values)?;
            *observed |= !values.is_empty();
            for (nth, column) in built.iter_mut().enumerate() {
                column.append_option(match self.pool.get(nth) {
                    None => values.first().copied(),
                    Some(pool) => (!values.is_empty()).then(|| pool.pool(&values)),
                });
            }
        }
        let name = [name.to_owned()];
        let names =
            if self.pool.is_empty() { name.to_vec() } else { pooled_names(&name, self.pool) };
        self.columns.extend(names.into_iter().zip(built.iter_mut().map(Float64Builder::finish)));
        Ok(())
    }

    /// The features, without the examples that have no value at all.
    fn features<'e>(
        mut self,
        file: &str,
        examples: impl Iterator<Item = &'e str>,
    ) -> Result<Features, StageError> {
        let rows = self.observed.iter().filter(|observed| !**observed).count();
        if rows > 0 {
            tracing::info!(file, rows, "left out examples without any value");
            let kept = BooleanArray::from(self.observed.clone());
            for (_, column) in &mut self.columns {
                let left =
                    filter(column, &kept).map_err(|error| StageError::failed(error.to_string()))?;
                *column = left.as_primitive::<Float64Type>().clone();
            }
        }
        let examples = examples.zip(&self.observed).filter(|(_, observed)| **observed);
        let example_id = examples.map(|(example, _)| example).collect();
        Ok(Features { example_id, columns: self.columns })
    }
}
