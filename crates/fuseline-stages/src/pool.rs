//! Permutation counts of several folds, pooled exactly.

use std::collections::BTreeMap;

use fuseline_artifact::Permutations;
use fuseline_engine::StageError;

/// Balanced accuracy under Clean-Q and under every permutation, from counts pooled over folds.
pub(crate) struct Pooled {
    /// Under Clean-Q.
    pub clean: f64,
    /// Under Broken-Q, one value a permutation.
    pub broken: Vec<f64>,
    /// How quality was broken.
    pub scheme: String,
}

/// Correct decisions and rows of one class.
#[derive(Clone, Copy, Default)]
struct Count {
    n: i64,
    correct: i64,
}

impl Pooled {
    /// Adds up the counts of all parts. Permutation j of one fold belongs to permutation j of every other.
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p Permutations>) -> Result<Self, StageError> {
        let mut parts = parts.into_iter().peekable();
        let Some(first) = parts.peek().copied() else {
            return Err(StageError::failed("nothing arrived at input permutations"));
        };
        let mut table = BTreeMap::<i32, Vec<Count>>::new();
        let mut folds = 0;
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
            folds += 1;
            for (row, &permutation) in part.permutation.iter().enumerate() {
                let counts = table
                    .entry(permutation)
                    .or_insert_with(|| vec![Count::default(); part.classes.len()]);
                let count = &mut counts[part.class[row] as usize];
                count.n += part.n[row];
                count.correct += part.correct[row];
            }
        }
        let clean = table
            .remove(&-1)
            .ok_or_else(|| StageError::data("the permutations hold no row -1, which is Clean-Q"))?;
        if !table.keys().copied().eq(0..table.len() as i32) || table.is_empty() {
            return Err(StageError::data("the permutations are not numbered from 0 without a gap"));
        }
        tracing::debug!(folds, permutations = table.len(), "pooled");
        Ok(Self {
            clean: balanced_accuracy(&clean),
            scheme: first.scheme.clone(),
            broken: table.values().map(|counts| balanced_accuracy(counts)).collect(),
        })
    }
}

/// Mean recall of the classes that have rows.
fn balanced_accuracy(counts: &[Count]) -> f64 {
    let recalls = counts
        .iter()
        .filter(|count| count.n > 0)
        .map(|count| count.correct as f64 / count.n as f64);
    let (mut sum, mut classes) = (0.0, 0.0);
    for recall in recalls {
        sum += recall;
        classes += 1.0;
    }
    sum / classes
}
