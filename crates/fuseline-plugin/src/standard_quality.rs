//! Quality on a scale that modalities share.

use crate::batch::{Batch, TrainingBatch};
use crate::error::RuleError;
use crate::model::{ModelReader, ModelWriter};
use crate::permuted::Quality;

/// Quality standardised per modality: z_m = (Q_m - mean_m) / sd_m.
///
/// Mean and population standard deviation are those of the training rows in which the modality is available; a standard deviation of at most
/// 1e-12 max(1, |mean_m|) counts as 1.
#[derive(Clone, Debug, PartialEq)]
pub struct StandardQuality {
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl StandardQuality {
    /// Means and standard deviations of the training rows.
    pub fn fit(batch: &TrainingBatch<'_>) -> Self {
        let rows = batch.rows();
        let quality = Quality::by_modality(batch);
        let (mean, scale) = (0..batch.modalities())
            .map(|modality| {
                let own = &quality[modality * rows..][..rows];
                standardisation(|| {
                    (0..rows).filter(|&row| batch.is_available(row, modality)).map(|row| own[row])
                })
            })
            .unzip();
        Self { mean, scale }
    }

    /// Appends it to a model.
    pub fn write(&self, model: &mut ModelWriter) {
        model.f64s(&self.mean);
        model.f64s(&self.scale);
    }

    /// Reads what [`Self::write`] wrote, for so many modalities.
    pub fn read(model: &mut ModelReader<'_>, modalities: usize) -> Result<Self, RuleError> {
        Ok(Self { mean: model.f64s(modalities)?, scale: model.f64s(modalities)? })
    }

    /// The standardised quality, modality by modality: modality m, row i is at `[m * rows + i]`; that of a quality of 0 where the modality is
    /// unavailable.
    pub fn by_modality(&self, batch: &Batch<'_>) -> Vec<f64> {
        let rows = batch.rows();
        let mut scores = Quality::by_modality(batch);
        for (cell, score) in scores.iter_mut().enumerate() {
            let modality = cell / rows;
            *score = (*score - self.mean[modality]) / self.scale[modality];
        }
        scores
    }
}

/// Mean and scale of the values; 0 and 1 when there are none.
fn standardisation<I: Iterator<Item = f64>>(values: impl Fn() -> I) -> (f64, f64) {
    let count = values().count() as f64;
    if count == 0.0 {
        return (0.0, 1.0);
    }
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    let sd = variance.sqrt();
    (mean, if sd <= 1e-12 * mean.abs().max(1.0) { 1.0 } else { sd })
}
