//! The fusion rule `lr`: logistic regression on evidence, availability, quality, and evidence times quality.
//!
//! The design of a row is X = \[P, A, Q, P * Q\]: evidence P_mk (modality-major), availability A_m, quality Q_m, and P_mk Q_m; all of a modality's columns
//! are 0 where it is unavailable. X is standardised on the training rows (population standard deviation; one of at most 1e-12 max(1, |mean|)
//! counts as 1). The fit minimises
//!
//! |w|^2 / 2 + C sum_i s_i loss_i
//!
//! with free intercepts and the weights s_i of the batch: the log loss for two classes, a softmax with the penalty on all rows of w for more. Where no
//! modality is available, p is the weighted share of each class in the training rows. Quality beyond +-1e100 counts as +-1e100.
//!
//! Source: stacking (Wolpert, "Stacked generalization", Neural Networks 5(2), 1992) with quality measures as in Kryszczuk and Drygajlo,
//! "Improving biometric verification with class-independent quality information", IET Signal Processing 3(4), 2009.

use fuseline_learn::link;
use fuseline_learn::logistic::{Logistic, LogisticError, Options};
use fuseline_learn::standardise::Preprocessor;
use fuseline_plugin::{
    Batch, Descriptor, Design, FusionRule, ModelReader, ModelWriter, Param, Params,
    PermutedPredict, Quality, RuleError, Shape, TrainingBatch, export_fusion_rule,
};

/// A logistic regression on the design as it is: the standardisation is folded into coefficients and intercepts.
#[derive(Debug)]
pub struct Lr {
    /// Blocks x columns of the design; one block for two classes, one a class for more.
    coefficients: Vec<f64>,
    /// One a block.
    intercepts: Vec<f64>,
    prior: Vec<f64>,
}

impl FusionRule for Lr {
    const ID: &'static str = "org.fuseline.lr";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "logistic regression",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "Logistic regression on evidence, availability, quality, and evidence times quality.",
        )
        .param(Param::number("c", 1.0, "weight of the losses against the penalty").above(0.0))
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let design = Design::new(batch.modalities(), batch.classes());
        let width = design.width();
        let mut rows = design.rows(batch);
        let data = |error: &dyn std::error::Error| RuleError::data(error.to_string());
        let preprocessor = Preprocessor::fit(&rows, width).map_err(|error| data(&error))?;
        preprocessor.apply(&mut rows).map_err(|error| data(&error))?;
        let labels: Vec<u32> = batch.label().iter().map(|&label| label as u32).collect();
        let options = Options { c: params.f64("c")?, ..Options::default() };
        let fitted = Logistic::fit_while(
            &rows,
            width,
            &labels,
            batch.weight(),
            batch.classes(),
            &options,
            &mut || !batch.should_stop(),
        )
        .map_err(|error| match error {
            LogisticError::Input(error) => data(&error),
            LogisticError::Stopped => RuleError::cancelled(),
            error => RuleError::not_converged(error.to_string()),
        })?;
        let mut coefficients = fitted.coefficients().to_vec();
        let mut intercepts = fitted.intercepts().to_vec();
        for (block, intercept) in coefficients.chunks_exact_mut(width).zip(&mut intercepts) {
            for (column, coefficient) in block.iter_mut().enumerate() {
                *coefficient /= preprocessor.scale()[column];
                *intercept -= *coefficient * preprocessor.mean()[column];
            }
        }
        Ok(Self { coefficients, intercepts, prior: batch.prior() })
    }

    fn write(&self, model: &mut ModelWriter) {
        model.f64s(&self.coefficients);
        model.f64s(&self.intercepts);
        model.f64s(&self.prior);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let (modalities, classes) = (shape.modalities.len(), shape.classes.len());
        let blocks = if classes == 2 { 1 } else { classes };
        Ok(Self {
            coefficients: model.f64s(blocks * Design::new(modalities, classes).width())?,
            intercepts: model.f64s(blocks)?,
            prior: model.f64s(classes)?,
        })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

/// What the scores of a batch are before quality is known: score = base + sum_m slope_m Q_m.
struct Terms {
    /// Blocks x rows.
    base: Vec<f64>,
    /// Blocks x modalities x rows; 0 where the modality is unavailable.
    slope: Vec<f64>,
    /// Rows without any modality.
    empty: Vec<usize>,
}

impl Lr {
    fn terms(&self, batch: &Batch<'_>) -> Terms {
        let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
        let design = Design::new(modalities, classes);
        let blocks = self.intercepts.len();
        let mut base = vec![0.0; blocks * rows];
        let mut slope = vec![0.0; blocks * modalities * rows];
        let of_block = self.coefficients.chunks_exact(design.width()).zip(&self.intercepts);
        for (block, (coefficients, intercept)) in of_block.enumerate() {
            for row in 0..rows {
                let mut score = *intercept;
                for modality in
                    (0..modalities).filter(|&modality| batch.is_available(row, modality))
                {
                    score += coefficients[design.available(modality)];
                    let mut rise = coefficients[design.quality(modality)];
                    for (class, probability) in batch.evidence_of(row, modality).iter().enumerate()
                    {
                        score += coefficients[design.evidence(modality, class)] * probability;
                        rise += coefficients[design.product(modality, class)] * probability;
                    }
                    slope[(block * modalities + modality) * rows + row] = rise;
                }
                base[block * rows + row] = score;
            }
        }
        let available = |row| (0..modalities).any(|modality| batch.is_available(row, modality));
        Terms { base, slope, empty: (0..rows).filter(|&row| !available(row)).collect() }
    }
}

impl PermutedPredict for Lr {
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
        let terms = self.terms(batch);
        let measured = Quality::by_modality(batch);
        let blocks = self.intercepts.len();
        let mut scores = vec![0.0; blocks * rows];
        for (permutation, out) in probabilities.chunks_exact_mut(rows * classes).enumerate() {
            batch.go_on()?;
            scores.copy_from_slice(&terms.base);
            for modality in 0..modalities {
                let measured = &measured[modality * rows..][..rows];
                let source = quality.source(batch, permutation, modality);
                for (block, scores) in scores.chunks_exact_mut(rows).enumerate() {
                    let slope = &terms.slope[(block * modalities + modality) * rows..][..rows];
                    match source {
                        None => {
                            for ((score, slope), q) in scores.iter_mut().zip(slope).zip(measured) {
                                *score += slope * q;
                            }
                        }
                        Some(source) => {
                            for ((score, slope), &from) in scores.iter_mut().zip(slope).zip(source)
                            {
                                *score += slope * measured[from as usize];
                            }
                        }
                    }
                }
            }
            if blocks == 1 {
                for (out, &score) in out.chunks_exact_mut(2).zip(&scores) {
                    out.copy_from_slice(&link::binary(score));
                }
            } else {
                for (row, out) in out.chunks_exact_mut(classes).enumerate() {
                    for (block, out) in out.iter_mut().enumerate() {
                        *out = scores[block * rows + row];
                    }
                    link::softmax(out);
                }
            }
            for &row in &terms.empty {
                out[row * classes..][..classes].copy_from_slice(&self.prior);
            }
        }
        Ok(())
    }
}

export_fusion_rule!(Lr, permuted_predict);
