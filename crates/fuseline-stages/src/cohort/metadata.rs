//! `cohort.metadata`: columns of a table that are kept beside the cohort, such as sex or site.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::StringArray;
use fuseline_artifact::{ArtifactKind, Cohort, Metadata};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, Problem, RowFlow, Rows, StageError, StageKind,
};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::join::{JoinOptions, Loss, Source, find_mismatch};
use crate::load::csv::TextFormat;
use crate::load::notation::{Missing, Notation};
use crate::load::reading::{Id, twice};
use crate::load::table::{Table, ending, read};
use crate::pattern::Column;

/// Keeps columns of a file for the examples of a cohort: what they are of, and never what a model
/// is given.
///
/// A row of the file is of one example, or of one group with `by: group`, such as a table of
/// persons. Gaps by subgroup (`diagnose.subgroups`) and the audit of folds (`audit.data`) read
/// them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CohortMetadata {
    /// The file: csv, tsv, jsonl or parquet, by the ending of its name. Text may be packed by gzip.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Place of what a row is of: a column, or the number of the row.
    id: Id,
    /// What that is: an example_id, or the name of a group.
    #[serde(default)]
    by: By,
    /// The columns to keep.
    #[schemars(length(min = 1))]
    columns: Vec<Column>,
    /// Separator of the cells of a file of delimited text; when left out, a tab in one whose name
    /// ends in tsv and a comma in others.
    #[serde(default)]
    delimiter: Option<char>,
    /// True if the first line of a file of delimited text names the columns. Without it they are
    /// called `c0`, `c1`, ... by their place.
    #[serde(default = "crate::load::yes")]
    header: bool,
    /// Notations of a missing value, besides an empty cell: `...` is NA, N/A, NaN, null, None,
    /// `<NA>`, #N/A and #NA in any case; all else counts as it is written.
    #[serde(default)]
    missing: Missing,
    /// Least share of the examples that must have a row; the others are not known.
    #[serde(default)]
    join: JoinOptions,
}

/// Subject of a row of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// An example.
    #[default]
    ExampleId,
    /// A group of the cohort.
    Group,
}

impl CohortMetadata {
    fn format(&self) -> TextFormat {
        let notation = Notation { missing: self.missing.clone(), ..Notation::default() };
        TextFormat { delimiter: self.delimiter, header: self.header, notation }
    }
}

impl StageKind for CohortMetadata {
    const NAME: &'static str = "cohort.metadata";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Columns of a table for the examples, such as sex or site: for subgroups and audits.";

    fn ports() -> Ports {
        Ports::new()
            .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples with their groups.")
            .output("metadata", ArtifactKind::Metadata, "The columns, one row an example.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { path, id, by, columns, delimiter: _, header: _, missing: _, join } = self;
        key.file_or_folder("path", path);
        // The ending of the name says how the file is read.
        key.field("format", &ending(path));
        key.field("id", id);
        key.field("by", by);
        key.field("columns", columns);
        self.format().write_key(key, "", path);
        key.field("join", join);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.columns.is_empty() {
            site.report(Problem::new("columns", "no column is named"));
        }
        let problems = self.format().problems_of_table("", &self.path);
        problems.into_iter().for_each(|problem| site.report(problem));
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let cohort = flow.input("cohort");
        flow.output("metadata", cohort.holds, Rows::none());
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let mut table =
            read(inputs, &self.path, &self.format()).map_err(|error| error.at("path"))?;
        let taken = self.id.column.iter().chain(&self.columns);
        table.take_cautions(taken).into_iter().for_each(|text| outputs.caution(text));
        let place = |(number, column)| {
            let option = format!("columns.{number}");
            Ok((table.column(column, &option)?, option))
        };
        let places: Vec<(usize, String)> =
            self.columns.iter().enumerate().map(place).collect::<Result<_, StageError>>()?;
        let rows = self.rows_of(&cohort, &table, outputs)?;
        let columns = places.into_iter().map(|(place, option)| {
            let texts = rows.iter().map(|row| match row {
                Some(row) => Ok(table.label(*row, place)?.map(|text| text.into_owned())),
                None => Ok(None),
            });
            let texts = texts
                .collect::<Result<Vec<Option<String>>, StageError>>()
                .map_err(|error| error.at(&option))?;
            if texts.iter().all(Option::is_none) {
                let name = &table.names[place];
                outputs
                    .caution(format!("no example has a value in column {name} of {}", table.file));
            }
            Ok((table.names[place].clone(), StringArray::from(texts)))
        });
        let columns = columns.collect::<Result<Vec<_>, StageError>>()?;
        outputs.put("metadata", Metadata { example_id: cohort.example_id, columns })
    }
}

impl CohortMetadata {
    /// The row of the table for each example of the cohort.
    fn rows_of(
        &self,
        cohort: &Cohort,
        table: &Table,
        outputs: &mut Outputs,
    ) -> Result<Vec<Option<usize>>, StageError> {
        let column = self.id.column(table, "id.column")?;
        let mut row_of = BTreeMap::new();
        for row in 0..table.rows() {
            let id = self.id.read(table, row, column)?;
            if let Some(earlier) = row_of.insert(id.clone(), row) {
                let mut error = twice(table, earlier, row, &id);
                error.hint = Some("each may stand in one row only: take the others out".to_owned());
                return Err(error.at("id"));
            }
        }
        let (names, what) = match self.by {
            By::ExampleId => (&cohort.example_id, "examples"),
            By::Group => (&cohort.group, "groups"),
        };
        let rows: Vec<Option<usize>> = names.iter().map(|name| row_of.get(name).copied()).collect();
        let mut lost: Vec<&str> = names
            .iter()
            .zip(&rows)
            .filter(|(_, row)| row.is_none())
            .map(|(name, _)| name)
            .collect();
        lost.sort_unstable();
        lost.dedup();
        if lost.is_empty() {
            return Ok(rows);
        }
        let known = rows.iter().flatten().count();
        let unused = row_of.keys().map(String::as_str);
        let cohort_names: std::collections::BTreeSet<&str> = names.iter().collect();
        let unused = unused.filter(|id| !cohort_names.contains(id));
        let sources =
            [Source::new("the cohort", lost.iter().copied()), Source::new(&table.file, unused)];
        let mismatch = find_mismatch(&sources);
        let what = format!(
            "nothing is known of {} of the {} examples, since {} has no row of their {what}",
            rows.len() - known,
            rows.len(),
            table.file
        );
        let loss = Loss { what, lost, kept: known, of: rows.len(), by_design: false, mismatch };
        self.join.judge(loss, outputs)?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
