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

use fuseline_learn::link;
use fuseline_learn::logistic::{Logistic, LogisticError, Options};
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Param, Params, PermutedPredict,
    Quality, RuleError, Shape, StandardQuality, TrainingBatch, export_fusion_rule,
};

/// No expert is trusted more than this: two that exclude each other's classes leave nothing to
/// combine.
const MOST: f64 = 1.0 - 1e-9;

/// Trust in each modality at a quality.
#[derive(Debug)]
pub struct DempsterShafer {
    quality: StandardQuality,
    /// One a modality.
    intercepts: Vec<f64>,
    /// One a modality.
    slopes: Vec<f64>,
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
        let scores = quality.standardise(batch);
        let options = Options { c: params.f64("c")?, ..Options::default() };
        let (mut intercepts, mut slopes) = (Vec::new(), Vec::new());
        for modality in 0..batch.modalities() {
            let own = scores.iter().skip(modality).step_by(batch.modalities());
            let own: Vec<f64> = own.copied().collect();
            let (intercept, slope) = reliability(batch, modality, &own, &options)?;
            intercepts.push(intercept);
            slopes.push(slope);
        }
        Ok(Self { quality, intercepts, slopes })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.quality.write(model);
        model.f64s(&self.intercepts);
        model.f64s(&self.slopes);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let modalities = shape.modalities.len();
        Ok(Self {
            quality: StandardQuality::read(model, modalities)?,
            intercepts: model.f64s(modalities)?,
            slopes: model.f64s(modalities)?,
        })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

/// Intercept and slope of the log odds that an expert is right, by its standardised quality.
fn reliability(
    batch: &TrainingBatch<'_>,
    modality: usize,
    scores: &[f64],
    options: &Options,
) -> Result<(f64, f64), RuleError> {
    let (mut inputs, mut right, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let mut weight_of = [0.0, 0.0];
    for row in (0..batch.rows()).filter(|&row| batch.is_available(row, modality)) {
        let evidence = batch.evidence_of(row, modality);
        let is_right = top_class(evidence) == batch.label()[row] as usize;
        weight_of[usize::from(is_right)] += batch.weight()[row];
        inputs.push(scores[row]);
        right.push(u32::from(is_right));
        weights.push(batch.weight()[row]);
    }
    let [wrong_weight, right_weight] = weight_of;
    if wrong_weight == 0.0 || right_weight == 0.0 {
        return Ok((libm::log((right_weight + 1.0) / (wrong_weight + 1.0)), 0.0));
    }
    let go_on = &mut || !batch.should_stop();
    let fitted =
        Logistic::fit_while(&inputs, 1, &right, &weights, 2, options, go_on).map_err(|error| {
            match error {
                LogisticError::Input(error) => RuleError::data(error.to_string()),
                LogisticError::Stopped => RuleError::cancelled(),
            }
        })?;
    if let Some(shortfall) = fitted.not_converged() {
        let name = batch.modality_name(modality);
        batch.warn(format_args!("the fit of modality {name} did not converge: {shortfall}"));
    }
    Ok((fitted.intercepts()[0], fitted.coefficients()[0]))
}

/// The class with the largest probability, the first of equals.
fn top_class(evidence: &[f64]) -> usize {
    let mut top = 0;
    for (class, probability) in evidence.iter().enumerate() {
        if *probability > evidence[top] {
            top = class;
        }
    }
    top
}

impl DempsterShafer {
    /// Trust in each cell at its own quality, row by row.
    fn reliabilities(&self, batch: &Batch<'_>) -> Vec<f64> {
        let (modalities, classes) = (batch.modalities(), batch.classes() as f64);
        let mut reliabilities = self.quality.standardise(batch);
        for (cell, value) in reliabilities.iter_mut().enumerate() {
            let modality = cell % modalities;
            let [_, right] =
                link::binary(self.intercepts[modality] + self.slopes[modality] * *value);
            *value = ((classes * right - 1.0) / (classes - 1.0)).clamp(0.0, MOST);
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
        let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
        if rows == 0 {
            return Ok(());
        }
        let reliabilities = self.reliabilities(batch);
        let mut sources = vec![None; modalities];
        for (permutation, out) in probabilities.chunks_exact_mut(rows * classes).enumerate() {
            batch.go_on()?;
            for (modality, source) in sources.iter_mut().enumerate() {
                *source = quality.source(batch, permutation, modality);
            }
            for (row, masses) in out.chunks_exact_mut(classes).enumerate() {
                masses.fill(0.0);
                let mut ignorance = 1.0;
                for (modality, source) in sources.iter().enumerate() {
                    if batch.is_available(row, modality) {
                        let from = source.map_or(row, |source| source[row] as usize);
                        let reliability = reliabilities[from * modalities + modality];
                        combine(
                            masses,
                            &mut ignorance,
                            batch.evidence_of(row, modality),
                            reliability,
                        );
                    }
                }
                masses.iter_mut().for_each(|mass| *mass += ignorance / classes as f64);
            }
        }
        Ok(())
    }
}

/// Dempster's rule with one more expert. The masses sum to 1 before and after.
fn combine(masses: &mut [f64], ignorance: &mut f64, evidence: &[f64], reliability: f64) {
    let doubt = 1.0 - reliability;
    let mut total = *ignorance * doubt;
    for (mass, probability) in masses.iter_mut().zip(evidence) {
        let support = reliability * probability;
        *mass = *mass * (support + doubt) + *ignorance * support;
        total += *mass;
    }
    masses.iter_mut().for_each(|mass| *mass /= total);
    *ignorance = *ignorance * doubt / total;
}

export_fusion_rule!(DempsterShafer, permuted_predict);
