//! The fusion rule `dempster_shafer`: Dempster's rule on evidence that is discounted by how
//! reliable quality says it is.
//!
//! With evidence P_mk of modality m for class k of K, and the modality's quality z_m (standardised
//! per modality on the training rows):
//!
//! 1. Reliability. A reliable expert is right, an unreliable one guesses: P(right) = r + (1 - r) /
//!    K. So r_m = max(0, (K s_m - 1) / (K - 1)), s_m = sigmoid(a_m + b_m z_m), at most 1 - 1e-9.
//!    The fit of a_m and b_m is a logistic regression of "the expert's top class is the label",
//!    weighted, minimising b_m^2 / 2 + c sum_i s_i loss_i over the training rows in which the
//!    modality is available; an expert that is always right, always wrong or never there has b_m =
//!    0 and odds (w_right + 1) / (w_wrong + 1).
//! 2. Discounting. mass_m({k}) = r_m P_mk; the rest, mass_m(all) = 1 - r_m, says "any class".
//! 3. Dempster's rule, modality after modality: mass({k}) is proportional to mass({k})
//!    (mass_m({k}) + mass_m(all)) + mass(all) mass_m({k}), mass(all) to mass(all) mass_m(all).
//! 4. The pignistic probability: p_k = mass({k}) + mass(all) / K.
//!
//! If no modality is available, mass(all) = 1 and all classes are equally likely. Quality beyond
//! +-1e100 counts as +-1e100.
//!
//! Source: Shafer, "A Mathematical Theory of Evidence", Princeton 1976 (combination and
//! discounting); Smets and Kennes, "The transferable belief model", Artificial Intelligence 66(2),
//! 1994 (pignistic probability); reliabilities learned from data as in Elouedi, Mellouli and Smets,
//! "Assessing sensor reliability for multisensor data fusion within the transferable belief model",
//! IEEE SMC-B 34(1), 2004.

use fuseline_plugin::belief::{MOST_TRUST, combine_discounted};
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Param, Params, PermutedPredict,
    Quality, RuleError, Shape, StandardQuality, TrainingBatch, export_fusion_rule,
};
use fuseline_rules::QualityOdds;

/// Trust in each modality at a quality.
#[derive(Debug)]
pub struct DempsterShafer {
    quality: StandardQuality,
    odds: QualityOdds,
}

impl FusionRule for DempsterShafer {
    const ID: &'static str = "org.fuseline.dempster_shafer";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "Dempster-Shafer",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "Dempster's rule on evidence discounted by a reliability that is learned from quality.",
        )
        .param(
            Param::number("c", 1.0, "weight of the losses against the penalty on the slopes")
                .above(0.0),
        )
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let quality = StandardQuality::fit(batch);
        let odds = QualityOdds::fit(batch, &quality.standardise(batch), params.f64("c")?)?;
        Ok(Self { quality, odds })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.quality.write(model);
        self.odds.write(model);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let quality = StandardQuality::read(model, shape.modalities.len())?;
        Ok(Self { quality, odds: QualityOdds::read(model, shape)? })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

impl DempsterShafer {
    /// Trust in each cell at its own quality, row by row.
    fn reliabilities(&self, batch: &Batch<'_>) -> Vec<f64> {
        let (modalities, classes) = (batch.modalities(), batch.classes() as f64);
        let mut reliabilities = self.quality.standardise(batch);
        for (cell, value) in reliabilities.iter_mut().enumerate() {
            let right = self.odds.probability(cell % modalities, *value);
            *value = ((classes * right - 1.0) / (classes - 1.0)).clamp(0.0, MOST_TRUST);
        }
        reliabilities
    }
}

impl PermutedPredict for DempsterShafer {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let reliabilities = self.reliabilities(batch);
        quality.predict_rows(batch, &reliabilities, probabilities, |row, reliabilities, masses| {
            combine_discounted(batch, row, reliabilities, masses);
        })
    }
}

export_fusion_rule!(DempsterShafer, permuted_predict);
