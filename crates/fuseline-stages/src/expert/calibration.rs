//! Calibration of an expert's evidence.

use fuseline_engine::{StageError, UnreadOption};
use fuseline_learn::calibration::{Isotonic, Temperature};
use fuseline_learn::convergence::NotConverged;
use fuseline_learn::link;
use fuseline_learn::sigmoid::Sigmoid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClassWeight, Row, all_classes, failed};

/// Calibration of evidence, on out-of-fold rows only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// It is left as the expert gives it.
    #[default]
    None,
    /// One temperature divides the log probabilities (Guo et al. 2017); decisions stay as they are.
    Temperature,
    /// A rising step function (Zadrozny and Elkan 2002): of the second of two classes, or of each
    /// of more classes against the others, scaled to sum to 1.
    Isotonic,
    /// A sigmoid of the score (Platt 2000): of the decision value, or of the log odds of a
    /// probability; for the second of two classes, or for each of more classes against the others,
    /// scaled to sum to 1.
    Sigmoid,
}

impl Calibration {
    /// The options without effect of a stage whose evidence comes from outside: only a calibration
    /// is fitted.
    pub fn without_effect(self) -> Vec<UnreadOption> {
        match self {
            Self::None => ["inner_folds", "class_weight"]
                .map(|option| (option, "with `calibration: none` nothing is fitted"))
                .into(),
            _ => Vec::new(),
        }
    }
}

/// Scale of a learner's output for each row and class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Probabilities.
    Probabilities,
    /// Any numbers, larger for the class that is meant; those of two classes are each other's
    /// negative.
    DecisionValues,
}

/// Shared settings of the rows that calibrations are fitted on.
pub(crate) struct Calibrating<'a> {
    pub calibration: Calibration,
    pub scale: Scale,
    pub class_weight: ClassWeight,
    /// The training rows.
    pub rows: &'a [Row],
    /// Their labels.
    pub labels: &'a [u32],
    pub class_names: &'a [String],
    /// Over how many folds the training rows are divided.
    pub inner_folds: u32,
}

impl Calibrating<'_> {
    /// Calibrates the evidence of the training and of the test rows in place.
    ///
    /// For the test rows the calibration is fitted on that of all training rows; for an inner fold
    /// on that of the others, after `apart` has put in the evidence of experts that have not seen
    /// the inner fold either. Gives the shortfalls of those that did not converge.
    pub fn calibrate(
        &self,
        train: &mut [f64],
        test: &mut [f64],
        apart: impl Fn(u32, &mut [f64]),
    ) -> Result<Vec<NotConverged>, StageError> {
        let mut shortfalls = Vec::new();
        if self.calibration == Calibration::None {
            return Ok(shortfalls);
        }
        let classes = self.class_names.len();
        let calibrator = self.fit(train, |_| true)?;
        shortfalls.extend(calibrator.not_converged());
        calibrator.apply(test, classes);
        let plain = train.to_vec();
        for inner in 0..self.inner_folds {
            let mut others = plain.clone();
            apart(inner, &mut others);
            let calibrator = self.fit(&others, |row| row.inner != inner)?;
            shortfalls.extend(calibrator.not_converged());
            for (row, evidence) in self.rows.iter().zip(train.chunks_exact_mut(classes)) {
                if row.inner == inner {
                    calibrator.apply(evidence, classes);
                }
            }
        }
        Ok(shortfalls)
    }

    fn fit(
        &self,
        evidence: &[f64],
        among: impl Fn(&Row) -> bool,
    ) -> Result<Calibrator, StageError> {
        let classes = self.class_names.len();
        let known = || (0..self.rows.len()).filter(|&row| among(&self.rows[row]));
        let labels: Vec<u32> = known().map(|row| self.labels[row]).collect();
        all_classes(&labels, self.class_names).map_err(|class| {
            StageError::data(format!("no out-of-fold example of class {class} to calibrate on"))
                .at("calibration")
        })?;
        let rows = known().map(|row| &evidence[row * classes..][..classes]);
        let weights = self.class_weight.weights(&labels, classes)?;
        let fitted = match self.calibration {
            Calibration::Temperature => {
                let mut evidence = rows.flatten().copied().collect::<Vec<f64>>();
                self.scale.to_probabilities(&mut evidence, classes);
                let fitted = Temperature::fit(&evidence, &labels, &weights, classes);
                Fitted::Temperature(fitted.map_err(failed)?)
            }
            calibration => {
                // The second class stands for both of two.
                let first = if classes == 2 { 1 } else { 0 };
                let curve = |class: usize| {
                    let own = labels.iter().map(|&label| label as usize == class);
                    let value = rows.clone().map(|row| row[class]);
                    Ok(match calibration {
                        Calibration::Sigmoid => {
                            let scores: Vec<f64> = value.map(|p| self.scale.score(p)).collect();
                            let own: Vec<bool> = own.collect();
                            Curve::Sigmoid(Sigmoid::fit(&scores, &own, &weights).map_err(failed)?)
                        }
                        _ => {
                            let targets: Vec<f64> = own.map(f64::from).collect();
                            let values: Vec<f64> = value.collect();
                            let fitted = Isotonic::fit(&values, &targets, &weights);
                            Curve::Isotonic(fitted.map_err(failed)?)
                        }
                    })
                };
                let curves = (first..classes).map(curve).collect::<Result<_, StageError>>();
                Fitted::Curves(curves?)
            }
        };
        Ok(Calibrator { scale: self.scale, fitted })
    }
}

impl Scale {
    /// The softmax of decision values; probabilities stay as they are.
    fn to_probabilities(self, rows: &mut [f64], classes: usize) {
        if self == Self::DecisionValues {
            rows.chunks_exact_mut(classes).for_each(link::softmax);
        }
    }

    /// The log odds of a probability; a decision value stays as it is.
    fn score(self, value: f64) -> f64 {
        match self {
            Self::DecisionValues => value,
            Self::Probabilities => {
                let log = |p: f64| libm::log(p.max(f64::EPSILON));
                log(value) - log(1.0 - value)
            }
        }
    }
}

/// A fitted calibration.
struct Calibrator {
    scale: Scale,
    fitted: Fitted,
}

enum Fitted {
    Temperature(Temperature),
    /// One for the second of two classes, or one a class.
    Curves(Vec<Curve>),
}

enum Curve {
    Isotonic(Isotonic),
    Sigmoid(Sigmoid),
}

impl Calibrator {
    /// Shortfalls of its curves.
    fn not_converged(&self) -> impl Iterator<Item = NotConverged> {
        let curves = match &self.fitted {
            Fitted::Temperature(_) => &[][..],
            Fitted::Curves(curves) => curves,
        };
        curves.iter().filter_map(|curve| match curve {
            Curve::Isotonic(_) => None,
            Curve::Sigmoid(curve) => curve.not_converged(),
        })
    }

    /// Makes calibrated probabilities of what a learner gave, in place.
    fn apply(&self, evidence: &mut [f64], classes: usize) {
        let curves = match &self.fitted {
            Fitted::Temperature(temperature) => {
                self.scale.to_probabilities(evidence, classes);
                return temperature.apply(evidence, classes);
            }
            Fitted::Curves(curves) => curves,
        };
        let value = |curve: &Curve, value: f64| match curve {
            Curve::Isotonic(curve) => curve.value(value),
            Curve::Sigmoid(curve) => curve.value(self.scale.score(value)),
        };
        for row in evidence.chunks_exact_mut(classes) {
            if let ([curve], [first, second]) = (&curves[..], &mut *row) {
                *second = value(curve, *second);
                *first = 1.0 - *second;
                continue;
            }
            row.iter_mut().zip(curves).for_each(|(p, curve)| *p = value(curve, *p));
            let sum: f64 = row.iter().sum();
            let uniform = 1.0 / classes as f64;
            row.iter_mut().for_each(|p| *p = if sum > 0.0 { *p / sum } else { uniform });
        }
    }
}
