//! Summing what permutations do to predicted numbers, in blocks that no number of threads can
//! change.

use fuseline_artifact::{PermutationSums, RegressionEffects, Texts};
use fuseline_engine::StageError;
use fuseline_host::{Batch, OpenModel};
use fuseline_stats::metrics::NumberSums;
use rayon::prelude::*;

use crate::diagnose::broken::{Broken, FirstPart};

/// Predictions of a block: what threads share, and what is summed before it is added to the other
/// blocks.
const BLOCK: usize = 1 << 18;
/// Permutations of a block.
const PERMUTATIONS: std::ops::RangeInclusive<usize> = 8..=128;
/// Blocks that are summed in parallel before they are added up; it bounds memory.
const WAVE: usize = 8;

/// Running sums of the permutations' effects.
pub(crate) struct NumberTally<'a> {
    labels: &'a [f64],
    origin: f64,
    clean: Vec<f64>,
    /// Under Clean-Q first, then one a permutation.
    pub sums: Vec<NumberSums>,
    each: Each,
}

/// Sums over permutations, of each row: of what differs from Clean-Q, so that a row that never moves
/// keeps its values to the last bit.
struct Each {
    prediction: Vec<f64>,
    absolute_error: Vec<f64>,
    squared_error: Vec<f64>,
    shift: Vec<f64>,
}

impl Each {
    fn new(rows: usize) -> Self {
        let zeros = || vec![0.0; rows];
        Self {
            prediction: zeros(),
            absolute_error: zeros(),
            squared_error: zeros(),
            shift: zeros(),
        }
    }

    fn add(&mut self, other: &Self) {
        let add = |sums: &mut [f64], more: &[f64]| {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        };
        add(&mut self.prediction, &other.prediction);
        add(&mut self.absolute_error, &other.absolute_error);
        add(&mut self.squared_error, &other.squared_error);
        add(&mut self.shift, &other.shift);
    }
}

impl<'a> NumberTally<'a> {
    /// Sums Clean-Q. `clean`: one prediction a row; `origin`: what labels and predictions are
    /// counted from.
    pub fn new(labels: &'a [f64], clean: Vec<f64>, origin: f64) -> Self {
        let own = sums_of(labels, &clean, &clean, origin, None);
        Self { labels, origin, sums: vec![own], each: Each::new(labels.len()), clean }
    }

    /// Predicts Clean-Q and every permutation, and sums them. Clean-Q is one of the first of them,
    /// and is not marked.
    pub fn ask(
        labels: &'a [f64],
        origin: f64,
        model: &OpenModel,
        batch: &Batch,
        broken: &Broken,
        keep_going: impl Fn() -> Result<(), StageError> + Sync,
    ) -> Result<Self, StageError> {
        let rows = labels.len();
        let size = block_size(rows).min(broken.len());
        let FirstPart { clean, predictions } = broken.ask_first(model, batch, size)?;
        let mut tally = Self::new(labels, clean, origin);
        tally.add_block(&predictions);
        let starts: Vec<u32> = (size..broken.len()).step_by(size as usize).collect();
        for wave in starts.chunks(WAVE) {
            let blocks: Vec<Vec<f64>> = wave
                .par_iter()
                .map(|&start| {
                    keep_going()?;
                    let which = start..broken.len().min(start + size);
                    let mut predictions = vec![0.0; which.len() * rows];
                    broken.predict(model, batch, which, &mut predictions)?;
                    Ok(predictions)
                })
                .collect::<Result<_, StageError>>()?;
            blocks.iter().for_each(|block| tally.add_block(block));
        }
        Ok(tally)
    }

    /// Predictions under Clean-Q.
    pub fn clean(&self) -> &[f64] {
        &self.clean
    }

    /// Number of permutations of a block: the unit in which rows are summed, so that sums depend on
    /// nothing else.
    pub fn block_size(&self) -> u32 {
        block_size(self.labels.len())
    }

    /// Adds the predictions of one block, permutations x rows.
    pub fn add_block(&mut self, predictions: &[f64]) {
        let mut each = Each::new(self.labels.len());
        for permutation in predictions.chunks_exact(self.labels.len().max(1)) {
            let sums = sums_of(self.labels, permutation, &self.clean, self.origin, Some(&mut each));
            self.sums.push(sums);
        }
        self.each.add(&each);
    }

    /// Sums as an artifact has them.
    pub fn permutation_sums(&self) -> Vec<PermutationSums> {
        self.sums.iter().map(permutation_sums).collect()
    }

    /// Effects of the permutations on each row.
    pub fn effects(&self, example_id: Texts) -> RegressionEffects {
        let permutations = self.sums.len() - 1;
        let mean = |sums: &[f64], clean: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let rows = sums.iter().enumerate();
            rows.map(|(row, sum)| clean(row) + sum / permutations as f64).collect()
        };
        let before =
            |row: usize| NumberSums::of_row(self.labels[row], self.clean[row], self.origin);
        RegressionEffects {
            permutations: permutations as u32,
            example_id,
            clean_prediction: self.clean.clone(),
            broken_prediction: mean(&self.each.prediction, &|row| self.clean[row]),
            broken_absolute_error: mean(&self.each.absolute_error, &|row| {
                before(row).absolute_error
            }),
            broken_squared_error: mean(&self.each.squared_error, &|row| before(row).squared_error),
            prediction_shift: mean(&self.each.shift, &|_| 0.0),
        }
    }
}

fn block_size(rows: usize) -> u32 {
    (BLOCK / rows.max(1)).clamp(*PERMUTATIONS.start(), *PERMUTATIONS.end()) as u32
}

/// Sums over the rows of one permutation; those of each row are added to `each`.
fn sums_of(
    labels: &[f64],
    predictions: &[f64],
    clean: &[f64],
    origin: f64,
    mut each: Option<&mut Each>,
) -> NumberSums {
    let mut sums = NumberSums::default();
    for (row, (&label, &prediction)) in labels.iter().zip(predictions).enumerate() {
        let own = NumberSums::of_row(label, prediction, origin);
        sums.add(&own, 1.0);
        if let Some(each) = &mut each {
            let before = NumberSums::of_row(label, clean[row], origin);
            each.prediction[row] += prediction - clean[row];
            each.absolute_error[row] += own.absolute_error - before.absolute_error;
            each.squared_error[row] += own.squared_error - before.squared_error;
            each.shift[row] += (prediction - clean[row]).abs();
        }
    }
    sums
}

/// Sums as an artifact has them.
pub(crate) fn permutation_sums(of: &NumberSums) -> PermutationSums {
    PermutationSums {
        n: of.rows as i64,
        absolute_error: of.absolute_error,
        squared_error: of.squared_error,
        label: of.label,
        prediction: of.prediction,
        label_squared: of.label_squared,
        prediction_squared: of.prediction_squared,
        product: of.product,
    }
}

/// Sums as the statistics have them.
pub(crate) fn number_sums(of: &PermutationSums) -> NumberSums {
    NumberSums {
        rows: of.n as f64,
        absolute_error: of.absolute_error,
        squared_error: of.squared_error,
        label: of.label,
        prediction: of.prediction,
        label_squared: of.label_squared,
        prediction_squared: of.prediction_squared,
        product: of.product,
    }
}
