//! The fusion rule `tmc`: trusted multi-view classification, Dempster's rule on the opinions of
//! evidential experts.
//!
//! With the modality's quality z_m (standardised per modality on the training rows):
//!
//! 1. Evidence e_mk = exp(z_m) ln(1 + exp(l_mk)) of modality m for class k of K.
//! 2. An opinion: with S_m = K + sum_k e_mk, belief b_mk = e_mk / S_m and uncertainty u_m = K / S_m.
//! 3. Dempster's rule for opinions, modality after modality: b_k is proportional to b_k b_mk + b_k
//!    u_m + u b_mk, u to u u_m. The order does not matter.
//! 4. The mean of the Dirichlet distribution behind the opinion: p_k = b_k + u / K.
//!
//! Source: Han, Zhang, Fu and Zhou, "Trusted multi-view classification", ICLR 2021.
//! Adapted: the paper trains each network to give evidence, ln(1 + exp(.)) of its last layer,
//! by a loss of its own. A rule here is given probabilities of experts that are frozen: the last
//! layer is taken to be l_mk = ln P_mk less its mean over the classes, with P below 1e-12 as 1e-12,
//! which are the logits of an expert whose logits sum to 0. The paper has no quality but the opinion's
//! own uncertainty: here it multiplies the evidence, so that a modality of lower quality has a less
//! certain opinion.
//!
//! If no modality is available, all classes are equally likely. A z_m beyond +-30 counts as +-30.
//! Nothing but the scale of quality is fitted.

use fuseline_plugin::belief::{combine, share_ignorance};
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, PermutedPredict, Quality,
    RuleError, Shape, TrainingBatch, export_fusion_rule,
};
use fuseline_rules::Opinions;

/// The opinions of the experts.
#[derive(Debug)]
pub struct Tmc {
    opinions: Opinions,
}

impl FusionRule for Tmc {
    const ID: &'static str = "org.fuseline.tmc";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "trusted multi-view classification",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "Dempster's rule on opinions, whose evidence is multiplied by quality.",
        )
    }

    fn fit(batch: &TrainingBatch<'_>, _: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        Ok(Self { opinions: Opinions::fit(batch) })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.opinions.write(model);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        Ok(Self { opinions: Opinions::read(model, shape)? })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

impl PermutedPredict for Tmc {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let (modalities, classes) = (batch.modalities(), batch.classes());
        let evidence = Opinions::evidence(batch);
        let factors = self.opinions.factors(batch);
        let count = classes as f64;
        quality.predict_rows(batch, &factors, probabilities, |row, factors, masses| {
            masses.fill(0.0);
            let mut uncertainty = 1.0;
            for modality in batch.available_in(row) {
                let own = &evidence[(row * modalities + modality) * classes..][..classes];
                let strength = count + factors[modality] * own.iter().sum::<f64>();
                let scale = factors[modality] / strength;
                combine(masses, &mut uncertainty, own, scale, count / strength);
            }
            share_ignorance(masses, uncertainty);
        })
    }
}

export_fusion_rule!(Tmc, permuted_predict);
