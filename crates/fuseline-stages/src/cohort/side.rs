//! A table beside the features, looked up by example_id.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow::array::Array;
use fuseline_artifact::{Features, Texts};
use fuseline_engine::{Labelled, Outputs, StageError};

use crate::join::{JoinOptions, Loss, Source, find_mismatch};
use crate::load::reading::{Id, twice};
use crate::load::table::Table;
use crate::pattern::Column;
use crate::rows::Finder;

/// A table and the row of each example in it.
pub(super) struct Side {
    pub table: Table,
    row_of: BTreeMap<String, usize>,
}

impl Side {
    /// An error when an example_id is in two rows.
    pub fn new(id: &Id, table: Table) -> Result<Self, StageError> {
        let column = id.column(&table, "table.id.column")?;
        let mut row_of = BTreeMap::new();
        for row in 0..table.rows() {
            let example = id.read(&table, row, column)?;
            if let Some(earlier) = row_of.insert(example.clone(), row) {
                let mut error = twice(&table, earlier, row, &example);
                error.hint = Some(
                    "each example_id may stand in one row only: take the others out".to_owned(),
                );
                return Err(error.at("table.id"));
            }
        }
        Ok(Self { table, row_of })
    }

    /// The examples that the table has too; an error when there are too few.
    pub fn keep<'i>(
        &self,
        ids: &[&'i str],
        join: &JoinOptions,
        outputs: &mut Outputs,
    ) -> Result<Vec<&'i str>, StageError> {
        let (kept, lost): (Vec<&str>, Vec<&str>) =
            ids.iter().copied().partition(|id| self.row_of.contains_key(*id));
        if lost.is_empty() {
            return Ok(kept);
        }
        let file = &self.table.file;
        let unused = self.row_of.keys().map(String::as_str);
        let unused = unused.filter(|id| ids.binary_search(id).is_err());
        let sources =
            [Source::new("the features", lost.iter().copied()), Source::new(file, unused)];
        let mismatch = find_mismatch(&sources);
        if kept.is_empty() && mismatch.is_none() {
            let first = |ids: Option<&str>| ids.unwrap_or("none").to_owned();
            return Err(StageError::data(format!("no example of the features is in {file}"))
                .at("table.id")
                .hint(format!(
                    "compare the example_ids: the features have {}, such as {}; the table has {}, \
                     such as {}",
                    ids.len(),
                    first(ids.first().copied()),
                    self.row_of.len(),
                    first(self.row_of.keys().next().map(String::as_str)),
                )));
        }
        let what = format!(
            "{} of the {} examples are left out since {file} has no row of them",
            lost.len(),
            ids.len()
        );
        let (kept_count, of) = (kept.len(), ids.len());
        let loss = Loss { what, lost, kept: kept_count, of, by_design: false, mismatch };
        join.judge(loss, outputs).map_err(|error| match kept_count {
            0 => error.at("table.id"),
            _ => error,
        })?;
        Ok(kept)
    }

    /// Cautions of features that have a column of the table, by its name and its values; `what` it
    /// is for these examples.
    pub fn caution_of_feature(
        &self,
        what: &str,
        column: &str,
        features: &[Labelled<Features>],
        ids: &Texts,
        outputs: &mut Outputs,
    ) {
        let Some(place) = self.table.names.iter().position(|name| name == column) else { return };
        for Labelled { point, artifact } in features {
            let feature = artifact.columns.iter().find(|(name, _)| name == column);
            let Some((_, values)) = feature else { continue };
            let mut finder = Finder::new(&artifact.example_id);
            let mut same =
                ids.iter().filter_map(|id| Some((id, finder.find(id)?))).map(|(id, row)| {
                    let row_of_table = self.row_of.get(id).copied();
                    let own = row_of_table.and_then(|row| self.table.number(row, place).ok()?);
                    own == values.is_valid(row).then(|| values.value(row))
                });
            if !same.by_ref().all(|same| same)
                || ids.is_empty()
                || values.null_count() == values.len()
            {
                continue;
            }
            let labels: Vec<_> = point.iter().map(|(_, label)| label.as_str()).collect();
            let of =
                if labels.is_empty() { String::new() } else { format!(" of {}", labels.join(" ")) };
            outputs.caution(format!(
                "the features{of} have column {column} of {}, which is the {what}; leave it out \
                 where they are loaded: columns: {{ exclude: [{column}] }}",
                self.table.file
            ));
        }
    }

    /// True if the table's text marks a missing value.
    pub fn is_missing(&self, text: &str) -> bool {
        self.table.notation.missing.has_text(text)
    }

    /// The text of a column for an example that the table has.
    pub fn text(
        &self,
        id: &str,
        column: &Column,
        option: &str,
    ) -> Result<Option<Cow<'_, str>>, StageError> {
        let column = self.table.column(column, option)?;
        self.row_of.get(id).map_or(Ok(None), |&row| self.table.text(row, column))
    }

    /// The number in a column for an example that the table has. `what_to_do`: ends the hint where
    /// it is a text.
    pub fn number(
        &self,
        id: &str,
        column: &Column,
        option: &str,
        what_to_do: &str,
    ) -> Result<Option<f64>, StageError> {
        let column = self.table.column(column, option)?;
        self.row_of.get(id).map_or(Ok(None), |&row| {
            self.table.number(row, column).map_err(|error| {
                let error = self.table.first_of_column(error, column);
                let hint = error.hint.clone().unwrap_or_default();
                error.at(option).hint(format!("{hint}; {what_to_do}"))
            })
        })
    }
}
