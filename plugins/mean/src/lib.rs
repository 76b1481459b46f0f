//! The fusion rule `mean`: the unweighted mean over the available modalities.
//!
//! For an example with evidence P_mk of modality m for class k, and availability A_m:
//!
//! p_k = sum_m A_m P_mk / sum_km A_m P_mk
//!
//! The sum in the denominator is the number of available modalities, as the evidence of each sums
//! to 1. Where no modality is available, all classes are equally likely. Quality is not read, so
//! the permutation gap of this rule is exactly 0. Nothing is fitted.
//!
//! Where the label is a number, the prediction is the mean of the numbers that the available
//! modalities' experts expect, and the mean label of the training rows where there is none.
//!
//! Source: the sum rule of Kittler, Hatef, Duin and Matas, "On combining classifiers", IEEE TPAMI
//! 20(3), 1998.

use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, PermutedPredict, Quality,
    RuleError, Shape, TrainingBatch, export_fusion_rule,
};

/// The rule. Of classes it has nothing to remember.
#[derive(Debug)]
pub struct Mean {
    /// The mean label of the training rows, where the label is a number.
    level: Option<f64>,
}

impl FusionRule for Mean {
    const ID: &'static str = "org.fuseline.mean";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "mean",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The unweighted mean of the evidence of the available modalities.",
        )
        .uses_quality(false)
        .regression(true)
    }

    fn fit(batch: &TrainingBatch<'_>, _: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        Ok(Self { level: batch.is_regression().then(|| batch.prior()[0]) })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.level.into_iter().for_each(|level| model.f64(level));
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        Ok(Self { level: (shape.classes.len() == 1).then(|| model.f64()).transpose()? })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        let classes = batch.classes();
        for (row, out) in probabilities.chunks_exact_mut(classes).enumerate() {
            out.fill(0.0);
            for modality in
                (0..batch.modalities()).filter(|&modality| batch.is_available(row, modality))
            {
                for (sum, probability) in out.iter_mut().zip(batch.evidence_of(row, modality)) {
                    *sum += probability;
                }
            }
            if let Some(level) = self.level {
                let there = |&modality: &usize| batch.is_available(row, modality);
                let count = (0..batch.modalities()).filter(there).count();
                out[0] = if count > 0 { out[0] / count as f64 } else { level };
                continue;
            }
            let total: f64 = out.iter().sum();
            if total > 0.0 {
                out.iter_mut().for_each(|probability| *probability /= total);
            } else {
                out.fill(1.0 / classes as f64);
            }
        }
        Ok(())
    }
}

impl PermutedPredict for Mean {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        quality.predict_once(self, batch, probabilities)
    }
}

export_fusion_rule!(Mean, permuted_predict);
