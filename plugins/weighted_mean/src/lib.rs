//! The fusion rule `weighted_mean`: a mean over the available modalities, weighted by their quality.
//!
//! Quality is standardised per modality, z_m = (Q_m - mean_m) / sd_m, with mean and population standard deviation over the training rows in
//! which the modality is available; a standard deviation of at most 1e-12 max(1, |mean_m|) counts as 1. With evidence P_mk:
//!
//! w_m = exp(z_m) / sum over available m' of exp(z_m'),  p_k = sum_m w_m P_mk
//!
//! Where no modality is available, p is the weighted share of each class in the training rows.
//!
//! Source: quality-weighted late fusion, e.g. Poh and Kittler, "A unified framework for biometric expert fusion incorporating quality
//! measures", IEEE TPAMI 34(1), 2012; the softmax makes the weights positive on any scale of quality.

use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, PermutedPredict, Quality,
    RuleError, Shape, StandardQuality, TrainingBatch, export_fusion_rule,
};

/// How quality is standardised, and what is predicted where nothing is available.
#[derive(Debug)]
pub struct WeightedMean {
    quality: StandardQuality,
    prior: Vec<f64>,
}

impl FusionRule for WeightedMean {
    const ID: &'static str = "org.fuseline.weighted_mean";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "weighted mean",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The mean of the evidence, weighted by a softmax of the standardised quality.",
        )
    }

    fn fit(batch: &TrainingBatch<'_>, _: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        Ok(Self { quality: StandardQuality::fit(batch), prior: batch.prior() })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.quality.write(model);
        model.f64s(&self.prior);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        Ok(Self {
            quality: StandardQuality::read(model, shape.modalities.len())?,
            prior: model.f64s(shape.classes.len())?,
        })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

/// Scores beyond this have no exponential that is sure to stay finite in a sum of products.
const PLAIN: f64 = 300.0;

impl PermutedPredict for WeightedMean {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
        if rows == 0 {
            return Ok(());
        }
        // By modality: z, and exp(z), once for all permutations; infinite where a row needs the largest subtracted first.
        let scores = self.quality.by_modality(batch);
        let weight = |&z: &f64| if z.abs() <= PLAIN { libm::exp(z) } else { f64::INFINITY };
        let weights: Vec<f64> = scores.iter().map(weight).collect();

        let mut sources = vec![None; modalities];
        for (permutation, out) in probabilities.chunks_exact_mut(rows * classes).enumerate() {
            batch.go_on()?;
            for (modality, source) in sources.iter_mut().enumerate() {
                *source = quality.source(batch, permutation, modality);
            }
            for (row, out) in out.chunks_exact_mut(classes).enumerate() {
                out.fill(0.0);
                for (modality, source) in sources.iter().enumerate() {
                    if batch.is_available(row, modality) {
                        let from = source.map_or(row, |source| source[row] as usize);
                        let weight = weights[modality * rows + from];
                        for (sum, probability) in
                            out.iter_mut().zip(batch.evidence_of(row, modality))
                        {
                            *sum += weight * probability;
                        }
                    }
                }
                let total: f64 = out.iter().sum();
                if total > 0.0 && total < f64::INFINITY {
                    out.iter_mut().for_each(|probability| *probability /= total);
                } else {
                    self.predict_extreme(batch, row, &sources, &scores, out);
                }
            }
        }
        Ok(())
    }
}

impl WeightedMean {
    /// A row with scores so large that the largest must be subtracted, or without any modality.
    #[cold]
    fn predict_extreme(
        &self,
        batch: &Batch<'_>,
        row: usize,
        sources: &[Option<&[u32]>],
        scores: &[f64],
        out: &mut [f64],
    ) {
        let rows = batch.rows();
        let available =
            || (0..batch.modalities()).filter(|&modality| batch.is_available(row, modality));
        let score = |modality: usize| {
            let from = sources[modality].map_or(row, |source| source[row] as usize);
            scores[modality * rows + from]
        };
        let top = available().map(score).fold(f64::NEG_INFINITY, f64::max);
        out.fill(0.0);
        for modality in available() {
            let weight = libm::exp(score(modality) - top);
            for (sum, probability) in out.iter_mut().zip(batch.evidence_of(row, modality)) {
                *sum += weight * probability;
            }
        }
        let total: f64 = out.iter().sum();
        if total > 0.0 {
            out.iter_mut().for_each(|probability| *probability /= total);
        } else {
            out.copy_from_slice(&self.prior);
        }
    }
}

export_fusion_rule!(WeightedMean, permuted_predict);
