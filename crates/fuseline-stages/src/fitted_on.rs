//! `fitted_on`: the examples that a model from outside has seen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuseline_artifact::{Cohort, Texts};
use fuseline_engine::{Fold, Inputs, KeyWriter, Rows, StageError, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::csv::TextFormat;
use crate::load::table::{Table, ending, file_name, open};
use crate::pattern::Column;

/// The examples that a model from outside has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FittedOn {
    /// None of the cohort. This is a declaration: nothing checks it.
    #[default]
    External,
    /// The training rows of the fold: its evidence of them is in-fold, and nothing may be fitted on
    /// it.
    Train,
    /// Rows of the cohort in every fold: the leakage guard refuses to test on it.
    All,
    /// The examples of a file: csv, tsv, jsonl or parquet with a column `example_id` (and `group`,
    /// where groups are to be checked too) or with one column, or txt with one a line. The run
    /// stops when a test example or its group is among them; training examples that are get no
    /// evidence.
    Ids(#[schemars(extend("format" = "path"))] PathBuf),
}

impl FittedOn {
    /// Writes it into a stage's key: of a file the content.
    pub(crate) fn key(&self, key: &mut KeyWriter<'_>) {
        match self {
            Self::Ids(path) => {
                key.field("fitted_on", "ids");
                key.file("fitted_on.ids", path);
                // The ending of the name says how the file is read.
                key.field("fitted_on.format", &ending(path));
            }
            declared => key.field("fitted_on", declared),
        }
    }

    /// The rows that the model saw, and whether what it says of training rows is in-fold.
    pub(crate) fn rows(&self, fold: Fold) -> (Rows, bool) {
        match self {
            Self::External | Self::Ids(_) => (Rows::external(), false),
            Self::Train => (Rows::train(fold), true),
            Self::All => (Rows::all(), true),
        }
    }

    /// The examples that the file lists, where there is one.
    pub(crate) fn seen(&self, inputs: &Inputs<'_>) -> Result<Option<Seen>, StageError> {
        match self {
            Self::Ids(path) => {
                let read = |bytes| Seen::read(path, bytes);
                let seen = inputs.read_file(path).and_then(read);
                seen.map(Some).map_err(|error| error.at("fitted_on.ids"))
            }
            _ => Ok(None),
        }
    }
}

/// Examples and groups that a model was fitted on.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    file: String,
    /// Ids of examples; the name of a group means all of it.
    ids: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Seen {
    fn read(path: &Path, bytes: Vec<u8>) -> Result<Self, StageError> {
        let mut seen = Self { file: file_name(path), ..Self::default() };
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt")) {
            let text = String::from_utf8(bytes).map_err(|error| {
                StageError::data(format!("{} is not text in UTF-8: {error}", seen.file))
            })?;
            let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
            seen.ids.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
            return Ok(seen);
        }
        let table = open(path, bytes, &TextFormat::default())?;
        let named = |name: &str| Column::Name(name.to_owned());
        if table.names.len() == 1 {
            // It may have no header. Where it has one, that is an id of no example.
            seen.ids.insert(table.names[0].clone());
            seen.ids.extend(texts(&table, 0)?.flatten());
            return Ok(seen);
        }
        let id = table.column(&named("example_id"), "").map_err(|error| {
            error.hint(format!(
                "call the column example_id, or leave only that one; {}",
                table.columns_are()
            ))
        })?;
        for (row, example) in texts(&table, id)?.enumerate() {
            let example = example.ok_or_else(|| {
                let place = table.place(row);
                StageError::data(format!("{place} of {} has no example_id", table.file))
            })?;
            seen.ids.insert(example);
        }
        if let Ok(group) = table.column(&named("group"), "") {
            seen.groups.extend(texts(&table, group)?.flatten());
        }
        Ok(seen)
    }

    /// Ids of the file, and of the examples of the cohort whose groups it lists.
    pub fn examples(&self, cohort: &Cohort) -> Texts {
        let grouped = (0..cohort.len()).filter(|&row| self.has_group(&cohort.group[row]));
        let mut ids = self.ids.clone();
        ids.extend(grouped.map(|row| cohort.example_id[row].to_owned()));
        ids.iter().map(String::as_str).collect()
    }

    /// True if the model saw a row of the cohort, or its group.
    pub fn has(&self, cohort: &Cohort, row: usize) -> bool {
        self.ids.contains(&cohort.example_id[row]) || self.has_group(&cohort.group[row])
    }

    fn has_group(&self, group: &str) -> bool {
        self.groups.contains(group) || self.ids.contains(group)
    }

    /// An error when the model saw a row that is tested, or its group.
    pub fn refuse_tested(
        &self,
        cohort: &Cohort,
        fold: &[i32],
        test_fold: Option<i32>,
    ) -> Result<(), StageError> {
        let is_tested = |row: &usize| test_fold.is_none_or(|test_fold| fold[*row] == test_fold);
        let tested: Vec<usize> = (0..fold.len()).filter(is_tested).collect();
        let of_fold = test_fold.map(|fold| format!(" of fold {fold}")).unwrap_or_default();
        let ids = |rows: &[usize]| listed(rows.iter().map(|&row| &cohort.example_id[row]));
        let saw = |row: &usize| self.ids.contains(&cohort.example_id[*row]);
        let seen: Vec<usize> = tested.iter().copied().filter(saw).collect();
        if !seen.is_empty() {
            return Err(StageError::data(format!(
                "{} has {} of the {} test examples{of_fold}: {}",
                self.file,
                seen.len(),
                tested.len(),
                ids(&seen)
            ))
            .code(&codes::LEAK_MODEL_SAW_ROWS)
            .at("fitted_on.ids")
            .hint(
                "a model may not be tested on what it was fitted on: leave these examples out of \
                 the cohort",
            ));
        }
        let Some(&first) = tested.iter().find(|&&row| self.has_group(&cohort.group[row])) else {
            return Ok(());
        };
        let group = &cohort.group[first];
        let rows: Vec<usize> =
            tested.into_iter().filter(|&row| &cohort.group[row] == group).collect();
        Err(StageError::data(format!(
            "{} has examples of group {group}, of which {} tests {}: {}",
            self.file,
            test_fold.map_or_else(|| "the cohort".to_owned(), |fold| format!("fold {fold}")),
            rows.len(),
            ids(&rows)
        ))
        .code(&codes::LEAK_GROUP)
        .at("fitted_on.ids")
        .hint(
            "a model may not be tested on whom it was fitted on: leave the group out of the cohort",
        ))
    }

    /// Caution for training rows that get no evidence since the model saw them.
    pub fn left_out(&self, cohort: &Cohort, rows: &[usize], training: usize) -> String {
        format!(
            "{} of {training} training examples get no evidence, since {} has them or their \
             groups: {}",
            rows.len(),
            self.file,
            listed(rows.iter().map(|&row| &cohort.example_id[row]))
        )
    }
}

/// The cells of a column as text.
fn texts(
    table: &Table,
    column: usize,
) -> Result<impl Iterator<Item = Option<String>> + use<>, StageError> {
    let cell = |row| Ok(table.text(row, column)?.map(|text| text.into_owned()));
    let cells: Vec<_> = (0..table.rows()).map(cell).collect::<Result<_, StageError>>()?;
    Ok(cells.into_iter())
}

/// The first few of some ids.
fn listed<'i>(ids: impl ExactSizeIterator<Item = &'i str>) -> String {
    const LISTED: usize = 5;
    let more = ids.len().saturating_sub(LISTED);
    let first: Vec<&str> = ids.take(LISTED).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

#[cfg(test)]
mod tests;
