//! Opinions of evidential experts, made of the probabilities of experts that are frozen.

use fuseline_learn::link;
use fuseline_plugin::{
    Batch, ModelReader, ModelWriter, RuleError, Shape, StandardQuality, TrainingBatch,
};

/// A probability below this counts as this.
const LEAST: f64 = 1e-12;

/// Standardised quality beyond this, either way, counts as this: its exponential stays finite.
const FARTHEST: f64 = 30.0;

/// The logits l_mk = ln P_mk less its mean over the classes, with P below 1e-12 as 1e-12: those of
/// an expert whose logits sum to 0. Rows x modalities x classes.
pub fn centred_logits(batch: &Batch<'_>) -> Vec<f64> {
    batch.transform_evidence(|probabilities, logits| {
        link::centred_logs(probabilities, LEAST, logits);
    })
}

/// Evidence e_mk = exp(z_m) ln(1 + exp(l_mk)) of modality m for class k, with its quality z_m
/// standardised per modality on the training rows.
#[derive(Debug)]
pub struct Opinions {
    quality: StandardQuality,
}

impl Opinions {
    /// Standardises quality on the training rows.
    pub fn fit(batch: &TrainingBatch<'_>) -> Self {
        Self { quality: StandardQuality::fit(batch) }
    }

    /// Appends it to a model.
    pub fn write(&self, model: &mut ModelWriter) {
        self.quality.write(model);
    }

    /// Reads back the output of [`Self::write`].
    pub fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        Ok(Self { quality: StandardQuality::read(model, shape.modalities.len())? })
    }

    /// ln(1 + exp(l_mk)): rows x modalities x classes.
    pub fn evidence(batch: &Batch<'_>) -> Vec<f64> {
        let mut evidence = centred_logits(batch);
        evidence.iter_mut().for_each(|logit| *logit = link::log1p_exp(*logit));
        evidence
    }

    /// exp(z_m), with z_m beyond +-30 as +-30: rows x modalities.
    pub fn factors(&self, batch: &Batch<'_>) -> Vec<f64> {
        let scores = self.quality.standardise(batch).into_iter();
        scores.map(|score| libm::exp(score.clamp(-FARTHEST, FARTHEST))).collect()
    }
}
