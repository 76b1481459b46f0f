//! The fusion rule `trust_discount`: evidence that is discounted by trust, and Dempster's rule.
//!
//! With evidence P_mk of modality m for class k of K:
//!
//! 1. Trust t_m, at most 1 - 1e-9. `trust: standardised`: t_m = 1 / (1 + exp(-z_m)), with the quality
//!    z_m standardised per modality on the training rows, so that average quality is trusted by half.
//!    `trust: probability`: the quality itself, which must lie in 0 to 1.
//! 2. Discounting: mass_m({k}) = t_m P_mk; the rest, mass_m(all) = 1 - t_m, says "any class".
//! 3. Dempster's rule, modality after modality: mass({k}) is proportional to mass({k})
//!    (mass_m({k}) + mass_m(all)) + mass(all) mass_m({k}), mass(all) to mass(all) mass_m(all).
//! 4. The pignistic probability: p_k = mass({k}) + mass(all) / K.
//!
//! Nothing but the scale of quality is fitted: quality is trusted as it is, where the rule
//! `dempster_shafer` learns from labels how far to trust it. If no modality is available, all classes
//! are equally likely. Quality beyond +-1e100 counts as +-1e100.
//!
//! Source: Shafer, "A Mathematical Theory of Evidence", Princeton 1976 (discounting and combination);
//! trust discounting of opinions as in Josang, "Subjective Logic", Springer 2016; Smets and Kennes,
//! "The transferable belief model", Artificial Intelligence 66(2), 1994 (pignistic probability). What
//! is adapted: the source's trust in an agent is the quality that the workflow gives.

use fuseline_learn::link;
use fuseline_plugin::belief::{MOST_TRUST, combine_discounted};
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Param, Params, PermutedPredict,
    Quality, RuleError, Shape, TrainingBatch, export_fusion_rule,
};
use fuseline_rules::ScaledQuality;

/// Quality: a probability, or of any scale.
#[derive(Debug)]
pub struct TrustDiscount {
    quality: ScaledQuality,
}

impl FusionRule for TrustDiscount {
    const ID: &'static str = "org.fuseline.trust_discount";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "trust discounting",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "Dempster's rule on evidence that is discounted by quality as it is.",
        )
        .param(Param::choice(
            "trust",
            &["standardised", "probability"],
            "trust in a modality: the logistic function of standardised quality, or the quality",
        ))
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let is_probability = params.str("trust")? == "probability";
        let quality = ScaledQuality::fit_probability(batch, is_probability, "trust: probability")?;
        Ok(Self { quality })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.quality.write(model);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        Ok(Self { quality: ScaledQuality::read(model, shape)? })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

impl TrustDiscount {
    /// Trust in each cell at its own quality.
    fn trusts(&self, batch: &Batch<'_>) -> Vec<f64> {
        let is_probability = self.quality.is_raw();
        let trust = |value: f64| if is_probability { value } else { link::binary(value)[1] };
        let values = self.quality.values(batch).into_iter();
        values.map(|value| trust(value).clamp(0.0, MOST_TRUST)).collect()
    }
}

impl PermutedPredict for TrustDiscount {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let trusts = self.trusts(batch);
        quality.predict_rows(batch, &trusts, probabilities, |row, trusts, masses| {
            combine_discounted(batch, row, trusts, masses);
        })
    }
}

export_fusion_rule!(TrustDiscount, permuted_predict);
