//! Predictions of each row with each quality that it can get, computed once instead of in every
//! permutation.
//!
//! Under a scheme that moves a row's qualities together, a prediction is that of a pair: the row
//! whose evidence it is, and the row whose quality. There are fewer pairs than rows times
//! permutations as soon as there are more permutations than rows that exchange quality;
//! permutations are then looked up.

use std::ops::Range;

use fuseline_engine::StageError;
use fuseline_host::{Batch, OpenModel};
use fuseline_stats::permutation::Permuter;
use rayon::prelude::*;

use super::chance;
use super::tally::{Block, Outcome, Tally};

/// Pairs that are remembered at most: 32 MiB.
const LIMIT: usize = 1 << 22;
/// Predictions that are asked for at once: 512 KiB of them.
const ASKED: usize = 1 << 16;
/// Shifts that are asked about together at least: Clean-Q, which is one of them, is not alone.
const FEWEST_TOGETHER: usize = 8;
/// Rows that are looked up side by side: their sums do not wait for each other.
const ABREAST: usize = 4;
/// Rows whose pairs are put in order together.
const TILE: usize = 64;

/// The outcome of every pair.
pub(super) struct Pairs<'a> {
    permuter: &'a Permuter,
    /// The place of each row in its stratum, where that is another number than its own.
    place: Option<Vec<u32>>,
    rows: usize,
    /// Places of the largest stratum.
    width: usize,
    /// rows x width: outcome of the row with the quality of the row at that place of its stratum.
    outcomes: Vec<Outcome>,
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
        let place = (width < rows).then(|| places.iter().map(|place| place.at).collect());
        Ok(Self { permuter, place, rows, width, outcomes, of_class })
    }

    /// Number of blocks to count together: a row's pairs are fetched once for all of
    /// them. Enough remain to be shared among threads.
    pub fn blocks_at_once(&self, size: u32, permutations: u32) -> u32 {
        let half = self.width as u32 / 2;
        half.min(permutations / 16).div_ceil(size).max(1)
    }

    /// Counts some permutations, in blocks of `size`. `index` is scratch space.
    pub fn count(&self, which: Range<u32>, size: u32, index: &mut Vec<u32>) -> Vec<Block> {
        let (rows, classes) = (self.rows, self.of_class.len());
        index.resize(which.len() * rows, 0);
        for (number, index) in which.clone().zip(index.chunks_exact_mut(rows)) {
            self.permuter.draw_into(number.into(), index);
            if let Some(place) = &self.place {
                index.iter_mut().for_each(|row| *row = place[*row as usize]);
            }
        }
        let mut blocks: Vec<Block> = index
            .chunks(size as usize * rows)
            .map(|index| Block::new(index.len() / rows, classes, rows))
            .collect();
        let mut parts = Parts { index, permutations: size as usize, blocks: &mut blocks };
        for (class, of_class) in self.of_class.iter().enumerate() {
            let (abreast, rest) = of_class.as_chunks::<ABREAST>();
            abreast.iter().for_each(|&rows| self.look_up(rows, class, &mut parts));
            rest.iter().for_each(|&row| self.look_up([row], class, &mut parts));
        }
        blocks
    }

    /// Counts some rows of one class, block by block.
    fn look_up<const N: usize>(&self, rows: [usize; N], class: usize, parts: &mut Parts<'_>) {
        let own = rows.map(|row| &self.outcomes[row * self.width..][..self.width]);
        let indices = parts.index.chunks(parts.permutations * self.rows);
        for (index, block) in indices.zip(&mut *parts.blocks) {
            let (mut right, mut flips, mut shift) = ([0; N], [0; N], [0.0; N]);
            let counts = block.correct[class..].iter_mut().step_by(self.of_class.len());
            for (index, count) in index.chunks_exact(self.rows).zip(counts) {
                let mut together = 0;
                for at in 0..N {
                    let outcome = own[at][index[rows[at]] as usize];
                    together += outcome.right();
                    right[at] += outcome.right();
                    flips[at] += outcome.flips();
                    shift[at] += outcome.shift();
                }
                *count += i64::from(together);
            }
            for (at, row) in rows.into_iter().enumerate() {
                block.each.correct[row] = right[at];
                block.each.flips[row] = flips[at];
                block.each.shift[row] = shift[at];
            }
        }
    }
}

/// Permutations that are drawn, and the blocks that they are counted in.
struct Parts<'a> {
    /// permutations x rows: places in a row's stratum.
    index: &'a [u32],
    /// Of a block.
    permutations: usize,
    blocks: &'a mut [Block],
}
