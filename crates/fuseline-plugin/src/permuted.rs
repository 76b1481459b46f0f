//! The quality that each row gets.

use crate::batch::Batch;
use crate::error::RuleError;
use crate::rule::FusionRule;

/// The quality that each row gets, in each of some permutations.
#[derive(Clone, Copy, Debug)]
pub struct Quality<'a> {
    index: &'a [u32],
    permutations: usize,
    columns: usize,
    modality_mask: u64,
}

impl<'a> Quality<'a> {
    /// One permutation in which every row has its own quality: what [`crate::FusionRule::predict`]
    /// means.
    pub fn as_measured() -> Self {
        Self { index: &[], permutations: 1, columns: 1, modality_mask: 0 }
    }

    pub(crate) fn permuted(
        index: &'a [u32],
        permutations: usize,
        columns: usize,
        modality_mask: u64,
    ) -> Self {
        Self { index, permutations, columns, modality_mask }
    }

    /// Number of permutations.
    pub fn permutations(&self) -> usize {
        self.permutations
    }

    /// From which rows a modality takes its quality in a permutation; none when every row keeps its
    /// own.
    pub fn source(
        &self,
        batch: &Batch<'_>,
        permutation: usize,
        modality: usize,
    ) -> Option<&'a [u32]> {
        if self.modality_mask >> modality & 1 == 0 {
            return None;
        }
        let column = if self.columns == 1 { 0 } else { modality };
        let rows = batch.rows();
        Some(&self.index[(permutation * self.columns + column) * rows..][..rows])
    }

    /// The fast path of a rule that does not read quality: every permutation predicts the same.
    pub fn predict_once(
        &self,
        rule: &impl FusionRule,
        batch: &Batch<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let width = batch.rows() * batch.classes();
        if width == 0 || self.permutations == 0 {
            return Ok(());
        }
        let (first, others) = probabilities.split_at_mut(width);
        rule.predict(batch, first)?;
        others.chunks_exact_mut(width).for_each(|out| out.copy_from_slice(first));
        Ok(())
    }

    /// Predicts row after row in every permutation, for a rule to which the quality of a modality is
    /// one number.
    ///
    /// `values`: the number of each cell, as in [`Batch::quality`], which moves with its quality.
    /// `predict` is given a row, its number of each modality, and the probabilities to fill, one a
    /// class. The numbers of unavailable modalities mean nothing.
    pub fn predict_rows(
        &self,
        batch: &Batch<'_>,
        values: &[f64],
        probabilities: &mut [f64],
        mut predict: impl FnMut(usize, &[f64], &mut [f64]),
    ) -> Result<(), RuleError> {
        let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
        if rows == 0 {
            return Ok(());
        }
        let mut sources = vec![None; modalities];
        let mut moved = vec![0.0; modalities];
        for (permutation, out) in probabilities.chunks_exact_mut(rows * classes).enumerate() {
            batch.go_on()?;
            for (modality, source) in sources.iter_mut().enumerate() {
                *source = self.source(batch, permutation, modality);
            }
            for (row, out) in out.chunks_exact_mut(classes).enumerate() {
                for (modality, (moved, source)) in moved.iter_mut().zip(&sources).enumerate() {
                    let from = source.map_or(row, |source: &[u32]| source[row] as usize);
                    *moved = values[from * modalities + modality];
                }
                predict(row, &moved, out);
            }
        }
        Ok(())
    }

    /// The quality, row by row, as in [`Batch::quality`]; 0 where the modality is unavailable.
    ///
    /// Values beyond +-1e100 are taken as +-1e100, so that squares and products stay finite.
    pub fn finite(batch: &Batch<'_>) -> Vec<f64> {
        let cells = batch.quality().iter().zip(batch.available());
        cells.map(|(q, &there)| if there == 0 { 0.0 } else { q.clamp(-1e100, 1e100) }).collect()
    }
}
