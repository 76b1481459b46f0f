//! The fusion rule `rcml`: reliable conflictive multi-view learning, the mean of the opinions of
//! evidential experts.
//!
//! With the modality's quality z_m (standardised per modality on the training rows):
//!
//! 1. Evidence e_mk = exp(z_m) ln(1 + exp(l_mk)) of modality m for class k of K.
//! 2. The conflictive opinion of all: e_k is the mean of e_mk over the available modalities. For two
//!    opinions that is b_k = (b_1k u_2 + b_2k u_1) / (u_1 + u_2) and u = 2 u_1 u_2 / (u_1 + u_2), with
//!    S_m = K + sum_k e_mk, belief b_mk = e_mk / S_m and uncertainty u_m = K / S_m: more uncertain
//!    than Dempster's rule makes it, the more so where the modalities conflict.
//! 3. The mean of the Dirichlet distribution behind the opinion: p_k = (e_k + 1) / (K + sum_j e_j).
//!
//! Source: Xu, Si, Guan, Zhao, Wu and Gao, "Reliable conflictive multi-view learning", AAAI 2024. The
//! paper averages all opinions; the code that was published with it averages the first two, that mean
//! with the third, and so on, so that the last modality counts as much as all before it and the order
//! of modalities changes decisions. This is the mean, in which no order counts.
//! Adapted: the paper trains each network to give evidence, ln(1 + exp(.)) of its last layer,
//! by a loss of its own. A rule here is given probabilities of experts that are frozen: the last
//! layer is taken to be l_mk = ln P_mk less its mean over the classes, with P below 1e-12 as 1e-12,
//! which are the logits of an expert whose logits sum to 0. The paper has no quality but the opinion's
//! own uncertainty: here it multiplies the evidence, so that a modality of lower quality has a less
//! certain opinion.
//!
//! If no modality is available, all classes are equally likely. A z_m beyond +-30 counts as +-30.
//! Nothing but the scale of quality is fitted.

use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, PermutedPredict, Quality,
    RuleError, Shape, TrainingBatch, export_fusion_rule,
};
use fuseline_rules::Opinions;

/// The opinions of the experts.
#[derive(Debug)]
pub struct Rcml {
    opinions: Opinions,
}

impl FusionRule for Rcml {
    const ID: &'static str = "org.fuseline.rcml";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "reliable conflictive multi-view learning",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The mean of opinions, whose evidence is multiplied by quality.",
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

impl PermutedPredict for Rcml {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let (modalities, classes) = (batch.modalities(), batch.classes());
        let evidence = Opinions::evidence(batch);
        let factors = self.opinions.factors(batch);
        quality.predict_rows(batch, &factors, probabilities, |row, factors, out| {
            out.fill(0.0);
            let mut count: u32 = 0;
            for modality in batch.available_in(row) {
                let own = &evidence[(row * modalities + modality) * classes..][..classes];
                out.iter_mut().zip(own).for_each(|(sum, own)| *sum += factors[modality] * own);
                count += 1;
            }
            out.iter_mut().for_each(|sum| *sum = *sum / f64::from(count.max(1)) + 1.0);
            let strength: f64 = out.iter().sum();
            out.iter_mut().for_each(|parameter| *parameter /= strength);
        })
    }
}

export_fusion_rule!(Rcml, permuted_predict);
