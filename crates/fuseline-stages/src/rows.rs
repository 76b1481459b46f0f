//! Finding rows by example_id, and features as matrices.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use arrow::array::Array;
use fuseline_artifact::{Cohort, Digest, Evidence, Features, Folds};
use fuseline_engine::StageError;

/// Where each example_id stands.
pub(crate) type RowOf<'a> = BTreeMap<&'a str, usize>;

/// Where each example_id stands.
pub(crate) fn row_of<'a>(ids: impl IntoIterator<Item = &'a str>) -> RowOf<'a> {
    ids.into_iter().zip(0..).collect()
}

/// Finds examples among others that stand in much the same order: first right behind the one found before.
pub(crate) struct Finder<'a> {
    ids: &'a [String],
    next: usize,
    everywhere: OnceCell<RowOf<'a>>,
}

impl<'a> Finder<'a> {
    /// Among these, each of which comes once.
    pub fn new(ids: &'a [String]) -> Self {
        Self { ids, next: 0, everywhere: OnceCell::new() }
    }

    /// Where an example stands.
    pub fn find(&mut self, id: &str) -> Option<usize> {
        let at = if self.ids.get(self.next).is_some_and(|next| next == id) {
            self.next
        } else {
            let ids = self.ids.iter().map(String::as_str);
            *self.everywhere.get_or_init(|| row_of(ids)).get(id)?
        };
        self.next = at + 1;
        Some(at)
    }
}

/// The fold of each row of a cohort.
pub(crate) fn fold_of_rows(cohort: &Cohort, folds: &Folds) -> Result<Vec<i32>, StageError> {
    let place = row_of(folds.example_id.iter().map(String::as_str));
    cohort
        .example_id
        .iter()
        .map(|id| {
            let at = place.get(id.as_str());
            at.map(|&at| folds.fold[at]).ok_or_else(|| {
                StageError::data(format!("example {id} of the cohort is in no fold"))
            })
        })
        .collect()
}

/// The row of the cohort in which each row of evidence stands.
pub(crate) fn cohort_rows(
    evidence: &Evidence,
    mut place: impl FnMut(&str) -> Option<usize>,
) -> Result<Vec<usize>, StageError> {
    evidence
        .example_id
        .iter()
        .map(|id| {
            place(id).ok_or_else(|| {
                StageError::data(format!(
                    "example {id} has evidence of modality {} and is not in the cohort",
                    evidence.modality
                ))
            })
        })
        .collect()
}

/// Features by row, of the columns that are wanted: row-major, a missing value as NaN.
pub(crate) struct Matrix {
    pub values: Vec<f64>,
    pub width: usize,
}

impl Matrix {
    /// All rows of the features, without the named columns.
    pub fn of(features: &Features, without: &[String]) -> Result<Self, StageError> {
        if let Some(unknown) =
            without.iter().find(|name| features.columns.iter().all(|(column, _)| column != *name))
        {
            return Err(no_column(features, unknown).at("exclude"));
        }
        let columns: Vec<_> = features
            .columns
            .iter()
            .filter(|(name, _)| !without.contains(name))
            .map(|(_, column)| column)
            .collect();
        let (rows, width) = (features.example_id.len(), columns.len());
        let mut values = vec![f64::NAN; rows * width];
        for (at, column) in columns.iter().enumerate() {
            for (row, value) in column.iter().enumerate() {
                if let Some(value) = value {
                    values[row * width + at] = value;
                }
            }
        }
        Ok(Self { values, width })
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }

    /// Some rows, in the order given.
    pub fn gather(&self, rows: &[usize]) -> Vec<f64> {
        let mut gathered = Vec::with_capacity(rows.len() * self.width);
        for &row in rows {
            gathered.extend_from_slice(self.row(row));
        }
        gathered
    }
}

/// What to say when features lack a column.
pub(crate) fn no_column(features: &Features, wanted: &str) -> StageError {
    let names = features.columns.iter().map(|(name, _)| name.as_str());
    let hint = match crate::pattern::closest(wanted, names.clone()) {
        Some(name) => format!("did you mean {name}"),
        None => format!("its columns begin {}", names.take(8).collect::<Vec<_>>().join(", ")),
    };
    StageError::data(format!("the features have no column {wanted}")).hint(hint)
}

/// The index of the largest probability; the lowest index wins a tie.
#[inline]
pub(crate) fn decision(probabilities: &[f64]) -> usize {
    let (mut best, mut top) = (0, probabilities[0]);
    for (class, &probability) in probabilities.iter().enumerate().skip(1) {
        // Both are chosen without a jump: which class wins is what a processor cannot guess.
        best = if probability > top { class } else { best };
        top = if probability > top { probability } else { top };
    }
    best
}

/// The digest of a set of rows: their example_ids in the cohort's order, each behind its length.
pub(crate) fn rows_digest(example_ids: &[String]) -> Digest {
    let mut bytes = Vec::new();
    for id in example_ids {
        bytes.extend_from_slice(&(id.len() as u64).to_le_bytes());
        bytes.extend_from_slice(id.as_bytes());
    }
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finder_finds_in_any_order_and_nothing_that_is_not_there() {
        let ids = ["a", "b", "c", "d"].map(String::from);
        let mut finder = Finder::new(&ids);
        let found = ["a", "b", "d", "c", "d", "x", "a", "a"].map(|id| finder.find(id));
        assert_eq!(found, [Some(0), Some(1), Some(3), Some(2), Some(3), None, Some(0), Some(0)]);
    }
}
