//! Finding rows by example_id, and features as matrices.

use std::cell::OnceCell;
use std::cmp::Ordering;

use arrow::array::{Array, Float64Array};
use fuseline_artifact::{Cohort, Digest, Evidence, Features, Folds, Texts};
use fuseline_engine::StageError;
pub(crate) use fuseline_learn::link::{EXACT, shares_of};

use crate::join::{Source, find_mismatch};

/// Finds examples among others in a similar order: it looks right behind the last one found first.
pub(crate) struct Finder<'a> {
    ids: &'a Texts,
    next: usize,
    /// The rows in the order of their ids, where that is another; made when it is needed.
    order: OnceCell<Option<Vec<u32>>>,
}

impl<'a> Finder<'a> {
    /// Among these, each of which comes once.
    pub fn new(ids: &'a Texts) -> Self {
        Self { ids, next: 0, order: OnceCell::new() }
    }

    /// Row of an example.
    pub fn find(&mut self, id: &str) -> Option<usize> {
        let row = match self.ids.get(self.next) {
            Some(next) if next == id => self.next,
            _ => self.search(id)?,
        };
        self.next = row + 1;
        Some(row)
    }

    fn search(&self, id: &str) -> Option<usize> {
        let order = self.order.get_or_init(|| self.ids.order());
        let row = |place: usize| order.as_ref().map_or(place, |order| order[place] as usize);
        let (mut from, mut to) = (0, self.ids.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.ids[row(middle)].cmp(id) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return Some(row(middle)),
                Ordering::Greater => to = middle,
            }
        }
        None
    }
}

/// The fold of each row of a cohort.
pub(crate) fn fold_of_rows(cohort: &Cohort, folds: &Folds) -> Result<Vec<i32>, StageError> {
    let mut place = Finder::new(&folds.example_id);
    let fold = cohort.example_id.iter().map(|id| {
        let at = place.find(id).ok_or_else(|| {
            StageError::data(format!("example {id} of the cohort is in no fold")).at_input("folds")
        })?;
        Ok(folds.fold[at])
    });
    fold.collect()
}

/// The row of the cohort for each row of evidence.
pub(crate) fn cohort_rows(evidence: &Evidence, cohort: &Cohort) -> Result<Vec<usize>, StageError> {
    rows_among(evidence, &cohort.example_id, "cohort")
}

/// The row of each row of evidence among the examples of what `of` names.
pub(crate) fn rows_among(
    evidence: &Evidence,
    ids: &Texts,
    of: &str,
) -> Result<Vec<usize>, StageError> {
    let mut place = Finder::new(ids);
    let rows: Option<_> = evidence.example_id.iter().map(|id| place.find(id)).collect();
    rows.ok_or_else(|| not_among(evidence, ids, of))
}

/// Error when evidence has examples that others should have and lack.
fn not_among(evidence: &Evidence, ids: &Texts, of: &str) -> StageError {
    let (lost, unused) = (absent(&evidence.example_id, ids), absent(ids, &evidence.example_id));
    let sources = [Source::new("the evidence", lost.iter().copied()), Source::new(of, unused)];
    let mut message = format!(
        "example {} has evidence of modality {} and is not in the {of}",
        lost.first().copied().unwrap_or_default(),
        evidence.modality
    );
    if let more @ 1.. = lost.len().saturating_sub(1) {
        message += &format!(", nor {} {more} more", if more == 1 { "is" } else { "are" });
    }
    match find_mismatch(&sources) {
        Some(found) => StageError::data(format!("{message}; {found}")).hint(found.hint()),
        None => StageError::data(message),
    }
    .at_input(of)
}

/// The ids that are not among others.
pub(crate) fn absent<'t>(ids: &'t Texts, among: &Texts) -> Vec<&'t str> {
    let mut place = Finder::new(among);
    ids.iter().filter(|id| place.find(id).is_none()).collect()
}

/// Features by row, of the columns that are wanted; a missing value is NaN.
pub(crate) struct Matrix {
    columns: Vec<Float64Array>,
}

impl Matrix {
    /// The features without the named columns.
    pub fn from_features(features: &Features, without: &[String]) -> Result<Self, StageError> {
        if let Some(unknown) =
            without.iter().find(|name| features.columns.iter().all(|(column, _)| column != *name))
        {
            return Err(no_column(features, unknown).at("exclude"));
        }
        let wanted = features.columns.iter().filter(|(name, _)| !without.contains(name));
        Ok(Self { columns: wanted.map(|(_, column)| column.clone()).collect() })
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// One row.
    pub fn row(&self, row: usize) -> Vec<f64> {
        self.gather(std::iter::once(row))
    }

    /// Some rows, in the order given, row-major.
    pub fn gather(&self, rows: impl Iterator<Item = usize> + Clone) -> Vec<f64> {
        let mut gathered = Vec::with_capacity(rows.clone().count() * self.width());
        for row in rows {
            gathered.extend(
                self.columns
                    .iter()
                    .map(|column| if column.is_valid(row) { column.value(row) } else { f64::NAN }),
            );
        }
        gathered
    }
}

/// Error when features lack a column.
pub(crate) fn no_column(features: &Features, wanted: &str) -> StageError {
    let names = features.columns.iter().map(|(name, _)| name.as_str());
    let hint = match crate::pattern::closest(wanted, names.clone()) {
        Some(name) => format!("did you mean {name}"),
        None => format!("its columns begin {}", names.take(8).collect::<Vec<_>>().join(", ")),
    };
    StageError::data(format!("the features have no column {wanted}"))
        .hint(hint)
        .at_input("features")
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

/// Caution for decisions between classes that have the largest probability alike, up to rounding:
/// then the order of the classes decides, not the model. `probabilities`: rows x classes.
pub(crate) fn tied(probabilities: &[f64], classes: usize) -> Option<String> {
    /// Share of the rows from which it matters.
    const SHARE: f64 = 0.05;
    let is_tied = |row: &&[f64]| {
        let top = row[decision(row)];
        row.iter().filter(|p| top - **p < 1e-12).count() > 1
    };
    let rows = probabilities.len() / classes;
    let tied = probabilities.chunks_exact(classes).filter(is_tied).count();
    (tied > 1 && tied as f64 >= SHARE * rows as f64).then(|| {
        format!(
            "{tied} of {rows} decisions under Clean-Q are between classes of the same \
             probability: the order of the classes decides them, for the first of equals wins"
        )
    })
}

/// The digest of a set of rows: their example_ids in the cohort's order, each behind its length.
pub(crate) fn rows_digest(example_ids: &Texts) -> Digest {
    Digest::of_pieces(|take| {
        for id in example_ids.iter() {
            take(&(id.len() as u64).to_le_bytes());
            take(id.as_bytes());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_that_the_order_of_classes_makes_are_cautioned_of() {
        let mut probabilities = [0.2, 0.5, 0.3].repeat(39);
        probabilities.extend([0.4, 0.2, 0.4]);
        assert_eq!(tied(&probabilities, 3), None, "1 of 40");
        probabilities.extend([0.3, 0.1 + 0.2, 0.4].repeat(2));
        assert_eq!(tied(&probabilities, 3), None, "these are not the largest");
        probabilities.extend([0.1, 0.45, 0.3 + 0.15].repeat(2));
        assert!(tied(&probabilities, 3).unwrap().starts_with("3 of 44 decisions"));
    }

    #[test]
    fn a_finder_finds_in_any_order_and_nothing_that_is_not_there() {
        let wanted = ["a", "b", "d", "c", "d", "x", "a", "a"];
        for ids in [["a", "b", "c", "d"], ["c", "a", "d", "b"]] {
            let known = Texts::from_iter(ids);
            let mut finder = Finder::new(&known);
            for id in wanted {
                assert_eq!(finder.find(id), ids.iter().position(|known| *known == id), "{id}");
            }
        }
    }
}
