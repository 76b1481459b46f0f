//! Counting what permutations do. Everything that is summed is a whole number, so that sums are the
//! same in any order.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

use fuseline_artifact::{ExampleEffects, Texts};
use fuseline_engine::{SharedValues, StageError};
use fuseline_host::{Batch, OpenModel};
use rayon::prelude::*;

use crate::diagnose::broken::{Broken, FirstPart, Room};
use crate::diagnose::pairs::{Pairs, Shifts};
use crate::rows::decision;

mod tiles;

use tiles::Tile;

/// Predictions that one block should hold: what threads share.
const BLOCK: usize = 1 << 19;
/// Permutations of a block: enough to compute a rule's part on the evidence once, not so many that
/// threads wait.
const PERMUTATIONS: std::ops::RangeInclusive<usize> = 8..=128;
/// Predictions that are asked for at once: 1 MiB of them, near enough to the processor to be
/// checked and counted.
const PART: usize = 1 << 17;
/// Blocks that are counted in parallel before they are added up; it bounds memory for any number of
/// permutations.
const WAVE: usize = 16;

/// Units of [`fixed_point`] in 1.
const FIXED_POINT: f64 = (1_u64 << 52) as f64;

/// Running counts of the permutations' effects.
pub(crate) struct Tally<'a> {
    pub(super) labels: &'a [u32],
    clean: Cow<'a, [f64]>,
    decisions: Vec<u32>,
    pub(super) classes: usize,
    broken: u32,
    /// Test rows of each class.
    pub rows_of_class: Vec<i64>,
    /// Right decisions by class: under Clean-Q first, then one row of classes a permutation.
    pub correct: Vec<i64>,
    each: Each,
}

/// Effects of the permutations on each row.
pub(super) struct Each {
    pub correct: Vec<u32>,
    pub flips: Vec<u32>,
    /// Sums of total-variation distances, in units of 2^-52.
    pub shift: Vec<u128>,
}

impl Each {
    pub fn new(rows: usize) -> Self {
        Self { correct: vec![0; rows], flips: vec![0; rows], shift: vec![0; rows] }
    }

    fn add(&mut self, other: &Self) {
        let Self { correct, flips, shift } = self;
        correct.iter_mut().zip(&other.correct).for_each(|(sum, add)| *sum += add);
        flips.iter_mut().zip(&other.flips).for_each(|(sum, add)| *sum += add);
        shift.iter_mut().zip(&other.shift).for_each(|(sum, add)| *sum += add);
    }
}

/// Effects of the permutations of one block.
pub(super) struct Block {
    /// Right decisions: permutations x classes.
    pub correct: Vec<i64>,
    pub each: Each,
}

impl Block {
    pub fn new(permutations: usize, classes: usize, rows: usize) -> Self {
        Self { correct: vec![0; permutations * classes], each: Each::new(rows) }
    }
}

/// Outcome of one row under one quality: its [distance](fixed_point) from Clean-Q and, in two bits
/// that are then free, whether the decision is right and whether it flips.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcome(u64);

impl Outcome {
    fn new(right: bool, flips: bool, shift: f64) -> Self {
        Self(fixed_point(shift) | u64::from(right) << 62 | u64::from(flips) << 63)
    }

    pub fn right(self) -> u32 {
        (self.0 >> 62) as u32 & 1
    }

    pub fn flips(self) -> u32 {
        (self.0 >> 63) as u32
    }

    /// In units of 2^-52.
    pub fn shift(self) -> u64 {
        self.0 & !(3 << 62)
    }
}

/// A number between 0 and 1 in units of 2^-52, rounded to the nearest: the numbers between 1 and 2
/// are as far apart.
#[inline(always)]
fn fixed_point(number: f64) -> u64 {
    (1.0 + number.min(1.0)).to_bits() - 1.0_f64.to_bits()
}

impl<'a> Tally<'a> {
    /// Counts Clean-Q. `clean`: rows x classes.
    pub fn new(labels: &'a [u32], clean: impl Into<Cow<'a, [f64]>>, classes: usize) -> Self {
        let clean = clean.into();
        let decisions: Vec<u32> =
            clean.chunks_exact(classes).map(|row| decision(row) as u32).collect();
        let mut rows_of_class = vec![0; classes];
        let mut correct = vec![0; classes];
        for (&label, &decision) in labels.iter().zip(&decisions) {
            rows_of_class[label as usize] += 1;
            correct[label as usize] += i64::from(decision == label);
        }
        let each = Each::new(labels.len());
        Self { labels, clean, decisions, classes, broken: 0, rows_of_class, correct, each }
    }

    /// Predicts Clean-Q and every permutation, and counts them: by pairs of rows where that is less
    /// work.
    ///
    /// The rule is asked about each once. Clean-Q is one of the first of them, and is not marked.
    pub fn ask(
        labels: &'a [u32],
        model: &OpenModel,
        batch: &Batch,
        broken: &Broken,
        shared: &SharedValues,
        keep_going: impl Fn() -> Result<(), StageError> + Sync,
    ) -> Result<Self, StageError> {
        let classes = batch.classes().len();
        if let Broken::Permuted { permutations, mask, permuter } = broken
            && let Some(shifts) = Shifts::new(model, permuter, *permutations, classes)
        {
            let (first, clean) = shifts.ask_first(model, batch, permuter, *mask)?;
            let mut tally = Self::new(labels, first[clean].to_vec(), classes);
            let known = (&shifts, &first[..]);
            let pairs = Pairs::ask(&tally, model, batch, permuter, *mask, known)?;
            tally.add_block(pairs.count(shared, *permutations, keep_going)?);
            return Ok(tally);
        }
        let part = part_size(labels.len(), classes).min(broken.len());
        let FirstPart { clean, predictions } = broken.ask_first(model, batch, part)?;
        let mut tally = Self::new(labels, clean, classes);
        tally.count_block(&predictions);
        tally.count_rest(model, batch, broken, shared, keep_going)
    }

    /// Predictions under Clean-Q: rows x classes.
    pub fn clean(&self) -> &[f64] {
        &self.clean
    }

    /// Asks about every permutation that has not been counted, and counts it.
    fn count_rest(
        mut self,
        model: &OpenModel,
        batch: &Batch,
        broken: &Broken,
        shared: &SharedValues,
        keep_going: impl Fn() -> Result<(), StageError> + Sync,
    ) -> Result<Self, StageError> {
        let (rows, classes) = (self.labels.len(), self.classes);
        let size = self.block_size();
        let spare = Mutex::new(Vec::<Room>::new());
        let rooms = || spare.lock().unwrap_or_else(PoisonError::into_inner);
        let part = self.part_size() as usize;
        let drawn = broken.draw_all(shared);
        // The order in which the model leaves the rows, and the rows in this order.
        let placed = OnceLock::<(Vec<usize>, Vec<Tile>)>::new();
        let cut = |order: &[usize]| {
            let tiles = Tile::cut(order, self.labels, &self.decisions, &self.clean, classes);
            (order.to_vec(), tiles)
        };
        let mut each = Each::new(rows);
        let mut counted = Vec::new();
        let starts: Vec<u32> = (self.broken..broken.len()).step_by(size as usize).collect();
        for wave in starts.chunks(WAVE) {
            let blocks: Vec<Block> = wave
                .par_iter()
                .map(|&start| {
                    keep_going()?;
                    let which = start..broken.len().min(start + size);
                    let mut room = rooms().pop().unwrap_or_default();
                    let mut block = Block::new(which.len(), classes, rows);
                    let parts = block.correct.chunks_mut(part * classes);
                    for (start, correct) in which.clone().step_by(part).zip(parts) {
                        let part = start..which.end.min(start + part as u32);
                        let look = |predictions: &[f64], order: &[usize]| {
                            let (_, tiles) = placed.get_or_init(|| cut(order));
                            tiles::count(tiles, predictions, correct, &mut block.each)
                        };
                        broken.visit(model, batch, part, drawn.as_deref(), &mut room, look)?;
                    }
                    rooms().push(room);
                    Ok(block)
                })
                .collect::<Result<_, StageError>>()?;
            for block in blocks {
                counted.extend(block.correct);
                each.add(&block.each);
            }
        }
        let mut all = Block { correct: counted, each: Each::new(rows) };
        for (place, &row) in placed.get().iter().flat_map(|(order, _)| order).enumerate() {
            all.each.correct[row] = each.correct[place];
            all.each.flips[row] = each.flips[place];
            all.each.shift[row] = each.shift[place];
        }
        self.add_block(all);
        Ok(self)
    }

    /// Number of permutations of a block: as many as are asked about together.
    pub fn block_size(&self) -> u32 {
        block_size(self.labels.len(), self.classes)
    }

    /// Number of permutations that are asked about together, so that their predictions stay near to
    /// the processor, and fit into a pipe.
    pub fn part_size(&self) -> u32 {
        part_size(self.labels.len(), self.classes)
    }

    /// Counts the predictions of some permutations, of at most 2,048: permutations x rows x classes.
    pub fn count_block(&mut self, predictions: &[f64]) {
        let permutations = predictions.len() / (self.labels.len() * self.classes);
        let mut block = Block::new(permutations, self.classes, self.labels.len());
        let order: Vec<usize> = (0..self.labels.len()).collect();
        let (decisions, clean) = (&self.decisions, &self.clean);
        let tiles = Tile::cut(&order, self.labels, decisions, clean, self.classes);
        // Whoever predicted them has held them against the law.
        tiles::count(&tiles, predictions, &mut block.correct, &mut block.each);
        self.add_block(block);
    }

    fn add_block(&mut self, block: Block) {
        self.broken += (block.correct.len() / self.classes) as u32;
        self.correct.extend(block.correct);
        self.each.add(&block.each);
    }

    /// Outcomes of rows under some qualities. `predictions`: qualities x rows x classes.
    pub(super) fn outcomes(&self, predictions: &[f64]) -> Vec<Outcome> {
        let rows = |of| <[f64]>::chunks_exact(of, self.classes);
        let known = self.labels.iter().zip(&self.decisions);
        let known = rows(&self.clean).zip(known).cycle();
        rows(predictions)
            .zip(known)
            .map(|(broken, (clean, (&label, &before)))| {
                let decision = decision(broken) as u32;
                let shift = total_variation(broken, clean);
                Outcome::new(decision == label, decision != before, shift)
            })
            .collect()
    }

    /// Effects of the permutations on each row.
    pub fn effects(&self, example_id: Texts) -> ExampleEffects {
        let permutations = f64::from(self.broken);
        ExampleEffects {
            permutations: self.broken,
            example_id,
            clean_correct: self
                .decisions
                .iter()
                .zip(self.labels)
                .map(|(decision, label)| decision == label)
                .collect(),
            broken_correct: self.each.correct.iter().copied().map(i64::from).collect(),
            flips: self.each.flips.iter().copied().map(i64::from).collect(),
            probability_shift: self
                .each
                .shift
                .iter()
                .map(|&shift| shift as f64 / FIXED_POINT / permutations)
                .collect(),
        }
    }
}

/// Number of permutations of a block.
fn block_size(rows: usize, classes: usize) -> u32 {
    (BLOCK / (rows * classes).max(1)).clamp(*PERMUTATIONS.start(), *PERMUTATIONS.end()) as u32
}

/// Number of permutations that are asked about in one call.
fn part_size(rows: usize, classes: usize) -> u32 {
    let most = block_size(rows, classes) as usize;
    (PART / (rows * classes).max(1)).clamp(*PERMUTATIONS.start(), most) as u32
}

/// Half the sum of absolute differences.
fn total_variation(one: &[f64], other: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (one, other) in one.iter().zip(other) {
        sum += (one - other).abs();
    }
    sum / 2.0
}

#[cfg(test)]
mod tests;
