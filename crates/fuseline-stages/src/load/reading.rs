//! How the rows of a table become features: ids, columns, wide and long layouts, pooling, values that are not finite.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array, StringArray};
use fuseline_artifact::Features;
use fuseline_engine::{StageError, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::pattern::{Column, Pattern, closest};

/// Where the example_id stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Id {
    /// Its column.
    pub(crate) column: Column,
    /// Which part of the cell is the example_id; the whole cell when left out.
    #[serde(default)]
    pub(crate) pattern: Option<Pattern>,
}

/// Which columns become features.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// These, in the order of the file.
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

/// What becomes of several values of one example and feature.
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

/// What becomes of an infinite value. NaN is missing, whatever this says.
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
    pub(crate) fn of(self, values: &[f64]) -> f64 {
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

/// Counts values that are not finite while it lets them through, turns them into missing ones, or refuses them.
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

    /// Says in the log how many there were.
    pub fn report(&self, file: &str) {
        if self.seen > 0 {
            let became = match self.rule {
                NonFinite::Missing => "are missing values now",
                _ => "are kept and count as missing",
            };
            tracing::warn!(file, values = self.seen, "values that are not finite {became}");
        }
    }
}

/// How a table is read.
pub(crate) struct Reading<'o> {
    pub id: &'o Id,
    pub columns: &'o Chosen,
    pub long: Option<&'o Long>,
    pub pool: &'o [Pool],
    pub non_finite: NonFinite,
}

impl Reading<'_> {
    /// The features that a table holds, sorted by example_id.
    pub fn features(&self, table: &Table) -> Result<Features, StageError> {
        let id = table.column(&self.id.column, "id.column")?;
        let rows = table.rows();
        let mut gate = Gate { rule: self.non_finite, seen: 0 };
        let features = match self.long {
            Some(long) => self.long(table, id, long, &mut gate)?,
            None => self.wide(table, id, &mut gate)?,
        };
        gate.report(&table.file);
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

    fn wide(&self, table: &Table, id: usize, gate: &mut Gate) -> Result<Features, StageError> {
        let chosen = self.chosen(table, id)?;
        let mut rows_of = BTreeMap::<String, Vec<usize>>::new();
        for row in 0..table.rows() {
            let rows = rows_of.entry(self.id.of(table, row, id)?).or_default();
            if let (Some(&earlier), true) = (rows.first(), self.pool.is_empty()) {
                let example = self.id.of(table, row, id)?;
                return Err(twice(table, earlier, row, &example));
            }
            rows.push(row);
        }
        let mut assembly = Assembly::new(chosen.len(), self.pool);
        let mut values = Vec::new();
        for (example, rows) in rows_of {
            assembly.example(example);
            for &column in &chosen {
                values.clear();
                for &row in &rows {
                    let value = table.number(row, column)?;
                    values.extend(gate.admit(value, || place(table, row, column))?);
                }
                assembly.feature(&values);
            }
        }
        let names: Vec<_> = chosen.iter().map(|&column| table.names[column].clone()).collect();
        Ok(assembly.features(&table.file, &names))
    }

    fn long(
        &self,
        table: &Table,
        id: usize,
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
            let example = self.id.of(table, row, id)?;
            let Some(feature) = table.text(row, name_column)? else {
                return Err(StageError::data(format!(
                    "the name of the feature in {} of {} is empty",
                    table.place(row),
                    table.file
                ))
                .at("long.name"));
            };
            if !self.columns.takes(&feature) {
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
        let mut assembly = Assembly::new(names.len(), self.pool);
        for (example, mut features) in observed {
            assembly.example(example);
            for name in &names {
                let cells = features.remove(name).unwrap_or_default();
                let values: Vec<f64> = cells.into_iter().filter_map(|(_, value)| value).collect();
                assembly.feature(&values);
            }
        }
        Ok(assembly.features(&table.file, &names))
    }

    /// Places of the columns that become features.
    fn chosen(&self, table: &Table, id: usize) -> Result<Vec<usize>, StageError> {
        let include = self.columns.include.as_deref().unwrap_or_default();
        for (option, wanted) in
            [("columns.include", include), ("columns.exclude", &self.columns.exclude)]
        {
            if let Some(unknown) = wanted.iter().find(|wanted| !table.names.contains(wanted)) {
                return Err(table.no_column(unknown).at(option));
            }
        }
        let chosen: Vec<usize> = (0..table.names.len())
            .filter(|&place| place != id && self.columns.takes(&table.names[place]))
            .collect();
        let mut seen = BTreeMap::new();
        for &place in &chosen {
            if let Some(earlier) = seen.insert(&table.names[place], place) {
                return Err(StageError::data(format!(
                    "columns {} and {} of {} are both called {}",
                    earlier + 1,
                    place + 1,
                    table.file,
                    table.names[place]
                ))
                .at("path"));
            }
        }
        if chosen.is_empty() {
            return Err(StageError::data(format!(
                "no column of {} is left as a feature",
                table.file
            ))
            .at("columns")
            .hint(format!("{}; that of the id is no feature", table.columns_are())));
        }
        Ok(chosen)
    }
}

impl Chosen {
    fn takes(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.iter().any(|wanted| wanted == name))
            && !self.exclude.iter().any(|unwanted| unwanted == name)
    }
}

impl Id {
    /// The example_id of a row.
    pub(crate) fn of(&self, table: &Table, row: usize, id: usize) -> Result<String, StageError> {
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

fn place(table: &Table, row: usize, column: usize) -> String {
    format!(
        "{}, column {} ({}) of {}",
        table.place(row),
        column + 1,
        table.names[column],
        table.file
    )
}

/// What to say when a pattern matches only some of all texts, or none; `missed` is one that it does not match.
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
            "the pattern {pattern} does not match {} of the {all} {what}, such as {missed:?}{place}",
            all - matched
        ),
    };
    StageError::data(message).hint(format!(
        "change the pattern so that its first group, in parentheses, matches the part of {missed:?} that is meant; ^(.*)$ takes all of it"
    ))
}

/// What to say of two rows of one example.
pub(crate) fn twice(table: &Table, earlier: usize, row: usize, example: &str) -> StageError {
    StageError::data(format!("{} of {} are both {example}", table.places(earlier, row), table.file))
        .at("id")
        .code(&codes::LEAK_DUPLICATE_EXAMPLE)
        .hint("each example_id may stand in one row only; pool: [mean, sd] makes one example of several rows, and long: { name: COLUMN, value: COLUMN } reads one feature a row")
}

/// Features under construction: example by example in their order, feature by feature.
struct Assembly<'o> {
    pool: &'o [Pool],
    width: usize,
    ids: Vec<String>,
    values: Vec<Option<f64>>,
    without_values: usize,
}

impl<'o> Assembly<'o> {
    fn new(features: usize, pool: &'o [Pool]) -> Self {
        let width = features * pool.len().max(1);
        Self { pool, width, ids: Vec::new(), values: Vec::new(), without_values: 0 }
    }

    fn example(&mut self, id: String) {
        self.leave_out_if_empty();
        self.ids.push(id);
    }

    fn feature(&mut self, observed: &[f64]) {
        match self.pool {
            [] => self.values.push(observed.first().copied()),
            pool => self
                .values
                .extend(pool.iter().map(|pool| (!observed.is_empty()).then(|| pool.of(observed)))),
        }
    }

    fn leave_out_if_empty(&mut self) {
        let Some(start) = self.ids.len().checked_sub(1).map(|last| last * self.width) else {
            return;
        };
        if self.values[start..].iter().all(Option::is_none) {
            self.values.truncate(start);
            self.ids.pop();
            self.without_values += 1;
        }
    }

    fn features(mut self, file: &str, names: &[String]) -> Features {
        self.leave_out_if_empty();
        if self.without_values > 0 {
            tracing::info!(file, rows = self.without_values, "left out examples without any value");
        }
        let names =
            if self.pool.is_empty() { names.to_vec() } else { pooled_names(names, self.pool) };
        let columns = names.into_iter().enumerate().map(|(column, name)| {
            let values = self.values.iter().skip(column).step_by(self.width.max(1)).copied();
            (name, values.collect::<Float64Array>())
        });
        let columns = columns.collect();
        Features { example_id: StringArray::from_iter_values(&self.ids), columns }
    }
}
