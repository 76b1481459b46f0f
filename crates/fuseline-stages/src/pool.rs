//! Permutation counts of several folds, pooled exactly.

use std::collections::BTreeMap;

use fuseline_artifact::{Cohort, Permutations, RegressionPermutations};
use fuseline_engine::StageError;
use fuseline_stats::metrics::{NumberMetric, NumberSums, balanced_accuracy};

use crate::diagnose::moved::Moved;
use crate::diagnose::numbers::number_sums;

/// Balanced accuracy under Clean-Q and under every permutation, from counts pooled over folds.
pub(crate) struct Pooled {
    /// Under Clean-Q.
    pub clean: f64,
    /// Under Broken-Q, one value a permutation.
    pub broken: Vec<f64>,
    /// Permutation scheme of quality.
    pub scheme: String,
    /// True if the rule declares that it reads quality; none unless all parts state it.
    pub reads_quality: Option<bool>,
    /// Number of examples whose quality a permutation changed on average, and that a joint one
    /// would have, where all parts tell.
    pub moved: Option<Moved>,
    /// Names of the classes, with the counts of each.
    classes: Vec<(String, ClassCounts)>,
}

/// What is counted of the tested examples of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ClassCounts {
    rows: u64,
    /// Right decisions under Clean-Q.
    clean: u64,
    /// Right decisions under all permutations together.
    broken: u64,
}

/// Rows and right decisions by class.
struct Counts {
    rows: Vec<u64>,
    correct: Vec<u64>,
}

impl Counts {
    fn balanced_accuracy(&self) -> Result<f64, StageError> {
        balanced_accuracy(&self.rows, &self.correct)
            .map_err(|error| StageError::data(error.to_string()))
    }
}

impl Pooled {
    /// Adds up the counts of all parts. Permutation j of one fold belongs to permutation j of every
    /// other.
    pub fn gather<'p>(
        parts: impl IntoIterator<Item = &'p Permutations>,
    ) -> Result<Self, StageError> {
        let mut parts = parts.into_iter().peekable();
        let Some(first) = parts.peek().copied() else {
            return Err(StageError::failed("nothing arrived at input permutations"));
        };
        let mut table = BTreeMap::<i32, Counts>::new();
        let mut reads_quality = Some(false);
        let mut moved = Some(Moved { moved: 0.0, movable: 0.0 });
        for part in parts {
            if part.classes != first.classes
                || part.scheme != first.scheme
                || part.plugin_id != first.plugin_id
                || part.permutation.len() != first.permutation.len()
            {
                return Err(StageError::data(
                    "the permutations to pool differ in classes, scheme, rule or number",
                )
                .hint("pool over folds only: the stage must run over every other axis"));
            }
            reads_quality = reads_quality.zip(part.reads_quality).map(|(all, part)| all || part);
            moved = moved.zip(part.quality_moved.zip(part.quality_movable)).map(
                |(all, (moved, movable))| Moved {
                    moved: all.moved + moved,
                    movable: all.movable + movable,
                },
            );
            for (row, &permutation) in part.permutation.iter().enumerate() {
                let counts = table.entry(permutation).or_insert_with(|| Counts {
                    rows: vec![0; part.classes.len()],
                    correct: vec![0; part.classes.len()],
                });
                let class = part.class[row] as usize;
                counts.rows[class] += part.n[row].unsigned_abs();
                counts.correct[class] += part.correct[row].unsigned_abs();
            }
        }
        let clean = table
            .remove(&-1)
            .ok_or_else(|| StageError::data("the permutations hold no row -1, which is Clean-Q"))?;
        if table.is_empty() || !table.keys().copied().eq((0..).take(table.len())) {
            return Err(StageError::data("the permutations are not numbered from 0 without a gap"));
        }
        let count = |class: usize| ClassCounts {
            rows: clean.rows[class],
            clean: clean.correct[class],
            broken: table.values().map(|counts| counts.correct[class]).sum(),
        };
        let classes = first.classes.iter().cloned().enumerate();
        Ok(Self {
            classes: classes.map(|(class, name)| (name, count(class))).collect(),
            clean: clean.balanced_accuracy()?,
            broken: table.values().map(Counts::balanced_accuracy).collect::<Result<_, _>>()?,
            scheme: first.scheme.clone(),
            reads_quality,
            moved,
        })
    }

    /// Checks that effects are those of the test that was counted here, and that the cohort has the
    /// labels that it was counted with: every count is that of the effects, class by class.
    ///
    /// `effects`: row of the cohort, whether it is right under Clean-Q, and under how many
    /// permutations.
    pub fn check_effects(
        &self,
        cohort: &Cohort,
        effects: impl Iterator<Item = (usize, bool, u64)>,
    ) -> Result<(), StageError> {
        let hint = "take permutations, effects and cohort from the same test";
        let names = self.classes.iter().map(|(name, _)| name);
        if !names.eq(&cohort.classes) {
            let names: Vec<&str> = self.classes.iter().map(|(name, _)| name.as_str()).collect();
            return Err(StageError::data(format!(
                "the permutations were counted by the classes {}, and the cohort has {}",
                names.join(", "),
                cohort.classes.join(", ")
            ))
            .hint(hint));
        }
        let mut own = vec![ClassCounts::default(); self.classes.len()];
        for (row, clean, broken) in effects {
            let own = &mut own[cohort.label[row] as usize];
            own.rows += 1;
            own.clean += u64::from(clean);
            own.broken += broken;
        }
        let differs = self.classes.iter().zip(&own).find(|((_, counted), own)| counted != *own);
        let Some(((name, counted), own)) = differs else { return Ok(()) };
        let [counted, own] = [counted, own].map(|of| {
            format!("{} rows, {} right under Clean-Q and {} times", of.rows, of.clean, of.broken)
        });
        Err(StageError::data(format!(
            "the effects are not of the test that was counted: the permutations count {counted} \
             under Broken-Q for class {name}, and the effects {own}"
        ))
        .hint(hint))
    }
}

/// A metric of numbers under Clean-Q and under every permutation, from sums pooled over folds.
pub(crate) struct PooledNumbers {
    /// Under Clean-Q.
    pub clean: f64,
    /// Under Broken-Q, one value a permutation.
    pub broken: Vec<f64>,
    /// The number that labels and predictions were counted from.
    pub origin: f64,
    /// Permutation scheme of quality.
    pub scheme: String,
    /// True if the rule declares that it reads quality; none unless all parts state it.
    pub reads_quality: Option<bool>,
    /// Number of examples whose quality moved, where all parts tell.
    pub moved: Option<Moved>,
}

impl PooledNumbers {
    /// Adds up the sums of all parts. Permutation j of one fold belongs to permutation j of every
    /// other.
    pub fn gather<'p>(
        parts: impl IntoIterator<Item = &'p RegressionPermutations>,
        metric: NumberMetric,
    ) -> Result<Self, StageError> {
        let mut parts = parts.into_iter().peekable();
        let Some(first) = parts.peek().copied() else {
            return Err(StageError::failed("nothing arrived at input permutations"));
        };
        if !first.permutation.iter().copied().eq((-1..).take(first.permutation.len()))
            || first.permutation.len() < 2
        {
            return Err(StageError::data(
                "the permutations are not numbered from -1, which is Clean-Q, without a gap",
            ));
        }
        let mut sums = vec![NumberSums::default(); first.permutation.len()];
        let mut reads_quality = Some(false);
        let mut moved = Some(Moved { moved: 0.0, movable: 0.0 });
        for part in parts {
            if part.origin.to_bits() != first.origin.to_bits()
                || part.scheme != first.scheme
                || part.plugin_id != first.plugin_id
                || part.permutation != first.permutation
            {
                return Err(StageError::data(
                    "the permutations to pool differ in cohort, scheme, rule or number",
                )
                .hint("pool over folds only: the stage must run over every other axis"));
            }
            reads_quality = reads_quality.zip(part.reads_quality).map(|(all, part)| all || part);
            moved = moved.zip(part.quality_moved.zip(part.quality_movable)).map(
                |(all, (moved, movable))| Moved {
                    moved: all.moved + moved,
                    movable: all.movable + movable,
                },
            );
            for (sums, part) in sums.iter_mut().zip(&part.sums) {
                sums.add(&number_sums(part), 1.0);
            }
        }
        let values = sums
            .iter()
            .map(|sums| {
                sums.value(metric, first.origin).map_err(|error| {
                    StageError::data(error.to_string())
                        .at("metric")
                        .hint("take mae or rmse, which are defined for any predictions")
                })
            })
            .collect::<Result<Vec<f64>, _>>()?;
        Ok(Self {
            clean: values[0],
            broken: values[1..].to_vec(),
            origin: first.origin,
            scheme: first.scheme.clone(),
            reads_quality,
            moved,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn effects_of_another_test_and_labels_of_another_cohort_are_refused() {
        let rows = [("a", 0), ("b", 0), ("c", 1)].map(|(id, label)| (id.into(), id.into(), label));
        let cohort = testing::cohort(&rows);
        let counts = Permutations {
            classes: cohort.classes.clone(),
            model_digest: fuseline_artifact::Digest::hash("model"),
            plugin_id: "org.example.rule".to_owned(),
            scheme: "joint".to_owned(),
            reads_quality: None,
            quality_moved: None,
            quality_movable: None,
            permutation: vec![-1, -1, 0, 0, 1, 1],
            class: vec![0, 1, 0, 1, 0, 1],
            n: vec![2, 1, 2, 1, 2, 1],
            correct: vec![2, 1, 1, 0, 2, 1],
        };
        let pooled = Pooled::gather([&counts]).unwrap();
        let check = |cohort: &Cohort, effects: [(usize, bool, u64); 3]| {
            pooled.check_effects(cohort, effects.into_iter()).map_err(|error| error.message)
        };
        let own = [(0, true, 1), (1, true, 2), (2, true, 1)];
        assert_eq!(check(&cohort, own), Ok(()));
        for other in [
            [(0, false, 1), (1, true, 2), (2, true, 1)],
            [(0, true, 2), (1, true, 2), (2, true, 1)],
            [(0, true, 1), (1, true, 2), (2, true, 0)],
        ] {
            let said = check(&cohort, other).unwrap_err();
            assert!(said.contains("not of the test that was counted"), "{said}");
        }
        let other = Cohort { label: vec![0, 1, 1], ..cohort.clone() };
        assert!(check(&other, own).unwrap_err().contains("for class rest"));
        let other = Cohort { classes: vec!["low".to_owned(), "high".to_owned()], ..cohort };
        assert!(check(&other, own).unwrap_err().contains("counted by the classes rest, stress"));
    }
}
