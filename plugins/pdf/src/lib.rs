//! The fusion rule `pdf`: predictive dynamic fusion, a sum of logits weighted by how far the modality
//! and all of them together are trusted.
//!
//! With c_m, the probability that modality m gives the true class, over the M available modalities:
//!
//! 1. Mono-confidence c_m, and holo-confidence h_m = sum_{j != m} ln c_j / (sum_j ln c_j + 1e-8):
//!    the share of the expected loss that is that of the others.
//! 2. Relative calibration: with the distance from uniform d_m = mean_k |P_mk - 1/K|, r_m = min(1,
//!    (M - 1) d_m / sum_{j != m} d_j), and 1 where the others are uniform.
//! 3. w = softmax over the available m of r_m (c_m + h_m);  p = softmax_k(sum_m w_m l_mk).
//!
//! `confidence: tcp` reads c_m from the quality, which must be a probability, as `quality.tcp` is.
//! `confidence: fitted` is for qualities of any scale: c_m = sigmoid(a_m + b_m z_m), with the quality
//! z_m standardised per modality on the training rows, is a logistic regression of "the expert's top
//! class is the label", weighted, minimising b_m^2 / 2 + c sum_i s_i loss_i over the training rows in
//! which the modality is available; an expert that is always right, always wrong or never there has
//! b_m = 0 and odds (w_right + 1) / (w_wrong + 1). Either way c_m is kept within 1e-6 to 1 - 1e-6.
//!
//! Source: Cao, Xia, Ding, Zhang and Hu, "Predictive dynamic fusion", ICML 2024; for two modalities
//! it is the formula of the authors' code at test time. What is adapted: a rule here is given
//! probabilities, so that l_mk = ln P_mk less its mean over the classes, with P below 1e-12 as 1e-12;
//! the confidence comes from the workflow's quality instead of a network that is trained with the
//! experts; of more than two modalities the relative calibration compares with the mean of the
//! others.
//!
//! If no modality is available, all classes are equally likely. Quality beyond +-1e100 counts as
//! +-1e100.

use fuseline_learn::link;
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Param, Params, PermutedPredict,
    Quality, RuleError, Shape, TrainingBatch, export_fusion_rule,
};
use fuseline_rules::{QualityOdds, ScaledQuality, centred_logits};

/// Distance of a confidence from 0 and 1 at least.
const EDGE: f64 = 1e-6;

/// Term of the authors that keeps a quotient finite.
const GUARD: f64 = 1e-8;

/// Confidence in each modality at a quality.
#[derive(Debug)]
pub struct Pdf {
    quality: ScaledQuality,
    /// Even where the quality is a probability.
    odds: QualityOdds,
}

impl FusionRule for Pdf {
    const ID: &'static str = "org.fuseline.pdf";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "predictive dynamic fusion",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "A sum of logits, weighted by mono- and holo-confidence with relative calibration.",
        )
        .param(Param::choice(
            "confidence",
            &["fitted", "tcp"],
            "chance of the true class: regressed on the quality, or the quality itself",
        ))
        .param(
            Param::number("c", 1.0, "weight of the losses against the penalty on the slopes")
                .above(0.0),
        )
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let is_probability = params.str("confidence")? == "tcp";
        let quality = ScaledQuality::fit_probability(batch, is_probability, "confidence: tcp")?;
        let odds = match is_probability {
            true => QualityOdds::even(batch.modalities()),
            false => QualityOdds::fit(batch, &quality.values(batch), params.f64("c")?)?,
        };
        Ok(Self { quality, odds })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.quality.write(model);
        self.odds.write(model);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        Ok(Self {
            quality: ScaledQuality::read(model, shape)?,
            odds: QualityOdds::read(model, shape)?,
        })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

impl Pdf {
    /// The mono-confidence of each cell at its own quality.
    fn confidences(&self, batch: &Batch<'_>) -> Vec<f64> {
        let mut values = self.quality.values(batch);
        for (cell, value) in values.iter_mut().enumerate() {
            if !self.quality.is_raw() {
                *value = self.odds.probability(cell % batch.modalities(), *value);
            }
            *value = value.clamp(EDGE, 1.0 - EDGE);
        }
        values
    }
}

/// Distance of class probabilities from uniform ones: the mean of |p_k - 1/K|.
fn distance_from_uniform(probabilities: &[f64]) -> f64 {
    let classes = probabilities.len() as f64;
    probabilities.iter().map(|p| (p - 1.0 / classes).abs()).sum::<f64>() / classes
}

impl PermutedPredict for Pdf {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let (modalities, classes) = (batch.modalities(), batch.classes());
        let logits = centred_logits(batch);
        let calibrations = relative_calibrations(batch);
        let confidences = self.confidences(batch);
        let mut weights = Vec::with_capacity(modalities);
        quality.predict_rows(batch, &confidences, probabilities, |row, confidences, out| {
            out.fill(0.0);
            let losses = || batch.available_in(row).map(|m| libm::log(confidences[m]));
            let total: f64 = losses().sum();
            weights.clear();
            weights.extend(batch.available_in(row).zip(losses()).map(|(modality, own)| {
                let holo = (total - own) / (total + GUARD);
                calibrations[row * modalities + modality] * (confidences[modality] + holo)
            }));
            link::softmax(&mut weights);
            for (modality, weight) in batch.available_in(row).zip(&weights) {
                let own = &logits[(row * modalities + modality) * classes..][..classes];
                out.iter_mut().zip(own).for_each(|(sum, logit)| *sum += weight * logit);
            }
            link::softmax(out);
        })
    }
}

/// The relative calibration of each cell; it does not move with quality.
fn relative_calibrations(batch: &Batch<'_>) -> Vec<f64> {
    let modalities = batch.modalities();
    let mut calibrations = vec![0.0; batch.rows() * modalities];
    for (row, calibrations) in calibrations.chunks_exact_mut(modalities).enumerate() {
        let distance = |modality| distance_from_uniform(batch.evidence_of(row, modality));
        for modality in batch.available_in(row) {
            let others = || batch.available_in(row).filter(move |&other| other != modality);
            let sum: f64 = others().map(distance).sum();
            let count = others().count() as f64;
            calibrations[modality] =
                if sum > 0.0 { (count * distance(modality) / sum).min(1.0) } else { 1.0 };
        }
    }
    calibrations
}

export_fusion_rule!(Pdf, permuted_predict);
