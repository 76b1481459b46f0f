//! Predictions of each row with each quality that it can get, computed once instead of in every
//! permutation.
//!
//! Under a scheme that moves a row's qualities together, a prediction is that of a pair: the row
//! whose evidence it is, and the row whose quality. There are fewer pairs than rows times
//! permutations as soon as there are more permutations than rows that exchange quality;
//! permutations are then looked up, in those that are [drawn once](super::draws).

use std::ops::Range;

use fuseline_engine::{SharedValues, StageError};
use fuseline_host::{Batch, OpenModel};
use fuseline_stats::permutation::Permuter;
use rayon::prelude::*;

use super::chance;
use super::draws::{Draws, Part};
use super::tally::{Block, Each, Outcome, Tally};

/// Pairs that are remembered at most: 32 MiB.
const LIMIT: usize = 1 << 22;
/// Predictions that are asked for at once: 512 KiB of them.
const ASKED: usize = 1 << 16;
/// Shifts that are asked about together at least: Clean-Q, which is one of them, is not alone.
const FEWEST_TOGETHER: usize = 8;
/// Rows whose pairs are put in order together.
const TILE: usize = 64;

/// The outcome of every pair.
pub(super) struct Pairs<'a> {
    permuter: &'a Permuter,
    /// Places of the largest stratum.
    width: usize,
    /// rows x width: outcome of the row with the quality of the row at that place of its stratum.
    outcomes: Vec<Outcome>,
    /// rows x width: 1 where the decision is right.
    right: Vec<u8>,
    /// The rows of each class.
    of_class: Vec<Vec<usize>>,
}

/// The shifts that all pairs come from, in the order in which they are asked. The first part holds
/// the shift by nothing, which is Clean-Q; neither its place nor the order of the others says which
/// it is.
pub(super) struct Shifts(Vec<Vec<usize>>);

impl Shifts {
    /// All shifts, in an order that is drawn anew; none when the permutations are too few to pay
    /// for them.
    pub fn new(
        model: &OpenModel,
        permuter: &Permuter,
        permutations: u32,
        classes: usize,
    ) -> Option<Self> {
        let (rows, width) = (permuter.rows(), permuter.shifts());
        let pays = 2 * width <= permutations as usize && rows * width <= LIMIT;
        // A rule that looks at the rows beside a row has no answer for a pair.
        let alone = model.rule().descriptor().capabilities.row_independent;
        if permuter.columns() > 1 || !pays || !alone {
            return None;
        }
        let each = (ASKED / (rows * classes)).max(FEWEST_TOGETHER).min(width);
        let mut parts: Vec<_> = chance::order(width).chunks(each).map(<[usize]>::to_vec).collect();
        let clean = parts.iter().position(|part| part.contains(&0)).unwrap_or_default();
        parts.swap(0, clean);
        Some(Self(parts))
    }

    /// Predicts the first part with the model. Gives all of it, and its part that is Clean-Q.
    pub fn ask_first(
        &self,
        model: &OpenModel,
        batch: &Batch,
        permuter: &Permuter,
        mask: u64,
    ) -> Result<(Vec<f64>, Range<usize>), StageError> {
        let first = &self.0[0];
        let predictions = ask(first, model, batch, permuter, mask)?;
        let width = predictions.len() / first.len();
        let place = first.iter().position(|shift| *shift == 0).unwrap_or_default();
        Ok((predictions, place * width..(place + 1) * width))
    }
}

/// Predicts some shifts with the model: shifts x rows x classes.
fn ask(
    shifts: &[usize],
    model: &OpenModel,
    batch: &Batch,
    permuter: &Permuter,
    mask: u64,
) -> Result<Vec<f64>, StageError> {
    let rows = permuter.rows();
    let mut index = vec![0; shifts.len() * rows];
    for (&by, index) in shifts.iter().zip(index.chunks_exact_mut(rows)) {
        permuter.shift_into(by, index);
    }
    let mut out = vec![0.0; index.len() * batch.classes().len()];
    model.predict_permuted(batch, &index, shifts.len(), 1, mask, &mut out)?;
    Ok(out)
}

impl<'a> Pairs<'a> {
    /// Predicts all pairs but those of the first part, which are known.
    pub fn ask(
        tally: &Tally<'_>,
        model: &OpenModel,
        batch: &Batch,
        permuter: &'a Permuter,
        mask: u64,
        (shifts, first): (&Shifts, &[f64]),
    ) -> Result<Self, StageError> {
        let (rows, width) = (permuter.rows(), permuter.shifts());
        let Shifts(parts) = shifts;
        let rest: Vec<Vec<Outcome>> = parts[1..]
            .par_iter()
            .map(|part| Ok(tally.outcomes(&ask(part, model, batch, permuter, mask)?)))
            .collect::<Result<_, StageError>>()?;
        let known = [tally.outcomes(first)];
        let asked = || known.iter().chain(&rest);

        let places = permuter.places();
        let mut outcomes = vec![Outcome::default(); rows * width];
        outcomes.par_chunks_mut(TILE * width).zip(places.par_chunks(TILE)).enumerate().for_each(
            |(tile, (outcomes, places))| {
                let by_shift = asked().flat_map(|asked| asked.chunks_exact(rows));
                for (&shift, asked) in parts.iter().flatten().zip(by_shift) {
                    let own = asked[tile * TILE..].iter().zip(places);
                    for ((outcome, place), outcomes) in own.zip(outcomes.chunks_exact_mut(width)) {
                        let of = place.of as usize;
                        // A smaller stratum has been gone around already.
                        if shift < of {
                            outcomes[(place.at as usize + shift) % of] = *outcome;
                        }
                    }
                }
            },
        );
        let mut of_class = vec![Vec::new(); tally.classes];
        for (row, &label) in tally.labels.iter().enumerate() {
            of_class[label as usize].push(row);
        }
        let right = outcomes.iter().map(|outcome| outcome.right() as u8).collect();
        Ok(Self { permuter, width, outcomes, right, of_class })
    }

    /// Counts the permutations: right decisions by permutation and class, and their effects on each
    /// row.
    pub fn count(
        &self,
        shared: &SharedValues,
        permutations: u32,
        keep_going: impl Fn() -> Result<(), StageError> + Sync,
    ) -> Result<Block, StageError> {
        let look = |part: &Part| {
            keep_going()?;
            Ok(self.count_part(part))
        };
        let (correct, draws) = Draws::visit(shared, self.permuter, permutations, look)?;
        let mut each = Each::new(self.permuter.rows());
        let pairs = draws.frequency().chunks_exact(self.width);
        let pairs = pairs.zip(self.outcomes.chunks_exact(self.width));
        for (row, (frequency, outcomes)) in pairs.enumerate() {
            for (&times, outcome) in frequency.iter().zip(outcomes) {
                each.correct[row] += times * outcome.right();
                each.flips[row] += times * outcome.flips();
                each.shift[row] += u128::from(times) * u128::from(outcome.shift());
            }
        }
        Ok(Block { correct: correct.into_iter().flatten().collect(), each })
    }

    /// Right decisions: permutations x classes.
    fn count_part(&self, part: &Part) -> Vec<i64> {
        let classes = self.of_class.len();
        let mut correct = vec![0; part.permutations() * classes];
        let mut counts = vec![0_u32; part.permutations()];
        for (class, rows) in self.of_class.iter().enumerate() {
            counts.fill(0);
            for &row in rows {
                let right = &self.right[row * self.width..][..self.width];
                for (count, &place) in counts.iter_mut().zip(part.row(row)) {
                    *count += u32::from(right[place as usize]);
                }
            }
            let correct = correct[class..].iter_mut().step_by(classes);
            correct.zip(&counts).for_each(|(correct, &count)| *correct = count.into());
        }
        correct
    }
}
