//! The fusion rule `switch`: the evidence of the modality whose quality is highest.
//!
//! With the modality's quality z_m (standardised per modality on the training rows, so that
//! qualities of different scales compare) and evidence P_mk:
//!
//! m* = the available modality of the largest z_m;  p_k = P_{m*,k}, the mean of it over equals
//!
//! Without quality all are equal, and the rule is the mean.
//!
//! If no modality is available, p is the weighted share of each class in the training rows.
//!
//! Source: dynamic classifier selection by estimated competence, Woods, Kegelmeyer and Bowyer,
//! "Combination of multiple classifiers using local accuracy estimates", IEEE TPAMI 19(4), 1997.
//! Adapted: competence is the quality that the workflow gives, not an accuracy that the rule
//! estimates around the example.

use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, PermutedPredict, Quality,
    RuleError, Shape, StandardQuality, TrainingBatch, export_fusion_rule,
};
use fuseline_rules::best_evidence;

/// Standardisation of quality, and the prediction for rows without any modality.
#[derive(Debug)]
pub struct Switch {
    quality: StandardQuality,
    prior: Vec<f64>,
}

impl FusionRule for Switch {
    const ID: &'static str = "org.fuseline.switch";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "switch",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The evidence of the modality of highest standardised quality.",
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

impl PermutedPredict for Switch {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let scores = self.quality.standardise(batch);
        quality.predict_rows(batch, &scores, probabilities, |row, scores, out| {
            if !best_evidence(batch, row, |modality| scores[modality], out) {
                out.copy_from_slice(&self.prior);
            }
        })
    }
}

export_fusion_rule!(Switch, permuted_predict);
