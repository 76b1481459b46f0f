//! Calibration of an expert's evidence.

use fuseline_engine::StageError;
use fuseline_learn::calibration::{Isotonic, Temperature};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{all_classes, failed};

/// How evidence is calibrated, on out-of-fold rows only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// It is left as the expert gives it.
    #[default]
    None,
    /// One temperature divides the log probabilities (Guo et al. 2017); decisions stay as they are.
    Temperature,
    /// A rising step function (Zadrozny and Elkan 2002): of the second of two classes, or of each of more classes against
    /// the others, scaled to sum to 1.
    Isotonic,
}

/// A fitted calibration.
pub(super) enum Calibrator {
    Temperature(Temperature),
    Isotonic(Vec<Isotonic>),
}

impl Calibrator {
    /// Fits on out-of-fold evidence, row-major, with the labels and weights of its rows.
    pub fn fit(
        calibration: Calibration,
        evidence: &[f64],
        labels: &[u32],
        weights: &[f64],
        class_names: &[String],
    ) -> Result<Self, StageError> {
        all_classes(labels, class_names).map_err(|class| {
            StageError::data(format!("no out-of-fold example of class {class} to calibrate on"))
                .at("calibration")
        })?;
        let classes = class_names.len();
        if calibration == Calibration::Isotonic {
            let curve = |class: u32| {
                let scores: Vec<f64> =
                    evidence.iter().skip(class as usize).step_by(classes).copied().collect();
                let targets: Vec<f64> =
                    labels.iter().map(|&label| f64::from(label == class)).collect();
                Isotonic::fit(&scores, &targets, weights).map_err(failed)
            };
            // The second class stands for both of two.
            let first = if classes == 2 { 1 } else { 0 };
            let curves = (0..).take(classes).skip(first).map(curve);
            return Ok(Self::Isotonic(curves.collect::<Result<_, _>>()?));
        }
        Temperature::fit(evidence, labels, weights, classes).map(Self::Temperature).map_err(failed)
    }

    /// Calibrates evidence in place.
    pub fn apply(&self, evidence: &mut [f64], classes: usize) {
        let curves = match self {
            Self::Temperature(temperature) => return temperature.apply(evidence, classes),
            Self::Isotonic(curves) => curves,
        };
        for row in evidence.chunks_exact_mut(classes) {
            if let ([curve], [first, second]) = (&curves[..], &mut *row) {
                *second = curve.value(*second);
                *first = 1.0 - *second;
                continue;
            }
            row.iter_mut().zip(curves).for_each(|(p, curve)| *p = curve.value(*p));
            let sum: f64 = row.iter().sum();
            let uniform = 1.0 / classes as f64;
            row.iter_mut().for_each(|p| *p = if sum > 0.0 { *p / sum } else { uniform });
        }
    }
}
