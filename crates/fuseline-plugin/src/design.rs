//! The columns that rules with a classifier inside fit on.

use crate::batch::Batch;
use crate::permuted::Quality;

/// The design X = \[P, A, Q, P * Q\]: evidence (modality-major), availability, quality, and each
/// evidence times the quality of its modality.
///
/// All columns of an unavailable modality are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Design {
    modalities: usize,
    classes: usize,
}

impl Design {
    /// The design for these numbers of modalities and classes.
    pub fn new(modalities: usize, classes: usize) -> Self {
        Self { modalities, classes }
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        2 * self.modalities * (self.classes + 1)
    }

    /// The column of a modality's evidence for a class.
    pub fn evidence(&self, modality: usize, class: usize) -> usize {
        modality * self.classes + class
    }

    /// The column of a modality's availability.
    pub fn available(&self, modality: usize) -> usize {
        self.modalities * self.classes + modality
    }

    /// The column of a modality's quality.
    pub fn quality(&self, modality: usize) -> usize {
        self.modalities * (self.classes + 1) + modality
    }

    /// The column of a modality's evidence for a class, times its quality.
    pub fn product(&self, modality: usize, class: usize) -> usize {
        self.modalities * (self.classes + 2) + self.evidence(modality, class)
    }

    /// The rows of a batch, row-major.
    pub fn rows(&self, batch: &Batch<'_>) -> Vec<f64> {
        let quality = Quality::finite(batch);
        let mut rows = vec![0.0; batch.rows() * self.width()];
        for (row, x) in rows.chunks_exact_mut(self.width()).enumerate() {
            self.fix(batch, row, x);
            for modality in 0..self.modalities {
                self.vary(batch, row, modality, quality[row * self.modalities + modality], x);
            }
        }
        rows
    }

    /// Fills the columns that do not depend on quality: evidence and availability.
    pub fn fix(&self, batch: &Batch<'_>, row: usize, x: &mut [f64]) {
        for modality in 0..self.modalities {
            let available = batch.is_available(row, modality);
            x[self.available(modality)] = if available { 1.0 } else { 0.0 };
            let evidence = &mut x[self.evidence(modality, 0)..][..self.classes];
            if available {
                evidence.copy_from_slice(batch.evidence_of(row, modality));
            } else {
                evidence.fill(0.0);
            }
        }
    }

    /// Fills the columns that depend on the quality of a modality.
    pub fn vary(
        &self,
        batch: &Batch<'_>,
        row: usize,
        modality: usize,
        quality: f64,
        x: &mut [f64],
    ) {
        let quality = if batch.is_available(row, modality) { quality } else { 0.0 };
        x[self.quality(modality)] = quality;
        for class in 0..self.classes {
            x[self.product(modality, class)] = x[self.evidence(modality, class)] * quality;
        }
    }
}
