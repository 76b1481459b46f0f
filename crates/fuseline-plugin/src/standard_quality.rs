//! Quality on a scale that modalities share.

use crate::batch::{Batch, TrainingBatch};
use crate::error::RuleError;
use crate::model::{ModelReader, ModelWriter};
use crate::permuted::Quality;

/// Quality standardised per modality: z_m = (Q_m - mean_m) / sd_m.
///
/// Mean and population standard deviation are those of the training rows in which the modality is
/// available; a standard deviation of at most 1e-12 max(1, |mean_m|) counts as 1.
#[derive(Clone, Debug, PartialEq)]
pub struct StandardQuality {
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl StandardQuality {
    /// Means and standard deviations of the training rows.
    pub fn fit(batch: &TrainingBatch<'_>) -> Self {
        let modalities = batch.modalities();
        let quality = Quality::finite(batch);
        let (mean, scale) = (0..modalities)
            .map(|modality| {
                let own = quality.iter().skip(modality).step_by(modalities).enumerate();
                standardisation(|| {
                    own.clone()
                        .filter(|&(row, _)| batch.is_available(row, modality))
                        .map(|(_, q)| *q)
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

    /// Reads back the output of [`Self::write`], for this number of modalities.
    pub fn read(model: &mut ModelReader<'_>, modalities: usize) -> Result<Self, RuleError> {
        Ok(Self { mean: model.f64s(modalities)?, scale: model.f64s(modalities)? })
    }

    /// The standardised quality, row by row, as in [`Batch::quality`]; that of a quality of 0 where
    /// the modality is unavailable.
    pub fn standardise(&self, batch: &Batch<'_>) -> Vec<f64> {
        let mut scores = Quality::finite(batch);
        for row in scores.chunks_exact_mut(self.mean.len()) {
            for ((score, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *score = (*score - mean) / scale;
            }
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
