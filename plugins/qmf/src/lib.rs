//! The fusion rule `qmf`: quality-aware multimodal fusion, a sum of logits weighted by confidence.
//!
//! With the logits l_mk of modality m for class k, and its confidence w_m:
//!
//! p = softmax_k(sum over available m of w_m l_mk)
//!
//! `confidence: energy` is the published rule, w_m = q_m / 10, for a quality that is minus the energy
//! of the expert (`quality.energy`). `confidence: standardised` is for qualities of any scale: w_m =
//! max(0, 1 + z_m), with the quality z_m standardised per modality on the training rows, so that the
//! weight is linear in quality, as the theory of the paper asks, and 1 on average.
//!
//! Source: Zhang, Wu, Zhang, Hu, Fu, Zhou and Peng, "Provable dynamic fusion for low-quality
//! multimodal data", ICML 2023. What is adapted: a rule here is given probabilities, so that l_mk =
//! ln P_mk less its mean over the classes, with P below 1e-12 as 1e-12. These are the logits of an
//! expert whose logits sum to 0, as those of a logistic regression do. The experts are frozen, so
//! that the paper's joint training, and its term that ranks confidence by loss, have no place.
//!
//! If no modality is available, or no weight is above 0, all classes are equally likely. Quality
//! beyond +-1e100 counts as +-1e100. Nothing but the scale of quality is fitted.

use fuseline_learn::link;
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Param, Params, PermutedPredict,
    Quality, RuleError, Shape, TrainingBatch, export_fusion_rule,
};
use fuseline_rules::{ScaledQuality, centred_logits};

/// Energy that counts as a weight of 1.
const ENERGY_SCALE: f64 = 10.0;

/// Quality: minus energy, or of any scale.
#[derive(Debug)]
pub struct Qmf {
    quality: ScaledQuality,
}

impl FusionRule for Qmf {
    const ID: &'static str = "org.fuseline.qmf";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "quality-aware multimodal fusion",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "A sum of logits, weighted by a confidence that is linear in quality.",
        )
        .param(Param::choice(
            "confidence",
            &["standardised", "energy"],
            "weight of a modality: max(0, 1 + standardised quality), or a tenth of the quality",
        ))
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let is_energy = params.str("confidence")? == "energy";
        Ok(Self { quality: ScaledQuality::fit(batch, is_energy) })
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

impl Qmf {
    /// The confidence of each cell at its own quality.
    fn weights(&self, batch: &Batch<'_>) -> Vec<f64> {
        let values = self.quality.values(batch).into_iter();
        match self.quality.is_raw() {
            true => values.map(|energy| energy / ENERGY_SCALE).collect(),
            false => values.map(|score| (1.0 + score).max(0.0)).collect(),
        }
    }
}

impl PermutedPredict for Qmf {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let (modalities, classes) = (batch.modalities(), batch.classes());
        let logits = centred_logits(batch);
        let weights = self.weights(batch);
        quality.predict_rows(batch, &weights, probabilities, |row, weights, out| {
            out.fill(0.0);
            for modality in batch.available_in(row) {
                let own = &logits[(row * modalities + modality) * classes..][..classes];
                out.iter_mut().zip(own).for_each(|(sum, logit)| *sum += weights[modality] * logit);
            }
            link::softmax(out);
        })
    }
}

export_fusion_rule!(Qmf, permuted_predict);
