//! The fusion rule `stacking`: the experts' calibrated evidence, pooled by weights that depend on
//! quality.
//!
//! Each modality's evidence P_m is calibrated, by one temperature (the default) or by isotonic
//! regression for each class against the others; then values below 1e-3 count as 1e-3, and
//!
//! l_mk = ln C_m(P_m)_k - mean over k' of ln C_m(P_m)_k'
//!
//! With quality standardised on the training rows, z_m = (Q_m - mean_m) / sd_m, and the sum over
//! the available modalities:
//!
//! score_k = c_k + sum_m (u_m + v_m z_m) l_mk,  p = softmax(score)
//!
//! The fit minimises (|u|^2 + |v|^2) / 2 + C sum_i s_i (-ln p_iy), with the weights s_i of the
//! batch and y the label, from 0 by L-BFGS; it is convex. For two classes it is the logistic
//! regression on d_m and d_m z_m, d_m the log odds.
//!
//! **Cross-fitting.** A calibrator that has seen a row makes its evidence look better than it is,
//! most of all the isotonic one. The l of a training row therefore come from calibrators that were
//! fitted without it: within each class, the rows are ordered by a hash of seed and row_id, and
//! dealt to `folds` parts. The calibrators that predict are fitted on all rows. Where the rows at
//! hand lack a class in a modality, its evidence stays as it is. Rows without any modality do not
//! count in the fit, and are predicted as the weighted share of each class in the training rows.
//! Quality beyond +-1e100 counts as +-1e100.
//!
//! Sources: stacking, Wolpert, "Stacked generalization", Neural Networks 5(2), 1992, on class
//! probabilities as in Ting and Witten, "Issues in stacked generalization", JAIR 10, 1999; the
//! logarithmic pool, Genest and Zidek, "Combining probability distributions", Statistical Science
//! 1(1), 1986; temperature, Guo et al., "On calibration of modern neural networks", ICML 2017;
//! isotonic regression, Zadrozny and Elkan, "Transforming classifier scores into accurate
//! multiclass probability estimates", KDD 2002.

use fuseline_learn::link;
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Param, Params, PermutedPredict,
    Quality, RuleError, Shape, StandardQuality, TrainingBatch, export_fusion_rule,
};

use crate::calibrate::Calibrator;

mod calibrate;
mod fit;

/// Calibrators, and the weights of the pool.
#[derive(Debug)]
pub struct Stacking {
    /// One a modality.
    calibrators: Vec<Calibrator>,
    quality: StandardQuality,
    /// u: the weight of each modality at its mean quality.
    weights: Vec<f64>,
    /// v: increase of the weight for one standard deviation of quality.
    slopes: Vec<f64>,
    /// c, one a class.
    intercepts: Vec<f64>,
    prior: Vec<f64>,
}

impl FusionRule for Stacking {
    const ID: &'static str = "org.fuseline.stacking";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "stacking of calibrated evidence",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "A pool of calibrated evidence whose weights depend on quality.",
        )
        .param(Param::choice(
            "calibration",
            &["temperature", "isotonic"],
            "how each modality's evidence is calibrated",
        ))
        .param(
            Param::integer("folds", 5, "parts of the training rows that calibrate each other")
                .at_least(2)
                .at_most(100),
        )
        .param(Param::number("c", 1.0, "weight of the losses against the penalty").above(0.0))
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, seed: u64) -> Result<Self, RuleError> {
        let isotonic = params.str("calibration")? == "isotonic";
        let folds = calibrate::folds(batch, params.count("folds")?, seed);
        let logs = calibrate::cross_fitted(batch, isotonic, &folds)?;
        let quality = StandardQuality::fit(batch);
        let pool = fit::pool(batch, &logs, &quality.standardise(batch), params.f64("c")?)?;
        let calibrators = (0..batch.modalities())
            .map(|modality| Calibrator::fit(batch, modality, isotonic, |_| true))
            .collect::<Result<_, _>>()?;
        let (weights, rest) = pool.split_at(batch.modalities());
        let (slopes, intercepts) = rest.split_at(batch.modalities());
        Ok(Self {
            calibrators,
            quality,
            weights: weights.to_vec(),
            slopes: slopes.to_vec(),
            intercepts: intercepts.to_vec(),
            prior: batch.prior(),
        })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.calibrators.iter().for_each(|calibrator| calibrator.write(model));
        self.quality.write(model);
        for numbers in [&self.weights, &self.slopes, &self.intercepts, &self.prior] {
            model.f64s(numbers);
        }
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let (modalities, classes) = (shape.modalities.len(), shape.classes.len());
        Ok(Self {
            calibrators: (0..modalities)
                .map(|_| Calibrator::read(model, classes))
                .collect::<Result<_, _>>()?,
            quality: StandardQuality::read(model, modalities)?,
            weights: model.f64s(modalities)?,
            slopes: model.f64s(modalities)?,
            intercepts: model.f64s(classes)?,
            prior: model.f64s(classes)?,
        })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

impl PermutedPredict for Stacking {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
        let width = rows * classes;
        if width == 0 {
            return Ok(());
        }
        let z = self.quality.standardise(batch);
        // Once for all permutations: score = base + sum_m rise_m z_m. Modality by modality, rows x
        // classes.
        let mut rise = vec![0.0; modalities * width];
        let mut base: Vec<f64> = self.intercepts.repeat(rows);
        for (modality, rise) in rise.chunks_exact_mut(width).enumerate() {
            batch.go_on()?;
            let (weight, slope) = (self.weights[modality], self.slopes[modality]);
            let of_row = base.chunks_exact_mut(classes).zip(rise.chunks_exact_mut(classes));
            for (row, (base, rise)) in of_row.enumerate() {
                if batch.is_available(row, modality) {
                    self.calibrators[modality].logs(batch.evidence_of(row, modality), rise);
                    for (base, log) in base.iter_mut().zip(rise) {
                        *base += weight * *log;
                        *log *= slope;
                    }
                }
            }
        }
        let empty: Vec<usize> = (0..rows)
            .filter(|&row| (0..modalities).all(|modality| !batch.is_available(row, modality)))
            .collect();
        for (permutation, out) in probabilities.chunks_exact_mut(width).enumerate() {
            batch.go_on()?;
            out.copy_from_slice(&base);
            for (modality, rise) in rise.chunks_exact(width).enumerate() {
                let source = quality.source(batch, permutation, modality);
                let of_row = out.chunks_exact_mut(classes).zip(rise.chunks_exact(classes));
                for (row, (out, rise)) in of_row.enumerate() {
                    let from = source.map_or(row, |source| source[row] as usize);
                    let z = z[from * modalities + modality];
                    out.iter_mut().zip(rise).for_each(|(score, rise)| *score += rise * z);
                }
            }
            out.chunks_exact_mut(classes).for_each(link::softmax);
            for &row in &empty {
                out[row * classes..][..classes].copy_from_slice(&self.prior);
            }
        }
        Ok(())
    }
}

export_fusion_rule!(Stacking, permuted_predict);
