//! Rows in small tiles, each predicted under all permutations before the next.
//!
//! The terms computed from evidence once for all permutations then stay in the memory nearest to
//! the processor, and neighbours in memory are neighbouring rows, which are computed side by side.

use crate::batch::Batch;
use crate::error::RuleError;
use crate::permuted::Quality;
use crate::rule::{FusionRule, PermutedPredict};
use crate::vector::{Work, exp, wide};

/// Rows of a tile.
pub const TILE: usize = 64;

/// One number a row of a tile; beyond the last row of a batch, of no meaning.
pub type Lane = [f64; TILE];

/// Numbers of the widest vector: a tile is a few of them.
pub const WIDTH: usize = 8;

/// The numbers of a vector, from some place of a lane on.
#[inline(always)]
pub fn part(lane: &Lane, from: usize) -> &[f64; WIDTH] {
    &lane.as_chunks().0[from / WIDTH]
}

/// Evidence and availability of the rows of a tile; 0 where a modality is unavailable.
#[derive(Debug)]
pub struct Tile {
    classes: usize,
    evidence: Vec<Lane>,
    available: Vec<Lane>,
}

impl Tile {
    fn fill(&mut self, batch: &Batch<'_>, first: usize, rows: usize) {
        self.evidence.fill([0.0; TILE]);
        self.available.fill([0.0; TILE]);
        for at in 0..rows {
            for (modality, available) in self.available.iter_mut().enumerate() {
                if batch.is_available(first + at, modality) {
                    available[at] = 1.0;
                    let evidence = &mut self.evidence[modality * self.classes..];
                    for (lane, &p) in
                        evidence.iter_mut().zip(batch.evidence_of(first + at, modality))
                    {
                        lane[at] = p;
                    }
                }
            }
        }
    }

    /// The probabilities that a modality gives a class.
    #[inline(always)]
    pub fn evidence(&self, modality: usize, class: usize) -> &Lane {
        &self.evidence[modality * self.classes + class]
    }

    /// 1 where a modality is available, 0 elsewhere.
    #[inline(always)]
    pub fn available(&self, modality: usize) -> &Lane {
        &self.available[modality]
    }

    /// The evidence weighted by the softmax of a score a modality, over those that are available.
    #[inline(always)]
    pub fn mix(&self, scores: &mut [Lane], probabilities: &mut [Lane]) {
        let mut top = [f64::NEG_INFINITY; TILE];
        for (score, available) in scores.iter_mut().zip(&self.available) {
            for at in 0..TILE {
                score[at] = if available[at] > 0.0 { score[at] } else { f64::NEG_INFINITY };
                top[at] = if score[at] > top[at] { score[at] } else { top[at] };
            }
        }
        for (score, available) in scores.iter_mut().zip(&self.available) {
            for at in 0..TILE {
                score[at] = exp(score[at] - top[at]) * available[at];
            }
        }
        let mut total = [0.0; TILE];
        for (class, out) in probabilities.iter_mut().enumerate() {
            let mut sum = [0.0; TILE];
            for (modality, weight) in scores.iter().enumerate() {
                let evidence = self.evidence(modality, class);
                for at in 0..TILE {
                    sum[at] = weight[at].mul_add(evidence[at], sum[at]);
                }
            }
            for at in 0..TILE {
                total[at] += sum[at];
            }
            *out = sum;
        }
        // Probabilities sum to the weights; a number does not.
        if self.classes == 1 {
            total = [0.0; TILE];
            for weight in scores.iter() {
                for at in 0..TILE {
                    total[at] += weight[at];
                }
            }
        }
        divide(probabilities, &total);
    }
}

/// Divides all by the totals.
#[inline(always)]
fn divide(probabilities: &mut [Lane], total: &Lane) {
    let mut share = [0.0; TILE];
    for at in 0..TILE {
        share[at] = 1.0 / total[at];
    }
    for out in probabilities {
        for at in 0..TILE {
            out[at] *= share[at];
        }
    }
}

/// Writes some classes, from the first of them, into the rows of all.
#[inline(always)]
fn spread<const N: usize>(lanes: &[Lane; N], out: &mut [f64], classes: usize, first: usize) {
    for (row, at) in out.chunks_exact_mut(classes).zip(0..TILE) {
        for (out, lane) in row[first..][..N].iter_mut().zip(lanes) {
            *out = lane[at];
        }
    }
}

/// Replaces a score a class by their softmax.
#[inline(always)]
pub fn softmax(scores: &mut [Lane]) {
    let mut top = [f64::NEG_INFINITY; TILE];
    for score in scores.iter() {
        for at in 0..TILE {
            top[at] = if score[at] > top[at] { score[at] } else { top[at] };
        }
    }
    let mut total = [0.0; TILE];
    for score in scores.iter_mut() {
        for at in 0..TILE {
            score[at] = exp(score[at] - top[at]);
            total[at] += score[at];
        }
    }
    divide(scores, &total);
}

/// Replaces a score of the second of two classes, which is in the first lane, by the probabilities
/// of both: 1 / (1 + e^z) and 1 / (1 + e^-z).
#[inline(always)]
pub fn logistic(probabilities: &mut [Lane; 2]) {
    let [low, high] = probabilities;
    for at in 0..TILE {
        let score = low[at];
        let small = exp(-score.abs());
        let large = 1.0 / (1.0 + small);
        let small = small * large;
        let rises = score >= 0.0;
        low[at] = if rises { small } else { large };
        high[at] = if rises { large } else { small };
    }
}

/// A rule that predicts tile by tile, and by that is a [`PermutedPredict`] too: its `predict` calls
/// [`PermutedPredict::predict_permuted`] with [`Quality::as_measured`]. Its methods should be
/// `#[inline(always)]`: see [`wide`].
pub trait TiledRule: FusionRule {
    /// Terms of a tile's rows, computed once for all permutations, and scratch buffers.
    type Terms;

    /// Computes it.
    fn terms(&self, tile: &Tile) -> Self::Terms;

    /// Fills one lane a class; `quality`: one lane a modality.
    fn predict_tile(
        &self,
        tile: &Tile,
        terms: &mut Self::Terms,
        quality: &mut [Lane],
        probabilities: &mut [Lane],
    );

    /// Prediction for a row without any modality.
    fn prior(&self) -> &[f64];

    /// Values that move with quality, a number a cell, as in [`Batch::quality`].
    fn moving(&self, batch: &Batch<'_>) -> Vec<f64> {
        Quality::finite(batch)
    }
}

impl<R: TiledRule> PermutedPredict for R {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        predict_tiles(self, batch, quality, &self.moving(batch), probabilities)
    }
}

/// Fills permutations x rows x classes probabilities; `values`: those that move with quality.
fn predict_tiles<R: TiledRule>(
    rule: &R,
    batch: &Batch<'_>,
    quality: &Quality<'_>,
    values: &[f64],
    probabilities: &mut [f64],
) -> Result<(), RuleError> {
    let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
    let mut tile = Tile {
        classes,
        evidence: vec![[0.0; TILE]; modalities * classes],
        available: vec![[0.0; TILE]; modalities],
    };
    let mut moved = vec![[0.0; TILE]; modalities];
    let mut lanes = vec![[0.0; TILE]; classes];
    for first in (0..rows).step_by(TILE) {
        let count = TILE.min(rows - first);
        tile.fill(batch, first, count);
        let nothing = |&at: &usize| !tile.available.iter().any(|available| available[at] > 0.0);
        let empty: Vec<usize> = (0..count).filter(nothing).collect();
        wide(TileWork {
            rule,
            batch,
            quality,
            values,
            tile: &tile,
            first,
            count,
            empty: &empty,
            moved: &mut moved,
            lanes: &mut lanes,
            probabilities: &mut *probabilities,
        })?;
    }
    Ok(())
}

/// Takes each row's number from another row. A row's numbers are neighbours, so those of the next
/// modality are near.
///
/// A function of its own: as a part of a rule's tile it would have no registers left.
#[inline(never)]
fn gather(values: &[f64], modalities: usize, source: &[u32], moved: &mut Lane) {
    for (moved, &from) in moved.iter_mut().zip(source) {
        *moved = values[from as usize * modalities];
    }
}

/// One tile under all permutations.
struct TileWork<'a, R> {
    rule: &'a R,
    batch: &'a Batch<'a>,
    quality: &'a Quality<'a>,
    values: &'a [f64],
    tile: &'a Tile,
    first: usize,
    count: usize,
    /// Rows of the tile without any modality.
    empty: &'a [usize],
    moved: &'a mut [Lane],
    lanes: &'a mut [Lane],
    probabilities: &'a mut [f64],
}

impl<R: TiledRule> Work for TileWork<'_, R> {
    type Output = Result<(), RuleError>;

    #[inline(always)]
    fn run(self) -> Result<(), RuleError> {
        let Self { rule, batch, quality, values, tile, first, count, empty, .. } = self;
        let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
        let mut terms = rule.terms(tile);
        for (permutation, out) in self.probabilities.chunks_exact_mut(rows * classes).enumerate() {
            batch.go_on()?;
            for (modality, moved) in self.moved.iter_mut().enumerate() {
                let values = &values[modality..];
                match quality.source(batch, permutation, modality) {
                    None => {
                        let own = values.iter().step_by(modalities).skip(first);
                        for (moved, &own) in moved.iter_mut().zip(own) {
                            *moved = own;
                        }
                    }
                    Some(source) => gather(values, modalities, &source[first..][..count], moved),
                }
            }
            rule.predict_tile(tile, &mut terms, self.moved, self.lanes);
            let out = &mut out[first * classes..][..count * classes];
            if let [low, high] = &*self.lanes {
                for ((out, &low), &high) in out.as_chunks_mut::<2>().0.iter_mut().zip(low).zip(high)
                {
                    *out = [low, high];
                }
            } else {
                let (abreast, rest) = self.lanes.as_chunks::<4>();
                for (lanes, first) in abreast.iter().zip((0..).step_by(4)) {
                    spread(lanes, out, classes, first);
                }
                for (lane, first) in rest.iter().zip(4 * abreast.len()..) {
                    spread(std::array::from_ref(lane), out, classes, first);
                }
            }
            for &at in empty {
                out[at * classes..][..classes].copy_from_slice(rule.prior());
            }
        }
        Ok(())
    }
}
