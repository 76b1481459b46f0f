//! The fusion rule `max_confidence`: the evidence of the most confident modality.
//!
//! For an example with evidence P_mk of modality m for class k, over the available modalities:
//!
//! m* = argmax_m max_k P_mk,  p_k = P_m*k / sum_k' P_m*k', the mean of P over equals
//!
//! Confidence is the expert's own, not the quality signal: quality is not read, so the permutation
//! gap of this rule is exactly 0. Where no modality is available, all classes are equally likely.
//! Nothing is fitted.
//!
//! Source: the max rule of Kittler, Hatef, Duin and Matas, "On combining classifiers", IEEE TPAMI
//! 20(3), 1998, whose decision, argmax_k max_m P_mk, this rule shares.

use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, PermutedPredict, Quality,
    RuleError, Shape, TrainingBatch, export_fusion_rule,
};
use fuseline_rules::best_evidence;

/// The rule; it has nothing to remember.
#[derive(Debug)]
pub struct MaxConfidence;

impl FusionRule for MaxConfidence {
    const ID: &'static str = "org.fuseline.max_confidence";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "maximum confidence",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The evidence of the available modality that is most certain of a class.",
        )
        .uses_quality(false)
    }

    fn fit(_: &TrainingBatch<'_>, _: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        Ok(Self)
    }

    fn write(&self, _: &mut ModelWriter) {}

    fn read(_: &mut ModelReader<'_>, _: &Shape) -> Result<Self, RuleError> {
        Ok(Self)
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        let classes = batch.classes();
        for (row, out) in probabilities.chunks_exact_mut(classes).enumerate() {
            let confidence = |modality| {
                let evidence = batch.evidence_of(row, modality);
                evidence.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            };
            if !best_evidence(batch, row, confidence, out) {
                out.fill(1.0 / classes as f64);
            }
            let total: f64 = out.iter().sum();
            out.iter_mut().for_each(|probability| *probability /= total);
        }
        Ok(())
    }
}

impl PermutedPredict for MaxConfidence {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        quality.predict_once(self, batch, probabilities)
    }
}

export_fusion_rule!(MaxConfidence, permuted_predict);
