//! Counting what permutations do, in blocks that no number of threads can change.

use fuseline_artifact::ExampleEffects;
use fuseline_engine::StageError;
use fuseline_host::{Batch, OpenModel};
use rayon::prelude::*;

use crate::diagnose::broken::Broken;
use crate::rows::decision;

/// Predictions that one block may hold: 4 MiB of them.
const BLOCK: usize = 1 << 19;
/// Blocks that are counted side by side before they are added up; it bounds memory whatever the permutations.
const WAVE: usize = 16;

/// What the permutations did, so far.
pub(crate) struct Tally<'a> {
    labels: &'a [u32],
    clean: &'a [f64],
    decisions: Vec<usize>,
    classes: usize,
    broken: u32,
    /// Test rows of each class.
    pub rows_of_class: Vec<i64>,
    /// Right decisions by class: under Clean-Q first, then one row of classes a permutation.
    pub correct: Vec<i64>,
    each: Vec<Each>,
}

/// What the permutations did to one row.
#[derive(Clone, Copy, Default)]
struct Each {
    correct: i64,
    flips: i64,
    /// Sum of total-variation distances.
    shift: f64,
}

/// What the permutations of one block did.
struct Block {
    correct: Vec<i64>,
    each: Vec<Each>,
}

impl<'a> Tally<'a> {
    /// Counts Clean-Q. `clean`: rows x classes.
    pub fn new(labels: &'a [u32], clean: &'a [f64], classes: usize) -> Self {
        let decisions: Vec<usize> = clean.chunks_exact(classes).map(decision).collect();
        let mut rows_of_class = vec![0; classes];
        let mut correct = vec![0; classes];
        for (&label, &decision) in labels.iter().zip(&decisions) {
            rows_of_class[label as usize] += 1;
            correct[label as usize] += i64::from(decision == label as usize);
        }
        let each = vec![Each::default(); labels.len()];
        Self { labels, clean, decisions, classes, broken: 0, rows_of_class, correct, each }
    }

    /// Counts every permutation. Blocks are added up in their order, so that the sums are the same for any number of
    /// threads.
    pub fn count(
        mut self,
        model: &OpenModel,
        batch: &Batch,
        broken: &Broken,
        keep_going: impl Fn() -> Result<(), StageError> + Sync,
    ) -> Result<Self, StageError> {
        let width = self.labels.len() * self.classes;
        let size = (BLOCK / width.max(1)).clamp(1, 128) as u32;
        let starts: Vec<u32> = (0..broken.len()).step_by(size as usize).collect();
        for wave in starts.chunks(WAVE) {
            let blocks: Vec<Block> = wave
                .par_iter()
                .map(|&start| {
                    keep_going()?;
                    let end = broken.len().min(start + size);
                    let mut out = vec![0.0; (end - start) as usize * width];
                    broken.predict(model, batch, start..end, &mut out)?;
                    Ok(self.block(&out))
                })
                .collect::<Result<_, StageError>>()?;
            for block in blocks {
                self.broken += (block.correct.len() / self.classes) as u32;
                self.correct.extend(block.correct);
                for (sum, add) in self.each.iter_mut().zip(block.each) {
                    sum.correct += add.correct;
                    sum.flips += add.flips;
                    sum.shift += add.shift;
                }
            }
        }
        Ok(self)
    }

    /// Counts the predictions of one block: permutations x rows x classes.
    fn block(&self, predictions: &[f64]) -> Block {
        let rows = self.labels.len();
        let permutations = predictions.chunks_exact(rows * self.classes);
        let mut correct = vec![0; permutations.len() * self.classes];
        let mut each = vec![Each::default(); rows];
        for (predictions, correct) in permutations.zip(correct.chunks_exact_mut(self.classes)) {
            let clean = self.clean.chunks_exact(self.classes);
            let rows = predictions.chunks_exact(self.classes).zip(clean);
            for (row, (broken, clean)) in rows.enumerate() {
                let label = self.labels[row] as usize;
                let decision = decision(broken);
                let right = i64::from(decision == label);
                correct[label] += right;
                let each = &mut each[row];
                each.correct += right;
                each.flips += i64::from(decision != self.decisions[row]);
                each.shift += total_variation(broken, clean);
            }
        }
        Block { correct, each }
    }

    /// What the permutations did to each row.
    pub fn effects(&self, example_id: Vec<String>) -> ExampleEffects {
        let permutations = f64::from(self.broken);
        ExampleEffects {
            permutations: self.broken,
            example_id,
            clean_correct: self
                .decisions
                .iter()
                .zip(self.labels)
                .map(|(decision, label)| *decision == *label as usize)
                .collect(),
            broken_correct: self.each.iter().map(|each| each.correct).collect(),
            flips: self.each.iter().map(|each| each.flips).collect(),
            probability_shift: self.each.iter().map(|each| each.shift / permutations).collect(),
        }
    }
}

/// Half the sum of absolute differences.
fn total_variation(one: &[f64], other: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (one, other) in one.iter().zip(other) {
        sum += (one - other).abs();
    }
    sum / 2.0
}
