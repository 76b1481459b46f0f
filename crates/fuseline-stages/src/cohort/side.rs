//! A table beside the features, looked up by example_id.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fuseline_engine::{Outputs, StageError};

use crate::load::reading::{Id, twice};
use crate::load::table::Table;
use crate::pattern::Column;

/// A table and the row of each example in it.
pub(super) struct Side {
    pub table: Table,
    row_of: BTreeMap<String, usize>,
}

impl Side {
    /// An error when an example_id stands in two rows.
    pub fn new(id: &Id, table: Table) -> Result<Self, StageError> {
        let column = id.column(&table, "table.id.column")?;
        let mut row_of = BTreeMap::new();
        for row in 0..table.rows() {
            let example = id.of(&table, row, column)?;
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

    /// The examples that the table has too; an error when there is none.
    pub fn keep<'i>(
        &self,
        ids: &[&'i str],
        outputs: &mut Outputs,
    ) -> Result<Vec<&'i str>, StageError> {
        let kept: Vec<&str> =
            ids.iter().copied().filter(|id| self.row_of.contains_key(*id)).collect();
        let (file, lost) = (&self.table.file, ids.len() - kept.len());
        if lost > 0 {
            outputs.caution(format!("{file} lacks {lost} of the {} examples", ids.len()));
        }
        if kept.is_empty() {
            let first = |ids: Option<&str>| ids.unwrap_or("none").to_owned();
            return Err(StageError::data(format!("no example of the features is in {file}"))
                .at("table.id")
                .hint(format!(
                    "compare the example_ids: the features have {}, such as {}; the table has {}, such as {}",
                    ids.len(),
                    first(ids.first().copied()),
                    self.row_of.len(),
                    first(self.row_of.keys().next().map(String::as_str)),
                )));
        }
        Ok(kept)
    }

    /// Whether the table's text stands for a missing value.
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

    /// The number in a column for an example that the table has.
    pub fn number(
        &self,
        id: &str,
        column: &Column,
        option: &str,
    ) -> Result<Option<f64>, StageError> {
        let column = self.table.column(column, option)?;
        self.row_of.get(id).map_or(Ok(None), |&row| {
            self.table.number(row, column).map_err(|error| {
                let hint = error.hint.clone().unwrap_or_default();
                error.at(option).hint(format!(
                    "{hint}; threshold and quantile cut numbers: for texts write classes: {{ NAME: [TEXT] }}"
                ))
            })
        })
    }
}
