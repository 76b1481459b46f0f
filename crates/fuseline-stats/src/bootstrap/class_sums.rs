//! Balanced accuracy of a resample, from sums that each group made once.

use thiserror::Error;

/// Why rows cannot be summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClassSumsError {
    /// A slice has the wrong length.
    #[error("{what}: {found} values where {expected} were expected")]
    Length {
        /// Name of the slice.
        what: &'static str,
        /// The number of rows.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A group or label is out of range.
    #[error("row {row}: {what} {value} is not below {limit}")]
    Range {
        /// Group or label.
        what: &'static str,
        /// The row.
        row: usize,
        /// The value.
        value: u32,
        /// The number of groups or classes.
        limit: usize,
    },
}

/// Rows, and rows decided right, by group and class, for a balanced accuracy in O(groups *
/// classes).
#[derive(Debug, Clone, PartialEq)]
pub struct ClassSums {
    classes: usize,
    /// (rows, right) by group and class.
    sums: Vec<(f64, f64)>,
}

impl ClassSums {
    /// Sums n rows: `correct` is 1 where the decision is right and 0 where not, or the share of
    /// permutations under which it is right.
    ///
    /// Balanced accuracy is linear in these shares, so the balanced accuracy of their sums is the
    /// mean of those of the permutations. Errors when lengths differ, or a group or label is out of
    /// range.
    pub fn from_rows(
        group: &[u32],
        groups: usize,
        labels: &[u32],
        classes: usize,
        correct: &[f64],
    ) -> Result<Self, ClassSumsError> {
        let expected = labels.len();
        for (what, found) in [("group", group.len()), ("correct", correct.len())] {
            if found != expected {
                return Err(ClassSumsError::Length { what, expected, found });
            }
        }
        let mut sums = vec![(0.0, 0.0); groups * classes];
        for (row, ((&group, &label), &correct)) in group.iter().zip(labels).zip(correct).enumerate()
        {
            for (what, value, limit) in [("group", group, groups), ("label", label, classes)] {
                if value as usize >= limit {
                    return Err(ClassSumsError::Range { what, row, value, limit });
                }
            }
            let (rows, right) = &mut sums[group as usize * classes + label as usize];
            *rows += 1.0;
            *right += correct;
        }
        Ok(Self { classes, sums })
    }

    /// Sums that were counted elsewhere: groups x classes. Errors when the lengths differ or hold
    /// no whole group.
    pub fn from_counts(
        classes: usize,
        rows: &[u32],
        correct: &[u32],
    ) -> Result<Self, ClassSumsError> {
        let whole = rows.len() / classes.max(1) * classes;
        for (what, found) in [("correct", correct.len()), ("rows", whole)] {
            if found != rows.len() {
                return Err(ClassSumsError::Length { what, expected: rows.len(), found });
            }
        }
        let sums =
            rows.iter().zip(correct).map(|(rows, right)| (f64::from(*rows), f64::from(*right)));
        Ok(Self { classes, sums: sums.collect() })
    }

    /// Balanced accuracy of the sample in which group g occurs `multiplicity[g]` times.
    ///
    /// A class without rows in the sample is left out of the mean of recalls; without any row the
    /// value is NaN.
    #[must_use]
    pub fn balanced_accuracy(&self, multiplicity: &[u32]) -> f64 {
        let (mut sum, mut present) = (0.0, 0_u32);
        self.totals(multiplicity.iter().map(|&times| f64::from(times)), |_, rows, right| {
            if rows > 0.0 {
                sum += right / rows;
                present += 1;
            }
        });
        sum / f64::from(present)
    }

    /// Gives each class with its rows and right rows, groups weighted.
    fn totals(
        &self,
        weights: impl Iterator<Item = f64> + Clone,
        mut take: impl FnMut(usize, f64, f64),
    ) {
        // Two classes at once: neither of their sums waits for the others.
        for class in (0..self.classes).step_by(2) {
            if class + 1 < self.classes {
                let [own, next] = self.totals_from(class, weights.clone());
                take(class, own.0, own.1);
                take(class + 1, next.0, next.1);
            } else {
                let [own] = self.totals_from(class, weights.clone());
                take(class, own.0, own.1);
            }
        }
    }

    /// Rows and right rows of some classes, from the first of them.
    fn totals_from<const N: usize>(
        &self,
        first: usize,
        weights: impl Iterator<Item = f64>,
    ) -> [(f64, f64); N] {
        let mut totals = [(0.0, 0.0); N];
        for (weight, sums) in weights.zip(self.sums.chunks_exact(self.classes)) {
            for (total, own) in totals.iter_mut().zip(&sums[first..first + N]) {
                total.0 += weight * own.0;
                total.1 += weight * own.1;
            }
        }
        totals
    }

    /// Balanced accuracy of the sample without each group, as [`Self::balanced_accuracy`].
    #[must_use]
    pub fn without_each_group(&self) -> Vec<f64> {
        let mut totals = vec![(0.0, 0.0); self.classes];
        for group in self.sums.chunks_exact(self.classes) {
            for (total, own) in totals.iter_mut().zip(group) {
                *total = (total.0 + own.0, total.1 + own.1);
            }
        }
        let without = |group: &[(f64, f64)]| {
            let rest = totals.iter().zip(group).map(|(all, own)| (all.0 - own.0, all.1 - own.1));
            let recalls = rest.filter(|(rows, _)| *rows > 0.0).map(|(rows, right)| right / rows);
            let (sum, present) =
                recalls.fold((0.0, 0.0), |(sum, count), recall| (sum + recall, count + 1.0));
            sum / present
        };
        self.sums.chunks_exact(self.classes).map(without).collect()
    }

    /// Number of groups.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.sums.len() / self.classes.max(1)
    }

    /// For each class the rows of an average group, of those that hold any of it.
    #[must_use]
    pub fn average_groups(&self) -> Vec<f64> {
        (0..self.classes)
            .map(|class| {
                let rows = || self.sums.iter().skip(class).step_by(self.classes).map(|of| of.0);
                let holding = rows().filter(|rows| *rows > 0.0).count();
                rows().sum::<f64>() / holding.max(1) as f64
            })
            .collect()
    }

    /// Mean of recalls of groups with weights and of one more group, of so many rows a class, at
    /// each of two values.
    ///
    /// A class without rows is left out of the mean.
    pub(crate) fn weighted(
        &self,
        weights: &[f64],
        extra: f64,
        rows_of_extra: &[f64],
        at: [f64; 2],
    ) -> [f64; 2] {
        let (mut sum, mut present) = ([0.0; 2], 0_u32);
        self.totals(weights.iter().copied(), |class, rows, right| {
            if rows_of_extra[class] > 0.0 {
                let more = extra * rows_of_extra[class];
                for (sum, at) in sum.iter_mut().zip(at) {
                    *sum += (right + more * at) / (rows + more);
                }
                present += 1;
            }
        });
        sum.map(|sum| sum / f64::from(present))
    }
}
